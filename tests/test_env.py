import json
import os
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

from aepo_env.env import ToolEnv
from aepo_env.episode import Limits, StopReason
from aepo_env.tasks import Task
from tests.fakes import (
    TASKS,
    CounterTool,
    EchoTool,
    HoldingTool,
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
    message = {"role": "tool", "name": "search", "tool_call_id": "1.1", "content": "a b"}
    assert info["messages"] == (message,)
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
        {"task": {"question": "Who?", "answers": [3]}},
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


def test_an_anchor_is_the_situation_and_not_the_way_there() -> None:
    env = make_env()
    env.reset(seed=1, options={"task": 0})
    start = env.anchor()
    env.step("<search>same</search>")
    here = env.anchor()
    env.step("<search>other</search>")
    elsewhere = env.anchor()
    env.step("<think>a detour</think><search>same</search>")
    assert env.anchor() == here
    assert len({start, here, elsewhere}) == 3
    env.reset(seed=1, options={"task": 1})
    assert env.anchor() != start
