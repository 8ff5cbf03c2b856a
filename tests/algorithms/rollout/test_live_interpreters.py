"""Live python interpreters inside a rollout: forked (fake sandbox and real box), and on registered tasks."""

import contextlib
from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest

from aepo_env.sandbox import BoxLimits, LocalBox, SandboxUnavailable
from aepo_env.sandbox.pool import InterpreterPool
from aepo_env.tools.python import PythonTool
from algorithms.rollout.arpo import EntropyBranching
from algorithms.rollout.branching import ForkRule
from algorithms.rollout.independent import Independent
from tests.algorithms.rollout.scripted import play, text_of
from tests.fakes import FakeSandbox, make_env


@pytest.fixture(params=["fake", "box"])
def pool(request: pytest.FixtureRequest) -> Iterator[InterpreterPool]:
    if request.param == "fake":
        yield InterpreterPool(FakeSandbox(), 32)
        return
    with contextlib.closing(LocalBox(BoxLimits(memory_mb=256), packages=())) as box:
        try:
            box.start(0).close()
        except SandboxUnavailable as reason:
            pytest.skip(f"no box can be had here: {reason}")
        yield InterpreterPool(box, 32)


def write(key: tuple[Any, ...], before: str) -> tuple[str, float]:
    turn = before.count("</result>")
    cells = ["x = ['first']; print(x)", f"x.append('turn 1 of {key[3]}'); print(x)", f"x.append({key[3]}); print(x)"]
    return (f"<python>{cells[turn]}</python>" if turn < 3 else "<answer>0</answer>"), 1.0 + turn


def test_children_go_on_with_the_variables_that_were_alive_and_share_none(pool: InterpreterPool) -> None:
    strategy = EntropyBranching(4, 1, ForkRule(base=1.0, weight=0.0, penalty=0.0), 4, "mean")
    grown, _ = play(strategy, write, make_env([PythonTool(pool)]))
    tree, report = grown.trees[0], grown.reports[0]
    wrote_second_turn = {0: 0, 1: 1, **{leaf.path: leaf.parent for leaf in report.leaves if leaf.path > 1}}
    assert [leaf.parent is None for leaf in report.leaves] == [True, False, False, False]
    for leaf in report.leaves:
        expected = ["first", f"turn 1 of {wrote_second_turn[leaf.path]}", leaf.path]
        assert f"<result>\n{expected}\n</result><answer>" in text_of(tree, leaf.path)
    assert pool.forked > 0, "no interpreter was forked: all were rebuilt"
    assert pool.live == 0


def test_registered_tasks_are_solved_by_their_oracle_through_the_wrappers() -> None:
    env = gymnasium.make("aepo_env/Code-v0", difficulty="tiny", python={"sandbox": "unboxed_unsafe"})
    world = env.unwrapped.world  # type: ignore[attr-defined]
    tasks = {world.tasks[i].id: world.tasks[i] for i in range(4)}
    oracles: dict[Any, Any] = {}

    def oracle(key: tuple[Any, ...], before: str) -> tuple[str, float]:
        if key not in oracles:
            oracles[key] = world.oracle(tasks[key[2]])
        _, result, last = before.rpartition("<result>")
        return oracles[key].act(result + last, {}), 1.0

    grown, _ = play(Independent(2), oracle, env, list(tasks.values()))  # type: ignore[arg-type]
    assert [leaf.rewards["total"] for tree in grown.trees for leaf in tree.leaves] == [1.0] * 8
    assert all(report.calls["python"] >= 2 for report in grown.reports)
    env.close()
