"""How widely a rollout batch explored, in numbers that every algorithm has: what AEPO's paper measures of its rivals.

    exploration(trees, reports)
    # {"uncertain_in_a_row": 0.4, "forks_of_busiest": 0.7, "different": {"calls": 5.2, "results": 4.1, "answers": 2.3}}

Source of the questions, not of the definitions, which the paper leaves open: arXiv:2510.14545, its analysis of ARPO's
rollouts (56.5 % of uncertain tool steps come in a row; 93.4 % of forks fall on one to three trajectories).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from algorithms.rollout.records import QuestionReport
from algorithms.tree import Kind, TokenTree

LOOK_AHEAD = 20
"""First tokens of a turn whose mean entropy says how uncertain it was."""
BUSIEST = 3


def exploration(trees: Sequence[TokenTree], reports: Sequence[QuestionReport]) -> dict[str, Any]:
    """Shares from 0 to 1; None where there is nothing to take a share of.

    uncertain_in_a_row: of the turns behind a tool result that were more uncertain than the batch's mean, the share
        whose predecessor on the path was so too. A turn that leaves share counts once.
    forks_of_busiest: share of forks that fall on the three paths of their question that forked most.
    different: mean over questions of different calls (tool and argument), results, and answers of its trajectories.
    """
    forks = [Counter(one.path for one in report.forks if one.outcome == "forked") for report in reports]
    total = sum(sum(counted.values()) for counted in forks)
    busiest = sum(count for counted in forks for _, count in counted.most_common(BUSIEST))
    return {
        "uncertain_in_a_row": _uncertain_in_a_row(trees),
        "forks_of_busiest": busiest / total if total else None,
        "different": {
            "calls": _mean([len(report.asked) for report in reports]),
            "results": _mean([len(report.read) for report in reports]),
            "answers": _mean([len(report.answers) for report in reports]),
        },
    }


def _uncertain_in_a_row(trees: Sequence[TokenTree]) -> float | None:
    level: dict[tuple[int, int], float] = {}
    before: dict[tuple[int, int], tuple[int, int] | None] = {}
    for number, tree in enumerate(trees):
        for leaf in tree.leaves:
            previous: tuple[int, int] | None = None
            for node, entropies in _turns_behind_results(tree, leaf.node):
                turn = (number, node)
                level[turn], before[turn] = float(np.mean(entropies[:LOOK_AHEAD])), previous
                previous = turn
    if not level:
        return None
    usual = float(np.mean(list(level.values())))
    uncertain = [turn for turn, value in level.items() if value > usual]
    follow = [before[turn] for turn in uncertain if before[turn] is not None]
    if not follow:
        return None
    return sum(level[turn] > usual for turn in follow if turn is not None) / len(follow)


def _turns_behind_results(tree: TokenTree, leaf: int) -> Iterator[tuple[int, list[float]]]:
    """(first node of the turn, entropies of its tokens) for the turns behind an observation, in order.

    Siblings of a fork begin at nodes of their own; nodes that were cut later belong to one turn.
    """
    first, entropies = -1, list[float]()
    behind = False
    for index in tree.path(leaf):
        node = tree.nodes[index]
        if node.kind == Kind.POLICY:
            first = index if not entropies else first
            entropies = entropies + node.entropies
            continue
        if behind and entropies:
            yield first, entropies
        behind, first, entropies = node.kind == Kind.OBSERVATION, -1, []
    if behind and entropies:
        yield first, entropies


def _mean(values: Sequence[int]) -> float | None:
    return float(np.mean(values)) if values else None
