"""From token trees to batches for the learner: which questions go together, and where every token lies.

    for group in pack(trees, token_budget=8192):
        batch = TreeBatch([trees[i] for i in group], device)

`pack` never cuts a question and counts unique tokens. How it packs changes no number beyond rounding, only speed and
memory. Several trees in one batch do not see one another.

Left out: trees without leaves (nothing of them is trained; give only trees that have some).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from algorithms.policy.tree_attention import Layout, Segment
from algorithms.tree import Rows, TokenTree


def pack(trees: Sequence[TokenTree], token_budget: int) -> list[list[int]]:
    """Groups of indices of trees, each with at most `token_budget` unique tokens, or of one tree that has more.

    First fit, largest first; deterministic. Groups come in the order of their first member.
    """
    if token_budget < 1:
        raise ValueError(f"token_budget must be at least 1 token; got {token_budget}.")
    sizes = [tree.unique_tokens() for tree in trees]
    groups: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(trees)), key=lambda i: (-sizes[i], i)):
        place = next((g for g, left in enumerate(room) if sizes[index] <= left), None)
        if place is None:
            groups.append([index])
            room.append(token_budget - sizes[index])
        else:
            groups[place].append(index)
            room[place] -= sizes[index]
    return sorted(sorted(group) for group in groups)


class TreeBatch:
    """Trees laid out for one forward. N unique tokens, U unique policy tokens, P predecessors, K leaves, T columns.

    ids, positions: [N] token ids and depths, depth first. layout: for tree attention.
    predecessors: [P] flat positions whose hidden states predict a policy token, ascending, each once.
    edge: [U] for each unique policy token (tree after tree, each in its own numbering), its predecessor among the P.
    labels: [U] its token id.
    index: [K, T] for each token of each leaf (tree after tree), its unique policy token among the U, -1 elsewhere.
    mask: [K, T], index >= 0. tree_of_leaf: [K]. rows: the flat rows of each tree, whose T may be smaller.
    """

    def __init__(self, trees: Sequence[TokenTree], device: torch.device | str = "cpu") -> None:
        self.trees = list(trees)
        self.rows: list[Rows] = [tree.rows() for tree in trees]
        ids: list[int] = []
        positions: list[int] = []
        segments: list[Segment] = []
        before: list[int] = []  # flat position of each unique policy token's predecessor
        labels: list[int] = []
        for tree in trees:
            if not tree.leaves:
                raise ValueError(f"The tree of {tree.question!r} has no leaf: leave it out of the batch.")
            places = _lay_out(tree, ids, positions, segments, device)
            for node_index in tree.policy_offsets():
                node = tree.nodes[node_index]
                above, first = tree.nodes[node.parent], places[node_index]
                before.append(places[above.index] + len(above.tokens) - 1)
                before.extend(range(first, first + len(node.tokens) - 1))
                labels.extend(node.tokens)
        predecessors, edge = np.unique(np.array(before, dtype=np.int64), return_inverse=True)
        self.layout = Layout(segments)
        self.ids = torch.tensor(ids, device=device)
        self.positions = torch.tensor(positions, device=device)
        self.labels = torch.tensor(labels, dtype=torch.long, device=device)
        self.predecessors = torch.from_numpy(predecessors).to(device)
        self.edge = torch.from_numpy(edge.reshape(-1)).to(device)
        index = _stack(self.rows)
        self.index = torch.from_numpy(index).to(device)
        self.mask = self.index >= 0
        tree_of_leaf = np.repeat(np.arange(len(trees)), [len(tree.leaves) for tree in trees])
        self.tree_of_leaf = torch.from_numpy(tree_of_leaf).to(device)

    def on_leaves(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Values of unique policy tokens, [U], on every leaf that has them: [K, T]. Differentiable."""
        if values.shape != self.labels.shape:
            raise ValueError(f"Expected {len(self.labels)} values; got a tensor of shape {tuple(values.shape)}.")
        out = values.new_full(self.index.shape, fill)
        return out.masked_scatter(self.mask, values.index_select(0, self.index[self.mask]))


def _lay_out(
    tree: TokenTree, ids: list[int], positions: list[int], segments: list[Segment], device: torch.device | str
) -> dict[int, int]:
    """Append the covered part of a tree, depth first; the flat position of the first token of each covered node."""
    covered = set(tree.covered())
    places: dict[int, int] = {}
    waiting: list[tuple[int, list[int]]] = [(tree.root, [])]  # a segment's first node, flat positions of its path
    while waiting:
        index, path = waiting.pop()
        start = len(ids)
        while True:
            node = tree.nodes[index]
            places[index] = len(ids)
            ids.extend(node.tokens)
            positions.extend(range(node.start, node.end))
            children = [child for child in node.children if child in covered]
            if len(children) != 1:
                break
            index = children[0]
        segments.append(_segment(start, len(ids), path, device))
        if children:
            below = [*path, *range(start, len(ids))]
            waiting.extend((child, below) for child in reversed(children))
    return places


def _segment(start: int, end: int, above: list[int], device: torch.device | str) -> Segment:
    if not above:
        return Segment(start, end, None, None)
    path = torch.tensor([*above, *range(start, end)], device=device)
    # The last row sees the whole path, each row before it one token less.
    mask = torch.ones(end - start, len(path), dtype=torch.bool, device=device).tril(len(above))
    return Segment(start, end, path, mask)


def _stack(all_rows: Sequence[Rows]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The indices of all trees' rows in one array, numbered through."""
    leaves = sum(len(rows.lengths) for rows in all_rows)
    stacked = np.full((leaves, max((rows.index.shape[1] for rows in all_rows), default=0)), -1, dtype=np.int64)
    first_leaf = first_token = 0
    for rows in all_rows:
        count, width = rows.index.shape
        stacked[first_leaf : first_leaf + count, :width] = np.where(rows.mask, rows.index + first_token, -1)
        first_leaf += count
        # Every covered policy token lies on some leaf, so the highest index met is the last one there is.
        first_token += int(rows.index.max(initial=-1)) + 1
    return stacked
