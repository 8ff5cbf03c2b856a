"""Playing turns in environments: in place, or in a bounded pool of threads while the engine writes on.

    player = Player(threads=8, seconds=300)
    player.submit(path, text)
    for path, played in player.finished(wait=not engine.busy):      # played is None: the step's time was up
        ...
    player.close()

In place (threads = 0), for tools that answer at once, everything happens in a fixed order and runs are bit-equal.
Threads are for tools that wait for others. Environments bound their own tools; `seconds` is for one that does not.

Left out: processes; environments hold live handles.
"""

import hashlib
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, cast

import gymnasium

from aepo_env.env import ToolEnv
from aepo_env.episode import Episode, StopReason, Turn
from algorithms.rollout.paths import AnyEnv, Path


class Played(NamedTuple):
    """One turn as the environment took it. episode: its record after the turn; ended: terminated or truncated."""

    observation: str
    ended: bool
    info: dict[str, Any]
    episode: Episode


class Player:
    """Steps environments.

    Args:
        threads: how many at once; 0 steps in place.
        seconds: a step that takes longer is given up: its path gets no result, its environment is closed when it ends.
    """

    def __init__(self, threads: int, seconds: float) -> None:
        if threads < 0 or seconds <= 0:
            raise ValueError(f"Expected threads >= 0 and seconds > 0; got {threads} and {seconds}.")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="rollout") if threads else None
        self._seconds = seconds
        self._here: list[tuple[Path, str]] = []
        self._away: dict[Future[Played], tuple[Path, AnyEnv, float]] = {}

    @property
    def waiting(self) -> int:
        """Turns submitted and not handed back."""
        return len(self._here) + len(self._away)

    def submit(self, path: Path, text: str) -> None:
        """Play `text` in the path's environment."""
        if self._pool is None:
            self._here.append((path, text))
            return
        env = environment_of(path)
        self._away[self._pool.submit(play_turn, env, text)] = (path, env, time.monotonic() + self._seconds)

    def finished(self, wait_for_one: bool) -> list[tuple[Path, Played | None]]:
        """Turns that were played, in the order they were submitted. In place, this is where they are played.

        What an environment raises goes up from here: it is a fault of the program, not of a tool.
        """
        here, self._here = self._here, []
        out: list[tuple[Path, Played | None]] = [(path, play_turn(environment_of(path), text)) for path, text in here]
        if self._away:
            nearest = min(end for _, _, end in self._away.values())
            patience = max(0.0, nearest - time.monotonic()) if wait_for_one else 0.0
            wait(self._away, timeout=patience, return_when=FIRST_COMPLETED)
        for future, (path, env, end) in list(self._away.items()):
            if future.done():
                del self._away[future]
                out.append((path, future.result()))
            elif time.monotonic() >= end:
                del self._away[future]
                self._abandon(path, future, env)
                out.append((path, None))
        return out

    def close(self) -> None:
        """Give up what is under way; environments still stepping are closed when their step ends. Idempotent."""
        for future, (path, env, _) in self._away.items():
            self._abandon(path, future, env)
        self._away.clear()
        self._here.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _abandon(path: Path, future: "Future[Played]", env: AnyEnv) -> None:
        """A thread may still be inside the environment: close it only when it has come out."""
        path.env = None
        future.add_done_callback(lambda _: env.close())


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
