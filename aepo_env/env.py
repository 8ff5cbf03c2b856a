"""ToolEnv: a multi-turn text environment with tools, as a real `gymnasium.Env` whose episodes can be forked.

    env = gymnasium.make("aepo_env/Web-v0")
    observation, info = env.reset(seed=7)                       # the question
    observation, reward, terminated, truncated, info = env.step("<search>…</search>")

The action is the policy's raw text of one turn; the observation is only the new text. `terminated` means answered,
`truncated` that a limit was reached or a tool broke down (`info["stop_reason"]` says which); `step` never raises for
what a policy, a page, a tool or the network does. `fork`, `snapshot` and `restore` work at any step and are not
reachable by the policy. Everything that changes is in `env.episode`, one frozen record (`aepo_env.episode`).

Left out: tokens, chat templates and histories (the caller's), and autoreset (Gymnasium's vector environments do it).
"""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import gymnasium
import numpy as np

from aepo_env.episode import NO_TURN, Episode, Limits
from aepo_env.errors import ForkNotSupported
from aepo_env.protocols.protocol import Span, TextProtocol
from aepo_env.protocols.tags import TagsProtocol
from aepo_env.rules import EpisodeReward, Messages, Rules
from aepo_env.spaces import MAX_TEXT, Unicode
from aepo_env.tasks import Task, find_task
from aepo_env.tools.tool import ForkCost, Forking, Tool
from aepo_env.worlds.world import World

RandomStreams = Literal["same", "split"]

_FREE = ForkCost.FREE  # as a global: looked up at every step
_COSTS = tuple(ForkCost)  # in rising order


class Snapshot:
    """An episode put aside, to be restored any number of times. Release it (or drop it) to free its interpreters.

    Pickles: live interpreters are left behind and rebuilt from their recorded cells when it is restored.

    Attributes:
        episode: the record, with tool states of the snapshot's own.
        tool_names: which tools the states belong to, in their order.
        fork_count: how many forks had been taken at that step.
    """

    def __init__(self, env: "ToolEnv", episode: Episode) -> None:
        self.episode = episode
        self.tool_names = tuple(tool.name for tool in env.rules.tools)
        self.fork_count = env._fork_count
        self._random = copy.deepcopy((env.np_random, env._np_random_seed))
        self._tools: Sequence[Tool] | None = env.rules.tools

    def random_generator(self) -> tuple[np.random.Generator, int | None]:
        """A copy of the environment's generator as it stood, and the seed it once started from."""
        return copy.deepcopy(self._random)

    def release(self) -> None:
        """Give back what the snapshot holds. Idempotent."""
        tools, self._tools = self._tools, None
        if tools is not None:
            _release(tools, self.episode.tool_states)

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_tools": None}


class ToolEnv(gymnasium.Env[str, str]):
    """A text environment over a task set.

    Args:
        tasks: any non-empty sequence of tasks; `reset` draws one, or takes `options={"task": index, id or Task}`.
        tools: what the policy may call. Shared with forks and never changed; their per-episode state is in `episode`.
        reward: maps the finished episode to a `Score` (aepo_env.rewards); given once, at the end.
        limits: budgets of one episode.
        protocol: how text is read and written; default: the tags protocol over the tools' names.
        world: where the tasks come from, if they come from one; gives `aepo_env.agent.Oracle` its solver.
        render_mode: "ansi" makes `render()` give the transcript.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012  # Gymnasium's name and type

    def __init__(
        self,
        tasks: Sequence[Task],
        tools: Sequence[Tool],
        reward: EpisodeReward,
        *,
        limits: Limits | None = None,
        protocol: TextProtocol | None = None,
        world: World | None = None,
        render_mode: str | None = None,
    ) -> None:
        if len(tasks) == 0:
            raise ValueError("The task set is empty: give at least one task.")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode is None or one of {self.metadata['render_modes']}; got {render_mode!r}.")
        for tool in tools:
            if not hasattr(tool, "name") or not hasattr(tool, "description"):
                raise TypeError(f"The tool {type(tool).__name__} needs a name and a description: give the class both.")
        if protocol is None:
            protocol = TagsProtocol([tool.name for tool in tools])
        self.tasks = tasks
        self.rules = Rules(tools, protocol, limits if limits is not None else Limits(), reward)
        self.world = world
        self.render_mode = render_mode
        # A result may grow when tags in it are defused ("<" to "&lt;").
        self.observation_space = Unicode(max(MAX_TEXT, 4 * self.rules.limits.observation_characters))
        self.action_space = Unicode()
        self._system_prompt = protocol.system_prompt(tools)
        # Those that have to be asked what a fork costs, by their places.
        self._askable = [i for i, tool in enumerate(tools) if tool.forking not in (Forking.PURE, Forking.VALUE)]
        self._episode: Episode | None = None
        self._fork_count = 0  # forks taken at the present step; names the next child's random streams

    # ------------------------------------------------------------------------------------------------ gymnasium.Env

    @property
    def episode(self) -> Episode:
        """The record of the present episode. Raises ResetNeeded before the first reset."""
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("There is no episode yet: call reset() first.")
        return self._episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode; the observation is the question.

        Args:
            seed: equal seeds and equal options give equal episodes, in every process.
            options: {"task": …} picks the task by index, by id, or brings one (a Task or a mapping of its fields).

        Raises:
            ValueError, TypeError: options that are unknown or name no task; the running episode goes on then.
        """
        wanted = self._wanted_task(options)
        super().reset(seed=seed)
        generator = self.np_random
        # Both are drawn whatever was asked for, so that naming a task shifts nothing that comes later.
        drawn = int(generator.integers(len(self.tasks)))
        episode_seed = int(generator.integers(2**31))
        task = wanted if wanted is not None else self.tasks[drawn]
        states = tuple(tool.start(episode_seed) for tool in self.rules.tools)
        self._release_tools()
        self._fork_count = 0
        self._episode = Episode(task, episode_seed, tool_states=states)
        messages = ({"role": "system", "content": self._system_prompt}, {"role": "user", "content": task.question})
        return task.question, self._info(self._episode, messages)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play one turn: read `action` (the policy's raw text), run its calls, return the new text.

        Raises:
            TypeError: the action is not a string. ResetNeeded: there is no running episode.
        """
        episode = self._episode
        if episode is None or episode.stop_reason is not None:
            episode = self.episode  # raises, if there is none
            raise gymnasium.error.ResetNeeded(f"The episode has ended ({episode.stop_reason}): call reset() first.")
        if not isinstance(action, str):
            raise TypeError(f"An action is the policy's text (str); got {type(action).__name__}.")
        episode, messages, answer_span = self.rules.play(episode, action)
        self._episode = episode
        self._fork_count = 0
        answered = answer_span is not None
        return (
            episode.turns[-1].observation,
            0.0 if episode.rewards is None else episode.rewards["total"],
            answered,
            episode.stop_reason is not None and not answered,
            self._info(episode, messages, answer_span),
        )

    def render(self) -> str | None:
        """The transcript so far, for render_mode="ansi"."""
        if self.render_mode != "ansi":
            return None
        return self.episode.task.question + "\n\n" + self.episode.response()

    def close(self) -> None:
        """Give back the episode's interpreters. The tools themselves are shared with forks and stay open."""
        self._release_tools()
        self._episode = None

    def anchor(self) -> tuple[Any, ...]:
        """A hashable picture of where the episode stands: the task, the last observation, what each tool looks at.

        Equal situations reached on different paths are equal here; the transcript, which never is, is left out.
        """
        episode = self.episode
        last = episode.turns[-1].observation if episode.turns else ""
        looks = [tool.anchor(state) for tool, state in zip(self.rules.tools, episode.tool_states, strict=True)]
        return (episode.task.id, last, *looks)

    # ------------------------------------------------------------------------------------- fork, snapshot, restore

    def fork(self, n: int = 1, *, rng: RandomStreams = "split") -> "list[ToolEnv]":
        """`n` independent copies of this environment, standing at the same step.

        Budgets are copied, tool states are forked as each tool declares, corpora and caches are shared.

        Args:
            n: how many children.
            rng: "split" gives each child random streams of its own; "same" lets them repeat the parent's.

        Raises:
            ForkNotSupported: a tool cannot be forked. Nothing is left behind then.
        """
        self._check_forkable()
        if rng not in ("same", "split"):
            raise ValueError(f'rng must be "same" or "split"; got {rng!r}.')
        if not isinstance(n, int | np.integer) or n < 0:
            raise ValueError(f"n must be a whole number of children; got {n!r}.")
        children: list[ToolEnv] = []
        try:
            for _ in range(n):
                children.append(self._fork_once(rng))  # a failure must find the children made so far
        except BaseException:
            for child in children:
                child.close()
            raise
        return children

    def snapshot(self) -> Snapshot:
        """The present moment, to come back to with `restore` here or in any environment made alike."""
        self._check_forkable()
        return Snapshot(self, self.episode._replace(tool_states=self._fork_states(self.episode, "same", 0)))

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from `snapshot`, as often as wanted; the snapshot itself stays as it is."""
        if not isinstance(snapshot, Snapshot):
            raise TypeError(
                f"A Snapshot is needed, as env.snapshot() gives it; got {type(snapshot).__name__}. For one of a "
                "wrapper stack, as aepo_env.snapshot gives it, call aepo_env.restore."
            )
        episode = snapshot.episode
        names = tuple(tool.name for tool in self.rules.tools)
        if snapshot.tool_names != names:
            raise ValueError(
                f"The snapshot was taken with the tools {snapshot.tool_names}, this environment has {names}: "
                "restore it in an environment made with the same arguments."
            )
        states = self._fork_states(episode, "same", 0)
        self._release_tools()
        self._episode = episode._replace(tool_states=states)
        self._np_random, self._np_random_seed = snapshot.random_generator()
        self._fork_count = snapshot.fork_count

    def _check_forkable(self) -> None:
        for tool in self.rules.tools:
            if tool.forking is Forking.NONE:
                raise ForkNotSupported(f"The tool {tool.name!r} cannot be forked: make the environment without it.")

    def _fork_once(self, rng: RandomStreams) -> "ToolEnv":
        episode = self.episode
        lineage = (*episode.lineage, (len(episode.turns), self._fork_count))
        # Keyed by the place in the tree, not drawn: forking must not disturb the parent's own streams.
        key = hashlib.sha256(f"{episode.seed} {lineage}".encode()).digest()
        seed = int.from_bytes(key[:4]) >> 1
        states = self._fork_states(episode, rng, seed)
        child = self._copy()
        child._episode = episode._replace(tool_states=states, lineage=lineage)
        if rng == "same":
            child._np_random = copy.deepcopy(self._np_random)
        else:
            child.np_random = np.random.default_rng(list(key))
            child.action_space.seed(seed)
        self._fork_count += 1
        return child

    def _fork_states(self, episode: Episode, rng: RandomStreams, seed: int) -> tuple[Any, ...]:
        """Independent copies of the tools' states; if one cannot be had, none is left behind."""
        states: list[Any] = []
        try:
            for tool, state in zip(self.rules.tools, episode.tool_states, strict=True):
                states.append(tool.fork(state, rng=rng, seed=seed))  # a failure must find the copies made so far
        except BaseException:
            _release(self.rules.tools, states)
            raise
        return tuple(states)

    def _copy(self) -> "ToolEnv":
        """This environment with spaces of its own; its episode and its generator are still the same."""
        twin = copy.copy(self)
        twin.action_space = copy.deepcopy(self.action_space)
        twin.observation_space = copy.deepcopy(self.observation_space)
        twin._fork_count = 0
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> "ToolEnv":
        """A deep copy is a fork: nothing of an episode may be shared, and tools and corpora must not be copied."""
        if self._episode is not None:
            return self.fork(1, rng="same")[0]
        twin = self._copy()
        twin._np_random = copy.deepcopy(self._np_random)
        return twin

    # ------------------------------------------------------------------------------------------------------- inside

    def _wanted_task(self, options: Mapping[str, Any] | None) -> Task | None:
        """The task that `options` ask for, if any."""
        unknown = sorted(set(options or ()) - {"task"}, key=str)
        if unknown:
            raise ValueError(f'reset knows the option "task" alone; got {", ".join(map(repr, unknown))}.')
        wanted = options.get("task") if options else None
        return None if wanted is None else find_task(self.tasks, wanted)

    def _info(self, episode: Episode, messages: Messages, answer_span: Span | None = None) -> dict[str, Any]:
        """What a step says besides the observation: plain data, the reader's own, and nothing that depends on time.

        All but "fork" follow from the episode alone; that one also from how many interpreters are alive.
        """
        limits, spent, turns = self.rules.limits, episode.spent, len(episode.turns)
        turn = episode.turns[-1] if turns else NO_TURN
        calls = turn.calls
        spans: tuple[tuple[str, int, int], ...]
        if answer_span is not None:
            spans = (("answer", answer_span[0], answer_span[1]),)
        elif len(calls) == 1:  # nearly every turn, and half the price
            call = calls[0]
            start, end = call.span
            spans = ((call.tool, start, end),)
        else:
            spans = tuple([(call.tool, call.span[0], call.span[1]) for call in calls])
        left = limits.characters - spent.characters
        return {
            "task_id": episode.task.id,
            "turn": turns,
            "messages": messages,
            "calls": calls,
            "spans": spans,
            "malformed": turn.malformed != "",
            "left": {
                "turns": limits.turns - turns,
                "tool_calls": limits.tool_calls - spent.tool_calls,
                "characters": left if left > 0 else 0,
                "malformed": limits.malformed - spent.malformed,
            },
            "answer": episode.answer,
            "stop_reason": episode.stop_reason,
            "valid": episode.valid,
            "rewards": {} if episode.rewards is None else dict(episode.rewards),
            "fork": self._fork_cost(episode.tool_states) if self._askable else _FREE,
        }

    def _fork_cost(self, states: Sequence[Any]) -> ForkCost:
        """Of forking here: that of the tool it costs most."""
        return max([self.rules.tools[i].fork_cost(states[i]) for i in self._askable], key=_COSTS.index)

    def _release_tools(self) -> None:
        if self._episode is not None:
            _release(self.rules.tools, self._episode.tool_states)


def _release(tools: Sequence[Tool], states: Sequence[Any]) -> None:
    """Give back the tools' states; there may be fewer states than tools, when making them was broken off."""
    for tool, state in zip(tools, states, strict=False):
        tool.release(state)
