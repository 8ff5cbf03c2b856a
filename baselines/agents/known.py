"""known: every agent by name: what it is, where it comes from, and how one is made.

make = maker("react", learned=True, seed=0)
agent = make(env, writer, ("task-7", 0))
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aepo_env.agent import Agent, Oracle
from aepo_env.text import did_you_mean
from algorithms.rollout.streams import generator
from baselines.agents.chance import Chance
from baselines.agents.direct import Direct, Retrieve
from baselines.agents.plan import PlanThenSearch
from baselines.agents.react import React
from baselines.agents.search_o1 import SearchO1
from baselines.agents.writer import Key, Writer


@dataclass(frozen=True)
class Known:
    """An agent.

    summary: what it does, in a line. source: where it comes from. writes: whether it needs a model. instructed: whether
    it works by instructions alone, so that a model which learned the gym's turns and nothing else is of little use.
    make: from environment, writer, whether the model knows the gym's own turns, and the seed with the episode's name.
    """

    summary: str
    source: str
    make: Callable[[Any, Writer, bool, tuple[int | str, ...]], Agent]
    writes: bool = True
    instructed: bool = False


AGENTS = {
    "direct": Known(
        "answers from memory, without a tool",
        "",
        lambda env, writer, learned, _: Direct(env, writer, learned=learned),
    ),
    "retrieve": Known(
        "one search with the question's own words, then the answer",
        "after arXiv:2005.11401",
        lambda env, writer, learned, _: Retrieve(env, writer, learned=learned),
    ),
    "react": Known(
        "thinks, calls a tool, reads, again, until it answers",
        "arXiv:2210.03629",
        lambda env, writer, learned, _: React(env, writer, learned=learned),
    ),
    "search-o1": Known(
        "reasons, searches when unsure, and reads digests made apart from the reasoning",
        "arXiv:2501.05366",
        lambda env, writer, *_: SearchO1(env, writer),
        instructed=True,
    ),
    "plan-then-search": Known(
        "makes the whole plan first, then one call a step, then the answer",
        "after arXiv:2305.04091",
        lambda env, writer, *_: PlanThenSearch(env, writer),
        instructed=True,
    ),
    "oracle": Known(
        "knows each task's plan, takes every value from the tools: what can be reached",
        "",
        lambda env, *_: Oracle(env),
        writes=False,
    ),
    "random": Known(
        "calls and answers of words that stand there: what chance reaches",
        "",
        lambda env, _, __, key: Chance(env, generator(*key, "chance")),
        writes=False,
    ),
}


def known_agent(name: str) -> Known:
    """The agent of this name. Raises ValueError that lists the names."""
    if name not in AGENTS:
        raise ValueError(f"There is no agent {name!r}{did_you_mean(name, AGENTS)} There are {', '.join(AGENTS)}.")
    return AGENTS[name]


def maker(name: str, *, learned: bool = False, seed: int = 0) -> Callable[[Any, Writer, Key], Agent]:
    """What `play_all` makes its agents with.

    learned: the model knows the gym's own messages and turns, so it gets those instead of instructions.
    """
    known = known_agent(name)
    return lambda env, writer, key: known.make(env, writer, learned, (seed, *key))
