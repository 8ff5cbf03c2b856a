"""What a generation engine is: branches of token trees that are extended, forked and closed.

    trunk = engine.open(tree, key=(seed, step, question))
    branches = [engine.fork(trunk, tree.root, key=(seed, step, question, i)) for i in range(8)]
    engine.close(trunk)
    for branch in branches:
        engine.generate(branch, max_tokens=20, stop=("</search>",))        # look-ahead: then decide whether to fork
    while engine.busy:
        for done in engine.step():
            ...             # run a tool, then engine.observe(done.branch, tokens) and engine.generate(done.branch, ...)
                            # or: engine.fork(done.branch, tree.fork_point(done.branch.node), key=...)
                            # or: tree.add_leaf(done.branch.node, "answered"); engine.close(done.branch)

Everything is token ids: what an engine samples, it appends to the tree, once, when the request ends. Branches of all
trees decode as one batch; they start, pause and end independently. An engine is used from one thread; tools may run in
others meanwhile.

Left out: what to fork and when to stop (rollout strategies), text, environments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from algorithms.policy.sampling import Drawn, Key, Sampling
from algorithms.tree import TokenTree


class Finish(StrEnum):
    """Why a request ended: a stop string, an end-of-turn token, max_tokens, or the model's longest position."""

    STOP = "stop"
    END = "end"
    LENGTH = "length"
    CONTEXT = "context"


@dataclass(eq=False, slots=True)
class Branch:
    """A live path through a tree. node: where it stands; moves as it grows.

    key: names its random stream; two branches with one key draw the same tokens from the same distributions.
    """

    tree: TokenTree
    node: int
    key: Key


@dataclass(frozen=True, slots=True)
class Generated:
    """A finished request. Its tokens already stand in the tree, at the end of `branch.node`.

    stop: the stop string that was completed, for `Finish.STOP`. drawn: the request's tokens with their numbers.
    """

    branch: Branch
    finish: Finish
    stop: str | None
    drawn: Drawn


class Engine(Protocol):
    """Generates on token trees."""

    @property
    def busy(self) -> bool:
        """Whether a request is under way, so that `step` has something to do."""
        ...

    def open(self, tree: TokenTree, node: int = 0, *, key: Key) -> Branch:
        """A branch that stands at the end of `node` (default: the prompt)."""
        ...

    def fork(self, branch: Branch, node: int, *, key: Key) -> Branch:
        """A second branch, standing at the end of `node`, which lies on the path of `branch`. Nothing is copied."""
        ...

    def generate(
        self, branch: Branch, *, max_tokens: int, stop: Sequence[str] = (), sampling: Sampling | None = None
    ) -> None:
        """Ask for up to `max_tokens` more tokens. Asking again after LENGTH goes on as if it had not paused."""
        ...

    def observe(self, branch: Branch, tokens: Sequence[int]) -> int:
        """Append an observation to the tree at the branch; the new node. Ends the turn for stop strings."""
        ...

    def step(self) -> list[Generated]:
        """Do some work; the requests that ended with it, in the order they were made."""
        ...

    def close(self, branch: Branch) -> None:
        """Give back what the branch holds. Idempotent. A request under way is dropped, its tokens with it."""
        ...
