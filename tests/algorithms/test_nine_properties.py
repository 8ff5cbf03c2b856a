"""The nine properties the specification asks for, of whole algorithms on random trees; and that nothing else matters.

Those of single losses and advantages, beside these, are in `loss/test_properties.py` and `advantage/`.
"""

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from algorithms.advantage.estimators import GroupNormalised, HardAttribution, LeaveOneOut
from algorithms.advantage.structured import EpisodeAndSteps
from algorithms.algorithm import Algorithm
from algorithms.loss.aggregation import row_weights
from algorithms.loss.surrogates import Clip, PreservingClip
from algorithms.names import NAMES
from algorithms.options import Divergence
from algorithms.settings import with_settings
from algorithms.training.known import algorithm
from tests.algorithms.batches import quick
from tests.algorithms.whole_batches import even_chains, gradient, laid_out, moved, padded, seeds, trees_of

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
sizes = st.sampled_from([0.05, 0.5, 2.0])


def plain(name: str) -> Algorithm:
    """Without a divergence in the loss, which adds a gradient of its own."""
    return replace(algorithm(name), kl=Divergence())


# 1 ------------------------------------------------------------------------------------------------------ on the policy


@pytest.mark.parametrize("name", [name for name in NAMES if name != "clip-cov"])
@quick
@given(seed=seeds)
def test_on_the_policy_that_sampled_every_gradient_is_minus_weight_times_advantage(name: str, seed: int) -> None:
    made = plain(name)
    batch = laid_out(made, trees_of(seed))
    weights = row_weights(made.aggregation, batch.mask.sum(-1), constant=made.constant_length)
    expected = -weights[:, None] * made.advantages(batch) * batch.mask
    torch.testing.assert_close(gradient(made, batch, batch.old_log_probs)[1], expected, **TIGHT)


# 2, 3 ----------------------------------------------------------------------------------- which tokens a clip concerns


@quick
@given(seed=seeds, size=sizes)
def test_dapo_aepo_and_gppo_differ_in_the_regions_their_papers_name(seed: int, size: float) -> None:
    dapo = replace(plain("dapo"), loss=Clip(0.2, 0.2, 3.0))
    aepo = replace(dapo, loss=algorithm("aepo").loss)
    gppo = replace(dapo, loss=PreservingClip(0.2, 0.2, 3.0))
    batch = laid_out(dapo, trees_of(seed))
    logp = moved(batch, size)
    ratio, advantage = (logp - batch.old_log_probs).exp(), dapo.advantages(batch)
    above, below = (advantage > 0) & (ratio > 1.2), (advantage < 0) & (ratio < 0.8)
    of_dapo, of_aepo, of_gppo = (gradient(made, batch, logp) for made in (dapo, aepo, gppo))
    assert of_dapo[0] == of_aepo[0] == of_gppo[0]
    assert torch.equal(of_dapo[1] != of_aepo[1], above & batch.mask)
    assert torch.equal(of_aepo[1] != of_gppo[1], below & batch.mask)
    ce_gppo = replace(dapo, loss=PreservingClip(0.2, 0.2, 3.0, low_scale=1.0, high_scale=1.0))
    assert torch.equal(gradient(ce_gppo, batch, logp)[1], of_gppo[1])


@quick
@given(seed=seeds, size=sizes)
def test_cispo_gives_every_token_that_counts_a_gradient_within_its_bound(seed: int, size: float) -> None:
    made = plain("cispo")
    batch = laid_out(made, trees_of(seed))
    advantage, found = made.advantages(batch), gradient(made, batch, moved(batch, size))[1]
    assert torch.equal(found != 0, batch.mask & (advantage != 0))
    assert bool((found.abs() <= 1.28 * advantage.abs() / batch.mask.sum().clamp(min=1) + 1e-15).all())


# 4 ------------------------------------------------------------------------------------------------------------ groups


@quick
@given(seed=seeds, factor=st.sampled_from([0.5, 3.0]), shift=st.sampled_from([-2.0, 0.25]))
def test_groups_sum_to_nothing_and_scales_of_rewards_do_not_matter(seed: int, factor: float, shift: float) -> None:
    trees = trees_of(seed)
    batch = laid_out(algorithm("grpo"), trees)
    grpo, dr_grpo = GroupNormalised(epsilon=0.0), GroupNormalised(deviation="none")
    for part in (grpo, dr_grpo, LeaveOneOut()):
        sums = torch.zeros(len(trees), dtype=torch.float64).index_add(0, batch.questions, part.per_leaf(batch))
        torch.testing.assert_close(sums, torch.zeros_like(sums), rtol=0, atol=1e-9)
    size = torch.bincount(batch.questions)[batch.questions].double()
    scaled = size / (size - 1).clamp(min=1) * dr_grpo.per_leaf(batch)
    torch.testing.assert_close(LeaveOneOut().per_leaf(batch), scaled, **TIGHT)
    other = replace(batch, rewards=factor * batch.rewards + shift)
    torch.testing.assert_close(grpo.per_leaf(other), grpo.per_leaf(batch), rtol=1e-9, atol=1e-9)


# 5 --------------------------------------------------------------------------------------------- order, padding, cuts


@pytest.mark.parametrize("name", NAMES)
@quick
@given(seed=seeds, size=sizes, order=st.permutations(range(4)), cut=st.integers(1, 3), columns=st.integers(0, 3))
def test_order_padding_and_cuts_change_nothing(
    name: str, seed: int, size: float, order: list[int], cut: int, columns: int
) -> None:
    made = algorithm(name)
    if name == "clip-cov":  # which draws at random: let it take all there is to draw from
        made = with_settings(made, {"loss.share": "1"})
    trees = trees_of(seed)
    batch = laid_out(made, trees)
    loss, expected = gradient(made, batch, moved(batch, size))
    other = padded(laid_out(made, [trees[place] for place in order]), columns)
    logp = moved(other, size)
    questions = [torch.arange(4)[:cut], torch.arange(4)[cut:]]
    cuts = [other.leaves_of(part.tolist()) for part in questions]
    again, found = gradient(made, other, logp, cuts)
    rows = batch.leaves_of(order)
    assert not found[:, batch.mask.shape[1] :].any()
    torch.testing.assert_close(found[:, : batch.mask.shape[1]], expected[rows], rtol=1e-8, atol=1e-10)
    assert again == pytest.approx(loss, rel=1e-8, abs=1e-10)


# 6 ------------------------------------------------------------------------------------------------------------- GiGPO


@quick
@given(seed=seeds)
def test_with_no_state_met_twice_gigpo_is_its_episode_part_which_is_grpo(seed: int) -> None:
    trees = trees_of(seed)
    for tree in trees:
        for number, leaf in enumerate(tree.leaves):
            leaf.steps = tuple(step._replace(state=f"{number}, {step.start}") for step in leaf.steps)
    batch = laid_out(algorithm("gigpo"), trees)
    torch.testing.assert_close(EpisodeAndSteps()(batch), GroupNormalised()(batch), **TIGHT)


@quick
@given(seed=seeds, leaves=st.integers(2, 5), turns=st.integers(1, 3))
def test_with_one_state_and_no_discount_both_parts_of_gigpo_agree(seed: int, leaves: int, turns: int) -> None:
    tree = even_chains(seed, leaves, turns)
    batch = laid_out(algorithm("gigpo"), [tree])
    found = EpisodeAndSteps(discount=1.0, deviation="none").per_step(batch)
    torch.testing.assert_close(found.step, found.episode, rtol=1e-9, atol=1e-9)


# 7 -------------------------------------------------------------------------------------------------------------- ARPO


@quick
@given(seed=seeds)
def test_on_the_policy_soft_and_hard_attribution_give_a_shared_token_the_same_gradient(seed: int) -> None:
    soft = algorithm("arpo")
    hard = replace(soft, advantage=HardAttribution(soft.advantage))
    batch = laid_out(soft, trees_of(seed))
    sums: list[Tensor] = []
    for made in (soft, hard):
        found = gradient(made, batch, batch.old_log_probs)[1]
        zeros = torch.zeros(max(1, int(batch.unique.max()) + 1), dtype=torch.float64)
        sums.append(zeros.index_add(0, batch.unique[batch.mask], found[batch.mask]))
    torch.testing.assert_close(sums[0], sums[1], **TIGHT)


# 8 ------------------------------------------------------------------------------------------------------- corrections


@pytest.mark.parametrize("kind", ["tis", "sequence-tis", "icepop", "sequence-mask"])
@quick
@given(seed=seeds, size=sizes)
def test_a_correction_where_nothing_differs_is_the_identity(kind: str, seed: int, size: float) -> None:
    made = with_settings(algorithm("grpo"), {"mismatch.kind": kind})
    batch = laid_out(made, trees_of(seed))
    batch = replace(batch, rollout_log_probs=batch.old_log_probs)
    logp = moved(batch, size)
    assert torch.equal(gradient(made, batch, logp)[1], gradient(algorithm("grpo"), batch, logp)[1])


@quick
@given(seed=seeds, size=sizes)
def test_icepop_without_bounds_is_the_plain_importance_weight(seed: int, size: float) -> None:
    wide = {"mismatch.kind": "icepop", "mismatch.lowest": "0", "mismatch.highest": "1e300"}
    made = with_settings(algorithm("grpo"), wide)
    batch = laid_out(made, trees_of(seed))
    assert batch.rollout_log_probs is not None
    logp = moved(batch, size)
    ratio = torch.where(batch.mask, (batch.old_log_probs - batch.rollout_log_probs).exp(), 0.0)
    expected = ratio * gradient(algorithm("grpo"), batch, logp)[1]
    torch.testing.assert_close(gradient(made, batch, logp)[1], expected, **TIGHT)


# 9 -------------------------------------------------------------------------------------------------------------- AEPO


@quick
@given(seed=seeds, size=sizes)
def test_aepo_without_its_parts_on_a_batch_without_rising_tokens_is_grpo(seed: int, size: float) -> None:
    aepo = with_settings(algorithm("aepo"), {"advantage.weight": "0", "loss.dual": "none"})
    grpo = with_settings(algorithm("grpo"), {"loss.dual": "none"})
    batch = laid_out(aepo, trees_of(seed))
    logp = moved(batch, size)
    rises = (grpo.advantages(batch) > 0) & ((logp - batch.old_log_probs).exp() > 1.2)
    logp = torch.where(rises, batch.old_log_probs, logp)
    ours, theirs = gradient(aepo, batch, logp), gradient(grpo, batch, logp)
    assert ours[0] == theirs[0]
    assert torch.equal(ours[1], theirs[1])
