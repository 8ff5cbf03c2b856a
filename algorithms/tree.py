"""TokenTree: the one object from rollout to loss. All trajectories of one question, every shared token stored once.

    tree = TokenTree("question-7", prompt=[5, 3, 9])
    turn = tree.add(tree.root, Kind.POLICY, [4, 4], log_probs=[-0.1, -0.7], entropies=[0.3, 0.9])
    page = tree.add(turn, Kind.OBSERVATION, [8, 2])
    for token in (6, 7):                                  # a fork: two siblings under one observation
        answer = tree.add(page, Kind.POLICY, [token], [-1.2], [1.0])
        tree.add_leaf(answer, "answered", {"total": 1.0})
    rows = tree.rows()                                    # [leaf, token], as flat training code would have it
    rows.gather(tree.policy_log_probs())                  # [leaf, token]

A node is a run of tokens of one kind with its parent; a leaf is a trajectory: the path from the root to the end of a
node. Tokens enter as ids and are never tokenised again. Policy tokens carry the log-probability and the entropy of the
distribution they were drawn from.

Unique policy tokens have one numbering, used by everything that computes per token: policy nodes that lie on some
leaf's path, in the order of their indices, their tokens in order; U in all. `Rows.gather` lays them out on leaves.

A fork stands at the end of an observation (or of the prompt), before the look-ahead tokens: `fork_point`. Snapshots of
the environment are held at nodes that may still fork, counted, and never pickled or written into traces.

Left out: tensors (algorithms.policy), what a reward or an advantage is, and text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

_VERSION = 1


class Kind(StrEnum):
    """Who wrote a node's tokens. Only `POLICY` tokens are trained."""

    PROMPT = "prompt"
    POLICY = "policy"
    OBSERVATION = "observation"


class Releasable(Protocol):
    """What a node may hold for a fork: `aepo_env.env.Snapshot` and the like."""

    def release(self) -> None:
        """Give back what is held. Idempotent."""


@dataclass(slots=True)
class Node:
    """A run of tokens of one kind.

    index, parent: positions in `TokenTree.nodes`; a parent comes before its children, the root's parent is -1.
    start: depth of the first token, which is its position id.
    log_probs, entropies: one per token of a policy node, in nats, of the distribution it was drawn from; else empty.
    """

    index: int
    kind: Kind
    parent: int
    start: int
    tokens: list[int]
    log_probs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    children: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Depth just behind the last token: the length of a trajectory that ends here."""
        return self.start + len(self.tokens)


class Step(NamedTuple):
    """One turn of a trajectory. A step that several leaves share is told once by each of them.

    start, end: depths of its first token and just behind its last, which are columns of `Rows`.
    state: a digest of the state it was taken from; equal states are equal here, whatever led to them.
    reward: what it earned.
    """

    start: int
    end: int
    state: str
    reward: float = 0.0


@dataclass(slots=True)
class Leaf:
    """A trajectory: all tokens from the root to the end of `node`. Two leaves may end at one node, or on one path.

    steps: its turns in order; none where nobody noted them. trunk: which of the question's first trajectories it was
    grown from, by forks or anew; equal for the leaves of one search tree.
    """

    node: int
    stop_reason: str
    rewards: dict[str, float] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    trunk: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """A tree laid out flat, one row per leaf, padded on the right. K leaves, T tokens of the longest.

    tokens: [K, T] int64, 0 where padded. lengths: [K] int64.
    mask: [K, T] bool, true on policy tokens.
    index: [K, T] int64, the number of a unique policy token; -1 on all others.
    node: [K, T] int64, the node a token belongs to; -1 where padded.
    """

    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    mask: NDArray[np.bool_]
    index: NDArray[np.int64]
    node: NDArray[np.int64]

    def gather(self, values: NDArray[Any], fill: float = 0.0) -> NDArray[Any]:
        """Values of unique policy tokens, [U], per leaf: [K, T], `fill` on tokens that are not the policy's."""
        values = np.asarray(values)
        needed = int(self.index.max(initial=-1)) + 1
        if values.ndim != 1 or len(values) < needed:
            raise ValueError(f"Expected one value for each of {needed} unique policy tokens; got shape {values.shape}.")
        out = np.full(self.index.shape, fill, dtype=np.result_type(values.dtype, np.min_scalar_type(fill)))
        out[self.mask] = values[self.index[self.mask]]
        return out


class TokenTree:
    """The trajectories of one question.

    Args:
        question: the task's id.
        prompt: token ids every trajectory starts with; at least one, since the first sampled token needs a predecessor.
    """

    def __init__(self, question: str, prompt: Sequence[int]) -> None:
        if len(prompt) == 0:
            raise ValueError("A tree needs a prompt of at least one token: nothing predicts a first token without one.")
        self.question = question
        self.nodes: list[Node] = [Node(0, Kind.PROMPT, -1, 0, [int(token) for token in prompt])]
        self.leaves: list[Leaf] = []
        self._snapshots: dict[int, list[Any]] = {}  # node -> [snapshot, how many still want it]

    root = 0
    """Index of the prompt's node."""

    # ------------------------------------------------------------------------------------------------------- growing

    def add(
        self,
        parent: int,
        kind: Kind,
        tokens: Sequence[int],
        log_probs: Sequence[float] = (),
        entropies: Sequence[float] = (),
    ) -> int:
        """A new node under `parent`; its index. Policy nodes need one log-probability and one entropy per token."""
        above = self._node(parent)
        if kind == Kind.PROMPT:
            raise ValueError("The prompt is the root alone: what comes later is the policy's or an observation.")
        _check_run(kind, tokens, log_probs, entropies)
        node = Node(len(self.nodes), Kind(kind), parent, above.end, [int(token) for token in tokens])
        node.log_probs, node.entropies = [float(x) for x in log_probs], [float(x) for x in entropies]
        self.nodes.append(node)
        above.children.append(node.index)
        return node.index

    def extend(
        self, index: int, tokens: Sequence[int], log_probs: Sequence[float] = (), entropies: Sequence[float] = ()
    ) -> None:
        """More tokens at the end of a node on which nothing stands yet: no child, no leaf, no snapshot."""
        node = self._node(index)
        _check_run(node.kind, tokens, log_probs, entropies)
        if not self.can_extend(index):
            raise ValueError(f"Node {index} has a child, a leaf or a snapshot at its end: add a node under it instead.")
        node.tokens.extend(int(token) for token in tokens)
        node.log_probs.extend(float(x) for x in log_probs)
        node.entropies.extend(float(x) for x in entropies)

    def can_extend(self, index: int) -> bool:
        """Whether nothing refers to the end of this node yet."""
        if self._node(index).children or index in self._snapshots:
            return False
        return all(leaf.node != index for leaf in self.leaves)

    def add_leaf(
        self,
        index: int,
        stop_reason: str,
        rewards: Mapping[str, float] | None = None,
        steps: Sequence[Step] = (),
        trunk: int = 0,
    ) -> Leaf:
        """A trajectory that ends with this node."""
        leaf = Leaf(self._node(index).index, stop_reason, dict(rewards or {}), tuple(steps), trunk)
        self.leaves.append(leaf)
        return leaf

    def split(self, index: int, at: int) -> int:
        """Cut a node before its token `at`; the index of the new front part.

        The rear part keeps the index, and with it children, leaves and a snapshot: what stood at the node's end still
        stands there. The new index is the highest, so a parent may have a higher index than its child.
        """
        rear = self._node(index)
        if rear.kind == Kind.PROMPT:
            raise ValueError("The prompt cannot be cut: every trajectory of a question starts with the whole of it.")
        if not 0 < at < len(rear.tokens):
            raise ValueError(f"Node {index} has {len(rear.tokens)} tokens: cut it before 1 to the last; got {at}.")
        front = Node(len(self.nodes), rear.kind, rear.parent, rear.start, rear.tokens[:at])
        front.log_probs, front.entropies, front.children = rear.log_probs[:at], rear.entropies[:at], [index]
        del rear.tokens[:at], rear.log_probs[:at], rear.entropies[:at]
        siblings = self.nodes[rear.parent].children
        siblings[siblings.index(index)] = front.index
        rear.parent, rear.start = front.index, front.end
        self.nodes.append(front)
        return front.index

    def fork_point(self, index: int) -> int:
        """Where a fork of the turn that `index` is part of stands: the observation (or prompt) the turn answers."""
        node = self._node(index)
        while node.kind == Kind.POLICY:
            node = self.nodes[node.parent]
        return node.index

    # ----------------------------------------------------------------------------------------------------- snapshots

    def hold(self, index: int, snapshot: Releasable) -> None:
        """Keep the environment as it stands at the end of this node, for one holder. The tree owns it from now on."""
        self._node(index)
        if index in self._snapshots:
            raise ValueError(f"Node {index} holds a snapshot already: say retain() for a second holder.")
        self._snapshots[index] = [snapshot, 1]

    def retain(self, index: int) -> None:
        """One more holder of the node's snapshot."""
        self._held(index)[1] += 1

    def snapshot(self, index: int) -> Any:
        """The snapshot held at a node, to restore an environment from. It stays the tree's."""
        return self._held(index)[0]

    def release(self, index: int) -> None:
        """One holder less; with the last, the snapshot itself is released."""
        held = self._held(index)
        held[1] -= 1
        if held[1] == 0:
            del self._snapshots[index]
            held[0].release()

    def release_all(self) -> None:
        """Release every snapshot, however many hold it. Idempotent."""
        while self._snapshots:
            _, (snapshot, _) = self._snapshots.popitem()
            snapshot.release()

    @property
    def snapshots_held(self) -> int:
        """How many snapshots are alive in this tree."""
        return len(self._snapshots)

    def _held(self, index: int) -> list[Any]:
        if index not in self._snapshots:
            raise ValueError(f"Node {index} holds no snapshot: it was never held or its last holder has released it.")
        return self._snapshots[index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_snapshots": {}}

    # ------------------------------------------------------------------------------------------------------- reading

    def path(self, index: int) -> list[int]:
        """Indices of the nodes from the root to this one, both included."""
        node = self._node(index)
        path = [index]
        while node.parent >= 0:
            node = self.nodes[node.parent]
            path.append(node.index)
        return path[::-1]

    def path_tokens(self, index: int, start: int = 0) -> list[int]:
        """Token ids of the path to the end of this node, from depth `start` on."""
        parts: list[list[int]] = []
        node = self._node(index)
        while node.end > start:
            parts.append(node.tokens[max(0, start - node.start) :])
            if node.parent < 0:
                break
            node = self.nodes[node.parent]
        return [token for part in reversed(parts) for token in part]

    def covered(self) -> list[int]:
        """Indices, ascending, of the nodes that lie on some leaf's path: what is trained and counted."""
        seen: set[int] = set()
        for leaf in self.leaves:
            index = leaf.node
            while index >= 0 and index not in seen:
                seen.add(index)
                index = self.nodes[index].parent
        return sorted(seen)

    def policy_offsets(self) -> dict[int, int]:
        """For each covered policy node, the number of its first token in the numbering of unique policy tokens."""
        offsets: dict[int, int] = {}
        total = 0
        for index in self.covered():
            if self.nodes[index].kind == Kind.POLICY:
                offsets[index] = total
                total += len(self.nodes[index].tokens)
        return offsets

    def policy_log_probs(self) -> NDArray[np.float64]:
        """[U] log-probabilities of the unique policy tokens under the distribution they were drawn from, in nats."""
        return _joined([self.nodes[index].log_probs for index in self.policy_offsets()])

    def policy_entropies(self) -> NDArray[np.float64]:
        """[U] entropies of those distributions, in nats."""
        return _joined([self.nodes[index].entropies for index in self.policy_offsets()])

    def rows(self) -> Rows:
        """The flat view. Computed anew at each call; see `Rows`."""
        offsets = self.policy_offsets()
        lengths = np.array([self.nodes[leaf.node].end for leaf in self.leaves], dtype=np.int64)
        shape = (len(self.leaves), int(lengths.max(initial=0)))
        tokens, nodes = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
        index = np.full(shape, -1, np.int64)
        for row, leaf in enumerate(self.leaves):
            for number in self.path(leaf.node):
                node = self.nodes[number]
                here = slice(node.start, node.end)
                tokens[row, here], nodes[row, here] = node.tokens, number
                if number in offsets:
                    index[row, here] = np.arange(offsets[number], offsets[number] + len(node.tokens))
        return Rows(tokens, lengths, index >= 0, index, nodes)

    def unique_tokens(self) -> int:
        """Tokens on leaf paths, each counted once: what a tree forward costs."""
        return sum(len(self.nodes[index].tokens) for index in self.covered())

    def raw_tokens(self) -> int:
        """Tokens of all leaves, a shared one once per leaf: what flat rows would cost."""
        return sum(self.nodes[leaf.node].end for leaf in self.leaves)

    # ---------------------------------------------------------------------------------------------- checks and traces

    def check(self) -> None:
        """Raise ValueError unless the tree keeps its promises. Cheap enough for every batch."""
        reached, waiting = 0, [0]
        while waiting:
            node = self._node(waiting.pop())
            reached += 1
            _check_run(node.kind, node.tokens, node.log_probs, node.entropies)
            if (node.kind == Kind.PROMPT) != (node.index == self.root):
                raise ValueError(f"Node {node.index} is of kind {node.kind}: the root, and it alone, is the prompt.")
            for child in node.children:
                below = self._node(child)
                if below.index != child or below.parent != node.index or below.start != node.end:
                    raise ValueError(
                        f"Node {child} should follow node {node.index} at depth {node.end}; it is {below}."
                    )
            if reached > len(self.nodes):
                raise ValueError("The nodes form no tree: a node is the child of two, or of itself.")
            waiting.extend(node.children)
        if reached != len(self.nodes) or self.nodes[0].parent != -1 or self.nodes[0].start != 0:
            raise ValueError(
                f"{reached} of {len(self.nodes)} nodes are reached from the root: expected all, from depth 0."
            )
        for place in (*(leaf.node for leaf in self.leaves), *self._snapshots):
            self._node(place)
        for number, leaf in enumerate(self.leaves):
            bounds = [bound for step in leaf.steps for bound in step[:2]]
            if bounds != sorted(bounds) or not all(0 <= bound <= self.nodes[leaf.node].end for bound in bounds):
                raise ValueError(f"Steps of leaf {number} do not follow one another on its path: {leaf.steps}.")

    def to_plain(self) -> dict[str, Any]:
        """The tree as JSON-able data, without snapshots, for traces. Numbers come back exactly."""
        return {
            "version": _VERSION,
            "question": self.question,
            "nodes": [
                {
                    "kind": str(node.kind),
                    "parent": node.parent,
                    "tokens": list(node.tokens),
                    "log_probs": list(node.log_probs),
                    "entropies": list(node.entropies),
                }
                for node in self.nodes
            ],
            "leaves": [
                {
                    "node": leaf.node,
                    "stop_reason": leaf.stop_reason,
                    "rewards": dict(leaf.rewards),
                    "steps": [list(step) for step in leaf.steps],
                    "trunk": leaf.trunk,
                }
                for leaf in self.leaves
            ],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "TokenTree":
        """The inverse of `to_plain`. Raises ValueError where the data is no tree of this version."""
        if plain.get("version") != _VERSION:
            raise ValueError(f"Expected a tree of version {_VERSION}; got {plain.get('version')!r}.")
        nodes = plain["nodes"]
        if not nodes or nodes[0]["kind"] != Kind.PROMPT:
            raise ValueError("Expected the prompt as the first node of a stored tree.")
        tree = cls(plain["question"], nodes[0]["tokens"])
        for index, node in enumerate(nodes[1:], start=1):
            runs = (list(node[name]) for name in ("tokens", "log_probs", "entropies"))
            tree.nodes.append(Node(index, Kind(node["kind"]), node["parent"], -1, *runs))
        for node in tree.nodes[1:]:
            tree._node(node.parent).children.append(node.index)
        waiting = [0]
        while waiting:
            above = tree.nodes[waiting.pop()]
            for child in above.children:
                tree.nodes[child].start = above.end
            waiting.extend(above.children)
        for leaf in plain["leaves"]:
            steps = [Step(*step) for step in leaf.get("steps", ())]
            tree.add_leaf(leaf["node"], leaf["stop_reason"], leaf["rewards"], steps, leaf.get("trunk", 0))
        tree.check()
        return tree

    def _node(self, index: int) -> Node:
        if not 0 <= index < len(self.nodes):
            raise ValueError(f"There is no node {index}: this tree has nodes 0 to {len(self.nodes) - 1}.")
        return self.nodes[index]


def _check_run(kind: Kind, tokens: Sequence[int], log_probs: Sequence[float], entropies: Sequence[float]) -> None:
    if len(tokens) == 0:
        raise ValueError("A node has at least one token; got none.")
    wanted = len(tokens) if kind == Kind.POLICY else 0
    if len(log_probs) != wanted or len(entropies) != wanted:
        raise ValueError(
            f"{len(tokens)} tokens of kind {kind} come with {wanted} log-probabilities and entropies; "
            f"got {len(log_probs)} and {len(entropies)}."
        )


def _joined(parts: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.array([number for part in parts for number in part], dtype=np.float64)
