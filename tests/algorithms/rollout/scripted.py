"""An engine that writes what a script says, one byte a step, so that rollouts can be foretold to the token.

The script is asked once per turn: write(key, before) -> (text, entropy of each of its tokens); key names the path
(seed, step, question, path, attempt), before is everything that stands on the path so far.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aepo_env.env import ToolEnv
from aepo_env.tasks import Task
from algorithms.rollout.grow import Grown, grow
from algorithms.rollout.paths import Strategy
from algorithms.rollout.records import ForkRecord
from algorithms.tree import Kind, TokenTree
from tests.fakes import TASKS

Write = Callable[[tuple[Any, ...], str], tuple[str, float]]
END = 0  # the end-of-turn token


class Bytes:
    """A codec of bytes; END is special, and cannot come out of text."""

    vocabulary = 256

    def prompt(self, messages: Sequence[Any]) -> list[int]:
        return list(messages[-1]["content"].encode())

    def observation(self, text: str) -> list[int]:
        return [byte for byte in text.encode() if byte != END]

    def text(self, tokens: Sequence[int]) -> str:
        return bytes(token for token in tokens if token != END).decode("utf-8", "replace")


@dataclass(eq=False)
class Branch:
    tree: TokenTree
    node: int
    key: tuple[Any, ...]
    rest: list[int] = field(default_factory=list)  # of the turn, not yet written
    entropy: float = 0.0
    tail: bytes = b""


@dataclass
class Drawn:
    tokens: list[int]
    log_probs: list[float]
    entropies: list[float]


@dataclass
class Generated:
    branch: Branch
    finish: str
    stop: str | None
    drawn: Drawn


class ScriptedEngine:
    """An `Engine`. longest: positions. log: (step, key) of each request that ended; open: branches not closed."""

    def __init__(self, write: Write, *, longest: int = 10_000) -> None:
        self.write = write
        self.longest = longest
        self.open_branches: list[Branch] = []
        self.requests: dict[Branch, tuple[int, tuple[str, ...], list[int]]] = {}
        self.steps = 0
        self.log: list[tuple[int, tuple[Any, ...]]] = []
        self.started: dict[tuple[Any, ...], int] = {}  # key -> the step it was forked at

    @property
    def busy(self) -> bool:
        return bool(self.requests)

    def open(self, tree: TokenTree, node: int = 0, *, key: tuple[Any, ...]) -> Branch:
        self.open_branches.append(Branch(tree, node, key))
        self.started[key] = self.steps
        return self.open_branches[-1]

    def fork(self, branch: Branch, node: int, *, key: tuple[Any, ...]) -> Branch:
        assert branch in self.open_branches
        assert node in branch.tree.path(branch.node)
        assert key not in self.started, "two branches with one random stream"
        return self.open(branch.tree, node, key=key)

    def generate(self, branch: Branch, *, max_tokens: int, stop: Sequence[str] = (), sampling: Any = None) -> None:
        assert branch in self.open_branches
        assert branch not in self.requests
        assert max_tokens >= 1
        if not branch.rest:
            text, branch.entropy = self.write(branch.key, bytes(branch.tree.path_tokens(branch.node)).decode())
            branch.rest = list(text.encode())
        self.requests[branch] = (max_tokens, tuple(stop), [])

    def observe(self, branch: Branch, tokens: Sequence[int]) -> int:
        assert branch not in self.requests
        branch.node = branch.tree.add(branch.node, Kind.OBSERVATION, tokens)
        branch.tail = b""
        return branch.node

    def step(self) -> list[Generated]:
        self.steps += 1
        done = []
        for branch, (most, stops, tokens) in list(self.requests.items()):
            tokens.append(branch.rest.pop(0))
            branch.tail += bytes(tokens[-1:])
            stop = next((stop for stop in stops if branch.tail.endswith(stop.encode())), None)
            depth = branch.tree.nodes[branch.node].end + len(tokens)
            finish = "end" if tokens[-1] == END else "stop" if stop else "length" if len(tokens) == most else None
            finish = finish or ("context" if depth >= self.longest else None)
            if finish:
                del self.requests[branch]
                self.log.append((self.steps, branch.key))
                done.append(Generated(branch, finish, stop, self._written(branch, tokens)))
                branch.rest = branch.rest if finish == "length" else []
        return done

    def _written(self, branch: Branch, tokens: list[int]) -> Drawn:
        drawn = Drawn(tokens, [-branch.entropy] * len(tokens), [branch.entropy] * len(tokens))
        tree, node = branch.tree, branch.node
        if tree.nodes[node].kind == Kind.POLICY and tree.can_extend(node):
            tree.extend(node, tokens, drawn.log_probs, drawn.entropies)
        else:
            branch.node = tree.add(node, Kind.POLICY, tokens, drawn.log_probs, drawn.entropies)
        return drawn

    def close(self, branch: Branch) -> None:
        self.requests.pop(branch, None)
        if branch in self.open_branches:
            self.open_branches.remove(branch)


def searches(turns: int, entropies: Sequence[float] = (1.0, 2.0)) -> Write:
    """Search `turns` times, each turn naming its path, then answer 0. entropies: of each turn, the last repeated."""

    def write(key: tuple[Any, ...], before: str) -> tuple[str, float]:
        turn = before.count("</result>")
        entropy = entropies[min(turn, len(entropies) - 1)]
        if turn >= turns:
            return "<answer>0</answer>", entropy
        return f"<search>path {key[3]} turn {turn}</search>", entropy

    return write


def play(
    strategy: Strategy,
    write: Write,
    env: ToolEnv,
    tasks: Sequence[Task] = TASKS[:1],
    **options: Any,
) -> tuple[Grown, ScriptedEngine]:
    """Grow, and check that nothing was left open."""
    engine = ScriptedEngine(write)
    grown = grow(tasks, env, engine, Bytes(), strategy, **{"seed": 0, "step": 0, **options})  # type: ignore[arg-type]
    assert_all_given_back(engine, grown.trees)
    return grown, engine


def assert_all_given_back(engine: ScriptedEngine, trees: Sequence[TokenTree]) -> None:
    assert engine.open_branches == []
    assert not engine.busy
    assert [tree.snapshots_held for tree in trees] == [0] * len(trees)


def text_of(tree: TokenTree, leaf: int) -> str:
    """The whole trajectory as text."""
    return bytes(tree.path_tokens(tree.leaves[leaf].node)).decode()


def forked(records: Sequence[ForkRecord]) -> list[bool]:
    return [record.outcome == "forked" for record in records]
