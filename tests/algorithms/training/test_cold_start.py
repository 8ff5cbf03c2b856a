"""The cold start is the same twice, learns what its weights say, and ends when it is enough; it is kept."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import json
import random
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional

from algorithms.policy.codec import ChatCodec
from algorithms.policy.loading import Policy
from algorithms.policy.tiny import tiny_model
from algorithms.rollout.faults import ToolsFailed
from algorithms.training import tiny_start as module
from algorithms.training.cold_start import ColdStart, ColdStartReport, ColdStartSettings, of_like_length, padded
from algorithms.training.demonstrations import Row, encoded
from algorithms.training.enough import Check, Enough
from algorithms.training.questions import make_environment
from algorithms.training.tiny_start import TinyStart, tiny_start
from tests.algorithms.training.small import SHAPE, WEB, demonstrations, silent, tokenizer, weights

BRIEF = ColdStartSettings(steps=3, questions=8, tokens=600, warmup=2)


def train(settings: ColdStartSettings, seed: int = 0) -> tuple[Any, list[ColdStartReport]]:
    model = tiny_model(len(tokenizer()), seed, SHAPE)
    cold = ColdStart(model, ChatCodec(tokenizer()), settings)
    return model, list(cold.train(lambda world: make_environment(WEB, "train", world)))


def test_two_runs_give_the_same_weights_bit_by_bit() -> None:
    (one, reports), (other, again) = train(BRIEF), train(BRIEF)
    assert torch.equal(weights(one), weights(other))
    assert reports == again
    assert [report.step for report in reports] == [1, 2, 3]
    assert not one.training
    ordered = train(replace(BRIEF, seed=1))[0]
    assert not torch.equal(weights(ordered), weights(one))


def test_the_loss_is_the_weighted_mean_over_tokens_of_each_row_alone() -> None:
    rows = [encoded(one, ChatCodec(tokenizer()), observation_weight=0.5) for one in demonstrations(0, 4)]
    model = tiny_model(len(tokenizer()), 0, SHAPE)
    total = weight = actions = count = 0.0
    for row in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row.tokens])).logits[0, :-1]
        losses = functional.cross_entropy(logits, torch.tensor(row.tokens[1:]), reduction="none")
        of_token = torch.tensor(row.weights[1:])
        total, weight = total + float((losses * of_token).sum()), weight + float(of_token.sum())
        actions, count = actions + float(losses[of_token == 1].sum()), count + float((of_token == 1).sum())
    action_loss, loss = ColdStart(model, ChatCodec(tokenizer()), BRIEF)._step(rows)
    assert loss == pytest.approx(total / weight, rel=1e-5)
    assert action_loss == pytest.approx(actions / count, rel=1e-5)


def test_the_learning_rate_rises_stays_and_ends_low() -> None:
    settings = ColdStartSettings(steps=100, warmup=10, learning_rate=1.0, cooldown=0.3)
    rates = [ColdStart(torch.nn.Linear(1, 1), None, settings)._learning_rate(step) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert set(rates[10:70]) == {1.0}
    assert all(later < earlier for earlier, later in pairwise(rates[71:]) if later > 0.05)
    assert rates[-1] == pytest.approx(0.05)
    assert min(rates[70:]) == pytest.approx(0.05)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_start_of_few_steps_ends_in_as_many(steps: int) -> None:
    assert len(train(replace(BRIEF, steps=steps, questions=2))[1]) == steps


@pytest.mark.parametrize("budget", [1, 50, 200, 10**6])
def test_rows_of_like_length_are_each_taken_once_within_the_budget(budget: int) -> None:
    source = random.Random(budget)
    rows = [Row([number] * source.randint(1, 60), []) for number in range(100)]
    batches = of_like_length(rows, budget)
    assert Counter(row.tokens[0] for batch in batches for row in batch) == Counter(range(100))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(len(row.tokens) for row in batch) <= budget
    if budget == 200:  # and no batch could take the next one's first row
        for batch, later in pairwise(batches):
            assert (len(batch) + 1) * len(later[0].tokens) > budget


def test_padding_carries_no_weight() -> None:
    ids, of_token = padded([Row([1, 2, 3], [0.0, 1.0, 0.5]), Row([4], [0.0])])
    assert ids.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert of_token.tolist() == [[0.0, 1.0, 0.5], [0.0, 0.0, 0.0]]


def test_an_oracle_that_solves_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algorithms.training.cold_start.transcripts", lambda env, indices: ([], len(indices)))
    with pytest.raises(ValueError, match="solved none of 8 questions of world 0"):
        train(BRIEF)


# ---------------------------------------------------------------------------------------------------------- tiny_start

START = TinyStart(WEB, vocabulary=320, tokenizer_worlds=1, tokenizer_questions=10, shape=SHAPE, training=BRIEF)


def test_a_start_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path))
    said: list[str] = []
    first = tiny_start("web", say=said.append, start=START)
    monkeypatch.setattr(module, "make_tiny", lambda *_: pytest.fail("made again"))
    again = tiny_start("web", say=said.append, start=START)
    assert torch.equal(weights(first.model), weights(again.model))
    assert first.tokenizer.get_vocab() == again.tokenizer.get_vocab()
    (folder,) = (tmp_path / "tiny").iterdir()
    assert said[-1] == f"cold start: taken from {folder}"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines] == [3]
    assert json.loads((folder / "settings.json").read_text("utf-8"))["training"]["steps"] == 3


def test_a_start_that_was_cut_short_leaves_nothing_and_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path))

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(ColdStart, "_step", interrupted)
            with pytest.raises(KeyboardInterrupt):
                tiny_start("web", say=silent, start=START)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert list((tmp_path / "tiny").iterdir()) == []
    tiny_start("web", say=silent, start=START)
    assert len(list((tmp_path / "tiny").iterdir())) == 1


def made(folder: Path, **changed: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """What making a start said and logged."""
    said: list[str] = []
    folder.mkdir()
    module.make_tiny(replace(START, **changed), folder, said.append)
    return said, [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


def test_a_start_ends_at_the_first_check_at_which_enough_is_solved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = {2: 0.1, 4: 0.19, 6: 0.2, 8: 0.9}
    monkeypatch.setattr(Check, "solved", lambda self, policy, step: shares.get(step))
    said, log = made(tmp_path / "start", training=replace(BRIEF, steps=10))
    assert [(line["step"], line["solved"]) for line in log] == [(2, 0.1), (4, 0.19), (6, 0.2)]
    assert "step 6," in said[-1]
    assert "solves 20.0 % of other training questions, 20 end it" in said[-1]
    assert (tmp_path / "start" / "model.safetensors").exists()


def test_a_start_that_never_solves_enough_takes_all_its_steps_and_says_so(tmp_path: Path) -> None:
    said, log = made(tmp_path / "start", enough=Enough(success=0.5, questions=3, after=1, every=2))
    assert [(line["step"], line["solved"]) for line in log] == [(1, 0.0), (3, 0.0)]
    assert said[-1] == "cold start: ended after all its steps, at 0.0 % of 50 % wanted"


def test_a_start_that_was_not_checked_is_not_said_to_have_missed_anything(tmp_path: Path) -> None:
    said, log = made(tmp_path / "start")
    assert [(line["step"], "solved" in line) for line in log] == [(3, False)]
    assert "wanted" not in "".join(said)


def test_checks_change_nothing_of_what_is_learned(tmp_path: Path) -> None:
    made(tmp_path / "checked", enough=Enough(success=1.1, questions=3, after=1, every=1))
    made(tmp_path / "unchecked")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("checked", "unchecked"))
    assert one == other


def test_a_check_while_tools_fail_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path))
    scores = SimpleNamespace(mean=0.5, lost=2)
    monkeypatch.setattr("algorithms.training.enough.success", lambda *_, **__: scores)
    with pytest.raises(ToolsFailed, match="at step 2: 2 of 3 episodes were lost"):
        tiny_start("web", say=silent, start=replace(START, enough=Enough(questions=3, after=2, every=1)))
    assert list((tmp_path / "tiny").iterdir()) == []


@pytest.mark.parametrize("environment", ["web", "search", "code"])
def test_every_environment_can_be_checked(environment: str) -> None:
    start = module.start_of(environment)
    policy = Policy(tiny_model(len(tokenizer()), 0, SHAPE), tokenizer())
    assert Check(Enough(questions=3, after=1, every=1), start.environment, seed=0).solved(policy, 1) == 0.0


def test_a_model_is_ready_to_be_asked_whenever_a_report_is_read() -> None:
    model = tiny_model(len(tokenizer()), 0, SHAPE)
    cold = ColdStart(model, ChatCodec(tokenizer()), BRIEF)
    for report in cold.train(lambda world: make_environment(WEB, "train", world)):
        assert not model.training
        if report.step == 2:
            break
    assert not model.training


def test_a_check_counts_solved_questions_of_a_world_that_nothing_else_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def success(policy: Any, env: Any, tasks: Any, sampling: Any, limits: Any, *, samples: int, seed: int) -> Any:
        seen.append((env.spec.kwargs["world_seed"], len(tasks), sampling.temperature, samples, seed))
        return SimpleNamespace(mean=0.25, lost=0)

    monkeypatch.setattr("algorithms.training.enough.success", success)
    check = Check(Enough(questions=5, after=3, every=2), WEB, seed=7)
    policy: Any = None
    assert [check.solved(policy, step) for step in range(1, 7)] == [None, None, 0.25, None, 0.25, None]
    assert seen == [(150_000, 5, 0.6, 1, 7)] * 2


def test_a_start_is_the_same_whatever_number_of_threads_the_run_has(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    states = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made(tmp_path / str(threads), training=replace(BRIEF, tokens=6_000))
            states.append((tmp_path / str(threads) / "model.safetensors").read_bytes())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert states[0] == states[1]


def test_whatever_decides_the_result_is_in_the_digest() -> None:
    others = (
        replace(START, vocabulary=321),
        replace(START, tokenizer_worlds=2),
        replace(START, environment=replace(WEB, name="search")),
        replace(START, shape=replace(SHAPE, inner=50)),
        replace(START, training=replace(BRIEF, seed=1)),
        replace(START, enough=Enough(success=0.3)),
        replace(START, enough=Enough(turn_tokens=32)),
    )
    assert len({one.digest() for one in (START, *others)}) == 8
    assert START.digest() == TinyStart(**{name: getattr(START, name) for name in START.__dataclass_fields__}).digest()
