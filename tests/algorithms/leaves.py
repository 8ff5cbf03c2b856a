"""A batch of several questions laid out on leaves, with the numbers of sampling as scores. Needs torch."""

import torch

from algorithms.algorithm import LeafBatch
from algorithms.policy.learner import Scores
from tests.algorithms.rewarded import questions


def leaf_batch() -> LeafBatch:
    """Of `rewarded.questions`."""
    trees = questions()
    batch = LeafBatch.of(trees, [Scores.sampled(tree) for tree in trees])
    assert torch.isfinite(batch.old_log_probs).all()
    return batch
