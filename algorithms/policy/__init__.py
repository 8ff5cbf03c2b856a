"""Generation and learning engines for token trees. Knows the tree, no algorithm.

`local.LocalEngine` generates (the interface is `engine.Engine`); `learner_forward.learner_forward` gives the
log-probabilities and entropies of whole trees under autograd, on batches cut by `packing.pack`; `learner.Learner`
scores trees and makes optimiser steps.
"""

try:
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"algorithms.policy needs torch and transformers ({error}): install the extra, pip install -e '.[train]'."
    ) from error
