"""Row weights: what each mode counts, and that they belong to the optimiser step, not to a micro-batch."""

from typing import get_args

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")

import torch

from algorithms.loss.aggregation import Aggregation, aggregate, row_weights

LENGTHS = torch.tensor([4, 0, 1, 5])
PARTS = torch.tensor([7, 7, 7, 3])


@pytest.mark.parametrize(
    ("mode", "settings", "expected"),
    [
        ("token-mean", {}, [1 / 10, 0, 1 / 10, 1 / 10]),
        ("sequence-mean-token-mean", {}, [1 / 12, 0, 1 / 3, 1 / 15]),
        ("sequence-mean-token-sum", {}, [1 / 3, 0, 1 / 3, 1 / 3]),
        ("sequence-mean-token-sum-constant", {"constant": 8}, [1 / 24, 0, 1 / 24, 1 / 24]),
        ("token-sum", {}, [1, 0, 1, 1]),
        ("group-mean-token-mean", {"parts": PARTS}, [1 / 10, 0, 1 / 10, 1 / 10]),
        ("part-token-mean", {"parts": PARTS}, [2 / 15, 0, 2 / 15, 1 / 15]),
    ],
)
def test_weights(mode: Aggregation, settings: dict[str, object], expected: list[float]) -> None:
    found = row_weights(mode, LENGTHS, **settings)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-15, atol=0)


def test_questions_without_a_trained_token_are_not_counted() -> None:
    lengths, groups = torch.tensor([2, 2, 0]), torch.tensor([0, 1, 2])
    assert row_weights("group-mean-token-mean", lengths, parts=groups).tolist() == [0.25, 0.25, 0]


def test_group_mean_weighs_questions_alike_whatever_their_lengths() -> None:
    lengths, groups = torch.tensor([2, 2, 8, 8]), torch.tensor([0, 0, 1, 1])
    weights = row_weights("group-mean-token-mean", lengths, parts=groups)
    assert (weights * lengths).tolist() == [0.25, 0.25, 0.25, 0.25]
    assert (row_weights("token-mean", lengths) * lengths).tolist() == [0.1, 0.1, 0.4, 0.4]


@pytest.mark.parametrize("mode", get_args(Aggregation))
def test_an_empty_step_weighs_nothing(mode: Aggregation) -> None:
    settings = {}
    if mode in ("group-mean-token-mean", "part-token-mean"):
        settings["parts"] = torch.tensor([0, 1])
    if mode == "sequence-mean-token-sum-constant":
        settings["constant"] = 8
    assert row_weights(mode, torch.tensor([0, 0]), **settings).tolist() == [0, 0]
    settings = {name: value[:0] if name == "parts" else value for name, value in settings.items()}
    assert row_weights(mode, LENGTHS[:0], **settings).shape == (0,)


def test_terms_outside_the_mask_are_not_read() -> None:
    terms = torch.tensor([[1.0, torch.nan], [2.0, torch.inf]], requires_grad=True)
    loss = aggregate(terms, torch.tensor([[1, 0], [1, 0]]), torch.tensor([0.5, 0.25], dtype=torch.float64))
    loss.backward()
    assert loss.item() == 1.0
    assert terms.grad is not None
    assert terms.grad.tolist() == [[0.5, 0], [0.25, 0]]


@pytest.mark.parametrize(
    ("mode", "lengths", "settings", "message"),
    [
        ("mean", LENGTHS, {}, "choose one of"),
        ("token-mean", LENGTHS.double(), {}, "whole numbers"),
        ("token-mean", -LENGTHS, {}, "whole numbers"),
        ("token-mean", LENGTHS, {"parts": PARTS}, "takes no parts"),
        ("part-token-mean", LENGTHS, {}, "needs one part per row"),
        ("part-token-mean", LENGTHS, {"parts": PARTS[:2]}, "needs one part per row"),
        ("sequence-mean-token-sum-constant", LENGTHS, {}, "longest response"),
        ("sequence-mean-token-sum-constant", LENGTHS, {"constant": 0}, "positive"),
        ("token-mean", LENGTHS, {"constant": 8}, "to no other"),
    ],
)
def test_wrong_calls_are_refused(mode: str, lengths: torch.Tensor, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row_weights(mode, lengths, **settings)


def test_weights_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected terms"):
        aggregate(torch.zeros(2, 3), torch.ones(2, 3), torch.ones(3))
