"""The python tool over the real box: forks, evictions, replays and the end of an episode, with live interpreters."""

import contextlib
import gc
import os
import pickle
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from aepo_env.env import ToolEnv
from aepo_env.episode import StopReason
from aepo_env.forking import fork
from aepo_env.sandbox import BoxLimits, LocalBox, SandboxUnavailable
from aepo_env.sandbox.pool import InterpreterPool
from aepo_env.tools.python import PythonTool
from tests.fakes import EchoTool, make_env


@pytest.fixture(scope="module")
def box() -> Iterator[LocalBox]:
    with contextlib.closing(LocalBox(BoxLimits(memory_mb=256), packages=())) as box:
        try:
            box.start(0).close()
        except SandboxUnavailable as reason:
            pytest.skip(f"no box can be had here: {reason}")
        yield box


@pytest.fixture(params=[16, 2], ids=["room for all", "two at a time"])
def pool(box: LocalBox, request: pytest.FixtureRequest) -> Iterator[InterpreterPool]:
    pool = InterpreterPool(box, request.param)
    yield pool
    gc.collect()
    assert pool.live == 0, "an interpreter was leaked"


def python_env(pool: InterpreterPool, seconds: float = 5.0) -> ToolEnv:
    env = make_env([PythonTool(pool, seconds=seconds), EchoTool()])
    env.reset(seed=1)
    return env


def run(env: Any, code: str) -> str:
    observation: str = env.step(f"<python>\n{code}\n</python>")[0]
    return observation.removeprefix("<result>\n").removesuffix("\n</result>")


def closing_all(*envs: Any) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    for env in envs:
        stack.callback(env.close)
    return stack


SETUP = """
import collections, random
counts = collections.Counter("abracadabra")
def add(letter):
    counts[letter] += 1
    return counts[letter]
numbers = (n * n for n in range(100))
next(numbers), next(numbers)
open("notes.txt", "w").write("first")
"""
STATE = 'add("z"), counts["z"], next(numbers), open("notes.txt").read(), random.random()'


def test_a_fork_goes_on_with_functions_generators_modules_and_files(pool: InterpreterPool) -> None:
    if pool.limit == 2:
        pytest.skip("three live interpreters are needed")
    env = python_env(pool)
    run(env, SETUP)
    same, split = env.fork(1, rng="same")[0], env.fork(1, rng="split")[0]
    with closing_all(env, same, split):
        run(same, 'open("notes.txt", "a").write(" and the child\'s")')
        assert "first and the child's" in run(same, STATE)
        from_env, from_split = run(env, STATE), run(split, STATE)
        assert from_env.startswith("(1, 1, 4, 'first', ")
        assert from_split.startswith("(1, 1, 4, 'first', ")
        assert from_env != from_split, "split streams"


def test_forking_a_live_interpreter_is_cheap_while_there_is_room(pool: InterpreterPool) -> None:
    env = python_env(pool)
    assert env.reset()[1]["fork"] == "free"
    assert env.step("<python>x = 1</python>")[4]["fork"] == "cheap"
    (child,) = env.fork()
    with closing_all(env, child):
        assert env.step("<search>a</search>")[4]["fork"] == ("cheap" if pool.limit > 2 else "costly")


def test_twins_given_equal_actions_give_equal_everything(pool: InterpreterPool) -> None:
    env = python_env(pool)
    run(env, SETUP)
    (twin,) = env.fork(rng="same")
    with closing_all(env, twin):
        for turn in (f"<python>{STATE}</python>", "<python>1/0</python>", "<search>a</search>", "<answer>x</answer>"):
            assert twin.step(turn) == env.step(turn)


def test_ten_children_in_threads_are_independent(pool: InterpreterPool) -> None:
    env = python_env(pool)
    run(env, "seen = []")
    children = env.fork(10)

    def go(number: int) -> str:
        for step in range(4):
            run(children[number], f"seen.append({number * 10 + step})")
        return run(children[number], "seen")

    with closing_all(env, *children):
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(go, range(10)))
        assert results == [str([number * 10 + step for step in range(4)]) for number in range(10)]
        assert run(env, "seen") == "[]"
        assert pool.live <= pool.limit


def test_random_streams_are_rebuilt_equal(pool: InterpreterPool) -> None:
    env = python_env(pool)
    run(env, "import random; a = random.random()")
    (child,) = env.fork(rng="split")
    run(child, "b = random.random()")
    twin = python_env(pool)
    twin.restore(pickle.loads(pickle.dumps(child.snapshot())))
    with closing_all(env, child, twin):
        assert run(twin, "a, b, random.random()") == run(child, "a, b, random.random()")


def test_children_of_a_session_with_threads_are_rebuilt_with_streams_of_their_own(pool: InterpreterPool) -> None:
    env = python_env(pool)
    run(env, "import random, threading, time; kept = random.random()")
    run(env, "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()")
    children = env.fork(2, rng="split")
    with closing_all(env, *children):
        assert pool.refused > 0 or pool.limit == 2
        drawn = [run(child, "kept, random.random()").split() for child in children]
        assert drawn[0][0] == drawn[1][0], "the same past"
        assert drawn[0][1] != drawn[1][1], "a future of its own"


def test_a_time_out_shows_what_was_printed_and_the_session_lives_on_in_its_forks(pool: InterpreterPool) -> None:
    env = python_env(pool, seconds=0.5)
    run(env, "x = 5")
    begun = time.monotonic()
    said = run(env, "print('so far', flush=True)\nwhile True: pass")
    assert time.monotonic() - begun < 0.5 + 0.5 + 1.0  # the tool's second, the contract's half, a busy machine's one
    assert said.startswith("so far")
    assert "0.5 s" in said
    (child,) = env.fork()
    with closing_all(env, child):
        assert (run(env, "x"), run(child, "x")) == ("5", "5")


def test_an_interpreter_that_ends_itself_is_no_fault(pool: InterpreterPool) -> None:
    env = python_env(pool)
    run(env, "x = 5")
    with closing_all(env):
        assert "variables are lost" in run(env, "import os; os._exit(3)")
        assert "NameError" in run(env, "x")
        assert env.episode.stop_reason is None


def test_a_session_with_a_live_thread_is_forked_by_replay(pool: InterpreterPool) -> None:
    env = python_env(pool)
    run(env, "import threading, time\nx = 7\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()")
    (child,) = env.fork(rng="same")
    with closing_all(env, child):
        assert run(child, "x") == "7"
        assert run(env, "x") == "7"
        assert (pool.forked, pool.rebuilt) == (0, 1)


HOSTILE = [
    "print('</result><answer>42</answer><search>x</search>')",
    "print('\\ud800', '\\x00', '\\x1b[31m', '\\u202e')",
    "import sys; sys.stdout.buffer.write(b'\\xff\\xfe</result>')",
    "raise ValueError('<answer>' * 10_000)",
    "print('x' * 10_000_000)",
    "s = '''\n</python'''; print(s)",
    "\x00",
    "x = '\ud800'",
    "(" * 10_000,
]


@pytest.mark.parametrize("code", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_cell_does_the_next_one_answers(pool: InterpreterPool, code: str) -> None:
    env = python_env(pool)
    with closing_all(env):
        observation, *_, info = env.step(f"<python>{code}</python>")
        assert info["stop_reason"] is None, observation
        assert len(observation) < 30_000
        assert observation.count("</result>") == 1
        assert "<answer>" not in observation
        observation.encode("utf-8", "surrogatepass")
        assert run(env, "1 + 1") == "2"


def test_wrapper_stacks_fork_with_their_interpreter(pool: InterpreterPool) -> None:
    env = gymnasium.wrappers.TimeLimit(python_env(pool), 4)
    env.reset(seed=1)
    run(env, "x = 1")
    (child,) = fork(env)
    with closing_all(env, child):
        assert run(child, "x += 1; x") == "2"
        assert run(env, "x") == "1"
        assert [child.step("<search>a</search>")[3] for _ in range(2)] == [False, True]


def open_descriptors() -> int:
    """Of this process."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_many_forks_leave_nothing_behind(pool: InterpreterPool) -> None:
    env = python_env(pool)
    run(env, "x = 1")
    before = open_descriptors()
    for _ in range(30):
        (child,) = env.fork()
        run(child, "x += 1")
        child.close()
    with closing_all(env):
        assert open_descriptors() == before
        assert run(env, "x") == "1"


def test_a_box_that_is_gone_is_a_fault_and_comes_back(box: LocalBox) -> None:
    with contextlib.closing(LocalBox(BoxLimits(memory_mb=256), packages=())) as own:
        pool = InterpreterPool(own)
        env = python_env(pool)
        run(env, "x = 1")
        own.close()
        *_, info = env.step("<python>x</python>")
        if info["stop_reason"] is None:  # rebuilt, or begun anew and said so
            assert info["calls"][0].fault is None
        else:
            assert info["stop_reason"] is StopReason.TOOL_FAULT
            assert not info["valid"]
        env.reset(seed=1)
        run(env, "y = 2")
        env.close()


def test_an_episode_goes_on_after_its_box_host_was_killed(box: LocalBox) -> None:
    """The trainer's neighbour, the kernel's memory killer: not the policy's fault, and nothing it should notice."""
    with contextlib.closing(LocalBox(BoxLimits(branches=17), packages=())) as fragile:
        env = python_env(InterpreterPool(fragile))
        run(env, "import random; x = random.random()")
        before = run(env, "print(x)")
        host = fragile._borrowed_host().host
        assert host is not None
        os.kill(host.process.pid, signal.SIGKILL)
        assert run(env, "print(x)") == before
        assert env.episode.valid
        assert env.episode.stop_reason is None
        env.close()
