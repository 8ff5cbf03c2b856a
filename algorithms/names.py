"""The algorithms' names, as on the command line; `training.known` has what is behind them.

AEPO first, then the seven the paper likely compares with (its list could not be read and is not confirmed), then what
else a reader expects.
"""

SEVEN = ("grpo", "reinforce++", "dapo", "cispo", "gppo", "gigpo", "arpo")
OTHERS = (
    "reinforce++-baseline",
    "ppo",
    "reinforce",
    "rloo",
    "dr-grpo",
    "gspo",
    "ce-gppo",
    "tree-grpo",
    "empg",
    "clip-cov",
    "kl-cov",
)
NAMES = ("aepo", *SEVEN, *OTHERS)
