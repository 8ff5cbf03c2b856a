"""The ids that pair a call with its result in a chat history."""

from typing import Any

from aepo_env.env import ToolEnv
from tests.fakes import CounterTool, EchoTool, make_env

CALL = "<search>a</search>"


def started(**limits: Any) -> ToolEnv:
    env = make_env([EchoTool(), CounterTool()], **limits)
    env.reset(seed=1)
    return env


def test_a_call_is_named_by_its_place_in_the_episode() -> None:
    env = started(turns=200, tool_calls=102, malformed=200)
    assert "tool_call_id" not in env.step("hm")[4]["messages"][0]
    for turn in range(2, 102):  # well into the turns whose ids are not made beforehand
        *_, info = env.step(CALL)
        assert (info["turn"], [message["tool_call_id"] for message in info["messages"]]) == (turn, [f"{turn}.1"])
    *_, info = env.step(f"{CALL}<count>x</count>{CALL}{CALL}{CALL}")
    ids = {message["tool_call_id"]: message["name"] for message in info["messages"]}
    assert ids == {"102.1": "search", "102.2": "count", "102.3": "search"}
    assert len(info["calls"]) == len(ids), "each call has its message, refused ones too"
    assert info["calls"][-1].refused


def test_a_replay_and_a_fork_name_their_calls_alike() -> None:
    turns = (CALL, "hm", f"{CALL}<count>x</count>")

    def ids(env: ToolEnv, turns: tuple[str, ...]) -> list[str]:
        return [message.get("tool_call_id", "") for turn in turns for message in env.step(turn)[4]["messages"]]

    first, again = started(), started()
    assert ids(first, turns) == ids(again, turns[:1]) + ids(again.fork(2)[1], turns[1:]) == ["1.1", "", "3.1", "3.2"]
