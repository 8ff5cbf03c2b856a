"""A stored episode scores as it did when it was played, and anything else is refused in words."""

import json

import pytest

from aepo_env.env import ToolEnv
from aepo_env.episode import Episode, StopReason
from aepo_env.rewards import REWARDS, paper_reward, rescore
from aepo_env.stored import from_plain, to_plain
from aepo_env.tools.tool import Fault
from tests.fakes import TASKS, EchoTool, FaultyTool


def played(tool: object, *actions: str) -> Episode:
    env = ToolEnv(TASKS, [tool], paper_reward())  # type: ignore[list-item]
    env.reset(seed=4, options={"task": 3})
    child = env.fork(1)[0]
    for action in actions:
        child.step(action)
    return child.episode


def through_a_file(episode: Episode) -> Episode:
    return from_plain(json.loads(json.dumps(to_plain(episode))))


def answered() -> Episode:
    return played(
        EchoTool(), "<think>a</think><search>b</search><search>ü</search>", "nothing", "<answer>\\boxed{6}</answer>"
    )


def test_nothing_but_tool_states_is_lost() -> None:
    episode = answered()
    assert episode.stop_reason is StopReason.ANSWERED
    assert through_a_file(episode) == episode._replace(tool_states=())


def test_faults_are_kept() -> None:
    again = through_a_file(played(FaultyTool([Fault("net", "down")]), "<search>x</search>"))
    assert again.stop_reason is StopReason.TOOL_FAULT
    assert not again.valid
    assert isinstance(again.turns[-1].calls[0].fault, Fault)


@pytest.mark.parametrize("name", ["paper", "paper_official", "exact_match", "f1"])
def test_scores_are_the_same_again(name: str) -> None:
    episode = answered()
    assert rescore([through_a_file(episode)], REWARDS[name]) == rescore([episode], REWARDS[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [({"format": 2}, "format 1"), ({"turns": 3}, "no stored episode"), ({"stop_reason": "tired"}, "tired")],
)
def test_something_else_is_refused_in_words(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_plain({**to_plain(answered()), **change})
