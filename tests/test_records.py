"""The records that a step makes by `new_record` are whole: as the ordinary constructor would have made them."""

from typing import Any

import pytest

from aepo_env.protocols.protocol import Calls
from aepo_env.protocols.tags import TagsProtocol
from tests.fakes import CounterTool, EchoTool, make_env


def whole(record: Any) -> bool:
    """Whether every field is there, as if the class itself had been called with them by name."""
    return len(record) == len(record._fields) and type(record)(**record._asdict()) == record


@pytest.mark.parametrize("last", ["<search>b</search>", "<answer>x</answer>", "hm", "<count>1</count>" * 20])
def test_all_records_of_a_step_are_whole(last: str) -> None:
    search = EchoTool()
    env = make_env([search, CounterTool()])
    env.reset(seed=1)
    for text in ("<search>a</search>", last):
        env.step(text)
        episode = env.episode
        assert whole(episode)
        assert whole(episode.spent)
        assert all(whole(turn) for turn in episode.turns)
        assert all(whole(call) for turn in episode.turns for call in turn.calls)
    assert all(whole(context) for context in search.contexts)


def test_the_fields_of_a_record_hold_what_their_names_say() -> None:
    search = EchoTool()
    env = make_env([search])
    env.reset(seed=1)
    before = env.episode
    env.step("<search>a</search>")
    episode = env.episode
    assert (episode.task, episode.seed, episode.tool_states) == (before.task, before.seed, before.tool_states)
    assert (episode.results, episode.answer, episode.stop_reason) == (("https://a",), None, None)
    assert (episode.valid, episode.rewards, episode.lineage) == (True, None, ())
    assert (episode.spent.tool_calls, episode.spent.malformed) == (1, 0)
    assert episode.spent.characters == len(episode.response())
    assert 0 < episode.spent.seconds < 10
    (turn,) = episode.turns
    assert (turn.text, turn.malformed) == ("<search>a</search>", "")
    (call,) = turn.calls
    assert (call.tool, call.argument, call.span, call.result) == ("search", "a", (0, 18), "a")
    assert (call.fault, call.refused) == (None, "")


def test_calls_that_are_read_are_whole() -> None:
    parsed = TagsProtocol(["search"]).parse("<search>a</search> <search>b</search>")
    assert isinstance(parsed, Calls)
    assert whole(parsed)
    assert all(whole(call) for call in parsed.calls)
