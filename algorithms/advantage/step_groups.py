"""GiGPO: the episode's advantage, plus one among the steps that were taken from the same state.

    returns = step_returns(table.step_rewards, table.trajectories, table.steps, discount=0.95)
    found = gigpo(table.episode_rewards, returns, table.questions, table.trajectories, table.anchors)
    found.advantage[step]                   # for every trained token of that step

A row here is a *step* of a trajectory (one turn); a step that d trajectories share is d rows. `anchors` number the
states that steps were taken from, such as an open page, not the text before them, which is never the same twice.

    A_E = (R - mean) / (sd + 1e-6) over the trajectories of the question
    A_S = (G - mean) / (sd + 1e-6) over the steps of the question with the same anchor, 0 for a group of one
    A = A_E + weight * A_S

Source: GiGPO, arXiv:2505.10978: episode relative advantage (Eq. 3), step returns, step relative advantage, their sum.

Deviations, stated: the published code takes the episode's statistics over steps, so that long episodes weigh more
(`episode_statistics="steps"`); the paper over trajectories, as here by default. It gives the only episode of a question
its raw reward; here that is 0. Left out: its grouping of nearly equal observations by a text distance.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from algorithms.advantage.group import group_normalised


class StepAdvantages(NamedTuple):
    """Per step, [steps], float64. advantage: episode + weight * step. grouped: the step's state was visited twice."""

    advantage: Tensor
    episode: Tensor
    step: Tensor
    grouped: Tensor


def gigpo(
    episode_rewards: Tensor,
    returns: Tensor,
    questions: Tensor,
    trajectories: Tensor,
    anchors: Tensor,
    *,
    weight: float = 1.0,
    deviation: Literal["sample", "none"] = "sample",
    episode_statistics: Literal["trajectories", "steps"] = "trajectories",
) -> StepAdvantages:
    """GiGPO's advantage of every step; all tensors [steps].

    Args:
        episode_rewards: the whole trajectory's reward, the same for all its steps.
        returns: what the trajectory earned from this step on; see `step_returns`.
        questions: question of each step, whole numbers.
        trajectories: trajectory of each step, whole numbers, unique over all questions.
        anchors: state each step was taken from, whole numbers; compared inside a question only.
        weight: of the step part (the paper's omega).
        deviation: "sample" divides by it, "none" does not (the paper's F_norm = 1).
        episode_statistics: what the episode's mean and deviation count.

    Raises:
        ValueError: shapes differ, numbers are not finite, or steps of a trajectory differ in reward or question.
    """
    _check(episode_rewards, returns, questions, trajectories, anchors)
    if episode_statistics == "steps":
        episode = group_normalised(episode_rewards, questions, deviation=deviation)
    else:
        first, of_step = _first_rows(trajectories)
        _check_episodes(episode_rewards, questions, first[of_step])
        episode = group_normalised(episode_rewards[first], questions[first], deviation=deviation)[of_step]
    _, states = torch.unique(torch.stack([questions, anchors], dim=1), dim=0, return_inverse=True)
    step = group_normalised(returns, states, deviation=deviation)
    grouped = torch.bincount(states)[states] > 1 if len(states) else states.bool()
    return StepAdvantages(episode + weight * step, episode, step, grouped)


def step_returns(step_rewards: Tensor, trajectories: Tensor, steps: Tensor, *, discount: float = 0.95) -> Tensor:
    """What each trajectory earned from each step on, [steps], float64: sum_k discount^k r_(t+k).

    Args:
        step_rewards: earned by each step, [steps].
        trajectories: trajectory of each step, [steps], whole numbers.
        steps: place of each step in its trajectory, [steps]; gaps do not count.
        discount: factor per step, 0 to 1.

    Raises:
        ValueError: shapes differ, or a discount outside 0 to 1.
    """
    if not step_rewards.shape == trajectories.shape == steps.shape or step_rewards.dim() != 1:
        raise ValueError(
            f"Expected three columns [steps], got {list(step_rewards.shape)}, {list(trajectories.shape)}, "
            f"{list(steps.shape)}."
        )
    if not 0 <= discount <= 1:
        raise ValueError(f"A discount lies between 0 and 1, but is {discount}.")
    rewards, returns, running = step_rewards.detach().tolist(), [0.0] * len(steps), dict[int, float]()
    owner, place = trajectories.tolist(), steps.tolist()
    for row in sorted(range(len(place)), key=lambda row: -place[row]):
        running[owner[row]] = returns[row] = rewards[row] + discount * running.get(owner[row], 0.0)
    return torch.tensor(returns, dtype=torch.float64, device=step_rewards.device)


def _first_rows(trajectories: Tensor) -> tuple[Tensor, Tensor]:
    """One row of each trajectory, [trajectories]; and which trajectory each step belongs to, [steps]."""
    ids, of_step = torch.unique(trajectories, return_inverse=True)
    rows = torch.arange(len(trajectories), device=trajectories.device)
    empty = torch.zeros(len(ids), dtype=torch.long, device=trajectories.device)
    return empty.scatter_reduce(0, of_step, rows, "amin", include_self=False), of_step


def _check(episode_rewards: Tensor, *others: Tensor) -> None:
    """Columns of one table."""
    if episode_rewards.dim() != 1 or any(other.shape != episode_rewards.shape for other in others):
        shapes = [list(column.shape) for column in (episode_rewards, *others)]
        raise ValueError(f"Expected five columns [steps] of one table, but got shapes {shapes}.")


def _check_episodes(episode_rewards: Tensor, questions: Tensor, first: Tensor) -> None:
    """All steps of a trajectory tell the same reward and question."""
    differs = (episode_rewards != episode_rewards[first]) & ~episode_rewards.isnan() | (questions != questions[first])
    if bool(differs.any()):
        raise ValueError(
            f"Steps {differs.nonzero().flatten().tolist()[:10]} tell another reward or question than the first step of "
            "their trajectory: episode rewards belong to whole trajectories, whose numbers are unique."
        )
