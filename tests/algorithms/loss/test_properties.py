"""What must hold between the losses, for any batch."""

from typing import get_args

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.loss.aggregation import Aggregation, row_weights
from algorithms.loss.balanced_clip import balanced_clip
from algorithms.loss.cispo import cispo
from algorithms.loss.clip import clip
from algorithms.loss.gradient_preserving import gradient_preserving_clip
from algorithms.loss.sequence_ratio import sequence_clip
from algorithms.loss.terms import clip_counts
from tests.algorithms.batches import Batch, Loss, batches, outcome, quick

ALL: dict[str, Loss] = {
    "grpo": clip,
    "dapo": lambda *b: clip(*b, high=0.28, dual=10.0),
    "aepo": balanced_clip,
    "gppo": gradient_preserving_clip,
    "ce-gppo": lambda *b: gradient_preserving_clip(*b, high=0.2, low_scale=0.5),
    "cispo": cispo,
}
PART_FREE = [mode for mode in get_args(Aggregation) if mode not in ("group-mean-token-mean", "part-token-mean")]
modes = st.sampled_from(PART_FREE)


@quick
@given(batch=batches, mode=modes)
def test_on_policy_all_have_the_same_gradient(batch: Batch, mode: Aggregation) -> None:
    batch = batch._replace(old_logp=batch.logp)
    weights = row_weights(mode, batch.mask.sum(-1), constant=10.0 if mode.endswith("constant") else None)
    expected = -weights.unsqueeze(-1) * batch.advantage * batch.mask
    for loss in ALL.values():
        torch.testing.assert_close(outcome(loss, batch, mode).gradient, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(outcome(sequence_clip, batch, mode).gradient, expected, rtol=1e-12, atol=1e-14)


@quick
@given(batch=batches)
def test_aepo_has_the_values_of_ppo_and_other_gradients_only_above_the_bound(batch: Batch) -> None:
    ppo, aepo = outcome(clip, batch), outcome(balanced_clip, batch)
    assert torch.equal(aepo.terms.loss, ppo.terms.loss)
    above = (batch.advantage > 0) & ((batch.logp - batch.old_logp).exp() > 1.2) & batch.mask.bool()
    assert torch.equal(aepo.gradient != ppo.gradient, above)
    assert torch.equal(aepo.terms.clipped_high, above)
    # What was given back, to the last bit: (1 + high) A on these tokens and nothing anywhere else.
    given_back = (aepo.terms.factor - ppo.terms.factor)[above]
    assert torch.equal(given_back, 1.2 * batch.advantage[above])


@quick
@given(batch=batches)
def test_counts_add_up_over_micro_batches_and_name_what_was_given_back(batch: Batch) -> None:
    whole = clip_counts(balanced_clip(*batch[:3], batch.mask), batch.mask)
    parts = [batch.rows(torch.tensor([row])) for row in range(len(batch.mask))]
    by_row = [clip_counts(balanced_clip(*part[:3], part.mask), part.mask) for part in parts]
    assert tuple(map(sum, zip(*by_row, strict=True))) == pytest.approx(whole, rel=1e-12)
    above = (batch.advantage > 0) & ((batch.logp - batch.old_logp).exp() > 1.2) & batch.mask.bool()
    below = (batch.advantage < 0) & ((batch.logp - batch.old_logp).exp() < 0.8) & batch.mask.bool()
    assert (whole.trained, whole.high, whole.low) == (batch.mask.sum(), above.sum(), below.sum())
    assert whole.kept == pytest.approx((1.2 * batch.advantage[above]).sum().item(), rel=1e-12)
    assert clip_counts(clip(*batch[:3], batch.mask), batch.mask) == whole._replace(kept=0.0)
    preserved = clip_counts(gradient_preserving_clip(*batch[:3], batch.mask, high=0.2, dual=None), batch.mask)
    assert preserved.kept == pytest.approx(whole.kept + (-0.8 * batch.advantage[below]).sum().item(), rel=1e-12)


@quick
@given(batch=batches)
def test_gppo_differs_from_aepo_only_below_the_lower_bound(batch: Batch) -> None:
    settings = {"low": 0.2, "high": 0.28, "dual": 10.0}
    gppo = outcome(lambda *b: gradient_preserving_clip(*b, **settings), batch)
    aepo = outcome(lambda *b: balanced_clip(*b, **settings), batch)
    below = (batch.advantage < 0) & ((batch.logp - batch.old_logp).exp() < 0.8) & batch.mask.bool()
    assert torch.equal(gppo.terms.loss, aepo.terms.loss)
    assert torch.equal(gppo.gradient != aepo.gradient, below)


@quick
@given(batch=batches)
def test_ce_gppo_scales_the_clipped_parts_and_nothing_else(batch: Batch) -> None:
    gppo = outcome(gradient_preserving_clip, batch).terms
    scaled = outcome(lambda *b: gradient_preserving_clip(*b, low_scale=0.5, high_scale=0.25), batch).terms
    scale = 1 - 0.5 * gppo.clipped_low.double() - 0.75 * gppo.clipped_high.double()
    torch.testing.assert_close(scaled.factor, scale * gppo.factor, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(scaled.loss, scale * gppo.loss, rtol=1e-12, atol=1e-14)


@quick
@given(batch=batches)
def test_cispo_gives_every_token_a_bounded_gradient(batch: Batch) -> None:
    terms = outcome(lambda *b: cispo(*b, highest=1.28), batch).terms
    active = batch.mask.bool() & (batch.advantage != 0)
    assert bool((terms.factor[active] != 0).all())
    assert bool((terms.factor.abs() <= 1.28 * batch.advantage.abs()).all())


@quick
@given(batch=batches)
def test_without_clipped_rises_and_dual_clip_aepo_is_grpo(batch: Batch) -> None:
    rises = (batch.advantage > 0) & ((batch.logp - batch.old_logp).exp() > 1.2)
    batch = batch._replace(logp=torch.where(rises, batch.old_logp, batch.logp))
    grpo = outcome(lambda *b: clip(*b, dual=None), batch)
    aepo = outcome(lambda *b: balanced_clip(*b, dual=None), batch)
    assert torch.equal(aepo.loss, grpo.loss)
    assert torch.equal(aepo.gradient, grpo.gradient)


@pytest.mark.parametrize("name", [*ALL, "gspo"])
@quick
@given(batch=batches, mode=modes, seed=st.integers(0, 1000))
def test_order_padding_and_cuts_change_nothing(name: str, batch: Batch, mode: Aggregation, seed: int) -> None:
    """Rows shuffled, columns of padding added, the batch cut anywhere: the same loss and gradients."""
    loss = ALL.get(name, sequence_clip)
    whole = outcome(loss, batch, mode)
    weights = row_weights(mode, batch.mask.sum(-1), constant=10.0 if mode.endswith("constant") else None)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(batch.mask), generator=generator)
    cut = int(torch.randint(0, len(order) + 1, (), generator=generator))
    total, gradient = torch.zeros(()), torch.zeros_like(whole.gradient)
    for part in (order[:cut], order[cut:]):
        padded = Batch(*(torch.nn.functional.pad(f, (0, 3)) if f.dim() == 2 else f for f in batch.rows(part)))
        share = outcome(loss, padded, mode, weights[part])
        assert not share.gradient[:, batch.mask.shape[1] :].any()
        total = total + share.loss
        gradient[part] = share.gradient[:, : batch.mask.shape[1]]
    torch.testing.assert_close(total, whole.loss, rtol=1e-12, atol=1e-14, check_dtype=False)
    torch.testing.assert_close(gradient, whole.gradient, rtol=1e-12, atol=1e-14)
