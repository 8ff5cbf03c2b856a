"""Advantages over whole batches: leaves are counted, not unique tokens; filters say which questions stay."""

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from algorithms.advantage.estimators import EntropyAware, GroupNormalised, HardAttribution
from algorithms.advantage.filters import DropUninformative
from algorithms.algorithm import LeafBatch
from tests.algorithms.leaves import leaf_batch
from tests.algorithms.rewarded import flat_advantage


def test_they_are_the_printed_formulas_on_flat_rows() -> None:
    batch = leaf_batch()
    assert batch.entropies is not None
    plain = flat_advantage(batch.trees, batch.mask, None, 0.0)
    torch.testing.assert_close(GroupNormalised()(batch), plain, rtol=1e-12, atol=1e-14)
    weighted = flat_advantage(batch.trees, batch.mask, batch.entropies, 0.2)
    torch.testing.assert_close(EntropyAware()(batch), weighted, rtol=1e-12, atol=1e-14)


def test_entropy_statistics_count_a_shared_token_once_per_leaf() -> None:
    batch = leaf_batch()
    assert batch.entropies is not None
    plain, found = GroupNormalised()(batch), EntropyAware(weight=0.2)(batch)
    told = batch.mask & (plain != 0)
    z = (found[told] / plain[told] - 1) / 0.2
    on_leaves = batch.entropies[batch.mask]
    expected = (batch.entropies[told] - on_leaves.mean()) / on_leaves.std()
    torch.testing.assert_close(z, expected, rtol=1e-9, atol=1e-9)
    unique = torch.zeros(int(batch.unique.max()) + 1, dtype=torch.float64)
    unique[batch.unique[batch.mask]] = on_leaves
    assert abs(unique.mean() - on_leaves.mean()) > 1e-3, "both countings agree here: the test is too weak"


def test_statistics_of_questions_do_not_depend_on_other_questions() -> None:
    batch = leaf_batch()
    assert batch.entropies is not None
    each, whole = EntropyAware(statistics="question"), EntropyAware()
    mine = (batch.questions == 0)[:, None]
    other = replace(batch, entropies=torch.where(mine, batch.entropies, 5 * batch.entropies))
    rows = batch.leaves_of([0])
    assert torch.equal(each(batch)[rows], each(other)[rows])
    assert not torch.equal(whole(batch)[rows], whole(other)[rows])


def test_a_weight_of_zero_is_the_accuracy_advantage_and_reads_no_entropy() -> None:
    batch = replace(leaf_batch(), entropies=None)
    off = EntropyAware(weight=0.0)
    assert off.needs == frozenset()
    assert torch.equal(off(batch), GroupNormalised()(batch))
    with pytest.raises(ValueError, match="none was given"):
        EntropyAware()(batch)


def test_hard_attribution_gives_a_shared_token_the_mean_of_its_leaves() -> None:
    batch = leaf_batch()
    per_leaf, found = GroupNormalised().per_leaf(batch), HardAttribution()(batch)
    for token in range(int(batch.unique.max()) + 1):
        where = batch.unique == token
        mean = per_leaf[where.any(-1)].mean()
        torch.testing.assert_close(found[where], mean.expand(int(where.sum())), rtol=1e-12, atol=1e-14)
    assert not found[~batch.mask].any()
    assert not torch.allclose(found, GroupNormalised()(batch))


def test_options_reach_the_functions() -> None:
    batch = leaf_batch()
    raw = GroupNormalised(deviation="none").per_leaf(batch)
    means = torch.stack([batch.rewards[batch.questions == number].mean() for number in batch.questions])
    torch.testing.assert_close(raw, torch.where(raw == 0, 0.0, batch.rewards - means))
    assert not GroupNormalised(smallest_deviation=100.0).per_leaf(batch).any()
    negative = EntropyAware(weight=5.0, lowest_factor=None)(batch) * GroupNormalised()(batch)
    assert (negative < 0).any()
    assert not (EntropyAware(weight=5.0)(batch) * GroupNormalised()(batch) < 0).any()


@pytest.mark.parametrize("made", [lambda: GroupNormalised("std"), lambda: EntropyAware(statistics="batches")])
def test_unknown_choices_are_refused_where_they_are_written(made) -> None:
    with pytest.raises(ValueError, match=r"sample, population|batch, question"):
        made()


def test_questions_without_spread_are_dropped_whole_and_asked_for_again() -> None:
    batch: LeafBatch = leaf_batch()
    drop = DropUninformative(rounds=3)
    kept = drop.keep(batch.rewards, batch.questions)
    assert set(batch.questions[kept].tolist()) == set(range(9)) - {2, 7}
    assert set(batch.questions[~kept].tolist()) == {2, 7}
    assert [drop.asks_again(7, 9, rounds) for rounds in (1, 2, 3)] == [True, True, False]
    assert not drop.asks_again(9, 9, 1)
    assert not DropUninformative(tolerance=3.0).keep(batch.rewards, batch.questions).any()
    with pytest.raises(ValueError, match="at least 1 round"):
        DropUninformative(rounds=0)
