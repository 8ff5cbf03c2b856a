import pickle
from typing import Any

import pytest

from aepo_env.episode import CallRecord, Episode, Limits, StopReason, Turn
from tests.fakes import TASKS, CounterTool, EchoTool, make_env

TURNS = ("<search>a</search>", "hm", "<count>1</count><search>b</search>", "<answer>x</answer>")


def played() -> Episode:
    env = make_env([EchoTool(), CounterTool()])
    env.reset(seed=1)
    for turn in TURNS:
        env.step(turn)
    return env.episode


def test_the_response_is_what_the_policy_saw_character_by_character() -> None:
    env = make_env([EchoTool(), CounterTool()])
    env.reset(seed=1)
    seen = ""
    for turn in TURNS:
        seen += turn + env.step(turn)[0]
    assert env.episode.response() == seen


def test_a_step_makes_a_new_record_and_leaves_the_old_one_as_it_was() -> None:
    env = make_env([EchoTool(), CounterTool()])
    env.reset(seed=1)
    records, pictures = [], []
    for turn in TURNS:
        records.append(env.episode)
        pictures.append(pickle.dumps(env.episode))
        env.step(turn)
    assert [pickle.loads(picture) for picture in pictures] == records
    assert [len(record.turns) for record in records] == [0, 1, 2, 3]
    assert records[3].turns[0] is env.episode.turns[0], "the past is shared, not copied"


@pytest.mark.parametrize("frozen", [played(), Turn("a", "b"), CallRecord("a", "b", (0, 1)), Limits()])
def test_records_are_frozen(frozen: Any) -> None:
    for name in ("turns", "text", "tool"):
        if hasattr(frozen, name):
            with pytest.raises(AttributeError):
                setattr(frozen, name, None)


def test_refused_calls_are_not_among_the_calls() -> None:
    episode = Episode(
        TASKS[0], 1, (Turn("t", "o", (CallRecord("a", "x", (0, 1)), CallRecord("a", "y", (2, 3), refused="no"))),)
    )
    assert [call.argument for call in episode.calls()] == ["x"]


def test_an_episode_survives_pickling() -> None:
    episode = played()
    twin = pickle.loads(pickle.dumps(episode))
    assert twin == episode
    assert twin.stop_reason is StopReason.ANSWERED


def test_stop_reasons_are_the_fixed_set_and_plain_words() -> None:
    assert {str(reason) for reason in StopReason} == {
        "answered",
        "max_turns",
        "max_tool_calls",
        "max_chars",
        "malformed",
        "deadline",
        "tool_fault",
    }
