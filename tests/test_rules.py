"""How a turn is played: calls, faults, retries, deadlines, limits and hostile text, through `ToolEnv.step`."""

import logging
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aepo_env.env import ToolEnv
from aepo_env.episode import Episode, Limits, StopReason
from aepo_env.protocols.tags import TagsProtocol
from aepo_env.rewards.reward import Score
from aepo_env.rules import RESERVED_TOOL_NAMES
from aepo_env.tasks import Task
from aepo_env.tools.tool import Fault, Tool, ToolResult
from tests.fakes import TASKS, CounterTool, EchoTool, FaultyTool, HoldingTool, SlowTool, exact_match, make_env

CALL = "<search>a</search>"
LASTING = Fault("unavailable", "the engine is down: try later")
PASSING = Fault("unavailable", "the engine is busy", retryable=True)


def started(*tools: Any, **limits: Any) -> ToolEnv:
    env = make_env(tools, **limits)
    env.reset(seed=1)
    return env


def stop_reason(step: tuple[Any, ...]) -> StopReason | None:
    """The step's stop reason, after a look at whether the flags fit it."""
    _, _, terminated, truncated, info = step
    reason: StopReason | None = info["stop_reason"]
    assert terminated == (reason is StopReason.ANSWERED)
    assert truncated == (reason not in (None, StopReason.ANSWERED))
    return reason


# -------------------------------------------------------------------------------------------------------------- calls


def test_several_calls_of_a_turn_run_in_order_and_see_each_others_states() -> None:
    env = started(EchoTool(), CounterTool())
    text = "<count>1</count> and <search>b</search><count>2</count>"
    observation, *_, info = env.step(text)
    assert re.findall(r"call \d|\nb\n", observation) == ["call 1", "\nb\n", "call 2"]
    assert [(name, text[start:end]) for name, start, end in info["spans"]] == [
        ("count", "<count>1</count>"),
        ("search", "<search>b</search>"),
        ("count", "<count>2</count>"),
    ]
    assert [message["name"] for message in info["messages"]] == ["count", "search", "count"]
    assert info["left"]["tool_calls"] == Limits().tool_calls - 3


def test_a_call_is_told_the_last_searchs_results_its_deadline_its_seed_and_its_task() -> None:
    search, other = EchoTool(), EchoTool("browse")
    env = started(search, other, call_seconds=5.0)
    env.step("<search>a</search><browse>b</browse>")
    assert [context.results for context in (*search.contexts, *other.contexts)] == [(), ("https://a",)]
    assert other.contexts[0].seconds == 5.0
    assert (other.contexts[0].seed, other.contexts[0].task_id) == (env.episode.seed, env.episode.task.id)
    assert env.episode.results == ("https://b",)


def test_a_call_that_lists_nothing_leaves_the_results_as_they_are() -> None:
    env = started(EchoTool(), CounterTool())
    env.step("<search>a</search><count>x</count>")
    assert env.episode.results == ("https://a",)


# ------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("boom"),
        TimeoutError(),
        RecursionError("deep"),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        AssertionError(),
        None,
        "no text",
        ToolResult(None),  # type: ignore[arg-type]
        ToolResult(b"bytes"),  # type: ignore[arg-type]
        LASTING,
    ],
    ids=repr,
)
def test_a_tool_that_fails_is_a_fault_and_never_an_exception_or_a_score(failure: Any) -> None:
    class Tool(FaultyTool):
        def call(self, *arguments: Any) -> Any:
            return "a bare string" if failure == "no text" else super().call(*arguments)

    step = started(Tool([failure])).step(CALL)
    observation, reward, _, _, info = step
    assert stop_reason(step) is StopReason.TOOL_FAULT
    assert (reward, info["valid"], info["rewards"], info["answer"]) == (0.0, False, {}, None)
    assert info["calls"][0].fault is not None
    assert observation.startswith("<result>\n")


@pytest.mark.parametrize("failing", ["search", "browse"])
def test_a_failing_call_is_never_read_as_an_answer_with_two_tools_either(failing: str) -> None:
    """Neither by the tools after it, nor by the task (a survey found a gym that did both)."""
    tools = {name: FaultyTool([LASTING if name == failing else "fine"], name) for name in ("search", "browse")}
    env = started(*tools.values(), tasks=TASKS)
    step = env.step(f"<{failing}>42</{failing}>")
    assert stop_reason(step) is StopReason.TOOL_FAULT
    assert step[4]["answer"] is None
    assert sum(tool.calls for tool in tools.values()) == 1


def test_calls_after_a_fault_are_not_run_and_the_ones_before_it_stay() -> None:
    counter = CounterTool()
    env = started(counter, FaultyTool([LASTING]))
    *_, info = env.step("<count>1</count><search>a</search><count>2</count>")
    assert [call.tool for call in info["calls"]] == ["count", "search"]
    assert env.episode.tool_states[0][0] == 1


def test_a_tool_that_raises_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        started(FaultyTool([RuntimeError("boom")])).step(CALL)
    assert "search" in caplog.text
    assert "boom" in caplog.text


def test_a_fault_is_logged_once_a_kind(caplog: pytest.LogCaptureFixture) -> None:
    down, slow = Fault("network", "no route"), Fault("timeout", "too slow")
    env = started(FaultyTool([down, down, slow, RuntimeError("boom"), RuntimeError("boom")]))
    for seed in range(5):
        env.reset(seed=seed)
        env.step(CALL)
    assert [line.levelname for line in caplog.records] == ["WARNING", "WARNING", "ERROR"]
    assert "no route" in caplog.text


def test_an_interrupt_is_passed_on_and_the_episode_stays_where_it_was() -> None:
    env = started(FaultyTool([KeyboardInterrupt(), "fine"]))
    with pytest.raises(KeyboardInterrupt):
        env.step(CALL)
    assert env.episode.turns == ()
    assert env.step(CALL)[0] == "<result>\nfine\n</result>"


def test_a_call_of_a_tool_the_protocol_knows_and_the_environment_does_not() -> None:
    env = make_env([EchoTool()], protocol=TagsProtocol(["search", "browse"]))
    env.reset(seed=1)
    step = env.step("<browse>a</browse><search>b</search>")
    assert stop_reason(step) is None
    assert "There is no tool 'browse' here." in step[0]
    assert step[0].endswith("<result>\nb\n</result>")


def test_a_judge_out_of_reach_makes_the_episode_invalid_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def down(episode: Episode) -> Score:
        raise ConnectionError("the judge is down")

    env = make_env(reward=down)
    env.reset()
    with caplog.at_level(logging.ERROR):
        step = env.step("<answer>x</answer>")
    assert stop_reason(step) is StopReason.ANSWERED
    assert (step[1], step[4]["valid"], step[4]["rewards"]) == (0.0, False, {})
    assert "the judge is down" in caplog.text


def test_a_reward_with_a_mistake_in_it_raises_instead_of_making_every_episode_invalid() -> None:
    def wrong(episode: Episode) -> Score:
        return Score(1.0, {"part": episode.task.metadata["no such key"]})

    env = make_env(reward=wrong)
    env.reset()
    with pytest.raises(KeyError, match="no such key"):
        env.step("<answer>x</answer>")


def test_an_episode_is_scored_once_and_with_its_end_written_down() -> None:
    seen: list[Episode] = []

    def look(episode: Episode) -> Score:
        seen.append(episode)
        return exact_match(episode)

    env = make_env(reward=look, turns=2)
    env.reset()
    env.step(CALL)
    assert seen == []
    env.step(CALL)
    assert [episode.stop_reason for episode in seen] == [StopReason.MAX_TURNS]
    assert len(seen[0].turns) == 2


# ------------------------------------------------------------------------------------------------ retries, deadlines


def test_a_passing_fault_is_tried_again_and_leaves_no_trace() -> None:
    tool = FaultyTool([PASSING, PASSING, "at last"])
    step = started(tool, retries=2).step(CALL)
    assert stop_reason(step) is None
    assert step[0] == "<result>\nat last\n</result>"
    assert tool.calls == 3
    assert step[4]["left"]["tool_calls"] == Limits().tool_calls - 1


@pytest.mark.parametrize(("fault", "retries", "calls"), [(PASSING, 2, 3), (PASSING, 0, 1), (LASTING, 2, 1)])
def test_how_often_a_fault_is_tried_again(fault: Fault, retries: int, calls: int) -> None:
    tool = FaultyTool([fault])
    assert stop_reason(started(tool, retries=retries).step(CALL)) is StopReason.TOOL_FAULT
    assert tool.calls == calls


def test_a_retry_that_raises_is_a_fault() -> None:
    tool = FaultyTool([PASSING, RuntimeError("boom")])
    assert stop_reason(started(tool).step(CALL)) is StopReason.TOOL_FAULT


def test_retries_end_with_the_first_calls_deadline() -> None:
    tool = SlowTool(0.2)
    assert stop_reason(started(tool, call_seconds=0.1, retries=5).step(CALL)) is StopReason.TOOL_FAULT
    assert len(tool.deadlines) == 1


def test_a_retry_is_given_what_is_left_of_the_deadline() -> None:
    class Quick(SlowTool):
        def call(self, *arguments: Any) -> ToolResult:
            super().call(*arguments)
            return ToolResult("no", None, fault=PASSING)

    tool = Quick(0.02)
    started(tool, call_seconds=0.5, retries=2).step(CALL)
    assert tool.deadlines[0] == 0.5
    assert len(tool.deadlines) == 3
    assert tool.deadlines[1] < 0.5 - 0.02 - 0.05 + 0.001
    assert tool.deadlines[2] < tool.deadlines[1] - 0.2


def test_the_episodes_deadline_bounds_a_call_and_ends_the_episode() -> None:
    tool = SlowTool(0.05)
    env = started(tool, episode_seconds=0.12, call_seconds=10.0)
    reasons = []
    while not reasons or reasons[-1] is None:
        reasons.append(stop_reason(env.step(CALL)))
    assert max(tool.deadlines) <= 0.12
    # The last call either ran into its deadline or returned in time with the episode's time used up.
    assert reasons[-1] in (StopReason.TOOL_FAULT, StopReason.DEADLINE)
    assert len(reasons) <= 4


def test_a_call_after_the_episodes_time_is_refused() -> None:
    tool = EchoTool()
    env = started(tool, episode_seconds=5.0)
    env._episode = env.episode._replace(spent=env.episode.spent._replace(seconds=6.0))
    step = env.step(CALL)
    assert stop_reason(step) is StopReason.DEADLINE
    assert "time is up" in step[0]
    assert tool.contexts == []
    assert step[4]["valid"]


def test_thinking_outside_step_costs_no_time_of_the_episode() -> None:
    env = started(EchoTool(), episode_seconds=0.05)
    time.sleep(0.1)
    assert stop_reason(env.step(CALL)) is None


# ------------------------------------------------------------------------------------------------------------- limits


def test_on_the_last_turn_a_call_is_refused() -> None:
    tool = EchoTool()
    env = started(tool, turns=2)
    assert "(One turn is left: answer now.)" in env.step(CALL)[0]
    step = env.step(CALL)
    assert stop_reason(step) is StopReason.MAX_TURNS
    assert "No turn is left" in step[0]
    assert step[4]["calls"][0].refused
    assert len(tool.contexts) == 1
    assert env.episode.calls() == [env.episode.turns[0].calls[0]]


def test_on_the_last_turn_an_answer_counts() -> None:
    env = started(EchoTool(), turns=1)
    assert stop_reason(env.step("<answer>x</answer>")) is StopReason.ANSWERED


def test_on_the_last_turn_a_malformed_text_ends_the_episode_without_asking_for_more() -> None:
    env = started(EchoTool(), turns=1, tool_calls=0)
    step = env.step("hm")
    assert stop_reason(step) is StopReason.MAX_TURNS
    assert "answer now" not in step[0]


def test_a_call_beyond_the_budget_ends_the_episode() -> None:
    tool = EchoTool()
    env = started(tool, tool_calls=2)
    assert "left" not in env.step(CALL)[0]
    assert "(No tool calls are left: answer now.)" in env.step(CALL)[0]
    step = env.step(CALL)
    assert stop_reason(step) is StopReason.MAX_TOOL_CALLS
    assert len(tool.contexts) == 2


def test_calls_of_one_turn_are_counted_each() -> None:
    tool = EchoTool()
    step = started(tool, tool_calls=2).step(CALL * 5)
    assert stop_reason(step) is StopReason.MAX_TOOL_CALLS
    assert [bool(call.refused) for call in step[4]["calls"]] == [False, False, True]
    assert len(step[4]["spans"]) == 3
    assert len(tool.contexts) == 2


def test_an_answer_after_the_last_call_counts() -> None:
    env = started(EchoTool(), tool_calls=1)
    env.step(CALL)
    assert stop_reason(env.step("<answer>x</answer>")) is StopReason.ANSWERED


def test_notices_can_be_switched_off() -> None:
    env = started(EchoTool(), turns=2, tool_calls=1, notices=False)
    assert env.step(CALL)[0] == "<result>\na\n</result>"


def test_malformed_turns_are_counted_and_the_last_allowed_ends_the_episode() -> None:
    env = started(EchoTool(), malformed=2)
    first = env.step("hm")
    assert stop_reason(first) is None
    assert (first[4]["malformed"], first[4]["left"]["malformed"], first[4]["calls"]) == (True, 1, ())
    assert first[0].startswith("<result>\nMalformed turn. ")
    assert first[4]["messages"][0]["role"] == "user"
    assert env.step(CALL)[4]["malformed"] is False
    last = env.step("<result>I am the environment</result><answer>x</answer>")
    assert stop_reason(last) is StopReason.MALFORMED
    assert (last[4]["answer"], last[4]["valid"], last[1]) == (None, True, 0.0)


def test_text_beyond_the_budget_is_not_even_read() -> None:
    tool = EchoTool()
    env = started(tool, characters=100)
    step = env.step(CALL + " " * 100)
    assert stop_reason(step) is StopReason.MAX_CHARACTERS
    assert step[0] == ""
    assert tool.contexts == []
    assert step[4]["left"]["characters"] == 0


def test_observations_count_against_the_budget_of_characters() -> None:
    env = started(FaultyTool(["x" * 90]), characters=100)
    assert stop_reason(env.step(CALL)) is StopReason.MAX_CHARACTERS


def test_an_answer_within_the_budget_of_characters_counts() -> None:
    answer = "<answer>x</answer>"
    env = started(EchoTool(), characters=len(answer))
    assert stop_reason(env.step(answer)) is StopReason.ANSWERED


def test_a_long_result_is_cut_and_says_so() -> None:
    env = started(FaultyTool(["é" * 1_000]), observation_characters=100)
    observation = env.step(CALL)[0]
    assert observation == "<result>\n" + "é" * 100 + "\n[cut: 900 more characters]\n</result>"


def test_results_of_one_turn_share_the_room() -> None:
    env = started(FaultyTool(["x" * 80, "y" * 80, "z" * 80]), observation_characters=100)
    observation = env.step(CALL * 3)[0]
    assert (observation.count("x"), observation.count("y"), observation.count("z")) == (80, 20, 0)
    assert "[cut: 60 more characters]" in observation
    assert "[cut: 80 more characters]" in observation


def test_an_observation_is_bounded_whatever_tools_say() -> None:
    """Defusing a tag makes a text longer; cutting comes first, so that it cannot undo a defusing."""
    env = started(FaultyTool(["<think" * 10_000]), observation_characters=1_000)
    observation = env.step(CALL * 12)[0]
    assert len(observation) < 4_000
    assert "<think" not in observation


@pytest.mark.parametrize(
    "wrong",
    [
        {"turns": 0},
        {"turns": 1.5},
        {"turns": True},
        {"tool_calls": -1},
        {"characters": 0},
        {"malformed": 0},
        {"retries": -1},
        {"retries": 0.5},
        {"observation_characters": 0},
        {"call_seconds": 0},
        {"call_seconds": float("nan")},
        {"episode_seconds": float("inf")},
        {"episode_seconds": "10"},
    ],
)
def test_limits_that_make_no_sense_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Limits.{next(iter(wrong))}"):
        Limits(**wrong)


# -------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", sorted(RESERVED_TOOL_NAMES))
def test_reserved_names_are_refused(name: str) -> None:
    assert {"reset", "step", "state", "close", "fork", "snapshot", "restore"} <= RESERVED_TOOL_NAMES
    with pytest.raises(ValueError, match=f"'{name}'.*rename"):
        make_env([EchoTool(name)])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="names must differ"):
        make_env([EchoTool(), EchoTool()])


# -------------------------------------------------------------------------------------------------------- hostile text

PIECES = [f"<{slash}{name}>" for name in ("search", "answer", "result", "think") for slash in ("", "/")]
PIECES += ["<Answer>", "< /result >", "<search x='1'>", "\\boxed{", "}", "\n", "<", "text", "\ud800", "\x00"]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=15).map("".join))
@settings(max_examples=200, deadline=None)
def test_whatever_a_tool_says_is_no_call_no_answer_and_no_end(said: str) -> None:
    env = started(FaultyTool([said]), EchoTool("browse"))
    step = env.step(CALL)
    assert stop_reason(step) is None
    assert (step[4]["answer"], len(step[4]["calls"])) == (None, 1)
    # What the policy sees next, had it itself written what stands between the result's tags:
    inside = step[0].removeprefix("<result>\n").removesuffix("\n</result>")
    assert not re.search(r"<\s*/?\s*(search|browse|answer|result|think)\b", inside, re.IGNORECASE)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=15).map("".join))
@settings(max_examples=200, deadline=None)
def test_whatever_a_policy_writes_step_answers_in_words(text: str) -> None:
    env = started(EchoTool(), EchoTool("browse"))
    step = env.step(text)
    observation, reward, *_, info = step
    assert stop_reason(step) in (None, StopReason.ANSWERED, StopReason.MAX_TOOL_CALLS)
    assert isinstance(observation, str)
    assert reward in (0.0, 1.0)
    for name, start, end in info["spans"]:
        assert text[start:end].startswith(f"<{name}>")
        assert text[start:end].endswith(f"</{name}>")
    assert (info["malformed"], bool(info["spans"])) in ((True, False), (False, True))


def test_states_of_a_tool_follow_its_calls_only() -> None:
    hold = HoldingTool()
    env = started(hold, EchoTool())
    state = env.episode.tool_states[0]
    env.step(CALL)
    assert env.episode.tool_states[0] is state


# ------------------------------------------------------------------------------------------- mistakes of who builds it


def test_a_tool_that_gives_a_bare_text_is_told_what_to_give() -> None:
    class Bare(EchoTool):
        def call(self, state: Any, argument: str, context: Any) -> Any:
            return "text"

    observation, *rest = started(Bare()).step(CALL)
    assert stop_reason((observation, *rest)) is StopReason.TOOL_FAULT
    assert "must give a ToolResult; it gave str" in observation


def test_a_tool_without_a_name_is_refused() -> None:
    class Nameless(Tool):
        def call(self, state: Any, argument: str, context: Any) -> ToolResult:
            return ToolResult("")

    with pytest.raises(TypeError, match="Nameless needs a name and a description"):
        ToolEnv(TASKS, [Nameless()], exact_match)


def test_a_reward_that_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="got 'paper'"):
        ToolEnv(TASKS, [EchoTool()], "paper")  # type: ignore[arg-type]


def test_a_reward_that_gives_a_bare_number_is_told_what_to_give() -> None:
    env = ToolEnv(TASKS, [EchoTool()], lambda episode: 1.0)  # type: ignore[arg-type, return-value]
    env.reset(seed=1)
    with pytest.raises(TypeError, match="must give a Score"):
        env.step("<answer>a</answer>")


def test_a_task_whose_answers_are_one_text_is_refused() -> None:
    with pytest.raises(TypeError, match=r"write \('Paris',\)"):
        Task("capital", "Where?", "Paris")  # type: ignore[arg-type]
