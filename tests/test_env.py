import copy
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from aepo_env.env import Snapshot, ToolEnv
from aepo_env.episode import Limits, StopReason
from aepo_env.errors import ForkNotSupported
from aepo_env.tasks import Task
from tests.fakes import (
    TASKS,
    CounterTool,
    EchoTool,
    FaultyTool,
    HoldingTool,
    UnforkableTool,
    exact_match,
    make_env,
)

TURNS = ("<search>one</search>", "<count>x</count>", "hm", "<count>y</count><search>two</search>", "<answer>4</answer>")


def counting_env(**limits: Any) -> ToolEnv:
    return make_env([EchoTool(), CounterTool()], **limits)


def transcript(env: ToolEnv, turns: tuple[str, ...] = TURNS) -> list[Any]:
    """All that steps give, from where `env` stands."""
    steps = []
    for turn in turns:
        steps.append(env.step(turn))
        if steps[-1][2] or steps[-1][3]:
            break
    return steps


def started(env: ToolEnv, *turns: str, seed: int = 7) -> ToolEnv:
    env.reset(seed=seed)
    for turn in turns:
        env.step(turn)
    return env


# ------------------------------------------------------------------------------------------------ gymnasium's contract


def test_a_whole_episode() -> None:
    env = counting_env()
    observation, info = env.reset(options={"task": 3})
    assert observation == "What is 3 and 3?"
    assert (info["turn"], info["task_id"], info["stop_reason"], info["rewards"]) == (0, "task-3", None, {})
    assert [message["role"] for message in info["messages"]] == ["system", "user"]

    observation, reward, terminated, truncated, info = env.step("<think>t</think><search>a b</search>")
    assert observation == "<result>\na b\n</result>"
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["messages"] == ({"role": "tool", "name": "search", "content": "a b"},)
    assert info["spans"] == (("search", 16, 36),)
    assert info["left"]["tool_calls"] == Limits().tool_calls - 1

    observation, reward, terminated, truncated, info = env.step("so <answer>\\boxed{6}</answer>")
    assert (observation, reward, terminated, truncated) == ("", 1.0, True, False)
    assert (info["answer"], info["stop_reason"], info["valid"]) == ("6", StopReason.ANSWERED, True)
    assert info["rewards"] == {"exact_match": 1.0, "total": 1.0}
    assert info["spans"] == (("answer", 3, 29),)


def test_a_wrong_answer_terminates_without_a_reward() -> None:
    _, reward, terminated, truncated, info = started(make_env()).step("<answer>no</answer>")
    assert (reward, terminated, truncated, info["valid"]) == (0.0, True, False, True)


def test_stepping_before_reset_after_the_end_and_after_close_is_an_error() -> None:
    env = make_env()
    for misuse in (lambda: env.step("x"), lambda: env.episode, env.fork, env.snapshot):
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            misuse()
    started(env, "<answer>x</answer>")
    with pytest.raises(gymnasium.error.ResetNeeded, match="answered"):
        env.step("x")
    env.reset()
    env.close()
    env.close()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("x")
    env.reset()


@pytest.mark.parametrize("action", [None, 3, b"<answer>x</answer>", ["a"]])
def test_an_action_that_is_no_text_is_an_error_and_changes_nothing(action: Any) -> None:
    env = started(make_env())
    with pytest.raises(TypeError, match="policy's text"):
        env.step(action)
    assert env.episode.turns == ()


def test_a_numpy_string_is_a_text() -> None:
    *_, info = started(make_env()).step(np.str_("<answer>x</answer>"))
    assert info["answer"] == "x"


def test_render_gives_the_transcript_where_asked_for() -> None:
    env = ToolEnv(TASKS, [EchoTool()], exact_match, render_mode="ansi")
    started(env, "<search>a</search>")
    assert env.render() == env.episode.task.question + "\n\n<search>a</search><result>\na\n</result>"
    assert started(make_env()).render() is None
    with pytest.raises(ValueError, match="render_mode"):
        ToolEnv(TASKS, [EchoTool()], exact_match, render_mode="human")


def test_every_observation_lies_in_the_space_however_it_grows() -> None:
    env = make_env(observation_characters=400_000, characters=10**8)
    env.reset(seed=1)
    observation, *_ = env.step(f"<search>{'<think' * 66_000}</search>")
    assert len(observation) > 500_000
    assert observation in env.observation_space


# ----------------------------------------------------------------------------------------------------- choosing a task


def test_a_task_is_picked_by_index_id_or_brought_along() -> None:
    env = make_env()
    assert env.reset(options={"task": 5})[1]["task_id"] == "task-5"
    assert env.reset(options={"task": np.int64(6)})[1]["task_id"] == "task-6"
    assert env.reset(options={"task": "task-7"})[1]["task_id"] == "task-7"
    own = Task("own", "Why?", ("because",))
    assert env.reset(options={"task": own})[0] == "Why?"
    env.reset(options={"task": {"question": "Who?", "answers": ["me"]}})
    assert env.episode.task == Task("given", "Who?", ("me",))


@pytest.mark.parametrize(
    "options",
    [
        {"task": 20},
        {"task": -1},
        {"task": "nobody"},
        {"task": 1.5},
        {"task": True},
        {"task": {"question": "Who?"}},
        {"task": {"question": "Who?", "answers": "me"}},
        {"task": {"question": "Who?", "answers": 3}},
        {"task": {"question": "Who?", "answers": ["me"], "colour": "red"}},
        {"taks": 3},
    ],
)
def test_bad_options_are_errors_and_the_running_episode_goes_on(options: dict[str, Any]) -> None:
    env, twin = started(counting_env(), TURNS[0]), started(counting_env(), TURNS[0])
    with pytest.raises((ValueError, TypeError)):
        env.reset(options=options)
    assert transcript(env, TURNS[1:]) == transcript(twin, TURNS[1:])
    assert env.reset() == twin.reset(), "not even the stream of tasks has moved"


def test_a_tool_that_cannot_start_leaves_the_running_episode_whole() -> None:
    tool = HoldingTool()
    env = started(make_env([tool]))
    tool.fail_to_start = True
    with pytest.raises(RuntimeError):
        env.reset()
    env.step("<hold>x</hold>")
    env.close()
    assert tool.open == 0


class EndlessTasks(Sequence[Task]):
    """Makes its tasks one by one; going through all of them would take for ever."""

    made = 0

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: Any) -> Any:
        self.made += 1
        return Task(f"task-{index}", f"What is {index}?", (str(index),))


def test_looking_an_id_up_in_an_endless_task_set_ends() -> None:
    tasks = EndlessTasks()
    env = make_env(tasks=tasks)
    assert env.reset(seed=1, options={"task": "task-7"})[1]["task_id"] == "task-7"
    with pytest.raises(ValueError, match="give its index"):
        env.reset(options={"task": "nobody"})
    assert tasks.made < 20_000
    assert env.reset(options={"task": 2**61})[1]["task_id"] == f"task-{2**61}"


def test_an_empty_task_set_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one task"):
        make_env(tasks=[])


# --------------------------------------------------------------------------------------------- seeds and reproduction


def test_equal_seeds_give_equal_episodes_and_other_seeds_others() -> None:
    def episode(seed: int) -> Any:
        env = counting_env()
        return [env.reset(seed=seed), *transcript(env)]

    assert episode(3) == episode(3)
    assert len({str(episode(seed)) for seed in range(5)}) == 5


def test_naming_a_task_shifts_nothing_that_comes_later() -> None:
    env, twin = counting_env(), counting_env()
    env.reset(seed=3)
    twin.reset(seed=3, options={"task": 0})
    assert env.reset() == twin.reset()


SCRIPT = """
    import json
    from tests.fakes import CounterTool, EchoTool, make_env
    env = make_env([EchoTool(), CounterTool()])
    seen = []
    for number in range(3):
        seen.append(env.reset(seed=5 if number == 0 else None))
        for turn in {turns!r}:
            seen.append(env.step(turn))
        seen.append(env.snapshot().episode.seed)
    env.reset()
    children = [*env.fork(2), *env.fork(1)[0].fork(2)]
    seen.append([child.step("<count>x</count>") for child in children])
    seen.append([child.reset() for child in children])
    print(json.dumps(seen, default=str))
"""


def test_equal_seeds_give_equal_transcripts_in_two_processes() -> None:
    script = textwrap.dedent(SCRIPT).format(turns=TURNS)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert len(json.loads(outputs[0])) == 3 * (2 + len(TURNS)) + 2


def test_the_tenth_episode_of_a_reused_environment_starts_as_its_first() -> None:
    env = counting_env()
    first = env.reset(seed=3, options={"task": 4})
    for _ in range(9):
        transcript(env)
        again = env.reset(seed=3, options={"task": 4})
    assert again == first


def test_two_environments_interleaved_in_two_threads_equal_the_same_one_after_another() -> None:
    def run(env: ToolEnv, seed: int, pause: threading.Barrier | None) -> list[Any]:
        seen: list[Any] = [env.reset(seed=seed)]
        for turn in TURNS:
            if pause is not None:
                pause.wait(timeout=10)
            seen.append(env.step(turn))
        return seen

    echo, count = EchoTool(), CounterTool()
    alone = [run(make_env([echo, count]), seed, None) for seed in (1, 2)]
    pause = threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda seed: run(make_env([echo, count]), seed, pause), (1, 2)))
    assert together == alone


def test_nothing_in_info_depends_on_the_clock() -> None:
    slow, quick = counting_env(), counting_env()
    assert slow.reset(seed=1) == quick.reset(seed=1)
    for turn in TURNS:
        slow._episode = slow.episode._replace(spent=slow.episode.spent._replace(seconds=123.0))
        assert slow.step(turn) == quick.step(turn)


# --------------------------------------------------------------------------------------------------------------- forks


@pytest.mark.parametrize("at", range(len(TURNS)))
def test_twins_given_equal_actions_give_equal_everything(at: int) -> None:
    env = started(counting_env(), *TURNS[:at])
    twin = env.fork(rng="same")[0]
    assert transcript(twin, TURNS[at:]) == transcript(env, TURNS[at:])
    assert twin.reset() == env.reset(), "and so does what comes after the episode"


def test_a_parent_is_unchanged_by_anything_done_to_a_child() -> None:
    env, untouched = started(counting_env(), *TURNS[:2]), started(counting_env(), *TURNS[:2])
    env.action_space.seed(1)
    untouched.action_space.seed(1)
    before = env.episode
    for rng in ("same", "split"):
        (child,) = env.fork(rng=rng)  # type: ignore[arg-type]
        *_, info = transcript(child, TURNS[2:])[-1]
        info["rewards"]["total"] = 99.0
        info["left"].clear()
        child.action_space.sample()
        child.action_space.seed(3)
        child.observation_space.sample()
        child.np_random.random()
        child.reset(seed=99)
        child.close()
    assert env.episode is before
    assert env.action_space.sample() == untouched.action_space.sample()
    assert transcript(env, TURNS[2:]) == transcript(untouched, TURNS[2:])
    assert env.reset() == untouched.reset()


def test_a_child_is_unchanged_by_anything_done_to_its_parent() -> None:
    env, untouched = started(counting_env(), *TURNS[:2]), started(counting_env(), *TURNS[:2])
    (child,) = env.fork(rng="same")
    transcript(env, TURNS[2:])
    env.reset(seed=5)
    env.close()
    assert transcript(child, TURNS[2:]) == transcript(untouched, TURNS[2:])


def test_an_info_that_is_changed_by_its_reader_changes_no_record() -> None:
    env = started(make_env())
    *_, info = env.step("<answer>x</answer>")
    info["rewards"]["total"] = 5.0
    assert env.episode.rewards == {"exact_match": 0.0, "total": 0.0}


def test_forking_does_not_disturb_the_parents_own_future() -> None:
    env, untouched = started(counting_env(), TURNS[0]), started(counting_env(), TURNS[0])
    env.fork(3)
    env.fork(1)[0].fork(2)
    copy.deepcopy(env)
    env.snapshot().release()
    assert transcript(env, TURNS[1:]) == transcript(untouched, TURNS[1:])
    assert [env.reset() for _ in range(3)] == [untouched.reset() for _ in range(3)]


def test_split_forks_and_their_forks_draw_on_streams_of_their_own() -> None:
    env = started(counting_env(), "<count>x</count>")
    family = [*env.fork(3), *env.fork(2)]
    family += [grandchild for child in family[:2] for grandchild in child.fork(2)]
    env.step("<count>x</count>")
    family += [env, *env.fork(1)]
    drawn = [member.step("<count>x</count>")[0].split("drawn")[1] for member in family]
    assert len(set(drawn)) == len(family)
    assert len({str(member.np_random.random()) for member in family}) == len(family)
    assert len({member.episode.lineage for member in family}) == len(family)


def test_same_forks_and_their_forks_repeat_the_parents_streams() -> None:
    env = started(counting_env(), "<count>x</count>")
    family = [env, *env.fork(2, rng="same")]
    family += family[1].fork(2, rng="same")
    assert len({member.step("<count>x</count>")[0] for member in family}) == 1
    assert len({str(member.np_random.random()) for member in family}) == 1


def test_a_split_child_does_not_claim_its_parents_seed() -> None:
    env = started(counting_env(), seed=7)
    same, split = env.fork(rng="same")[0], env.fork(rng="split")[0]
    assert (env.np_random_seed, same.np_random_seed, split.np_random_seed) == (7, 7, -1)


def test_ten_children_in_threads_are_independent() -> None:
    env = started(counting_env(), *TURNS[:2])
    alone = [transcript(child, TURNS[2:]) for child in env.fork(10)]
    again = started(counting_env(), *TURNS[:2])
    with ThreadPoolExecutor(10) as threads:
        together = list(threads.map(lambda child: transcript(child, TURNS[2:]), again.fork(10)))
    assert together == alone
    assert len(env.episode.turns) == 2


def test_budgets_are_copied_to_the_child() -> None:
    env = started(make_env(tool_calls=2, turns=4), "<search>a</search>")
    (child,) = env.fork()
    child.step("<search>b</search>")
    assert child.step("<search>c</search>")[4]["stop_reason"] == StopReason.MAX_TOOL_CALLS
    assert env.step("<search>b</search>")[4]["left"] == {"turns": 2, "tool_calls": 0, **_left_of_text(env)}


def _left_of_text(env: ToolEnv) -> dict[str, int]:
    limits, spent = env.rules.limits, env.episode.spent
    return {"characters": limits.characters - spent.characters, "malformed": limits.malformed - spent.malformed}


def test_time_spent_is_copied_to_the_child() -> None:
    env = started(make_env(episode_seconds=100))
    env._episode = env.episode._replace(spent=env.episode.spent._replace(seconds=99.9999))
    (child,) = env.fork()
    assert child.step("<search>" + "a" * 10 + "</search>")[4]["left"]["tool_calls"] == 11
    child._episode = child.episode._replace(spent=child.episode.spent._replace(seconds=101.0))
    assert child.fork()[0].step("<search>a</search>")[4]["stop_reason"] == StopReason.DEADLINE


def test_a_deep_copy_is_a_fork() -> None:
    env = started(counting_env(), *TURNS[:2])
    twin = copy.deepcopy(env)
    assert twin.rules is env.rules
    assert transcript(twin, TURNS[2:]) == transcript(env, TURNS[2:])


def test_a_deep_copy_outside_an_episode_shares_no_generator() -> None:
    env = started(counting_env())
    env.close()
    twin = copy.deepcopy(env)
    expected = twin.reset()
    assert env.reset() == expected
    copy.deepcopy(make_env()).reset(seed=1)


def test_a_pickled_environment_goes_on() -> None:
    env = started(counting_env(), *TURNS[:2])
    twin = pickle.loads(pickle.dumps(env))
    assert transcript(twin, TURNS[2:]) == transcript(env, TURNS[2:])


def test_a_tool_that_cannot_be_forked_is_refused_by_name() -> None:
    env = started(make_env([EchoTool(), UnforkableTool()]), "<browser>x</browser>")
    for attempt in (env.fork, env.snapshot, lambda: copy.deepcopy(env)):
        with pytest.raises(ForkNotSupported, match="browser"):
            attempt()
    env.step("<browser>x</browser>")


@pytest.mark.parametrize("wrong", [{"rng": "other"}, {"n": -1}, {"n": 1.5}])
def test_bad_arguments_of_fork(wrong: dict[str, Any]) -> None:
    env = started(make_env())
    with pytest.raises(ValueError, match="must be"):
        env.fork(**wrong)
    assert env.fork(0) == []


def test_handles_are_given_back_exactly_once() -> None:
    tool = HoldingTool()
    env = started(make_env([tool]))
    children = env.fork(3)
    with env.snapshot() as moment:
        children[0].restore(moment)
        children[0].restore(moment)
        assert tool.open == 5
    moment.release()
    assert tool.open == 4
    for child in children:
        child.close()
        child.close()
    env.reset()
    assert tool.open == 1
    env.close()
    assert tool.open == 0


def test_a_fork_that_fails_half_way_leaves_nothing_behind() -> None:
    first, second = HoldingTool("first"), HoldingTool("second", refuse_after=2)
    env = started(make_env([first, second]))
    with pytest.raises(RuntimeError):
        env.fork(5)
    assert (first.open, second.open) == (1, 1)
    with pytest.raises(RuntimeError):
        env.snapshot()
    assert (first.open, second.open) == (1, 1)
    env.step("<first>x</first>")


# ----------------------------------------------------------------------------------------------- snapshot and restore


def test_restoring_rewinds_as_often_as_wanted() -> None:
    env = started(counting_env(), *TURNS[:2])
    moment = env.snapshot()
    first = [*transcript(env, TURNS[2:]), env.reset(), env.np_random_seed]
    for _ in range(3):
        env.restore(moment)
        assert [*transcript(env, TURNS[2:]), env.reset(), env.np_random_seed] == first


def test_a_snapshot_survives_pickling_and_another_environment() -> None:
    env = started(counting_env(), *TURNS[:2])
    moment: Snapshot = pickle.loads(pickle.dumps(env.snapshot()))
    twin = counting_env()
    twin.restore(moment)
    assert transcript(twin, TURNS[2:]) == transcript(env, TURNS[2:])
    assert twin.reset() == env.reset()
    moment.release()


def test_a_snapshot_remembers_how_many_forks_there_were() -> None:
    """Else the first fork after restoring would draw the very numbers of the first fork before."""
    env = started(counting_env(), TURNS[0])
    (before,) = env.fork()
    moment = env.snapshot()
    env.restore(moment)
    (after,) = env.fork()
    assert before.episode.lineage != after.episode.lineage
    assert before.step("<count>x</count>")[0] != after.step("<count>x</count>")[0]


def test_a_snapshot_of_an_ended_episode_restores_its_end() -> None:
    env = started(make_env(), "<answer>x</answer>")
    moment = env.snapshot()
    env.reset()
    env.restore(moment)
    with pytest.raises(gymnasium.error.ResetNeeded, match="answered"):
        env.step("x")


def test_a_snapshot_of_other_tools_is_refused_and_the_episode_goes_on() -> None:
    moment = started(make_env([EchoTool(), CounterTool()])).snapshot()
    env = started(make_env([CounterTool(), EchoTool()]))
    with pytest.raises(ValueError, match="same arguments"):
        env.restore(moment)
    env.step("<count>x</count>")


def test_a_restore_that_fails_leaves_the_episode_whole() -> None:
    tool = HoldingTool(refuse_after=1)
    env = started(make_env([tool]))
    moment = env.snapshot()
    with pytest.raises(RuntimeError):
        env.restore(moment)
    env.step("<hold>x</hold>")
    env.close()
    moment.release()
    assert tool.open == 0


def test_faults_do_not_end_the_parent() -> None:
    tool = FaultyTool(["fine", RuntimeError("down")])
    env = started(make_env([tool]), "<search>a</search>")
    (child,) = env.fork()
    assert child.step("<search>b</search>")[4]["stop_reason"] == StopReason.TOOL_FAULT
    assert env.episode.stop_reason is None
