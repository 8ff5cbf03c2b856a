"""The oracle: solves every family through the tools alone, in turns a policy could have written."""

import re

import pytest

from aepo_env.agent import Oracle, play
from aepo_env.env import ToolEnv
from aepo_env.episode import Limits, StopReason
from aepo_env.rewards.reward import Score
from aepo_env.tools.browse import BrowseTool
from aepo_env.tools.search import SearchTool
from aepo_env.tools.tool import Tool, ToolResult
from tests.worlds.web_help import world

TURN = re.compile(
    r"<think>[^<>]{3,200}</think>"
    r"(<search>[^<>]+</search>|<browse>(result \d|next)</browse>|<python>print\([^<>]+\)</python>"
    r"|<answer>\\boxed\{[^<>]+\}</answer>)"
)


class Calculator(Tool):
    """Stands for the python tool: these tests are about pages, not about the box."""

    name = "python"
    description = "calculates"

    def call(self, state, argument, context):
        expression = re.fullmatch(r"print\(([-+*%\d ,()abs]+)\)", argument)[1]
        return ToolResult(str(eval(expression, {"__builtins__": {"abs": abs}})))


def exact(episode):
    return Score(float(episode.answer in episode.task.answers), {})


def environment(difficulty, split, calculator=None, **search):
    made = world(difficulty, split)
    tools = [SearchTool(made.corpus, **search), BrowseTool(made.corpus), calculator or Calculator()]
    return ToolEnv(made.tasks, tools, exact, world=made)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize("difficulty", ["tiny", "easy", "medium", "hard"])
def test_the_oracle_solves_the_default_mix_within_the_budgets(difficulty, split):
    env = environment(difficulty, split)
    for index in range(40):
        episode = play(env, Oracle(env), options={"task": index})
        assert episode.stop_reason is StopReason.ANSWERED
        assert episode.answer in episode.task.answers, episode.response()


@pytest.mark.parametrize("family", ["comparison", "counting", "arithmetic", "4-hop"])
def test_the_rarer_families_are_solved_too(family):
    env = environment("hard", "dev")
    env.tasks = env.tasks.of_families([f"web/{family}"])
    for index in range(25):
        episode = play(env, Oracle(env), options={"task": index})
        assert episode.task.family == f"web/{family}"
        assert episode.answer in episode.task.answers, episode.response()


@pytest.mark.parametrize("links", [True, False])
def test_pages_in_many_parts_are_read_to_the_end(links):
    made = world("hard", "train")
    tools = [SearchTool(made.corpus, 5, 100), BrowseTool(made.corpus, 300, links), Calculator()]
    env = ToolEnv(made.tasks, tools, exact, world=made, limits=Limits(turns=80, tool_calls=80))
    parts = 0
    for index in range(25):
        episode = play(env, Oracle(env), options={"task": index})
        assert episode.answer in episode.task.answers, episode.response()
        parts += episode.response().count("<browse>next</browse>")
    assert parts > 25


def test_turns_are_short_regular_and_in_the_protocol():
    env = environment("medium", "train")
    for index in range(30):
        episode = play(env, Oracle(env), options={"task": index})
        for turn in episode.turns:
            assert TURN.fullmatch(turn.text), turn.text
            assert len(turn.text) < 250
            assert not turn.malformed


def test_it_searches_first_and_opens_a_page_only_when_the_snippet_lacks_the_fact():
    env = environment("tiny", "train", limit=1, snippet_characters=1000)
    for index in range(30):
        episode = play(env, Oracle(env), options={"task": index})
        tools = [call.tool for turn in episode.turns for call in turn.calls]
        family = episode.task.family
        assert tools == (["search", "search", "python"] if family == "web/arithmetic" else ["search"] * int(family[4]))


def test_values_come_from_tool_results_not_from_the_task():
    """A calculator that is off by one makes the oracle's answer off by one."""

    class Wrong(Calculator):
        def call(self, state, argument, context):
            return ToolResult(str(int(super().call(state, argument, context).text) + 1))

    env = environment("medium", "train", calculator=Wrong())
    task = env.tasks.of_families(["web/arithmetic"])[0]
    assert play(env, Oracle(env), options={"task": task}).answer == str(int(task.answers[0]) + 1)


def test_without_results_it_gives_up_in_an_orderly_way():
    class Empty(Tool):
        name = "search"
        description = "finds nothing"

        def call(self, state, argument, context):
            return ToolResult("Nothing found.", results=())

    made = world("medium", "train")
    env = ToolEnv(made.tasks, [Empty(), BrowseTool(made.corpus), Calculator()], exact, world=made)
    for index in range(20):
        assert play(env, Oracle(env), options={"task": index}).answer == "unknown"
