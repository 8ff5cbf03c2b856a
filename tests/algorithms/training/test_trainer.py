"""The trainer: a run repeats itself bit by bit, goes on from its state, writes what it promises, and counts."""

import json
import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch
from torch import Tensor

import aepo_env
from algorithms.algorithm import KeepAll, LeafBatch
from algorithms.policy.learner import OptimiserSettings
from algorithms.training import trainer as module
from algorithms.training.measures import Interpreters, without_timings
from algorithms.training.questions import Questions, make_environment
from algorithms.training.run_directory import RunDirectory
from algorithms.training.trainer import Trainer
from tests.algorithms.training.small import SHORT, WEB, config, gone_on, policy, trainer, weights

PARTS = ("questions", "leaves", "reward", "reward_parts", "success", "dead_questions", "entropy", "rollout", "update")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, Trainer, list[str]]:
    """Two steps of AEPO between evaluations, with what was said."""
    wanted = config(evaluation=replace(config().evaluation, every=1))
    directory = RunDirectory.create(tmp_path_factory.mktemp("run"), wanted, "by hand")
    said: list[str] = []
    made = trainer(wanted, directory=directory, say=said.append)
    made.evaluate("before")
    made.train()
    made.close()
    return directory, made, said


def steps(wanted: Any, count: int = 2) -> tuple[list[Any], Tensor]:
    made = trainer(wanted)
    metrics = [without_timings(made.step()) for _ in range(count)]
    made.close()
    return metrics, weights(made.policy.model)


def test_the_same_config_gives_the_same_run_bit_by_bit(run: tuple[RunDirectory, Trainer, list[str]]) -> None:
    directory, made, _ = run
    before = weights(policy().model)
    metrics, after = steps(config())
    # Evaluations in between change nothing; neither does a folder.
    assert [without_timings(one) for one in directory.records("metrics.jsonl")] == json.loads(json.dumps(metrics))
    assert torch.equal(weights(made.policy.model), after)
    assert not torch.equal(before, after)
    assert sum(one["update"]["optimiser_steps"] for one in metrics) > 0
    other, moved = steps(config(seed=1))
    assert other != metrics
    assert not torch.equal(moved, after)


def test_a_schedule_that_cannot_be_repeated_says_so_and_trains() -> None:
    said: list[str] = []
    made = trainer(config(steps=1, schedule="arrival", tool_threads=2), say=said.append)
    made.train()
    made.close()
    assert made.done == 1
    assert [line for line in said if line.startswith("schedule arrival")] == said[:1]


def test_a_run_goes_on_from_its_state_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    wanted = config(environment=replace(SHORT, world_questions=6))  # a world ends within the second step
    whole, after = steps(wanted, 3)
    second, rest = gone_on(wanted, tmp_path, 2)
    assert rest == whole[1:]
    assert torch.equal(weights(second.policy.model), after)
    second.close()


def test_each_part_of_the_state_is_needed() -> None:
    made = trainer(config())
    made.step()
    state = deepcopy(made.state())
    metrics = without_timings(made.step())
    assert any(metrics["rollout"]["fork_probability_quartiles"])
    made.close()
    fresh = trainer(config()).state()
    for part in ("done", "cursor", "deviations", "learner"):
        assert state[part] != fresh[part], part


def test_metrics_are_plain_json_with_what_is_promised(run: tuple[RunDirectory, Trainer, list[str]]) -> None:
    directory, made, _ = run
    lines = (directory.path / "metrics.jsonl").read_text("utf-8").splitlines()

    def unwanted(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    records = [json.loads(line, parse_constant=unwanted) for line in lines]
    assert [record["step"] for record in records] == [1, 2]
    for record in records:
        assert set(PARTS) <= set(record)
        assert record["leaves"] == record["questions"] * 4 == 16
        assert record["unique_tokens"] < record["raw_tokens"]
        assert record["policy_tokens"] <= record["leaf_policy_tokens"] < record["raw_tokens"]
        # What the issue wants to be seen of AEPO's parts.
        assert sum(count for _, count in record["rollout"]["roots"]) == 4
        assert len(record["rollout"]["fork_probability_quartiles"]) == 3
        assert record["rollout"]["questions_forked"] <= 4
        assert (record["interpreters"]["started"] > 0) == ("python" in record["rollout"]["tool_calls"])
        assert "forked" in record["interpreters"]
        assert record["update"]["kept_gradient"] >= 0
        assert record["audit"]["tokens"] > 0
        assert record["audit"]["largest"] < 1e-3
        assert set(record["seconds"]) == {"rollout", "score", "update"}
        assert math.isclose(record["reward"], record["reward_parts"]["accuracy"], abs_tol=2.0)
    assert made.done == 2


def test_evaluations_are_written_with_their_step(run: tuple[RunDirectory, Trainer, list[str]]) -> None:
    directory, _, said = run
    found = directory.records("eval.jsonl")
    assert [(one["when"], one["step"], one["questions"]) for one in found] == [("before", 0, 6), ("step 1", 1, 6)]
    assert "sampled" in found[0]
    assert "sampled" not in found[1]  # in between, greedy alone
    assert len(found[0]["greedy"]["scores"]) == 6
    assert [line.split()[:2] for line in said if line.startswith("step")] == [["step", "1/2"], ["step", "2/2"]]


def test_the_first_batch_is_written_in_words(run: tuple[RunDirectory, Trainer, list[str]]) -> None:
    text = (run[0].path / "first_batch.txt").read_text("utf-8")
    assert text.count("--- web-train-200000-") == 16
    assert "⟦<think>" in text


def test_rewards_changed_about_change_the_advantages_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[LeafBatch, Tensor]] = []

    def watched(learner: Any, algorithm: Any, batch: LeafBatch, advantage: Tensor, *rest: Any) -> Any:
        seen.append((batch, advantage))
        return update(learner, algorithm, batch, advantage, *rest)

    update = module.update
    monkeypatch.setattr(module, "update", watched)
    made = [trainer(config(questions=6, shuffled_rewards=shuffled)) for shuffled in (False, True)]
    plain, shuffled = [without_timings(one.step()) for one in made]
    (batch, advantage), (other, changed) = seen
    assert sorted(batch.rewards.tolist()) == sorted(other.rewards.tolist())
    assert batch.rewards.tolist() != other.rewards.tolist()
    for name in ("mask", "unique", "old_log_probs", "entropies", "questions"):
        assert torch.equal(getattr(batch, name), getattr(other, name)), name
    assert not torch.equal(advantage, changed)
    assert torch.equal(changed, made[1].algorithm.advantages(other))
    of_update = {"update", "dead_questions"}
    assert {k: v for k, v in plain.items() if k not in of_update} == {
        k: v for k, v in shuffled.items() if k not in of_update
    }


class EveryOther(KeepAll):
    """Keeps every second question of a round, and asks until there are enough or rounds are over."""

    def __init__(self, rounds: int) -> None:
        object.__setattr__(self, "rounds", rounds)

    def keep(self, rewards: Tensor, questions: Tensor) -> Tensor:
        return questions % 2 == 0

    def asks_again(self, kept: int, wanted: int, rounds: int) -> bool:
        return kept < wanted and rounds < self.rounds  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(("rounds", "kept", "grown"), [(10, 4, 7), (2, 3, 6), (1, 2, 4)])
def test_a_filter_that_drops_questions_gets_others(rounds: int, kept: int, grown: int) -> None:
    made = trainer(config(algorithm="grpo"))
    made.algorithm = replace(made.algorithm, filter=EveryOther(rounds))
    metrics = made.step()
    # Rounds ask for 4, then 2, then 1 more.
    assert (metrics["questions"], metrics["grown_questions"]) == (kept, grown)
    assert metrics["rounds"] == min(rounds, 3)
    assert metrics["leaves"] == 4 * kept
    assert metrics["rollout"]["leaves"] == 4 * grown  # reports tell of all that was done
    assert made.questions.cursor == grown
    assert len(set(ids_of(made))) == grown
    made.close()


def ids_of(made: Trainer) -> list[str]:
    return [task.id for task in Questions(made.config.environment, made.config.seed).next(made.questions.cursor)[1]]


def test_a_filter_that_drops_everything_trains_on_what_there_is() -> None:
    class Nothing(EveryOther):
        def keep(self, rewards: Tensor, questions: Tensor) -> Tensor:
            return torch.zeros_like(questions, dtype=torch.bool)

    made = trainer(config(algorithm="grpo"))
    made.algorithm = replace(made.algorithm, filter=Nothing(2))
    metrics = made.step()
    assert (metrics["questions"], metrics["rounds"]) == (8, 2)
    made.close()


def test_the_learning_rate_falls_over_the_last_share_of_a_run_and_embeddings_may_stay() -> None:
    optimiser = OptimiserSettings(lr=1e-3, warmup_steps=2, train_embeddings=False)
    made = trainer(config(questions=6, optimiser=optimiser, cooldown=0.5, steps=10))
    rates = [made.learner.settings.rate(step, made.learner.falling) / 1e-3 for step in range(20)]  # two updates a step
    assert rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[9:13] == pytest.approx([1.0, 1.0, 0.9, 0.8])
    assert rates[-1] == pytest.approx(0.1)
    before = deepcopy(made.policy.model.state_dict())
    assert made.step()["update"]["optimiser_steps"] > 0
    moved = {name for name, value in made.policy.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not moved & {"model.embed_tokens.weight", "lm_head.weight"}
    made.close()


def test_interpreters_are_counted_from_when_they_are_watched() -> None:
    env = make_environment(WEB, "train", 0)
    inner = env.unwrapped
    (python,) = [tool for tool in inner.rules.tools if tool.name == "python"]
    counted = Interpreters()
    counted.watch(inner.rules.tools)
    counted.watch(inner.rules.tools)
    nothing = dict.fromkeys(("started", "forked", "rebuilt", "refused", "evicted", "ended", "stopped"), 0)
    assert counted.since_last() == nothing
    env.reset(seed=0)
    observation, *_ = env.step("<python>x = 20; print(x + 1)</python>")
    if "21" not in observation:
        pytest.skip(f"no box can be had here: {observation}")
    (branch,) = aepo_env.fork(env)
    assert "22" in branch.step("<python>print(x + 2)</python>")[0]
    assert counted.since_last() == nothing | {"started": 1, "forked": 1}
    assert counted.since_last() == nothing
    assert python.pool.started >= 1
    late = Interpreters()
    late.watch([python])
    assert late.since_last() == nothing  # what was before does not count
    branch.close()
    env.close()


def test_interpreters_of_an_evaluation_are_not_those_of_the_next_step() -> None:
    wanted = config(algorithm="grpo", settings={"rollout.budget": 1}, questions=1)
    made, other = trainer(wanted), trainer(wanted)
    counted = []
    for one in (made, other):
        one.step()
        if one is other:
            env = make_environment(WEB, "dev", 0)
            env.reset(seed=0)
            env.step("<python>print(1)</python>")
            env.close()
        counted.append(one.step()["interpreters"])
        one.close()
    assert counted[0] == counted[1]


def test_timings_are_left_out_at_any_depth() -> None:
    record = {"a": 1, "seconds": 2.0, "b": [{"seconds": {"c": 1}, "d": [1, {"seconds": 3}]}]}
    assert without_timings(record) == {"a": 1, "b": [{"d": [1, {}]}]}


def test_a_batch_that_was_lost_to_faults_altogether_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    grow = module.grow

    def lost(*given: Any, **named: Any) -> Any:
        grown = grow(*given, **named)
        for tree in grown.trees:
            tree.leaves.clear()
        return grown

    monkeypatch.setattr(module, "grow", lost)
    made = trainer(config())
    with pytest.raises(RuntimeError, match="All trajectories of step 1 were lost"):
        made.step()
    assert made.done == 0
    made.close()
