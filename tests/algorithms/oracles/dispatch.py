"""Which of this project's functions answers which oracle case, and why a case is left out."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from tests.algorithms.oracles import advantages, corrections, losses
from tests.algorithms.oracles.vectors import Array, Case, all_cases

ANSWERS: dict[tuple[str, str], Callable[[Case], dict[str, Array]]] = {
    **{
        (name, "loss"): losses.policy_loss
        for name in ("aepo", "ce_gppo", "cispo", "dapo", "dr_grpo", "edge", "gpg", "gppo", "grpo", "gspo", "reinforce")
    },
    ("rloo", "loss"): losses.policy_loss,
    ("kl", "loss"): losses.kl,
    ("aggregation", "loss"): losses.aggregation,
    ("ppo", "value_loss"): losses.value_loss,
    **{(name, "advantage"): advantages.group_advantage for name in ("grpo", "dr_grpo", "rloo")},
    **{(name, "advantage"): advantages.token_advantage for name in ("ppo", "reinforce_pp", "reinforce_pp_baseline")},
    ("aepo", "advantage"): advantages.aepo,
    ("arpo", "advantage"): advantages.arpo,
    ("tree_grpo", "advantage"): advantages.tree_grpo,
    ("aepo", "rollout"): advantages.rollout,
    ("arpo", "rollout"): advantages.rollout,
    ("dapo", "rollout"): advantages.dynamic_sampling,
    ("dapo", "reward"): advantages.overlong,
    ("tis", "weights"): corrections.weights,
    ("tis", "mask"): corrections.mask,
    ("tis", "loss"): corrections.loss,
    ("gigpo", "advantage"): advantages.gigpo_steps,
    ("clip_cov", "loss"): losses.policy_loss,
    ("kl_cov", "loss"): losses.policy_loss,
    ("empg", "advantage"): advantages.empg,
    ("gigpo", "returns"): advantages.gigpo_steps,
}


def answer(case: Case) -> dict[str, Array]:
    """This project's numbers for the case, under the names of its outputs."""
    if case.id.startswith("kl/loss/trl"):
        return losses.policy_loss(case)
    return ANSWERS[case.algorithm, case.kind](case)


def reason_left_out(case: Case) -> str | None:
    """Why a case is not run, or None."""
    if (case.algorithm, case.kind) not in ANSWERS:
        return f"not offered here: {case.algorithm} ({case.kind})"
    if case.raises:
        return "the reference itself raised"
    if not case.finite:
        return "the reference itself gave NaN or an infinity (see test_others_faults.py)"
    if "DEVIATES" in case.id:
        return "torchrl's CISPO differentiates the clipped weight: no oracle"
    if case.algorithm == "edge" and "masked=0" in case.id:
        return "a non-finite log-probability on a trained token is left out here, not computed with"
    if "top_entropy_quantile" in case.args:
        return "TRL's top-entropy quantile is not offered"
    if case.args.get("use_bias_correction_kl"):
        return "TRL's bias-corrected k3 is not offered"
    if case.algorithm == "tis" and not _by_ratio(case):
        return "rejection by divergence instead of ratio (k2, k3, total variation, binary KL) is not offered"
    if case.id.endswith("two_norm"):
        return "Tree-GRPO's variant that normalises twice is not offered"
    if case.part == "openrlhf" and _discounts_tool_results(case):
        return "OpenRLHF discounts through tool results; here they are bridged, as in verl"
    if case.algorithm == "reinforce_pp" and case.batch == "near_zero_std" and case.args.get("gamma", 1.0) == 1.0:
        return "verl's mean divides by n + 1e-8, OpenRLHF's is float32: seen where rewards differ by 1e-7 alone"
    return None


def _by_ratio(case: Case) -> bool:
    """Whether a correction looks at ratios of old to rollout probability; k1 is the ratio's logarithm."""
    if case.kind == "mask":
        return str(case.args["option"]).endswith("k1")
    return case.kind == "weights" or case.part == "verl" or case.args.get("is_gating") == "ratio"


def _discounts_tool_results(case: Case) -> bool:
    """Whether rows have untrained tokens between trained ones, and a factor per token tells."""
    mask = case.inputs.get("mask", np.zeros((0, 0)))
    after = np.flip(np.cumsum(np.flip(mask, -1), -1), -1) > 0
    before = np.cumsum(mask, -1) > 0
    holes = bool((before & after & (mask == 0)).any())
    return holes and (case.algorithm == "ppo" or case.args.get("gamma", 1.0) != 1.0)


def left_out() -> Counter[str]:
    """Each reason, and how many cases it left out."""
    return Counter(reason for case in all_cases() if (reason := reason_left_out(case)) is not None)
