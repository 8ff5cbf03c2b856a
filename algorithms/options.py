"""Options that every algorithm has and most leave off, as plain numbers; `training.objective` and `training.scoring`
do what they say.

    replace(GRPO, kl=Divergence(0.001, "k3"))                    # or: --set kl.coefficient=0.001
    replace(GRPO, mismatch=Mismatch("tis"))                      # or: --set mismatch.kind=tis
    replace(GRPO, entropy_bonus=0.001)                           # or: --set entropy_bonus=0.001

Off is 0 or "none"; then nothing is computed for them.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

KlEstimator = Literal["k1", "k2", "k3", "absolute", "k3-with-k2"]
"""How a token's divergence from the reference is estimated: `loss.kl`."""

Place = Literal["loss", "reward"]
Kind = Literal["none", "tis", "sequence-tis", "icepop", "sequence-mask"]


@dataclass(frozen=True)
class Divergence:
    """What straying from the frozen first policy costs.

    Attributes:
        coefficient: of the divergence (the papers' beta); 0: no reference is kept.
        estimator: per token. k1, k2, k3 in the loss; in the reward usually k1.
        place: "loss" adds it to the loss, aggregated as the policy's terms are; "reward" takes it from the reward of
            each token, before advantages.
    """

    coefficient: float = 0.0
    estimator: KlEstimator = "k3"
    place: Place = "loss"

    def __post_init__(self) -> None:
        if self.coefficient < 0 or self.estimator not in get_args(KlEstimator) or self.place not in get_args(Place):
            raise ValueError(
                f"Expected kl.coefficient from 0, an estimator of {', '.join(get_args(KlEstimator))} and a place of "
                f"{', '.join(get_args(Place))}; got {self}."
            )

    @property
    def needs(self) -> frozenset[Literal["reference"]]:
        """The reference, unless it is off."""
        return frozenset(("reference",)) if self.coefficient else frozenset()

    def is_in(self, place: Place) -> bool:
        """Whether it is on, at this place."""
        return self.coefficient > 0 and self.place == place


class Weighting(NamedTuple):
    """Arguments of `loss.mismatch.importance_weights`."""

    level: Literal["token", "row"]
    lowest: float
    highest: float
    outside: Literal["truncate", "drop"]


_KINDS = {
    "tis": Weighting("token", 0.0, 2.0, "truncate"),
    "sequence-tis": Weighting("row", 0.0, 2.0, "truncate"),
    "icepop": Weighting("token", 0.5, 5.0, "drop"),
    "sequence-mask": Weighting("row", 0.0, 3.0, "drop"),
}


@dataclass(frozen=True)
class Mismatch:
    """A correction where the engine that sampled and the learner disagree about probabilities; see `loss.mismatch`.

    With one, old log-probabilities are computed by the learner, at the price of a forward.

    Attributes:
        kind: none; tis: ratios truncated per token; sequence-tis: of whole trajectories; icepop: tokens outside a band
            are dropped; sequence-mask: whole trajectories beyond a ratio are.
        lowest, highest: bounds of the ratio; None: 2 for both TIS (verl), 0.5 to 5 for IcePop (OpenRLHF), 3 for the
            sequence mask (TRL).
        normalised: divide weights by their mean.
    """

    kind: Kind = "none"
    lowest: float | None = None
    highest: float | None = None
    normalised: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"Unknown mismatch.kind {self.kind!r}: choose one of {', '.join(get_args(Kind))}.")
        if self.lowest is not None and self.kind in ("tis", "sequence-tis"):
            raise ValueError("Truncation cuts great ratios alone: mismatch.lowest is for icepop and sequence-mask.")
        low, high = self.lowest or 0.0, self.highest
        if not 0 <= low <= 1 or not (high is None or high >= 1):
            raise ValueError(f"Expected bounds of ratios, 0 <= lowest <= 1 <= highest, got {self}.")

    @property
    def needs(self) -> frozenset[Literal["rescored"]]:
        """The learner's own old log-probabilities, unless it is off."""
        return frozenset() if self.kind == "none" else frozenset(("rescored",))

    def weighting(self) -> Weighting | None:
        """What it comes to; None if it is off."""
        if self.kind == "none":
            return None
        made = _KINDS[self.kind]
        lowest = made.lowest if self.lowest is None else self.lowest
        return made._replace(lowest=lowest, highest=made.highest if self.highest is None else self.highest)


@dataclass(frozen=True)
class CriticSettings:
    """The critic of PPO: a copy of the first policy with a number instead of a vocabulary at its end.

    Attributes:
        lr: its learning rate; None: the policy's.
        width: half the band around old values inside which a value may move in an update; None: no band.
    """

    lr: float | None = None
    width: float | None = 0.5

    def __post_init__(self) -> None:
        if not (self.lr is None or self.lr > 0) or not (self.width is None or self.width > 0):
            raise ValueError(f"Expected a critic's lr and width above 0, or none; got {self}.")
