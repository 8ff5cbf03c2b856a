import pickle
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aepo_env.env import ToolEnv
from aepo_env.episode import StopReason
from aepo_env.errors import ForkNotSupported
from aepo_env.sandbox import UnboxedUnsafe
from aepo_env.sandbox.interpreter import CellResult
from aepo_env.sandbox.pool import InterpreterPool
from aepo_env.tools.python import PythonTool, _code, shared_pool
from aepo_env.tools.tool import CallContext
from tests.fakes import FakeSandbox, make_env


@pytest.fixture
def sandbox() -> Iterator[FakeSandbox]:
    return FakeSandbox()


def python_env(sandbox: FakeSandbox, limit: int = 64, **limits: Any) -> ToolEnv:
    env = make_env([PythonTool(InterpreterPool(sandbox, limit))], **limits)
    env.reset(seed=1)
    return env


def said(step: tuple[Any, ...]) -> str:
    """What a step's one result says."""
    observation: str = step[0]
    return observation.removeprefix("<result>\n").removesuffix("\n</result>")


def run(env: ToolEnv, code: str) -> str:
    return said(env.step(f"<python>{code}</python>"))


# ------------------------------------------------------------------------------------------------------------- calls


def test_variables_stay_and_what_is_printed_comes_back(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    assert run(env, "x = 20") == "(no output)"
    assert run(env, "print(x)\nx + 1") == "20\n21"


def test_nothing_starts_before_the_first_call(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    env.fork(3)
    assert sandbox.started == 0
    run(env, "1")
    assert sandbox.started == 1


def test_an_exception_in_a_cell_is_an_answer_and_no_fault(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    assert run(env, "print('so far')\n1 / 0").splitlines()[0] == "so far"
    assert "ZeroDivisionError" in env.episode.turns[-1].observation
    assert env.episode.stop_reason is None


def test_without_code_nothing_is_run(sandbox: FakeSandbox) -> None:
    assert run(python_env(sandbox), " \n ").startswith("There is no code")
    assert sandbox.started == 0


def test_a_cell_stopped_by_the_clock_says_so_and_shows_what_it_printed(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    run(env, "x = 1")
    assert run(env, "TIMEOUT") == "partial\nStopped: a cell may run for 10 s, or as long as the episode has left."
    assert run(env, "x") == "1"


def test_a_dead_interpreter_says_that_its_variables_are_lost(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    run(env, "x = 1")
    assert "variables are lost" in run(env, "DIE")
    assert "NameError" in run(env, "x")


def test_no_sandbox_is_a_fault_that_names_the_doctor(sandbox: FakeSandbox) -> None:
    sandbox.available = False
    step = python_env(sandbox).step("<python>1</python>")
    assert "python -m aepo_env doctor" in step[0]
    assert (step[4]["stop_reason"], step[4]["valid"]) == (StopReason.TOOL_FAULT, False)
    assert step[4]["calls"][0].fault.kind == "sandbox"


def test_a_rebuild_that_goes_another_way_is_a_fault(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    run(env, "CLOCK")
    twin = pickle.loads(pickle.dumps(env.episode))
    env.close()
    env._episode = twin
    step = env.step("<python>1</python>")
    assert step[4]["stop_reason"] is StopReason.TOOL_FAULT
    assert step[4]["calls"][0].fault.kind == "replay"


def test_long_output_and_long_errors_are_cut_and_say_so(sandbox: FakeSandbox) -> None:
    tool = PythonTool(InterpreterPool(sandbox), output_characters=50)
    result = tool._words(CellResult("error", "o" * 80, "e" * 90, 80, True))
    assert (result.count("o" * 50), result.count("e" * 50)) == (1, 1)
    assert "[cut: 30 more characters]" in result
    assert "[cut: 40 more characters]" in result


def test_a_call_ends_with_its_deadline_although_cells_have_to_be_repeated(sandbox: FakeSandbox) -> None:
    sandbox.sleep = 0.1
    tool = PythonTool(InterpreterPool(sandbox))
    state: Any = tool.start(1)
    for _ in range(8):
        state = tool.call(state, "SLEEP", CallContext(seconds=5.0)).state
    state = pickle.loads(pickle.dumps(state))
    started = time.monotonic()
    assert tool.call(state, "1", CallContext(seconds=0.2)).fault is not None
    assert time.monotonic() - started < 0.6


# --------------------------------------------------------------------------------------------------- reading the cell


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("x = 1", "x = 1"),
        ("```python\nx = 1\ny = 2\n```", "x = 1\ny = 2\n"),
        ("```py\nx = 1```", "x = 1"),
        (" ```\nx = 1\n```\n", "x = 1\n"),
        ("```python\n    x = 1\n    y = 2\n```", "x = 1\ny = 2\n"),
        ("    x = 1\n    if x:\n        y = 2", "x = 1\nif x:\n    y = 2"),
        ("\n  x = 1", "\nx = 1"),
        ("s = '''\n  \n'''", "s = '''\n  \n'''"),
        ("```ruby\nx\n```", "```ruby\nx\n```"),
        ("```python\nx = 1", "```python\nx = 1"),
        ("print('```')", "print('```')"),
        ("```", "```"),
        ("``````", "``````"),
        ("", ""),
    ],
)
def test_fences_and_common_indentation_are_taken_off(argument: str, code: str) -> None:
    assert _code(argument) == code


@pytest.mark.parametrize("unit", [" ", "`", "```", "```\n", "\n", "\t\n", "```python\n"])
def test_a_megabyte_of_hostile_text_is_read_in_linear_time(unit: str) -> None:
    """A regular expression for the fence took hours on "```" and a long run of spaces."""
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    for argument in (text, "```\n" + text, "```\n" + text + "x", "```\n" + text + "```", " x" + text):
        _code(argument)
    assert time.process_time() - started < 5.0


# -------------------------------------------------------------------------------------------------------------- forks


@pytest.mark.parametrize("limit", [64, 2], ids=["forked", "rebuilt"])
def test_a_fork_goes_on_with_the_same_variables(sandbox: FakeSandbox, limit: int) -> None:
    env = python_env(sandbox, limit)
    run(env, "x = [1]")
    children = env.fork(5)
    for number, child in enumerate(children):
        run(child, f"x.append({number})")
    run(env, "x.append('parent')")
    assert [run(child, "x") for child in children] == [f"[1, {number}]" for number in range(5)]
    assert run(env, "x") == "[1, 'parent']"
    assert sandbox.most_live <= limit + 1
    for one in (env, *children):
        one.close()
    assert sandbox.live == 0


@pytest.mark.parametrize("limit", [64, 1], ids=["forked", "rebuilt"])
def test_random_streams_follow_rng(sandbox: FakeSandbox, limit: int) -> None:
    env = python_env(sandbox, limit)
    run(env, "rng.random()")
    same, other = env.fork(2, rng="same")
    first, second = env.fork(2, rng="split")
    drawn = [run(one, "rng.random()") for one in (env, same, other, first, second)]
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(set(drawn)) == 3


def test_info_says_what_forking_costs(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox, limit=2)
    assert env.reset()[1]["fork"] == "free"
    assert env.step("hm")[4]["fork"] == "free"

    def cost(env: ToolEnv, code: str) -> str:
        return str(env.step(f"<python>{code}</python>")[4]["fork"])

    assert cost(env, "x = 1") == "cheap"
    moment = pickle.loads(pickle.dumps(env.snapshot()))
    (child,) = env.fork()
    assert cost(env, "x") == "costly", "the child took the last place"
    child.close()
    assert cost(env, "x") == "cheap"
    assert cost(env, "DIE") == "free"
    env.restore(moment)
    assert env.step("<think>x</think>")[4]["fork"] == "costly", "nothing is alive yet"
    assert env.step("<answer>x</answer>")[4]["fork"] == "costly"


def test_interpreters_that_never_fork_are_no_cheap_forks() -> None:
    pool = InterpreterPool(UnboxedUnsafe())
    env = make_env([PythonTool(pool)])
    assert env.reset(seed=1)[1]["fork"] == "free"
    assert env.step("<python>1</python>")[4]["fork"] == "costly"
    env.close()
    assert pool.live == 0


def test_random_streams_of_forks_before_the_first_call_are_split_too(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    drawn = [run(one, "rng.random()") for one in (env, *env.fork(3))]
    assert len(set(drawn)) == 4


def test_equal_seeds_draw_equal_numbers_in_the_interpreter(sandbox: FakeSandbox) -> None:
    assert run(python_env(sandbox), "rng.random()") == run(python_env(sandbox), "rng.random()")


def test_a_snapshot_survives_pickling_and_is_rebuilt(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    run(env, "x = 41")
    moment = pickle.loads(pickle.dumps(env.snapshot()))
    run(env, "x = 0")
    twin = python_env(sandbox)
    twin.restore(moment)
    assert run(twin, "x + 1") == "42"
    env.restore(moment)
    assert run(env, "x + 1") == "42"


@pytest.mark.parametrize(
    "settings", [{"seconds": 0}, {"seconds": -1}, {"seconds": float("nan")}, {"output_characters": 0}]
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected seconds > 0 and output_characters >= 1"):
        PythonTool(**settings)


def test_a_fork_that_could_never_run_a_cell_is_refused(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    run(env, "THREAD")
    run(env, "TIMEOUT")
    with pytest.raises(ForkNotSupported):
        env.fork(2)
    assert run(env, "1 + 1") == "2"
    assert sandbox.live == 1


def test_reset_and_close_give_the_interpreter_back(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    run(env, "x = 1")
    env.reset()
    assert sandbox.live == 0
    assert "NameError" in run(env, "x")
    env.close()
    assert sandbox.live == 0


def test_an_interpreter_is_given_back_although_the_old_record_is_kept(sandbox: FakeSandbox) -> None:
    env = python_env(sandbox)
    run(env, "x = 1")
    kept = [env.episode]
    env.reset()
    assert sandbox.live == 0
    run(env, "x = 1")
    kept.append(env.episode)
    env.close()
    assert sandbox.live == 0
    moment = python_env(sandbox).snapshot()
    kept.append(moment.episode)
    moment.release()
    assert sandbox.live == 0


def test_equal_pasts_have_equal_anchors(sandbox: FakeSandbox) -> None:
    tool = PythonTool(InterpreterPool(sandbox))
    states = [tool.call(tool.start(seed), code, CallContext()).state for seed, code in ((1, "1"), (2, "1"), (1, "2"))]
    anchors = [tool.anchor(state) for state in states]
    assert anchors[0] == anchors[1] != anchors[2]
    assert len({anchors[0], anchors[1]}) == 1


# ------------------------------------------------------------------------------------------------------- which sandbox


@pytest.mark.parametrize("settings", [{"seconds": 0}, {"seconds": -1.0}, {"output_characters": 0}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected seconds > 0 and output_characters >= 1"):
        PythonTool("unboxed_unsafe", **settings)


def test_a_sandbox_is_named_or_given_as_a_pool() -> None:
    with pytest.raises(ValueError, match="unboxed_unsafe"):
        PythonTool("docker")  # type: ignore[arg-type]


def test_a_tool_over_a_pool_of_its_own_says_why_it_does_not_pickle(sandbox: FakeSandbox) -> None:
    with pytest.raises(TypeError, match="by name"):
        pickle.dumps(PythonTool(InterpreterPool(sandbox)))


def test_a_tool_pickles_by_its_sandboxs_name() -> None:
    pytest.importorskip("aepo_env.sandbox.local_box")
    tool = PythonTool("box", seconds=3.0, output_characters=99)
    twin = pickle.loads(pickle.dumps(tool))
    assert (twin.seconds, twin.output_characters) == (3.0, 99)
    assert twin.pool is tool.pool is shared_pool("box")
