import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.policy.decode_attention import arrange
from algorithms.policy.kv_store import KVStore, Run, path_of


def make_store() -> KVStore:
    return KVStore(2, 1, 1, torch.float64, torch.device("cpu"))


def fill(store: KVStore, run: Run, values: list[float]) -> None:
    """Write one number per position, negated as its key, plus the layer."""
    store.reserve(run.length + len(values))
    for layer in range(2):
        numbers = torch.tensor(values, dtype=torch.float64)[None, :, None] + layer
        store.write_run(layer, run, run.end, -numbers, numbers)
    run.length += len(values)


def read(store: KVStore, run: Run, end: int, layer: int = 0) -> list[float]:
    parts = [store.read(layer, *stretch) for stretch in path_of(run, end)]
    assert all((keys == -values).all() for keys, values in parts)
    return [x - layer for _, values in parts for x in values.flatten().tolist()]


def test_a_fork_reads_its_parents_positions_up_to_the_fork_only() -> None:
    store = make_store()
    trunk = store.new_trunk(None, 0)
    fill(store, trunk, [0, 1, 2, 3])
    parent = store.new_run(trunk, 4)
    fill(store, parent, [4, 5, 6, 7])
    parent.users += 1
    child = store.new_run(parent, 6)
    fill(store, child, [60, 70])
    assert read(store, child, child.end) == [0, 1, 2, 3, 4, 5, 60, 70]
    assert read(store, parent, parent.end, layer=1) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert store.tokens == 10


def test_forking_copies_nothing() -> None:
    store = make_store()
    parent = store.new_run(None, 0)
    fill(store, parent, [1, 2, 3])
    parent.users += 1
    child = store.new_run(parent, 2)
    stretch = path_of(child, 2)[0]
    assert store.read(0, *stretch)[0].data_ptr() == store.read(0, parent, 0, 2)[0].data_ptr()


def test_positions_live_until_nobody_reads_them() -> None:
    store = make_store()
    parent = store.new_run(None, 0)
    fill(store, parent, [1, 2, 3])
    parent.users += 1
    child = store.new_run(parent, 2)
    fill(store, child, [30])
    store.release(parent)
    assert read(store, child, 3) == [1, 2, 30]
    store.release(child)
    assert (store.tokens, store.rows) == (0, 0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_whatever_is_forked_released_and_moved_each_path_keeps_its_positions(seed: int) -> None:
    source, store = random.Random(seed), make_store()
    live: list[tuple[Run, list[float]]] = []
    for _ in range(60):
        choice = source.random()
        if choice < 0.4 or not live:
            if live and source.random() < 0.7:
                parent, values = source.choice(live)
                parent.users += 1
                start = source.randint(parent.start, parent.end)
            else:
                parent, values, start = None, [], 0
            live.append((store.new_run(parent, start), values[:start]))
        elif choice < 0.65:
            place = source.randrange(len(live))
            run, values = live[place]
            new = [float(source.randrange(10**6)) for _ in range(source.randint(1, 40))]
            fill(store, run, new)
            live[place] = (run, values + new)
        elif choice < 0.9:
            store.release(live.pop(source.randrange(len(live)))[0])
        else:
            store.compact()
        for run, values in live:
            assert read(store, run, run.end) == values
    for run, _ in live:
        store.release(run)
    assert (store.tokens, store.rows) == (0, 0)


def test_an_empty_store_keeps_nothing_of_what_was_in_it() -> None:
    store = make_store()
    run = store.new_run(None, 0)
    fill(store, run, [float("nan")] * 100)
    store.release(run)
    assert all(slab.shape == (8, 1, 64, 1) and not slab.any() for slab in (*store.keys, *store.values))


def test_compacting_leaves_no_free_rows_and_gives_memory_back() -> None:
    store = make_store()
    runs = [store.new_run(None, 0) for _ in range(64)]
    for run in runs:
        fill(store, run, [run.row])
    for run in runs[:-2]:
        store.release(run)
    store.compact()
    assert store.rows == 2
    assert [read(store, run, 1) for run in runs[-2:]] == [[62], [63]]
    assert store.keys[0].shape[0] == 8
    store.release(runs[-1])
    store.release(runs[-2])
    assert store.rows == 0


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6))
def test_stretches_cover_every_path_exactly_once(seed: int) -> None:
    source = random.Random(seed)
    runs: list[Run] = []
    for _ in range(source.randint(1, 12)):
        parent = source.choice(runs) if runs and source.random() < 0.85 else None
        run = Run(parent, source.randint(parent.start, parent.end) if parent else 0, 0)
        run.length = source.randint(0, 5)
        runs.append(run)
    tips = source.sample(runs, source.randint(1, len(runs)))
    order, stretches, private = arrange(tips)
    assert sorted(order) == list(range(len(tips)))
    for place, number in enumerate(order):
        tip = tips[number]
        mine = sorted((s for s in stretches if s.low <= place < s.high), key=lambda s: s.first)
        seen = [(s.run, depth) for s in mine for depth in range(s.first, s.last)]
        seen += [(tip, depth) for depth in range(private[number], tip.end)]
        assert seen == [(run, depth) for run, first, last in path_of(tip, tip.end) for depth in range(first, last)]
    assert len({(s.run, depth) for s in stretches for depth in range(s.first, s.last)}) == sum(
        s.last - s.first for s in stretches
    )


def test_what_only_one_branch_reads_is_no_shared_stretch() -> None:
    lonely = Run(None, 0, 0)
    lonely.length = 9
    assert arrange([lonely]) == ([0], [], [0])
