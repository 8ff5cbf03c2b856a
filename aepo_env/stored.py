"""Episodes as plain data: to keep them in a file and score them again later, under the same rule or another.

    line = json.dumps(to_plain(episode))
    episode = from_plain(json.loads(line))
    score = paper_reward("official")(episode)

Everything a reward or a reader may want is kept; tool states are not (a stored episode cannot be continued: that is
what `Snapshot` is for).
"""

from collections.abc import Mapping
from typing import Any

from aepo_env.episode import CallRecord, Episode, Spent, StopReason, Turn
from aepo_env.tasks import Task
from aepo_env.tools.tool import Fault

FORMAT = 1


def to_plain(episode: Episode) -> dict[str, Any]:
    """The episode as dicts, lists, texts and numbers, ready for JSON."""
    task = episode.task
    return {
        "format": FORMAT,
        "task": {
            "id": task.id,
            "question": task.question,
            "answers": list(task.answers),
            "family": task.family,
            "metadata": dict(task.metadata),
        },
        "seed": episode.seed,
        "turns": [{**turn._asdict(), "calls": [_plain_call(call) for call in turn.calls]} for turn in episode.turns],
        "results": list(episode.results),
        "spent": episode.spent._asdict(),
        "answer": episode.answer,
        "stop_reason": None if episode.stop_reason is None else str(episode.stop_reason),
        "valid": episode.valid,
        "rewards": None if episode.rewards is None else dict(episode.rewards),
        "lineage": [list(fork) for fork in episode.lineage],
    }


def from_plain(plain: Mapping[str, Any]) -> Episode:
    """The episode that `to_plain` wrote.

    Raises:
        ValueError: it is no episode, or one of a format this version does not read; the message says what is wrong.
    """
    if plain.get("format") != FORMAT:
        raise ValueError(
            f"A stored episode has format {FORMAT}; got {plain.get('format')!r}: it was written otherwise."
        )
    try:
        task = {**plain["task"], "answers": tuple(plain["task"]["answers"])}
        return Episode(
            task=Task(**task),
            seed=plain["seed"],
            turns=tuple(_turn(turn) for turn in plain["turns"]),
            results=tuple(plain["results"]),
            spent=Spent(**plain["spent"]),
            answer=plain["answer"],
            stop_reason=None if plain["stop_reason"] is None else StopReason(plain["stop_reason"]),
            valid=plain["valid"],
            rewards=plain["rewards"],
            lineage=tuple((turn, number) for turn, number in plain["lineage"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"This is no stored episode: {type(error).__name__}: {error}.") from None


def _plain_call(call: CallRecord) -> dict[str, Any]:
    fault = None if call.fault is None else call.fault._asdict()
    return {**call._asdict(), "span": list(call.span), "fault": fault}


def _turn(plain: Mapping[str, Any]) -> Turn:
    calls = []
    for call in plain["calls"]:
        fault = None if call["fault"] is None else Fault(**call["fault"])
        start, end = call["span"]
        calls.append(CallRecord(**{**call, "span": (start, end), "fault": fault}))
    return Turn(**{**plain, "calls": tuple(calls)})
