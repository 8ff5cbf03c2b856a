from typing import Any

import gymnasium
import pytest

from aepo_env.agent import Agent, Oracle, play
from aepo_env.env import ToolEnv
from aepo_env.episode import StopReason
from aepo_env.tasks import Task
from aepo_env.worlds.world import World
from tests.fakes import TASKS, EchoTool, exact_match, make_env


class Script:
    """Says its lines, the last one for ever; remembers what it was told."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        self.heard: list[str] = []

    def act(self, observation: str, info: dict[str, Any]) -> str:
        self.heard.append(observation)
        return self.lines[min(info["turn"], len(self.lines) - 1)]


class Adder:
    """Knows how a sum is solved, not what its answer is: it reads the numbers from what the tool said."""

    made = 0

    def __init__(self, task: Task) -> None:
        Adder.made += 1
        self.number = task.id.split("-")[1]

    def act(self, observation: str, info: dict[str, Any]) -> str:
        if info["turn"] == 0:
            return f"<search>{self.number}</search>"
        return f"<answer>{2 * int(observation.split()[1])}</answer>"


def world_env() -> ToolEnv:
    return ToolEnv(TASKS, [EchoTool()], exact_match, world=World("sums", TASKS, Adder))


def test_play_gives_the_finished_record() -> None:
    agent = Script("<search>a</search>", "<answer>8</answer>")
    episode = play(make_env(), agent, seed=1, options={"task": 4})
    assert (episode.stop_reason, episode.rewards) == (StopReason.ANSWERED, {"exact_match": 1.0, "total": 1.0})
    assert agent.heard == ["What is 4 and 4?", "<result>\na\n</result>"]


def test_play_ends_whatever_the_agent_does() -> None:
    for line in ("", "<search>a</search>", "<result>", "x" * 10_000):
        assert play(make_env(), Script(line), seed=1).stop_reason not in (None, StopReason.ANSWERED)


def test_play_works_through_wrappers_that_truncate() -> None:
    env = gymnasium.wrappers.TimeLimit(make_env(), 2)
    episode = play(env, Script("<search>a</search>"), seed=1)
    assert (len(episode.turns), episode.stop_reason) == (2, None)


def test_equal_seeds_play_equal_episodes() -> None:
    first, second = (play(make_env(), Script("<search>a</search>", "<answer>8</answer>"), seed=3) for _ in range(2))
    assert first.task == second.task
    assert first.response() == second.response()


def test_the_oracle_solves_every_task_and_is_made_anew_for_each_episode() -> None:
    env = gymnasium.wrappers.OrderEnforcing(world_env())
    oracle = Oracle(env)
    before = Adder.made
    for index in range(len(TASKS)):
        assert play(env, oracle, options={"task": index}).rewards == {"exact_match": 1.0, "total": 1.0}
    assert Adder.made == before + len(TASKS)


def test_an_oracle_needs_a_world() -> None:
    with pytest.raises(ValueError, match="without a world"):
        Oracle(make_env())


def test_other_environments_are_refused() -> None:
    with pytest.raises(TypeError, match="CartPoleEnv"):
        play(gymnasium.make("CartPole-v1"), Script(""))


def test_the_scripts_here_are_agents() -> None:
    agents: list[Agent] = [Script(""), Adder(TASKS[0])]
    assert len(agents) == 2
