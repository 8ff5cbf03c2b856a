"""Episodes: an agent plays tasks, several at once, each in a copy of the environment and with a writer of its own.

    played = play_all(env, tasks, make, backend, samples=1, at_once=16, seed=0, say=print)
    played[0].solved, played[0].stop_reason, played[0].written

Results come in the order of the tasks, whoever was done first. The random streams of an episode are named by the seed,
the task and the sample; the environment's are those that an evaluation of a trained policy gets, so that both meet the
same episodes. As there, an episode that a fault ended is played once more, then counts as not solved.
"""

import copy
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aepo_env
from aepo_env.agent import Agent
from aepo_env.episode import Episode
from aepo_env.tasks import Task
from algorithms.rollout.playing import scored_as_cut
from algorithms.rollout.streams import number
from algorithms.training.measures import solved
from baselines.agents.writer import Backend, Key, OutOfTokens, Tally, Writer

Make = Callable[[Any, Writer, Key], Agent]
"""An agent for one episode: in an environment, with a writer, under a name that its chance follows from."""

_ATTEMPTS = 2
_SILENCE = 15.0  # seconds between two lines about how far it is


@dataclass(frozen=True)
class Played:
    """What came of one episode.

    solved: the answer was wholly right. stop_reason: the environment's, or a limit in tokens. calls: tools run, by
    name. requests: to the model; read, written: tokens in all of them. episode: the environment's record.
    """

    task: Task
    sample: int
    solved: bool
    stop_reason: str
    calls: Counter[str]
    requests: int
    read: int
    written: int
    episode: Episode


class _Work:
    """Jobs, handed out in order, and what came of them."""

    def __init__(self, tasks: Sequence[Task], samples: int) -> None:
        self.jobs = [(task, sample) for task in tasks for sample in range(samples)]
        self.done: dict[int, Played] = {}
        self.error: BaseException | None = None
        self._next: Iterator[int] = iter(range(len(self.jobs)))
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """The next job's number; None where there is none, or something went wrong."""
        with self._lock:
            return None if self.error is not None else next(self._next, None)


def play_all(
    env: Any,
    tasks: Sequence[Task],
    make: Make,
    backend: Backend | None,
    *,
    samples: int = 1,
    at_once: int = 16,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> list[Played]:
    """Play every task `samples` times; task by task, its samples in order.

    Args:
        env: an environment of aepo_env, wrappers or not; it is copied, never stepped.
        backend: makes the writers; None for agents that need none. It is closed if something goes wrong.
        at_once: episodes that play at the same time.
        say: gets a line now and then.

    Raises:
        What an agent, a writer or an environment raised first; episodes under way are given up then.
    """
    work = _Work(tasks, samples)
    names = Counter[str]()
    keys: list[Key] = []
    for task, sample in work.jobs:
        names[f"{task.id}/{sample}"] += 1  # a task given twice is two questions
        keys.append((task.id, sample, names[f"{task.id}/{sample}"]))
    threads = [
        threading.Thread(target=_play_some, args=(env, work, keys, make, backend, seed), daemon=True)
        for _ in range(min(at_once, len(work.jobs)))
    ]
    if backend is not None:
        backend.expect(len(threads))
    try:
        for thread in threads:
            thread.start()
        _watch(threads, work, say)
    except BaseException as stopped:  # Ctrl-C above all
        work.error = stopped
    if work.error is not None:
        if backend is not None:
            backend.close()
        raise work.error
    return [work.done[number] for number in range(len(work.jobs))]


def _watch(threads: Sequence[threading.Thread], work: _Work, say: Callable[[str], None]) -> None:
    """Until all are done or one failed."""
    said = time.monotonic()
    while work.error is None and any(thread.is_alive() for thread in threads):
        next(thread for thread in threads if thread.is_alive()).join(0.2)
        if time.monotonic() - said > _SILENCE and (done := list(work.done.values())):
            said = time.monotonic()
            say(
                f"{len(done)} of {len(work.jobs)} episodes played, "
                f"{100 * sum(one.solved for one in done) / len(done):.0f} % right so far"
            )


def _play_some(env: Any, work: _Work, keys: Sequence[Key], make: Make, backend: Backend | None, seed: int) -> None:
    """What a thread does: one episode after the other in an environment of its own."""
    try:
        mine = copy.deepcopy(env)
        try:
            while (place := work.take()) is not None:
                task, sample = work.jobs[place]
                work.done[place] = _play(mine, task, sample, keys[place], make, backend, seed)
        finally:
            mine.close()
    except BaseException as error:  # handed to whoever called play_all
        work.error = work.error or error
    finally:
        if backend is not None:
            backend.leave()


def _play(env: Any, task: Task, sample: int, key: Key, make: Make, backend: Backend | None, seed: int) -> Played:
    """One episode, again if a fault ended it."""
    stream = number(seed, 0, task.id, "environment")
    requests = read = written = 0
    for _ in range(_ATTEMPTS):
        writer = Tally(_NoWriter() if backend is None else backend.writer(key))
        reason = None
        try:
            episode = aepo_env.play(env, make(env, writer, key), seed=stream, options={"task": task})
        except OutOfTokens as cut:
            episode, reason = scored_as_cut(env, cut.text), cut.reason
        finally:
            writer.close()
        requests, read, written = requests + writer.requests, read + writer.read, written + writer.written
        if episode.valid:
            break
    return Played(
        task,
        sample,
        episode.rewards is not None and solved(episode.rewards),
        reason or str(episode.stop_reason),
        Counter(call.tool for call in episode.calls()),
        requests,
        read,
        written,
        episode,
    )


class _NoWriter:
    """For agents that write by themselves."""

    def write(self, messages: Any, stop: Sequence[str] = ()) -> Any:
        raise ValueError("This agent needs a model: give --policy or --server.")

    def close(self) -> None:
        """Nothing is held."""
