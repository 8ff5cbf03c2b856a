"""Policy losses as algorithms name them: a clip rule with its bounds.

    Clip(low=0.2, high=0.2, dual=3.0)              # PPO, GRPO, ARPO; DAPO with high=0.28
    BalancedClip(low=0.2, high=0.2, dual=3.0)      # AEPO
    PreservingClip(low=0.2, high=0.28)             # GPPO, CE-GPPO
    CutWeights(highest=1.28)                       # CISPO
    SequenceClip(low=3e-4, high=4e-4)              # GSPO; RLOO with length_normalised=False
    PlainGradient()                                # REINFORCE, of one step a batch
    DropCovariant(), HoldCovariant()               # Clip-Cov, KL-Cov

Each takes (logp, old_logp, advantage, mask), all [rows, tokens], and gives `terms.PolicyTerms`; the last two also take
the tokens they chose among those of the whole optimiser step (`algorithm.ChoosingLoss`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.cispo import cispo
from algorithms.loss.clip import clip
from algorithms.loss.covariance import chosen_at_random, dropped, kl_cov, most_covariant, token_covariance
from algorithms.loss.gradient_preserving import gradient_preserving_clip
from algorithms.loss.reinforce import reinforce
from algorithms.loss.sequence_ratio import sequence_clip
from algorithms.loss.terms import PolicyTerms, token_ratio, usable_tokens


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


@dataclass(frozen=True)
class PreservingClip:
    """GPPO's: tokens beyond either bound keep a bounded gradient; `gradient_preserving.gradient_preserving_clip`.

    Attributes:
        low, high, dual: as of `Clip`.
        low_scale, high_scale: of the parts beyond the bounds (CE-GPPO's beta_1, beta_2); 0 and 0 are the plain clip's
            gradients.
    """

    low: float = 0.2
    high: float = 0.28
    dual: float | None = 10.0
    low_scale: float = 1.0
    high_scale: float = 1.0

    def __post_init__(self) -> None:
        _check(self.low, self.high, self.dual)
        if self.low_scale < 0 or self.high_scale < 0:
            raise ValueError(f"Scales of the clipped parts are at least 0; got {self}.")

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> PolicyTerms:
        """See `algorithm.Loss`."""
        return gradient_preserving_clip(
            logp,
            old_logp,
            advantage,
            mask,
            low=self.low,
            high=self.high,
            low_scale=self.low_scale,
            high_scale=self.high_scale,
            dual=self.dual,
        )


@dataclass(frozen=True)
class CutWeights:
    """CISPO's: importance weights are cut, no token is; `cispo.cispo`. lowest, highest: ratios, not widths."""

    lowest: float = 0.0
    highest: float = 1.28

    def __post_init__(self) -> None:
        if not 0 <= self.lowest <= 1 <= self.highest:
            raise ValueError(f"Expected ratios 0 <= lowest <= 1 <= highest (1.2, not 0.2); got {self}.")

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> PolicyTerms:
        """See `algorithm.Loss`."""
        return cispo(logp, old_logp, advantage, mask, lowest=self.lowest, highest=self.highest)


@dataclass(frozen=True)
class SequenceClip:
    """One ratio per trajectory; `sequence_ratio.sequence_clip`.

    Attributes:
        low, high: widths of the band around 1.
        length_normalised: True: the geometric mean of a trajectory's ratios (GSPO); False: their product (RLOO).
    """

    low: float = 3e-4
    high: float = 4e-4
    length_normalised: bool = True

    def __post_init__(self) -> None:
        _check(self.low, self.high, None)

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> PolicyTerms:
        """See `algorithm.Loss`."""
        return sequence_clip(
            logp,
            old_logp,
            advantage,
            mask,
            low=self.low,
            high=self.high,
            length_normalised=self.length_normalised,
        )


@dataclass(frozen=True)
class PlainGradient:
    """REINFORCE's: advantage times log-probability; `reinforce.reinforce`.

    Attributes:
        highest: with several steps a batch, terms are weighted by the token's ratio, cut here and taken as constant;
            None: no weights, which is right for one step alone.
    """

    highest: float | None = None

    def __post_init__(self) -> None:
        if self.highest is not None and self.highest < 1:
            raise ValueError(f"Expected a greatest weight of at least 1, or none; got {self}.")

    @property
    def one_update(self) -> bool:
        """Whether a second step on a batch would be off-policy without a correction."""
        return self.highest is None

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> PolicyTerms:
        """See `algorithm.Loss`."""
        if self.highest is None:
            return reinforce(logp, advantage, mask)
        usable = usable_tokens(mask, logp, old_logp, advantage)
        weights = token_ratio(logp, old_logp, usable).value.clamp(max=self.highest)
        return reinforce(logp, advantage, mask, weights=weights)


@dataclass(frozen=True)
class DropCovariant:
    """Clip-Cov's: a few tokens of high covariance, drawn at random, are left out of the update; `covariance`.

    Attributes:
        low, high: widths of the clip beside it, which all but never acts.
        least, most: band of covariances to draw from. share: of the step's trained tokens that is drawn, at least one.
    """

    low: float = 1.0
    high: float = 1.0
    least: float = 1.0
    most: float = 5.0
    share: float = 2e-4

    def __post_init__(self) -> None:
        _check(self.low, self.high, None)
        if not (0 <= self.share <= 1 and self.least < self.most):
            raise ValueError(f"Expected a share in 0..1 and least < most; got {self}.")

    def choose(self, old_logp: Tensor, advantage: Tensor, mask: Tensor, random: np.random.Generator) -> Tensor:
        """See `algorithm.ChoosingLoss`. Before the step nothing is clipped, so every token in the band may be drawn."""
        covariance = token_covariance(old_logp, advantage, mask)
        draws = torch.from_numpy(random.random(mask.shape))
        candidates = (covariance > self.least) & (covariance < self.most)
        return chosen_at_random(candidates, mask, draws, self.share)

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor, chosen: Tensor) -> PolicyTerms:
        """See `algorithm.ChoosingLoss`."""
        return dropped(clip(logp, old_logp, advantage, mask, low=self.low, high=self.high, dual=None), chosen)


@dataclass(frozen=True)
class HoldCovariant:
    """KL-Cov's: no clip, but the tokens of highest covariance are held where they were; `covariance.kl_cov`.

    Attributes:
        share: of the step's trained tokens that is held, at least one. coefficient: of |log-ratio| on these.
    """

    share: float = 2e-3
    coefficient: float = 1.0
    trains_all = True  # a token may be held whatever its advantage

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.coefficient < 0:
            raise ValueError(f"Expected a share in 0..1 and a coefficient from 0; got {self}.")

    def choose(self, old_logp: Tensor, advantage: Tensor, mask: Tensor, random: np.random.Generator) -> Tensor:
        """See `algorithm.ChoosingLoss`. Nothing is drawn."""
        return most_covariant(token_covariance(old_logp, advantage, mask), mask, self.share)

    def __call__(self, logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor, chosen: Tensor) -> PolicyTerms:
        """See `algorithm.ChoosingLoss`."""
        return kl_cov(logp, old_logp, advantage, mask, chosen, coefficient=self.coefficient)


def _check(low: float, high: float, dual: float | None) -> None:
    """Said where the numbers are written, not at the first update, after a rollout."""
    if not (0 <= low <= 1 and high >= 0 and (dual is None or dual > 1 + high)):
        raise ValueError(
            f"Expected widths 0 <= low <= 1 and high >= 0 (0.2, not 1.2), and a dual clip beyond 1 + high or None; "
            f"got low={low}, high={high}, dual={dual}."
        )
