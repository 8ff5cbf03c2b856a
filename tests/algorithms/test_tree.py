import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.tree import Kind, TokenTree
from tests.algorithms.trees import even_tree, nested_tree, random_tree, trajectory

SEEDS = st.integers(0, 10**6)


class Box:
    """Something a fork needs."""

    def __init__(self) -> None:
        self.released = 0

    def release(self) -> None:
        self.released += 1


def small() -> tuple[TokenTree, int, int]:
    tree = TokenTree("q", [1, 2])
    turn = tree.add(tree.root, Kind.POLICY, [3, 4, 5], [-1, -2, -3], [0.1, 0.2, 0.3])
    return tree, turn, tree.add(turn, Kind.OBSERVATION, [6, 7])


# ------------------------------------------------------------------------------------------------------------ flat rows


@settings(deadline=None)
@given(SEEDS)
def test_rows_are_the_trajectories(seed: int) -> None:
    tree = random_tree(seed)
    rows = tree.rows()
    log_probs, entropies = rows.gather(tree.policy_log_probs()), rows.gather(tree.policy_entropies())
    for leaf in range(len(tree.leaves)):
        length = rows.lengths[leaf]
        seen = zip(rows.tokens[leaf], rows.mask[leaf], log_probs[leaf], entropies[leaf], strict=True)
        seen = list(seen)
        assert seen[:length] == trajectory(tree, leaf)
        assert not rows.mask[leaf, length:].any()
        assert not rows.tokens[leaf, length:].any()
        assert (rows.node[leaf, length:] == -1).all()
        assert [tree.nodes[n].start <= t < tree.nodes[n].end for t, n in enumerate(rows.node[leaf, :length])]


@settings(deadline=None)
@given(SEEDS)
def test_unique_policy_tokens_are_numbered_through_and_shared_ones_once(seed: int) -> None:
    tree = random_tree(seed)
    rows = tree.rows()
    place_of: dict[int, tuple[int, int]] = {}
    for leaf, column in zip(*np.nonzero(rows.mask), strict=True):
        place = (int(rows.node[leaf, column]), int(column))
        assert place_of.setdefault(int(rows.index[leaf, column]), place) == place
    assert sorted(place_of) == list(range(len(tree.policy_log_probs())))
    assert len(set(place_of.values())) == len(place_of)


@settings(deadline=None)
@given(SEEDS)
def test_counts_are_those_of_the_distinct_and_of_all_positions(seed: int) -> None:
    tree = random_tree(seed)
    rows = tree.rows()
    places = {(int(n), t) for leaf in range(len(tree.leaves)) for t, n in enumerate(rows.node[leaf]) if n >= 0}
    assert tree.unique_tokens() == len(places)
    assert tree.raw_tokens() == sum(len(trajectory(tree, leaf)) for leaf in range(len(tree.leaves)))


def test_counts_of_an_even_tree() -> None:
    tree = even_tree(0, (10, 4, 4, 4, 4), (2, 2, 2, 2))
    assert len(tree.leaves) == 16
    assert tree.unique_tokens() == 10 + 4 * (2 + 4 + 8 + 16) + 3 * (2 + 8)
    assert tree.raw_tokens() == 16 * (10 + 4 * 4 + 2 * 3)


def test_nodes_without_a_leaf_are_not_counted() -> None:
    tree, turn, _ = small()
    tree.add_leaf(turn, "answered")
    before = tree.policy_log_probs().tolist()
    tree.add(tree.root, Kind.POLICY, [9], [-9.0], [9.0])
    assert tree.policy_log_probs().tolist() == before == [-1, -2, -3]
    assert tree.unique_tokens() == 5
    assert tree.rows().tokens.shape == (1, 5)


def test_a_tree_without_leaves_has_no_rows() -> None:
    rows = small()[0].rows()
    assert rows.tokens.shape == (0, 0)
    assert rows.gather(np.zeros(0)).shape == (0, 0)


def test_gather_refuses_too_few_values() -> None:
    tree = nested_tree()
    with pytest.raises(ValueError, match="5 unique policy tokens"):
        tree.rows().gather(np.zeros(4))


def test_gather_keeps_integers_and_takes_a_fill() -> None:
    tree = nested_tree()
    gathered = tree.rows().gather(np.arange(5), fill=-1)
    assert gathered.dtype == np.int64
    assert gathered[0].tolist() == [-1, -1, 0, -1, -1, -1]


# -------------------------------------------------------------------------------------------------------------- growing


@settings(deadline=None)
@given(SEEDS)
def test_random_trees_keep_the_promises(seed: int) -> None:
    random_tree(seed).check()


@settings(deadline=None)
@given(SEEDS, st.data())
def test_splitting_changes_no_trajectory(seed: int, data: st.DataObject) -> None:
    tree = random_tree(seed)
    long = [node.index for node in tree.nodes if len(node.tokens) > 1 and node.kind != Kind.PROMPT]
    if not long:
        return
    before = [trajectory(tree, leaf) for leaf in range(len(tree.leaves))]
    index = data.draw(st.sampled_from(long))
    end, children = tree.nodes[index].end, list(tree.nodes[index].children)
    front = tree.split(index, data.draw(st.integers(1, len(tree.nodes[index].tokens) - 1)))
    tree.check()
    assert [trajectory(tree, leaf) for leaf in range(len(tree.leaves))] == before
    assert (tree.nodes[index].end, tree.nodes[index].children) == (end, children)
    assert tree.nodes[index].parent == front


def test_splitting_leaves_a_snapshot_at_the_end() -> None:
    tree, turn, _ = small()
    box = Box()
    tree.hold(turn, box)
    front = tree.split(turn, 1)
    assert tree.snapshot(turn) is box
    with pytest.raises(ValueError, match="holds no snapshot"):
        tree.snapshot(front)


def test_tokens_are_appended_at_an_open_end_only() -> None:
    tree, turn, page = small()
    tree.extend(page, [8])
    assert tree.path_tokens(page) == [1, 2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(ValueError, match="has a child"):
        tree.extend(turn, [8], [-1], [0])
    tree.add_leaf(page, "answered")
    with pytest.raises(ValueError, match="a leaf"):
        tree.extend(page, [9])
    page = tree.add(turn, Kind.OBSERVATION, [6])
    tree.hold(page, Box())
    with pytest.raises(ValueError, match="a snapshot"):
        tree.extend(page, [9])


def test_the_path_from_any_depth() -> None:
    tree, _, page = small()
    assert [tree.path_tokens(page, start) for start in (0, 1, 4, 6, 7, 99)] == [
        [1, 2, 3, 4, 5, 6, 7],
        [2, 3, 4, 5, 6, 7],
        [5, 6, 7],
        [7],
        [],
        [],
    ]


def test_a_fork_stands_at_the_end_of_the_observation_the_turn_answers() -> None:
    tree, turn, page = small()
    ahead = tree.add(page, Kind.POLICY, [1], [-1], [0])
    rest = tree.add(ahead, Kind.POLICY, [2], [-1], [0])
    assert [tree.fork_point(node) for node in (turn, page, ahead, rest)] == [0, page, page, page]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda tree: TokenTree("q", []), "at least one token"),
        (lambda tree: tree.add(0, Kind.PROMPT, [1]), "root alone"),
        (lambda tree: tree.add(0, Kind.POLICY, [1, 2], [-1], [0]), "2 log-probabilities"),
        (lambda tree: tree.add(0, Kind.OBSERVATION, [1], [-1], [0]), "0 log-probabilities"),
        (lambda tree: tree.add(0, Kind.OBSERVATION, []), "at least one token"),
        (lambda tree: tree.add(7, Kind.OBSERVATION, [1]), "nodes 0 to 2"),
        (lambda tree: tree.add(-1, Kind.OBSERVATION, [1]), "nodes 0 to 2"),
        (lambda tree: tree.add_leaf(7, "answered"), "nodes 0 to 2"),
        (lambda tree: tree.split(0, 1), "prompt cannot be cut"),
        (lambda tree: tree.split(1, 0), "before 1 to the last"),
        (lambda tree: tree.split(1, 3), "before 1 to the last"),
    ],
)
def test_what_makes_no_tree_is_refused(wrong, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong(small()[0])


# ------------------------------------------------------------------------------------------------------------ snapshots


def test_a_snapshot_is_released_with_its_last_holder() -> None:
    tree, _, page = small()
    box = Box()
    tree.hold(page, box)
    tree.retain(page)
    tree.release(page)
    assert (box.released, tree.snapshots_held, tree.snapshot(page)) == (0, 1, box)
    tree.release(page)
    assert (box.released, tree.snapshots_held) == (1, 0)
    with pytest.raises(ValueError, match="holds no snapshot"):
        tree.release(page)


def test_release_all_releases_each_once_however_many_hold_it() -> None:
    tree, turn, page = small()
    boxes = [Box(), Box()]
    tree.hold(turn, boxes[0])
    tree.hold(page, boxes[1])
    tree.retain(page)
    tree.release_all()
    tree.release_all()
    assert [box.released for box in boxes] == [1, 1]


def test_a_second_snapshot_at_a_node_is_refused() -> None:
    tree, _, page = small()
    tree.hold(page, Box())
    with pytest.raises(ValueError, match="already"):
        tree.hold(page, Box())


def test_snapshots_go_into_no_trace_and_no_checkpoint() -> None:
    tree, _, page = small()
    before = tree.to_plain()
    tree.hold(page, lambda: "cannot be pickled")  # type: ignore[arg-type]
    assert tree.to_plain() == before
    copy = pickle.loads(pickle.dumps(tree))
    assert copy.snapshots_held == 0
    assert copy.to_plain() == before
    assert tree.snapshots_held == 1


# --------------------------------------------------------------------------------------------------- traces and checks


@settings(deadline=None)
@given(SEEDS)
def test_a_stored_tree_comes_back_the_same(seed: int) -> None:
    tree = random_tree(seed)
    text = json.dumps(tree.to_plain())
    back = TokenTree.from_plain(json.loads(text))
    assert json.dumps(back.to_plain()) == text
    ours, theirs = tree.rows(), back.rows()
    assert (ours.tokens == theirs.tokens).all()
    assert (ours.index == theirs.index).all()


def test_what_is_no_stored_tree_is_refused() -> None:
    plain = small()[0].to_plain()
    with pytest.raises(ValueError, match="version 1; got 2"):
        TokenTree.from_plain({**plain, "version": 2})
    with pytest.raises(ValueError, match="prompt as the first node"):
        TokenTree.from_plain({**plain, "nodes": plain["nodes"][1:]})
    loop = [dict(node) for node in plain["nodes"]]
    loop[1]["parent"] = 2
    with pytest.raises(ValueError, match="reached from the root"):
        TokenTree.from_plain({**plain, "nodes": loop})


def broken(change) -> TokenTree:
    tree, turn, _ = small()
    tree.add_leaf(turn, "answered")
    change(tree)
    return tree


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.nodes[1].log_probs.pop(),
        lambda tree: tree.nodes[1].tokens.append(5),
        lambda tree: tree.nodes[2].tokens.clear(),
        lambda tree: setattr(tree.nodes[2], "parent", 0),
        lambda tree: setattr(tree.nodes[2], "start", 1),
        lambda tree: setattr(tree.nodes[2], "index", 1),
        lambda tree: setattr(tree.nodes[2], "kind", Kind.PROMPT),
        lambda tree: setattr(tree.nodes[0], "kind", Kind.OBSERVATION),
        lambda tree: tree.nodes[1].children.clear(),
        lambda tree: tree.nodes[0].children.append(1),
        lambda tree: tree.nodes[0].children.append(5),
        lambda tree: setattr(tree.leaves[0], "node", 9),
    ],
)
def test_check_finds_what_is_broken(change) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each breakage has a message of its own
        broken(change).check()
    broken(lambda tree: None).check()
