"""Playing turns in environments: in place, or in a bounded pool of threads while the engine writes on.

    player = Player(threads=8)
    player.submit(path, text, seconds=130)
    for path, played in player.finished(wait=not engine.busy):      # played is None: the step's time was up
        ...
    player.close()

In place (threads = 0), for tools that answer at once, everything happens in a fixed order and runs are bit-equal.
Threads are for tools that wait for others. Environments bound their own tools; `seconds` is for one that does not keep
its bounds: the step is given up (`bounded`), and where that goes on happening, the rollout ends in a sentence.

Left out: processes; environments hold live handles.
"""

import hashlib
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import gymnasium

from aepo_env.env import ToolEnv
from aepo_env.episode import Episode, StopReason, Turn
from aepo_env.protocols.protocol import Calls
from aepo_env.rules import Rules
from algorithms.rollout.bounded import TookTooLong, Workers, at_most
from algorithms.rollout.faults import ToolsFailed
from algorithms.rollout.paths import AnyEnv, Path

_PATIENCE = 4  # steps given up, or as many as there are threads if those are more, before the rollout ends
_GRACE = 100.0  # seconds beyond a deadline
_LOOK = 1.0  # seconds between looks at whose time is up


class Played(NamedTuple):
    """One turn as the environment took it. episode: its record after the turn; ended: terminated or truncated."""

    observation: str
    ended: bool
    info: dict[str, Any]
    episode: Episode


@dataclass(eq=False, slots=True)
class _Turn:
    """A turn that a thread plays, or will. began: when one took it up."""

    path: Path
    env: AnyEnv
    text: str
    seconds: float
    began: float | None = None

    def play(self) -> Played:
        self.began = time.monotonic()
        return play_turn(self.env, self.text)

    @property
    def left(self) -> float:
        """Seconds it may still take."""
        return self.seconds if self.began is None else self.began + self.seconds - time.monotonic()


class Player:
    """Steps environments.

    Args:
        threads: how many at once; 0 steps in place.
    """

    def __init__(self, threads: int) -> None:
        if threads < 0:
            raise ValueError(f"Expected threads >= 0; got {threads}.")
        self._pool = Workers(threads) if threads else None
        self._most_given_up, self._given_up = max(_PATIENCE, threads), 0
        self._here: list[tuple[Path, str, float]] = []
        self._away: dict[Future[Played], _Turn] = {}

    @property
    def waiting(self) -> int:
        """Turns submitted and not handed back."""
        return len(self._here) + len(self._away)

    def submit(self, path: Path, text: str, seconds: float) -> None:
        """Play `text` in the path's environment.

        seconds: beyond them the step is given up, and its path gets no result; an environment that a thread is still
            in is closed when that comes out. They count from when a thread takes it up.
        """
        if self._pool is None:
            self._here.append((path, text, seconds))
            return
        turn = _Turn(path, environment_of(path), text, seconds)
        self._away[self._pool.submit(turn.play)] = turn

    def finished(self, wait_for_one: bool) -> list[tuple[Path, Played | None]]:
        """Turns that were played, in the order they were submitted. In place, this is where they are played.

        What an environment raises goes up from here: it is a fault of the program, not of a tool.

        Raises:
            ToolsFailed: too many steps had to be given up.
        """
        here, self._here = self._here, []
        out: list[tuple[Path, Played | None]] = [
            (path, self._in_place(path, text, seconds)) for path, text, seconds in here
        ]
        if self._away:
            nearest = min(turn.left for turn in self._away.values())
            wait(
                self._away, timeout=min(_LOOK, max(0.0, nearest)) if wait_for_one else 0.0, return_when=FIRST_COMPLETED
            )
        for future, turn in list(self._away.items()):
            if future.done():
                del self._away[future]
                out.append((turn.path, future.result()))
            elif turn.left <= 0:
                del self._away[future]
                self._abandon(future, turn)
                self._count_given_up()
                out.append((turn.path, None))
        return out

    def close(self) -> None:
        """Give up what is under way; environments still stepping are closed when their step ends. Idempotent."""
        for future, turn in self._away.items():
            self._abandon(future, turn)
        self._away.clear()
        self._here.clear()
        if self._pool is not None:
            self._pool.close()

    def _in_place(self, path: Path, text: str, seconds: float) -> Played | None:
        try:
            with at_most(seconds):
                return play_turn(environment_of(path), text)
        except TookTooLong:
            self._count_given_up()
            return None

    def _count_given_up(self) -> None:
        self._given_up += 1
        if self._given_up > self._most_given_up:
            raise ToolsFailed(
                f"{self._given_up} tool calls did not come back long after their deadlines: a tool must end within "
                "context.seconds, whatever it waits for (docs/own_tool.md)."
            )
        if self._pool is not None:
            self._pool.add()  # in the place of the thread that may never come back

    @staticmethod
    def _abandon(future: "Future[Played]", turn: _Turn) -> None:
        """A thread may still be inside the environment: close it only when it has come out."""
        turn.path.env = None
        future.cancel()
        future.add_done_callback(lambda _: turn.env.close())


def called(rules: Rules, text: str) -> list[str]:
    """Names of the tools that a turn calls, in order."""
    parsed = rules.protocol.parse(text)
    return [call.tool for call in parsed.calls] if isinstance(parsed, Calls) else []


def time_for(rules: Rules, text: str) -> float:
    """Seconds that a turn may take: its calls' deadlines and some more, for boxes have to be started; all of the
    episode's where it calls nothing, for a judge may be asked."""
    calls = len(called(rules, text))
    limits = rules.limits
    return _GRACE + (min(calls * limits.call_seconds, limits.episode_seconds) if calls else limits.episode_seconds)


def play_turn(env: AnyEnv, text: str) -> Played:
    """One step, with the record it left behind."""
    observation, _, terminated, truncated, info = env.step(text)
    return Played(observation, terminated or truncated, info, episode_of(env))


def scored_as_cut(env: AnyEnv, text: str | None) -> Episode:
    """The record of an episode that the caller ends: by a token limit, or by a wrapper's.

    The environment knows characters, not tokens; the turn that was cut is part of what its reward reads.

    Args:
        env: its episode is still running.
        text: of the turn that was cut, not yet played; None where no turn was begun.

    Returns:
        the record with its rewards, or not valid where the reward's judge could not be reached.
    """
    episode = episode_of(env)
    turns = episode.turns if text is None else (*episode.turns, Turn(text, ""))
    record = episode._replace(turns=turns, stop_reason=StopReason.MAX_CHARACTERS)
    try:
        score = cast(ToolEnv, env.unwrapped).rules.reward(record)
    except OSError:  # as the environment itself takes it
        return record._replace(valid=False)
    return record._replace(rewards={**score.parts, "total": float(score.total)})


def episode_of(env: AnyEnv) -> Episode:
    """The record of an environment of aepo_env, inside its wrappers."""
    if not isinstance(env.unwrapped, ToolEnv):
        raise gymnasium.error.Error(f"An environment of aepo_env is needed; got {type(env.unwrapped).__name__}.")
    return env.unwrapped.episode


def environment_of(path: Path) -> AnyEnv:
    """The environment of a path that is alive."""
    if path.env is None:
        raise RuntimeError(f"Path {path.number} has no environment any more: a fault of grow.")
    return path.env


def state_of(env: AnyEnv) -> str:
    """A short digest of where an environment stands: task, last result, what each tool looks at; `ToolEnv.anchor`.

    Equal states have equal digests on all paths and in all processes; the transcript, never the same twice, is not in.
    """
    anchor = cast(ToolEnv, env.unwrapped).anchor()
    return hashlib.sha256(repr(anchor).encode()).hexdigest()[:16]
