"""Swapped tool results: the partner's n-th result for the n-th call of any tool; each fork counts for itself."""

import gymnasium
import pytest

import aepo_env
from aepo_env.episode import StopReason
from aepo_env.sandbox.pool import InterpreterPool
from aepo_env.tools.python import PythonTool
from aepo_env.tools.tool import CallContext, Fault, ForkCost, Forking
from benchmarks.swapped import NOTHING, RecordingTool, SwappedTool, swapped_partners, with_tools
from tests.fakes import TASKS, CounterTool, EchoTool, FakeSandbox, FaultyTool, HoldingTool, make_env


def play(env, task, *turns):
    """Observations of an episode that then answers what the last one said."""
    env.reset(seed=3, options={"task": task})
    return [env.step(turn)[0] for turn in turns]


def recorded_and_partners():
    """Task 0 searched twice and used python once, task 1 searched once."""
    recorded = {}
    env = make_env([EchoTool(), PythonTool(InterpreterPool(FakeSandbox(), 2))])
    recording = with_tools(env, lambda tool: RecordingTool(tool, recorded))
    play(recording, 0, "<search>first</search>", "<python>print(40 + 2)</python>", "<search>second</search>")
    play(recording, 1, "<search>other</search>")
    recording.close()
    return env, recorded, swapped_partners(["task-0", "task-1"])


def swapping(env, recorded, partners):
    return with_tools(env, lambda tool: SwappedTool(tool, recorded, partners))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 399, 400])
def test_no_question_is_its_own_partner_and_each_is_one_once(count):
    ids = [str(number) for number in range(count)]
    partners = swapped_partners(ids)
    assert list(partners) == ids
    assert sorted(partners.values()) == sorted(ids)
    assert all(own != partner for own, partner in partners.items())


@pytest.mark.parametrize("ids", [[], ["a"], ["a", "a"], ["a", "b", "a"]])
def test_partners_need_two_different_questions(ids):
    with pytest.raises(ValueError, match="at least two different questions"):
        swapped_partners(ids)


def test_recording_changes_nothing_and_keeps_results_per_tool_in_order():
    env, recorded, _ = recorded_and_partners()
    turns = ("<search>a</search>", "<python>x = 4</python>", "<python>x + 1</python><search>b</search>")
    assert play(with_tools(env, lambda tool: RecordingTool(tool, {})), 0, *turns) == play(env, 0, *turns)
    texts = {key: [result.text for result in results] for key, results in recorded.items()}
    assert texts == {
        ("task-0", "search"): ["first", "second"],
        ("task-0", "python"): ["42"],
        ("task-1", "search"): ["other"],
    }


def test_the_nth_call_gets_the_partners_nth_result_and_then_its_last():
    env = swapping(*recorded_and_partners())
    asked = play(env, 1, "<search>x</search>", "<search>x</search>", "<search>x</search>")
    for observation, text in zip(asked, ("first", "second", "second"), strict=True):
        assert text in observation
    assert env.episode.results == ("https://second",)
    assert play(env, 0, "<search>x</search>", "<search>x</search>")[1] == env.episode.turns[0].observation
    assert "other" in env.episode.turns[0].observation


def test_python_is_swapped_too_and_never_runs():
    sandbox = FakeSandbox()
    _, recorded, partners = recorded_and_partners()
    env = make_env([EchoTool(), PythonTool(InterpreterPool(sandbox, 2))])
    observation = play(swapping(env, recorded, partners), 1, "<python>print('own')</python>")[0]
    assert "42" in observation
    assert "own" not in observation
    assert sandbox.started == 0


def test_without_calls_of_the_partner_nothing_is_found():
    env = swapping(*recorded_and_partners())
    assert NOTHING in play(env, 0, "<python>print(1)</python>")[0]


def test_tools_are_counted_apart():
    env = swapping(*recorded_and_partners())
    assert "second" in play(env, 1, "<search>x</search><python>1</python>", "<search>x</search>")[1]


def test_forks_keep_their_own_count():
    env = swapping(*recorded_and_partners())
    play(env, 1)
    (child,) = env.fork()
    assert "first" in env.step("<search>x</search>")[0]
    moment = env.snapshot()
    assert "second" in env.step("<search>x</search>")[0]
    assert "first" in child.step("<search>x</search>")[0]
    env.restore(moment)
    assert "second" in env.step("<search>x</search>")[0]


def test_prompt_limits_and_reward_stay_as_they_are():
    env, recorded, partners = recorded_and_partners()
    swapped = swapping(make_env(env.rules.tools, tool_calls=1), recorded, partners)
    _, info = swapped.reset(options={"task": 1})
    assert info["messages"] == env.reset(options={"task": 1})[1]["messages"]
    assert "No tool calls are left" in swapped.step("<search>x</search>")[0]
    assert swapped.step("<answer>2</answer>")[1] == 1.0
    swapped.reset(options={"task": 1})
    swapped.step("<search>x</search>")
    assert swapped.step("<search>x</search>")[4]["stop_reason"] == StopReason.MAX_TOOL_CALLS


def test_a_path_that_starts_again_writes_over_what_it_had():
    recorded = {}
    tool = RecordingTool(EchoTool(), recorded)
    context = CallContext(task_id="t")
    after_one = tool.call(tool.start(0), "a", context).state
    tool.call(after_one, "b", context)
    tool.call(tool.start(0), "again", context)
    assert [result.text for result in recorded["t", "search"]] == ["again"]


def test_faults_are_handed_on_and_not_recorded():
    recorded = {}
    fault = Fault("unavailable", "gone")
    tool = RecordingTool(FaultyTool([fault, "found"]), recorded)
    first = tool.call(tool.start(0), "a", CallContext(task_id="t"))
    second = tool.call(first.state, "a", CallContext(task_id="t"))
    assert (first.fault, second.text) == (fault, "found")
    assert [result.text for result in recorded["t", "search"]] == ["found"]


def test_a_recording_tool_forks_as_the_tool_inside_and_gives_everything_back():
    holding = HoldingTool()
    env = with_tools(make_env([holding, CounterTool()]), lambda tool: RecordingTool(tool, {}))
    env.reset(seed=1, options={"task": 0})
    env.step("<hold>x</hold><count>1</count>")
    assert env.rules.tools[0].forking is Forking.PROCESS
    assert env.rules.tools[0].fork_cost(env.episode.tool_states[0]) is ForkCost.CHEAP
    (child,) = env.fork(rng="same")
    assert env.anchor() == child.anchor()
    assert child.step("<count>1</count>")[0] == env.step("<count>1</count>")[0]
    child.close()
    env.close()
    assert holding.open == 0


@pytest.mark.parametrize("name", ["Web", "Code"])
def test_an_oracle_solves_all_with_its_own_results_and_nothing_with_others(monkeypatch, tmp_path, name):
    monkeypatch.setenv("AEPO_CACHE", str(tmp_path))
    python = {"sandbox": "unboxed_unsafe"}
    env = gymnasium.make(f"aepo_env/{name}-v0", split="dev", difficulty="tiny", python=python).unwrapped
    tasks, recorded = env.tasks[:20], {}
    partners = swapped_partners([task.id for task in tasks])
    recording = with_tools(env, lambda tool: RecordingTool(tool, recorded))
    solved = []
    for played in (recording, swapping(env, recorded, partners)):
        episodes = [aepo_env.play(played, aepo_env.Oracle(played), seed=0, options={"task": task}) for task in tasks]
        solved.append(sum(episode.rewards["accuracy"] for episode in episodes))
        played.close()
    assert solved == [20.0, 0.0]


def test_only_environments_of_the_gym_are_taken():
    class Other:
        unwrapped = TASKS

    with pytest.raises(TypeError, match="An environment of aepo_env is needed; got tuple"):
        with_tools(Other(), lambda tool: tool)
