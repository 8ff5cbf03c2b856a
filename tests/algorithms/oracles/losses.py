"""What this project's losses say to an oracle case: arguments translated, results under the case's output names.

Conventions of others that are no faults are undone here by name: means over all rows, empty ones too (a factor), padded
width as a constant, relative instead of absolute clip bounds.
"""

import torch
from torch import Tensor

from algorithms.advantage.attribution import soft
from algorithms.advantage.entropy_aware import entropy_aware
from algorithms.loss.aggregation import Aggregation, aggregate, row_weights
from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.cispo import cispo
from algorithms.loss.clip import clip
from algorithms.loss.covariance import between, chosen_at_random, dropped, kl_cov, most_covariant, token_covariance
from algorithms.loss.gradient_preserving import gradient_preserving_clip
from algorithms.loss.kl import kl_terms
from algorithms.loss.reinforce import reinforce
from algorithms.loss.sequence_ratio import sequence_clip
from algorithms.loss.terms import PolicyTerms
from algorithms.loss.value import value_terms
from tests.algorithms.oracles.vectors import Array, Case

MODES: dict[str, Aggregation] = {
    "token-mean": "token-mean",
    "token-mean (denominator +1e-8)": "token-mean",
    "token-mean (global)": "token-mean",
    "seq-mean-token-mean": "sequence-mean-token-mean",
    "seq-mean-token-sum": "sequence-mean-token-sum",
    "seq-mean-token-sum-norm": "sequence-mean-token-sum-constant",
    "sum/(B*max_completion_length)": "sequence-mean-token-sum-constant",
    "token-sum": "token-sum",
    "mean over ALL rows of token-mean": "sequence-mean-token-mean",
    "mean over ALL rows of token-mean (empty rows count as 0)": "sequence-mean-token-mean",
    "mean over ALL rows": "sequence-mean-token-mean",
    "mean over rows": "sequence-mean-token-sum",
}
COUNTS_EMPTY_ROWS = ("mean over ALL rows", "sum/(B*max_completion_length)")
TRL_TYPES = {"grpo": "mean over ALL rows", "bnpo": "token-mean", "dapo": "token-mean (global)"}


def tensor(values: Array, case: Case) -> Tensor:
    return torch.as_tensor(values, dtype=getattr(torch, case.dtype))


def mask_of(case: Case) -> Tensor:
    return torch.as_tensor(case.inputs["mask"]).long()


def weights_of(case: Case) -> Tensor:
    """Row weights for the case's aggregation."""
    name = case.args.get("agg") or TRL_TYPES[case.args.get("loss_type", "bnpo")]
    mode, mask = MODES[name], mask_of(case)
    constant = None
    if mode == "sequence-mean-token-sum-constant":
        constant = case.args.get("max_completion_length") or case.args.get("scale") or mask.shape[1]
    weights = row_weights(mode, mask.sum(-1), constant=constant)
    if name.startswith(COUNTS_EMPTY_ROWS):
        weights = weights * (mask.sum(-1) > 0).sum() / len(mask)
    return weights


def advantage_of(case: Case) -> Tensor:
    field = case.args.get("adv", "adv").removesuffix("*mask")
    advantage = tensor(case.inputs[field], case)
    return soft(advantage, mask_of(case)) if advantage.dim() == 1 else advantage


def policy_loss(case: Case) -> dict[str, Array]:
    """Loss, gradient and clip statistics of a policy-loss case."""
    logp = tensor(case.inputs["logp"], case).requires_grad_()
    mask, weights = mask_of(case), weights_of(case)
    terms = policy_terms(case, logp)
    total = terms.loss
    if case.args.get("beta"):
        total = (
            total
            + case.args["beta"] * kl_terms(logp, tensor(case.inputs["ref_logp"], case), mask, log_ratio_bound=None).loss
        )
    loss = aggregate(total, mask, weights)
    loss.backward()
    assert logp.grad is not None
    trained = mask.sum().clamp(min=1)
    share = {
        name: (where & mask.bool()).sum() / trained
        for name, where in (
            ("high", terms.clipped_high),
            ("low", terms.clipped_low),
            ("either", terms.clipped_high | terms.clipped_low),
            ("dual", terms.dual_clipped),
        )
    }
    found = {
        "loss": loss.detach(),
        "grad": logp.grad,
        "per_token": terms.loss.detach(),
        "factor_times_A": terms.factor,
        "metric.pg_clipfrac": share["either"],
        "metric.clipfrac": share["either"],
        "metric.pg_clipfrac_lower": share["dual"],
        "metric.clipfrac_lower": share["dual"],
        "metric.clip_ratio_low_mean": share["low"],
        "metric.clip_ratio_high_mean": share["high"],
    }
    if case.algorithm in ("gspo", "cispo", "rloo", "clip_cov", "kl_cov"):  # the libraries count something else there
        found = {name: value for name, value in found.items() if not name.startswith("metric.")}
    return {name: value.numpy() for name, value in found.items() if name in case.outputs}


def policy_terms(case: Case, logp: Tensor) -> PolicyTerms:
    """The per-token terms of the case's algorithm with the case's settings."""
    args, mask = case.args, mask_of(case)
    advantage = advantage_of(case)
    if case.algorithm in ("reinforce", "gpg"):
        weights = None
        if args.get("weights"):
            weights = (tensor(case.inputs["logp"], case) - tensor(case.inputs["rollout_logp"], case)).exp().clamp(max=2)
        return reinforce(logp, advantage, mask, weights=weights)
    old_logp = tensor(case.inputs["old_logp"], case)
    low, high, bound = args.get("clip_low", 0.2), args.get("clip_high", 0.2), args.get("log_ratio_clamp")
    dual = args.get("dual_clip")
    if case.algorithm == "aepo":
        if args["entropy_advantage"]:
            advantage = entropy_aware(
                advantage, tensor(case.inputs["entropy"], case), mask, weight=args.get("alpha", 0.2), lowest_factor=None
            ).to(logp.dtype)
        return balanced_clip(logp, old_logp, advantage, mask, low=low, high=high, dual=dual, log_ratio_bound=bound)
    if case.algorithm in ("gppo", "ce_gppo"):
        scales = {"low_scale": args["beta1"], "high_scale": args["beta2"]}
        return gradient_preserving_clip(
            logp, old_logp, advantage, mask, low=low, high=high, dual=dual, log_ratio_bound=bound, **scales
        )
    if case.algorithm == "cispo":
        lowest, highest = cispo_bounds(case)
        return cispo(logp, old_logp, advantage, mask, lowest=lowest, highest=highest, log_ratio_bound=bound)
    if case.algorithm == "gspo":
        bound = args.get("seq_log_ratio_max")
        return sequence_clip(logp, old_logp, advantage, mask, low=low, high=high, log_ratio_bound=bound)
    if case.algorithm == "rloo":
        settings = {"length_normalised": False, "log_ratio_bound": None}
        return sequence_clip(logp, old_logp, advantage, mask, low=low, high=high, **settings)
    if case.algorithm.endswith("_cov"):
        return covariance_terms(case, logp, old_logp, advantage)
    dual = args.get("delta", dual)  # INTELLECT-2's two-sided clip is the dual clip
    return clip(logp, old_logp, advantage, mask, low=low, high=high, dual=dual, log_ratio_bound=bound)


def covariance_terms(case: Case, logp: Tensor, old_logp: Tensor, advantage: Tensor) -> PolicyTerms:
    """Clip-Cov (all candidates, so that nothing is drawn) and KL-Cov, on the current log-probabilities as in verl."""
    args, mask = case.args, mask_of(case)
    covariance = token_covariance(logp, advantage, mask)
    if case.algorithm == "kl_cov":
        chosen = most_covariant(covariance, mask, args["kl_cov_ratio"])
        settings = {"coefficient": args["ppo_kl_coef"], "log_ratio_bound": None}
        return kl_cov(logp, old_logp, advantage, mask, chosen, **settings)
    widths = {"low": args["clip_low"], "high": args["clip_high"]}
    terms = clip(logp, old_logp, advantage, mask, dual=None, log_ratio_bound=None, **widths)
    candidates = between(covariance, terms, args["clip_cov_lb"], args["clip_cov_ub"])
    return dropped(terms, chosen_at_random(candidates, mask, torch.rand(mask.shape), args["clip_cov_ratio"]))


def cispo_bounds(case: Case) -> tuple[float, float]:
    """Absolute bounds from each library's convention."""
    args = case.args
    if "cap" in args:
        return 0.0, args["cap"]
    if args["bounds"] == "absolute":
        return max(0.0, args["low"] or 0.0), args["high"]
    return max(0.0, 1 - args["clip_low"]), 1 + args["clip_high"]


def kl(case: Case) -> dict[str, Array]:
    """verl's per-token estimators, with its cuts; the gradient of their sum."""
    logp = tensor(case.inputs["logp"], case).requires_grad_()
    names = {"abs": "absolute", "low_var_kl": "k3", "k3+": "k3-with-k2"}
    kind = case.args["kind"]
    mask = torch.ones_like(mask_of(case))  # verl's function knows no mask
    terms = kl_terms(logp, tensor(case.inputs[case.args["ref"]], case), mask, names.get(kind, kind), highest=10.0)
    terms.loss.sum().backward()
    assert logp.grad is not None
    return {"value": terms.loss.detach().numpy(), "grad": logp.grad.numpy()}


def aggregation(case: Case) -> dict[str, Array]:
    """Aggregation alone, of given per-token numbers."""
    args, mask = case.args, mask_of(case)
    mode = MODES[args["agg"]]
    constant = (args.get("loss_scale_factor") or mask.shape[1]) if mode == "sequence-mean-token-sum-constant" else None
    lengths, rows, factor = mask.sum(-1), len(mask), 1.0
    if "global_batch_size" in args:
        # The rows of other micro-batches: as many, and as many tokens, as the step has besides these.
        others = torch.ones(args["global_batch_size"] - int((lengths > 0).sum()), dtype=torch.long)
        others[0] += args["batch_num_tokens"] - int(lengths.sum()) - len(others)
        lengths, factor = torch.cat([lengths, others]), float(args["dp_size"])
    weights = row_weights(mode, lengths, constant=constant)[:rows] * factor
    if args.get("legacy") and mode.startswith("sequence"):  # counts empty rows; its "norm" does not divide by rows
        filled = int((lengths > 0).sum())
        weights = weights * (filled if constant is not None else filled / rows)
    terms = tensor(case.inputs[args["per_token"]], case)
    found = {"loss": aggregate(terms, mask, weights).numpy(), "weights": (weights.unsqueeze(-1) * mask).numpy()}
    return {name: value for name, value in found.items() if name in case.outputs}


def value_loss(case: Case) -> dict[str, Array]:
    """The critic's loss, and its gradient with respect to the predictions."""
    predictions = tensor(case.inputs["vpreds"], case).requires_grad_()
    mask = mask_of(case)
    old, returns = tensor(case.inputs["values"], case), tensor(case.inputs["returns"], case)
    terms = value_terms(predictions, old, returns, mask, width=case.args["cliprange_value"])
    loss = aggregate(terms, mask, row_weights("token-mean", mask.sum(-1)))
    loss.backward()
    assert predictions.grad is not None
    return {"loss": loss.detach().numpy(), "grad": predictions.grad.numpy()}
