"""Policy losses as algorithms name them: a clip rule with its bounds.

    Clip(low=0.2, high=0.2, dual=3.0)              # PPO, GRPO, ARPO; DAPO with high=0.28
    BalancedClip(low=0.2, high=0.2, dual=3.0)      # AEPO

Each takes (logp, old_logp, advantage, mask), all [rows, tokens], and gives `terms.PolicyTerms`.
"""

from dataclasses import dataclass

from torch import Tensor

from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.clip import clip
from algorithms.loss.terms import PolicyTerms


@dataclass(frozen=True)
class Clip:
    """PPO's clipped surrogate: `clip.clip`.

    Attributes:
        low, high: widths of the bounds 1 - low and 1 + high on ratios of probabilities.
        dual: ratio beyond which tokens with a negative advantage stop; None: no such bound.
    """

    low: float = 0.2
    high: float = 0.2
    dual: float | None = 3.0

    def __post_init__(self) -> None:
        _check(self.low, self.high, self.dual)

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> PolicyTerms:
        """See `algorithm.Loss`."""
        return clip(logp, old_logp, advantage, mask, low=self.low, high=self.high, dual=self.dual)


@dataclass(frozen=True)
class BalancedClip:
    """AEPO's: rising tokens beyond the upper bound keep a bounded gradient; `balanced_clip.balanced_clip`.

    Attributes:
        low, high, dual: as of `Clip`.
        balanced: False is the plain clip: the part switched off, for ablation.
    """

    low: float = 0.2
    high: float = 0.2
    dual: float | None = 3.0
    balanced: bool = True

    def __post_init__(self) -> None:
        _check(self.low, self.high, self.dual)

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> PolicyTerms:
        """See `algorithm.Loss`."""
        rule = balanced_clip if self.balanced else clip
        return rule(logp, old_logp, advantage, mask, low=self.low, high=self.high, dual=self.dual)


def _check(low: float, high: float, dual: float | None) -> None:
    """Said where the numbers are written, not at the first update, after a rollout."""
    if not (0 <= low <= 1 and high >= 0 and (dual is None or dual > 1 + high)):
        raise ValueError(
            f"Expected widths 0 <= low <= 1 and high >= 0 (0.2, not 1.2), and a dual clip beyond 1 + high or None; "
            f"got low={low}, high={high}, dual={dual}."
        )
