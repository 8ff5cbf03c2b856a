"""What this project's importance weights say to an oracle case, under the case's output names."""

from torch import Tensor

from algorithms.loss.aggregation import aggregate
from algorithms.loss.clip import clip
from algorithms.loss.mismatch import importance_weights, rows_within, weighted
from tests.algorithms.oracles.losses import mask_of, tensor, weights_of
from tests.algorithms.oracles.vectors import Array, Case


def log_probabilities(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """old_logp, rollout_logp (further away where the case says so) and the mask."""
    old, rollout = tensor(case.inputs["old_logp"], case), tensor(case.inputs["rollout_logp"], case)
    factor = 4 if case.args.get("log_ratio", "").endswith("*4") else 1
    return old, old - factor * (old - rollout), mask_of(case)


def weights(case: Case) -> dict[str, Array]:
    """verl's: a number is a truncation, a pair of numbers a band."""
    threshold = str(case.args["threshold"])
    level = "row" if case.args["level"] == "sequence" else "token"
    if "_" in threshold:
        lowest, highest = map(float, threshold.split("_"))
        settings = {"lowest": lowest, "highest": highest, "outside": "drop"}
    else:
        settings = {"highest": float(threshold)}
    found = importance_weights(
        *log_probabilities(case), level=level, normalised=case.args["batch_normalize"], **settings
    )
    return {"weights": found.numpy()}


def mask(case: Case) -> dict[str, Array]:
    """verl's rejection by k1, which bounds the inverse ratio."""
    lowest, highest = (1 / float(bound) for bound in reversed(case.args["threshold"].split("_")))
    old, rollout, trained = log_probabilities(case)
    if case.args["option"] == "seq_mean_k1":
        kept = rows_within(old, rollout, trained, lowest=lowest, highest=highest).unsqueeze(-1)
    else:
        level = "row" if case.args["option"] == "seq_sum_k1" else "token"
        band = {"lowest": lowest, "highest": highest, "outside": "drop"}
        kept = importance_weights(old, rollout, trained, level=level, **band) > 0
    return {"mask": (kept & trained.bool()).numpy()}


def loss(case: Case) -> dict[str, Array]:
    """A clipped loss times weights."""
    args = case.args
    logp = tensor(case.inputs["logp"], case).requires_grad_()
    old, rollout, trained = log_probabilities(case)
    if case.part == "verl":
        correction = importance_weights(old, rollout, trained, highest=2.0)
    else:
        lowest, highest = args["is_threshold"]
        if args["is_mode"] == "clip":
            correction = importance_weights(old, rollout, trained, highest=highest)
        elif args["is_level"] == "token":
            correction = importance_weights(old, rollout, trained, lowest=lowest, highest=highest, outside="drop")
        else:
            kept = rows_within(old, rollout, trained, lowest=lowest, highest=highest)
            correction = importance_weights(old, rollout, trained, highest=float("inf")) * kept.unsqueeze(-1)
    dual = args.get("dual_clip")
    terms = weighted(clip(logp, old, tensor(case.inputs["adv"], case), trained, dual=dual), correction)
    total = aggregate(terms.loss, trained, weights_of(case))
    total.backward()
    assert logp.grad is not None
    return {"loss": total.detach().numpy(), "grad": logp.grad.numpy()}
