"""What this project's advantages, rewards and rollout rules say to an oracle case, under the case's output names.

Deviations that this project chose are undone by name: groups of one keep their raw reward in verl and Tree-GRPO.
"""

import numpy as np
import torch
from torch import Tensor

from algorithms.advantage.attribution import hard, soft
from algorithms.advantage.entropy_aware import entropy_aware
from algorithms.advantage.entropy_modulated import entropy_modulated
from algorithms.advantage.gae import gae
from algorithms.advantage.group import Deviation, dead_groups, group_normalised, leave_one_out
from algorithms.advantage.overlong import overlong_penalty
from algorithms.advantage.step_groups import gigpo, step_returns
from algorithms.advantage.token_returns import outcome_on_last_token, returns_to_go
from algorithms.advantage.whitening import whitened
from algorithms.loss.kl import kl_reward
from algorithms.rollout.branching import ForkRule, root_budget
from tests.algorithms.oracles.losses import mask_of
from tests.algorithms.oracles.vectors import Array, Case


def number(case: Case, field: str) -> Tensor:
    return torch.as_tensor(case.inputs[field], dtype=torch.float64)


def groups_of(case: Case, field: str = "group") -> Tensor:
    return torch.as_tensor(case.inputs[field]).long()


def on_mask(case: Case, advantage: Tensor) -> dict[str, Array]:
    """Per-token or per-row as the case has it."""
    mask = mask_of(case)
    if case.outputs["advantage"].ndim == 1:
        return {"advantage": advantage.numpy()}
    return {"advantage": (soft(advantage, mask) if advantage.dim() == 1 else advantage).numpy()}


def with_raw_singletons(case: Case, advantage: Tensor, groups: Tensor, rewards: Tensor) -> Tensor:
    """Raw rewards for groups of one, where the reference gives them so."""
    if case.args.get("singleton") != "raw":
        return advantage
    size = torch.bincount(groups)[groups]
    assert not advantage[size == 1].any()  # ours, before undoing it
    return torch.where(size == 1, rewards, advantage)


def group_advantage(case: Case) -> dict[str, Array]:
    """GRPO, Dr. GRPO, RLOO and ARPO's soft attribution."""
    args, groups, rewards = case.args, groups_of(case), number(case, "score")
    if args.get("beta"):  # TRL's RLOO takes the divergence from the reward, over the row without holes
        costs = kl_reward(number(case, "old_logp"), number(case, "ref_logp"), mask_of(case), args["beta"])
        rewards = rewards + costs.sum(-1)
    if case.algorithm == "rloo":
        advantage = leave_one_out(rewards, groups)
    elif case.algorithm == "dr_grpo":
        advantage = group_normalised(rewards, groups, deviation="none")
    else:
        deviation: Deviation = "batch" if args.get("scale_rewards") == "batch" else "sample"
        advantage = group_normalised(rewards, groups, deviation=deviation, epsilon=args.get("eps") or 1e-6)
    return on_mask(case, with_raw_singletons(case, advantage, groups, rewards))


def arpo(case: Case) -> dict[str, Array]:
    advantage = group_normalised(number(case, "score"), groups_of(case))
    mask = mask_of(case)
    if case.id.endswith("soft"):
        return {"advantage": soft(advantage, mask).numpy()}
    return {"advantage": hard(advantage, groups_of(case, "node"), mask).numpy()}


def tree_grpo(case: Case) -> dict[str, Array]:
    """Tree-GRPO's sum: normalised inside the question plus inside the tree."""
    rewards, parts = number(case, "score"), []
    for field, names in (("prompt", ("inter", "sum", "zero")), ("tree", ("intra", "sum", "zero"))):
        if case.id.endswith(names):
            groups = groups_of(case, field)
            raw = field == "tree" and not case.id.endswith("zero")
            size = torch.bincount(groups)[groups]
            normalised = group_normalised(rewards, groups)
            parts.append(torch.where(size == 1, rewards / (1 + 1e-6), normalised) if raw else normalised)
    return on_mask(case, torch.stack(parts).sum(0))


def aepo(case: Case) -> dict[str, Array]:
    settings = {"weight": case.args["alpha"], "lowest_factor": None}
    advantage = entropy_aware(number(case, "adv"), number(case, "entropy"), mask_of(case), **settings)
    return {"advantage": advantage.numpy()}


def token_advantage(case: Case) -> dict[str, Array]:
    """REINFORCE++, its baseline variant, and PPO: returns per token, whitened over the batch."""
    args, mask, rewards = case.args, mask_of(case), number(case, "score")
    discount = args.get("gamma", 1.0)
    if case.algorithm == "reinforce_pp_baseline":
        groups = groups_of(case)
        centred = group_normalised(rewards, groups, deviation="none")
        if case.part == "verl":  # which keeps the raw reward of a group of one
            centred = torch.where(torch.bincount(groups)[groups] == 1, rewards, centred)
        values = returns = soft(centred, mask)
    else:
        per_token = number(case, "token_reward") if case.part == "verl" else outcome_on_last_token(rewards, mask)
        if args.get("kl_coef"):
            per_token = per_token + kl_reward(number(case, "old_logp"), number(case, "ref_logp"), mask, args["kl_coef"])
        if case.algorithm == "ppo":
            values, returns = gae(per_token, number(case, "values"), mask, discount=discount, decay=args["lam"])
        else:
            values = returns = returns_to_go(per_token, mask, discount=discount)
    advantage = whitened(values, mask, biased=case.part == "openrlhf")
    if case.algorithm == "reinforce_pp_baseline" and case.part == "verl":  # which names the advantage twice
        return {"advantage": advantage.numpy()}
    return {"advantage": advantage.numpy(), "returns": returns.numpy()}


def gigpo_steps(case: Case) -> dict[str, Array]:
    """GiGPO on a table of steps; the published code gives a question's only episode its raw reward."""
    args = case.args
    questions, trajectories, anchors = (groups_of(case, name) for name in ("prompt", "traj", "anchor"))
    rewards = number(case, "episode_score")
    steps = groups_of(case, "step")
    returns = step_returns(number(case, "step_reward"), trajectories, steps, discount=args.get("gamma", 1.0))
    if case.kind == "returns":
        return {"returns": returns.numpy()}
    by_steps = args.get("per_step_stats", "over step rows" in args.get("episode_stats", ""))
    found = gigpo(
        rewards,
        returns,
        questions,
        trajectories,
        anchors,
        weight=args.get("w", args.get("step_advantage_w", 1.0)),
        deviation="sample" if args.get("use_std", args.get("mode") == "mean_std_norm") else "none",
        episode_statistics="steps" if by_steps else "trajectories",
    )
    advantage = found.episode if "episode_only" in case.id else found.advantage
    if case.outputs["advantage"].ndim == 2:
        advantage = soft(advantage, mask_of(case))
    names = {"advantage": advantage, "episode": found.episode, "step": found.step, "returns": returns}
    return {name: value.numpy() for name, value in names.items() if name in case.outputs}


def empg(case: Case) -> dict[str, Array]:
    mask = mask_of(case)
    entropy = (number(case, "entropy") * mask).sum(-1) / mask.sum(-1)
    columns = groups_of(case, "traj"), groups_of(case, "step")
    found = entropy_modulated(number(case, "adv_base")[:, 0], entropy, *columns, bonus=case.args["zeta"])
    return {"advantage": soft(found, mask).numpy()}


def overlong(case: Case) -> dict[str, Array]:
    args = case.args
    settings = {"longest": args["max_len"], "buffer": args["buffer_len"], "factor": args["factor"]}
    return {"penalty": overlong_penalty(number(case, "length"), floor=args.get("floor", True), **settings).numpy()}


def dynamic_sampling(case: Case) -> dict[str, Array]:
    groups = groups_of(case)
    keep = ~dead_groups(number(case, case.args["metric"]), groups)
    if case.args["keep_singletons"]:
        keep |= torch.bincount(groups)[groups] == 1
    return {"keep": keep.numpy()}


def rollout(case: Case) -> dict[str, Array]:
    """Branch decisions and root budgets of the published code."""
    args, inputs = case.args, case.inputs
    if "k" in args:
        differences = (inputs["h_root"] - inputs["h_tool"]).tolist()
        found = [root_budget(d, args["k"], sensitivity=args["beta"], form="official") for d in differences]
        return {"m": np.array(found)}
    settings = {"base": args["tau"], "weight": args["weight"]}
    if case.algorithm == "arpo":
        rule, draws, streaks = ForkRule(penalty=0, **settings), inputs["u"], np.zeros(len(inputs["u"]), int)
    else:  # there a large draw forks; here a small one does
        rule = ForkRule(penalty=args["penalty"], form="official", **settings)
        draws, streaks = 1 - inputs["u"], inputs["consecutive"]
    draws = np.nextafter(draws, 0)  # there a draw that equals the bound forks as well, here only one below it
    decisions = zip(inputs["d_entropy"].tolist(), streaks.tolist(), draws.tolist(), strict=True)
    return {"branch": np.array([rule.decide(*decision).forked for decision in decisions])}
