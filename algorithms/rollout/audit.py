"""Checks on every leaf while it is still at hand: what is trained is what was sampled and what the environment read.

A mismatch is a fault of the program and raises RuntimeError: training on it would be worse than stopping.
"""

from aepo_env.episode import Episode
from algorithms.rollout.inputs import Codec
from algorithms.rollout.paths import Path
from algorithms.tree import Kind, TokenTree


def check_leaf(tree: TokenTree, path: Path, episode: Episode, codec: Codec) -> None:
    """Compare one finished trajectory in the tree with the engine's samples and with the environment's record.

    Raises:
        RuntimeError: the tree's policy tokens are not those sampled, their text is not what the environment was given,
            or an observation is not what the environment said.
    """
    sampled, observed = turns_of(tree, path.branch.node)
    where = f"path {path.number} of question {tree.question}"
    if sampled != path.turns:
        raise RuntimeError(f"The tree's policy tokens on {where} are not the sampled ones: {sampled} / {path.turns}.")
    texts = [codec.text(turn) for turn in sampled]
    given = [turn.text for turn in episode.turns]
    if texts != given:
        raise RuntimeError(f"The policy's tokens on {where} read {texts!r}; the environment was given {given!r}.")
    said = [codec.observation(turn.observation) for turn in episode.turns[: len(observed)]]
    if observed != said:
        raise RuntimeError(f"The observations in the tree on {where} are not what the environment said.")


def turns_of(tree: TokenTree, node: int) -> tuple[list[list[int]], list[list[int]]]:
    """Tokens of each turn, and of each observation, on the path to a node. Turns that follow the prompt come first."""
    turns: list[list[int]] = []
    observations: list[list[int]] = []
    before = Kind.PROMPT
    for index in tree.path(node):
        here = tree.nodes[index]
        if here.kind == Kind.OBSERVATION:
            observations.append(list(here.tokens))
        elif here.kind == Kind.POLICY:
            if before == Kind.POLICY:  # a turn that paused where somebody else stood lies in two nodes
                turns[-1] = [*turns[-1], *here.tokens]
            else:
                turns.append(list(here.tokens))
        before = here.kind
    return turns, observations
