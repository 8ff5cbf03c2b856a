import pytest

pytest.importorskip("torch", reason="algorithms.policy needs the extra 'train'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.policy.sampling import Sampling, Stream, draw

GOLDEN = [0.7129197983359182, 0.8737784193043356, 0.9308213651567985]


def logits(seed: int, rows: int = 4, size: int = 12) -> torch.Tensor:
    return 3 * torch.randn(rows, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# -------------------------------------------------------------------------------------------------------------- streams


def test_a_stream_is_a_function_of_key_and_position_whatever_was_asked_before() -> None:
    key = (0, 1, "q", 2)
    in_order = [Stream(key).uniform(i) for i in range(200)]
    stream = Stream(key)
    assert [stream.uniform(i) for i in reversed(range(200))] == in_order[::-1]
    assert len(set(in_order)) == 200
    assert all(0 <= number < 1 for number in in_order)


def test_keys_that_read_alike_have_streams_of_their_own() -> None:
    keys = [(1, 2), (12,), ("1", 2), (1, "2"), (2, 1), (1, 2, 0), ("1, 2",), ()]
    assert len({Stream(key).uniform(0) for key in keys}) == len(keys)


def test_a_stream_gives_the_numbers_of_the_day_this_was_written() -> None:
    # In every process and release: otherwise stored runs could not be repeated.
    stream = Stream((7, "q", 3))
    assert [stream.uniform(i) for i in (0, 63, 64)] == GOLDEN


# -------------------------------------------------------------------------------------------------------------- drawing


@settings(deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from([0.3, 0.6, 1.0, 2.0]), st.integers(0, 13), st.sampled_from([0.2, 0.9, 1.0])
)
def test_an_even_grid_of_numbers_draws_each_token_as_often_as_its_probability_says(
    seed: int, temperature: float, top_k: int, top_p: float
) -> None:
    sampling, count = Sampling(temperature, top_k, top_p), 400
    row = logits(seed, rows=1)
    probs = torch.softmax(row[0] / temperature, -1)
    order = sorted(range(12), key=lambda token: -float(probs[token]))
    kept = order[: top_k or None]
    kept = [t for i, t in enumerate(kept) if sum(probs[kept[:i]]) < top_p * sum(probs[kept]) - 1e-12 or i == 0]
    expected = torch.zeros(12, dtype=torch.float64)
    expected[kept] = probs[kept] / probs[kept].sum()
    drawn = draw(row.expand(count, -1), [(i + 0.5) / count for i in range(count)], sampling)
    counts = torch.bincount(torch.tensor(drawn.tokens), minlength=12)
    assert (counts - count * expected).abs().max() <= 1 + 1e-6
    assert torch.allclose(torch.tensor(drawn.log_probs, dtype=torch.float64), expected.log()[drawn.tokens], atol=1e-11)
    entropy = -(expected[kept] * expected[kept].log()).sum()
    assert torch.allclose(torch.tensor(drawn.entropies, dtype=torch.float64), entropy, atol=1e-11)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.0), Sampling(0.5), Sampling(1.0, 3, 0.5)])
def test_the_models_own_distribution_is_reported_however_tokens_are_drawn(sampling: Sampling) -> None:
    rows = logits(1)
    drawn = draw(rows, [0.1, 0.4, 0.7, 0.99], sampling)
    own = torch.log_softmax(rows, -1)
    assert torch.allclose(
        torch.tensor(drawn.full_log_probs, dtype=torch.float64), own[torch.arange(4), drawn.tokens], atol=1e-12
    )
    assert torch.allclose(
        torch.tensor(drawn.full_entropies, dtype=torch.float64), -(own.exp() * own).sum(-1), atol=1e-12
    )


def test_greedy_takes_the_likeliest_with_certainty() -> None:
    rows = logits(2)
    drawn = draw(rows, [0.5] * 4, Sampling(temperature=0))
    assert drawn.tokens == rows.argmax(-1).tolist()
    assert (drawn.log_probs, drawn.entropies) == ([0.0] * 4, [0.0] * 4)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_a_token_without_probability_is_never_drawn(uniform: float) -> None:
    row = torch.full((1, 6), -1000.0)
    row[0, 2:4] = 0.0
    assert draw(row, [uniform], Sampling()).tokens == [2 if uniform == 0 else 3]


def test_rare_tokens_of_a_large_vocabulary_keep_their_share_in_float32() -> None:
    row = torch.zeros(1, 100_000)
    numbers = [1 - 1e-5 / 2, 0.5 + 5e-6, 5e-6]
    assert draw(row.expand(3, -1), numbers, Sampling()).tokens == [99_999, 50_000, 0]


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    rows, numbers = logits(3, rows=8), [i / 8 for i in range(8)]
    together = draw(rows, numbers, Sampling(0.7, 5, 0.9))
    for i in range(8):
        single = draw(rows[i : i + 1], numbers[i : i + 1], Sampling(0.7, 5, 0.9))
        assert (single.tokens[0], single.log_probs[0]) == (together.tokens[i], together.log_probs[i])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(value: float) -> None:
    rows = logits(1)
    rows[2, 3] = value
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        draw(rows, [0.5] * 4, Sampling())


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_k": -1}, {"top_p": 0}, {"top_p": 1.1}, {"temperature": float("nan")}]
)
def test_what_is_no_way_to_draw_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Expected temperature"):
        Sampling(**wrong)  # type: ignore[arg-type]
