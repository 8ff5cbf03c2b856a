"""Tools dead for a whole run: training goes on or stops with a sentence, says what fails, and leaves nothing."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

import torch

from aepo_env.sandbox import CellResult, Interpreter, LocalBox, SandboxUnavailable
from aepo_env.sandbox.pool import InterpreterPool
from aepo_env.search.engine import SearchTimedOut
from aepo_env.tools.python import PythonTool
from aepo_env.tools.search import SearchTool
from aepo_env.tools.tool import CallContext, Fault, Tool, ToolResult
from algorithms.commands.going import go_on
from algorithms.commands.lines import Stopped
from algorithms.names import NAMES
from algorithms.rollout import playing
from algorithms.rollout.faults import ToolsFailed
from algorithms.training import course, questions, trainer
from algorithms.training.known import suited
from algorithms.training.run_directory import RunDirectory
from tests.algorithms.training import small
from tests.algorithms.training.small import WEB, config, policy, weights
from tests.fakes import FakeSandbox, FaultyTool, SlowTool

MAIN = ("aepo", "grpo", "gigpo")  # forks by entropy; no forks; states of steps
# Warm, so that some trajectories answer without a search.
LIVELY: dict[str, Any] = {"questions": 8, "temperature": 1.0, "steps": 3, "environment": WEB}

Change = Callable[[Tool], Tool]


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """From now on all environments of runs have other tools."""

    def change(to: Change, **limits: float) -> None:
        def made(*given: Any) -> Any:
            env = make(*given)
            rules = env.unwrapped.rules
            rules.tools = tuple(to(tool) for tool in rules.tools)
            rules.limits = replace(rules.limits, **limits)
            return env

        make = questions.make_environment
        for module in (questions, trainer):
            monkeypatch.setattr(module, "make_environment", made)

    return change


def only(name: str, dead: Tool) -> Change:
    return lambda tool: dead if tool.name == name else tool


def run(algorithm: str, **given: Any) -> tuple[list[dict[str, Any]], list[str], torch.Tensor]:
    """Metrics, what was said, final weights. A ToolsFailed goes up."""
    said: list[str] = []
    wanted = config(algorithm=algorithm, **{**LIVELY, **given})
    wanted = replace(wanted, settings=suited(algorithm, wanted.settings))
    made = small.trainer(wanted, say=said.append)
    try:
        metrics = [made.step() for _ in range(made.config.steps)]
    finally:
        made.close()
    json.dumps(metrics)
    return metrics, said, weights(made.policy.model)


def failing(metrics: Sequence[dict[str, Any]], tool: str) -> tuple[int, int]:
    """Failed calls, and all."""
    rollouts = [one["rollout"] for one in metrics]
    counts = [sum(one["faults"].get(tool, {"kinds": {}})["kinds"].values()) for one in rollouts]
    return sum(counts), sum(one["tool_calls"].get(tool, 0) for one in rollouts)


def processes() -> set[int]:
    """All live processes that this one started, at any depth."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rsplit(") ", 1)[1].split()[:2]
            parents[int(folder.name)] = int(parent) if state not in "ZX" else 0
    found, new = set(), {os.getpid()}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= new
    return found


def gone(before: set[int]) -> bool:
    """Whether there are soon no more processes than before."""
    end = time.monotonic() + 3
    while processes() - before and time.monotonic() < end:
        time.sleep(0.02)
    return processes() <= before


# ----------------------------------------------------------------------------------------------------------- search


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_raises_at_every_call(name: str, changed: Callable[[Change], None]) -> None:
    changed(only("search", FaultyTool([RuntimeError("no network\x1b[31m")])))
    metrics, said, after = run(name, steps=3 if name in MAIN else 1)
    failed, called = failing(metrics, "search")
    assert failed == called > 20
    assert all(one["rollout"]["faults"]["search"]["kinds"].keys() == {"exception"} for one in metrics)
    (warning,) = [line for line in said if "calls of the tool 'search' failed" in line]
    assert "RuntimeError: no network[31m" in warning  # cleaned: a fault's words are somebody else's
    assert "left out" in warning
    assert any("trajectories were lost to faults" in line for line in said)
    assert torch.isfinite(after).all()
    for one in metrics:
        assert one["rollout"]["dropped"] > 0
        assert 0 < one["questions"] <= one["grown_questions"] - one["lost_questions"]


@pytest.mark.parametrize("name", MAIN)
def test_a_search_that_is_never_answered_keeps_its_deadlines(name: str, changed: Any) -> None:
    changed(only("search", SlowTool(60.0)), call_seconds=0.02)
    began = time.monotonic()
    metrics, said, after = run(name, steps=1)
    assert time.monotonic() - began < 100  # a minute each, if they were waited for
    failed, called = failing(metrics, "search")
    assert failed == called > 10
    assert any("calls of the tool 'search' failed" in line and "too slow" in line for line in said)
    assert torch.isfinite(after).all()


def test_an_engine_out_of_reach_is_told_apart_from_finding_nothing(changed: Any) -> None:
    class Down:
        def search(self, *_: Any) -> Any:
            raise SearchTimedOut("the provider did not answer in 10 s.")

    changed(only("search", SearchTool(Down())), retries=0)
    metrics, said, _ = run("grpo", steps=1)
    assert metrics[0]["rollout"]["faults"]["search"]["kinds"].keys() == {"timeout"}
    assert any("the provider did not answer in 10 s" in line for line in said)


def test_healthy_tools_are_not_complained_of() -> None:
    metrics, said, _ = run("aepo", steps=2)
    assert all(one["rollout"]["faults"] == {} and one["lost_questions"] == 0 for one in metrics)
    assert not any("fail" in line.lower() or "lost" in line or "interpreter" in line for line in said)


# ----------------------------------------------------------------------------------------------------------- python


def boxless() -> PythonTool:
    sandbox = FakeSandbox()
    sandbox.available = False
    return PythonTool(InterpreterPool(sandbox))


@pytest.mark.parametrize("name", MAIN)
def test_a_box_that_cannot_start_names_the_doctor(name: str, changed: Any) -> None:
    changed(only("python", boxless()))
    metrics, said, after = run(name)
    failed, called = failing(metrics, "python")
    assert failed == called >= 8
    (warning,) = [line for line in said if "calls of the tool 'python' failed" in line]
    assert "python -m aepo_env doctor" in warning
    assert failing(metrics, "search")[0] == 0
    assert torch.isfinite(after).all()


class DyingInterpreter:
    """A real interpreter that ends at the end of every cell, as where memory is short."""

    def __init__(self, inner: Interpreter) -> None:
        self.inner = inner

    def run(self, code: str, seconds: float) -> CellResult:
        return self.inner.run(f"{code}\nimport os; os._exit(9)", seconds)

    def fork(self, *, rng: Literal["same", "split"], seed: int) -> "DyingInterpreter":
        return DyingInterpreter(self.inner.fork(rng=rng, seed=seed))

    def close(self) -> None:
        self.inner.close()


class DyingBox(LocalBox):
    def start(self, seed: int) -> Any:
        return DyingInterpreter(super().start(seed))


@pytest.fixture
def box() -> Iterator[Callable[[type[LocalBox]], LocalBox]]:
    """Makes a real box; skips where there can be none."""
    with contextlib.ExitStack() as stack:

        def make(kind: type[LocalBox]) -> LocalBox:
            made = stack.enter_context(contextlib.closing(kind(packages=())))
            try:
                made.start(0).close()
            except SandboxUnavailable as error:
                pytest.skip(f"no box can be had here: {error}")
            return made

        yield make


@pytest.mark.parametrize("name", MAIN)
def test_interpreters_that_die_at_every_call_are_told_and_leave_no_process(
    name: str, changed: Any, box: Callable[[type[LocalBox]], LocalBox]
) -> None:
    made = box(DyingBox)
    before = processes()
    pool = InterpreterPool(made, limit=4)
    changed(only("python", PythonTool(pool)))
    metrics, said, after = run(name)
    calls = failing(metrics, "python")[1]
    assert calls / 2 < sum(one["interpreters"]["ended"] for one in metrics) <= calls  # one without code starts none
    assert calls >= 8
    (warning,) = [line for line in said if "ended the interpreter" in line]
    assert "calls of the tool 'python'" in warning
    assert all(one["rollout"]["dropped"] == 0 for one in metrics)  # the policy is told, and goes on
    if name == "aepo":
        assert sum(one["rollout"]["forks"] for one in metrics) > 0
    assert torch.isfinite(after).all()
    assert pool.live == 0
    assert gone(before)


def test_a_box_killed_again_and_again_comes_back(changed: Any, box: Callable[[type[LocalBox]], LocalBox]) -> None:
    made = box(LocalBox)
    before = processes()

    class Struck(PythonTool):
        calls = struck = 0

        def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
            Struck.calls += 1
            host = made._host.host if made._host is not None else None
            if Struck.calls % 4 == 0 and host is not None:
                host.process.kill()
                Struck.struck += 1
            return super().call(state, argument, context)

    pool = InterpreterPool(made, limit=16)
    changed(only("python", Struck(pool)))
    metrics, _, after = run("aepo")
    failed, called = failing(metrics, "python")
    assert Struck.struck >= 2
    assert failed < called / 2  # what was lost was rebuilt
    assert torch.isfinite(after).all()
    made.close()
    assert gone(before)


# ------------------------------------------------------------------------------------------------------------ hangs


class Hanging(Tool):
    """Ignores its deadline at some calls, until it is freed."""

    name = "search"
    description = "hangs"

    def __init__(self, hangs: Callable[[int], bool]) -> None:
        self.hangs, self.calls, self.free = hangs, 0, threading.Event()

    def call(self, state: Any, argument: str, context: CallContext) -> ToolResult:
        self.calls += 1
        if self.hangs(self.calls):
            self.free.wait()
        return ToolResult("nothing found", state)


@pytest.mark.parametrize("threads", [0, 3])
def test_a_tool_that_ignores_its_deadline_now_and_then_is_given_up_and_told(
    threads: int, changed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "_GRACE", 1.5)
    tool, python = Hanging(lambda call: call in (3, 9)), FaultyTool(["7"], "python")
    changed(lambda one: tool if one.name == "search" else python, call_seconds=0.05)
    try:
        metrics, _, after = run("aepo", steps=1, tool_threads=threads)
    finally:
        tool.free.set()
    rollout = metrics[0]["rollout"]
    assert rollout["faults"]["search"]["kinds"] == {"hangs": 2}
    assert rollout["retried"] + rollout["dropped"] == 2  # the second may have struck the path that was tried again
    assert rollout["retried"] >= 1
    assert torch.isfinite(after).all()


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("name", MAIN)
def test_a_tool_that_always_hangs_stops_the_run_in_a_sentence(
    name: str, threads: int, changed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "_GRACE", 0.05)
    tool = Hanging(lambda _: True)
    changed(only("search", tool), call_seconds=0.05)
    try:
        with pytest.raises(ToolsFailed, match="did not come back long after their deadlines: a tool must end within"):
            run(name, tool_threads=threads)
    finally:
        tool.free.set()


# ------------------------------------------------------------------------------------------------------- whole runs


def test_a_run_that_loses_all_stops_in_a_sentence_and_goes_on_when_tools_are_mended(
    tmp_path: Path, changed: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(course, "starting_policy", lambda *_: policy())
    wanted = config(algorithm="grpo", **{**LIVELY, "questions": 1, "steps": 1, "temperature": 0.1})
    directory = RunDirectory.create(tmp_path / "run", wanted, "python -m algorithms.run grpo --env web")
    search = FaultyTool([Fault("unavailable", "The search failed: the key has expired.")])
    changed(only("search", search))
    with pytest.raises(Stopped, match=r"All trajectories of step 1 were lost to faults: search, 8 times \(The search"):
        go_on(directory)
    said = capsys.readouterr().out
    assert "episodes lost to faults and counted as not solved" in said  # of the evaluation before
    assert "go on with:" in said
    (before,) = directory.records("eval.jsonl")
    assert 0 < before["greedy"]["lost"] <= before["questions"]
    search.script = ["The page says nothing."]
    assert go_on(directory) == 0
    assert len(directory.records("metrics.jsonl")) == 1


def test_what_failed_is_told_at_the_end_of_a_run_too(
    tmp_path: Path, changed: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(course, "starting_policy", lambda *_: policy())
    changed(only("search", FaultyTool([RuntimeError("no network")])))
    wanted = config(algorithm="gigpo", **{**LIVELY, "steps": 2})
    directory = RunDirectory.create(tmp_path / "run", wanted, "python -m algorithms.run gigpo --env web")
    assert go_on(directory) == 0
    said = capsys.readouterr().out
    failed, called = failing(directory.records("metrics.jsonl"), "search")
    assert f"while training, {failed} of {called} calls of search failed." in said
    assert said.count("FAILED CALLS") == 2  # each step's line
    assert "lost to faults" in said.split("how episodes ended, greedy, after")[1].splitlines()[0]
