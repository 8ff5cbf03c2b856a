"""Words: what a comparison shows, and what it cannot, in sentences that a reader who knows no statistics can use.

    conclusions(found)          # of `findings.findings`; one sentence on the whole, one on each contender
    limits(found)
    starts(found)               # each against its own start
    verdict(contender, "aepo")  # one contender against the reference

Differences are in points: hundredths of the questions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from algorithms.report.summary import percent
from baselines.statistics import LEVEL, POWER

NAMES = {
    "rollouts": "rollouts",
    "tokens": "generated tokens",
    "tool_calls": "tool calls",
    "seconds": "training seconds",
}
"""What runs use, for people."""

_MINUS = "\u2212"


def points(share: float) -> str:
    """A difference with its sign, in points."""
    return f"{percent(share):+.1f}".replace("-", _MINUS)


def span(low: float, high: float) -> str:
    """An interval in points."""
    return f"{points(low)} to {points(high)}"


def conclusions(found: Mapping[str, Any]) -> list[str]:
    """What can be said, the most important first."""
    others = [one for one in found["contenders"] if one["versus"] is not None]
    reference = found["reference"]
    said = []
    decided = {
        which: [one["label"] for one in others if one["versus"]["verdict"] == which] for which in ("better", "worse")
    }
    if others and found["seeds"] < 2:
        said.append(
            "With one seed a contender, nothing can be said about the algorithms: only how single trainings ended."
        )
    elif others and not any(decided.values()):
        said.append(f"No difference between {reference} and any other contender could be shown.")
    elif others:
        parts = [
            f"{_listed(labels)} {'is' if len(labels) == 1 else 'are'} {which} than {reference}"
            for which, labels in decided.items()
            if labels
        ]
        rest = len(others) - sum(map(len, decided.values()))
        said.append("; ".join([*parts, *(["no other difference could be shown"] if rest else [])]) + ".")
    said += [verdict(one, reference) for one in others]
    return [*said, _learning(found["contenders"])]


def verdict(one: Mapping[str, Any], reference: str) -> str:
    """One contender against the reference."""
    versus = one["versus"]
    interval = f"{points(versus['difference'])} points (95 % interval {span(versus['low'], versus['high'])}"
    tested = f"{interval}; p = {_p(versus['p_corrected'])} after correction)"
    if versus["identical"]:
        return f"{one['label']} and {reference}: no difference; they answered every question alike."
    if versus["verdict"] == "one seed":
        return f"{one['label']} against {reference}: {interval}, over questions alone); one seed each proves nothing."
    if versus["verdict"] == "no difference":
        return (
            f"{one['label']} and {reference}: no difference shown, {tested}. A true one below about "
            f"{100 * versus['detectable']:.0f} points would mostly go unseen."
        )
    return f"{one['label']} is {versus['verdict']} than {reference}: {tested}."


def _learning(contenders: Sequence[Mapping[str, Any]]) -> str:
    """Whether anything was learned that could differ."""
    trained = [one for one in contenders if one["steps"]]  # others had nothing to learn from
    if not trained:
        return "Nothing was trained."
    contenders = [one for one in trained if not one["at_start"]]
    if not contenders:
        return "Whether anything was learned within the budget is not known: it was evaluated before training alone."
    learned = [one["label"] for one in contenders if one["gain"] is not None and one["gain"][1] > 0]
    gains = ", ".join(f"{one['label']} {points(one['gain'][0])}" for one in contenders if one["gain"] is not None)
    if len(learned) == len(contenders):
        return f"All contenders learned, in greedy answers (points gained since before training: {gains})."
    if not learned:
        return (
            f"No contender was shown to have learned, in greedy answers (points gained: {gains}), so that there was "
            "little to tell them apart by: try more steps, other questions, or a larger budget."
        )
    who = ", ".join(learned)
    return f"Shown to have learned, in greedy answers at this budget: {who}; not the others (points gained: {gains})."


def starts(found: Mapping[str, Any]) -> list[str]:
    """How whole runs ended against their own starts; nothing where none was trained."""
    by_verdict: dict[str, list[str]] = {}
    for one in found["contenders"]:
        if one["since_start"]["verdict"] is not None:
            by_verdict.setdefault(one["since_start"]["verdict"], []).append(one["label"])
    if not by_verdict:
        return []
    said = {
        "improved": "Improved on its start, beyond the interval",
        "no change shown": "No change shown",
        "below": "Ended below its start, beyond the interval",
        "mixed": "Better in one kind of answer and worse in the other",
    }
    told = [
        f"{words}: {_listed(by_verdict[name]) if name in by_verdict else 'none'}."
        for name, words in said.items()
        if name in by_verdict or name in ("improved", "below")
    ]
    over = "questions alone, of one training each" if found["seeds"] < 2 else "seeds and questions"
    told.append(
        f"Each interval is of one contender by itself, over {over}, and greedy and sampled answers each "
        f"have one: of contenders that changed nothing, up to {200 * LEVEL:.0f} in a hundred would still seem to "
        "have, in either direction."
    )
    return told


def limits(found: Mapping[str, Any]) -> list[str]:
    """What cannot be concluded, and under which conditions all the rest holds."""
    said = []
    versus = [one["versus"] for one in found["contenders"] if one["versus"] is not None]
    unseen = [one["detectable"] for one in versus if not one["identical"]]
    seeds, tests = found["seeds"], len(versus)
    if unseen and seeds > 1:
        low, high = f"{100 * min(unseen):.0f}", f"{100 * max(unseen):.0f}"
        said.append(
            f"With {seeds} seeds and {found['questions']} questions, true differences below about "
            f"{low if low == high else f'{low} to {high}'} points cannot be seen reliably: smaller ones would be found "
            f'in fewer than {100 * POWER:.0f} of 100 comparisons. "No difference" does not mean that two are equal.'
        )
    if seeds < 5:
        said.append(
            f"Intervals of scores rest on {seeds} training{'s' * (seeds > 1)} each and are rather too narrow; the "
            "verdicts come from paired tests, which allow for that. Five seeds or more are advisable."
        )
    said += _budget(found)
    said.append(
        f"All of it holds for {found['environment']} with the model {found['model']} and these settings, which were "
        "tuned for no contender. With the tiny model and a short run it shows that and how the algorithms work; it is "
        "no ranking of what they do for large models."
    )
    if tests > 1:
        said.append(
            f"Each contender is compared with {found['reference']} alone. The {tests} tests are corrected together "
            f"(Holm), so that the chance of any false difference is about {100 * LEVEL:.0f} %. Comparing others "
            "with each other by eye has no such protection: name another first, and run the same command."
        )
    short = [one["label"] for one in found["contenders"] if len(one["seeds"]) < found["asked"]]
    if short:
        said.append(f"Not all seeds are finished of {', '.join(short)}: they are compared over those that are.")
    if found["unlike"]:
        said.append(
            f"The runs were made on machines that differ ({', '.join(found['unlike'])}), which may change figures."
        )
    if found["lost"]:
        said.append(f"Faults of tools took {found['lost']} episodes from the evaluations; they count as not solved.")
    if found["missing"]:
        said.append(f"Left out, because no run of theirs is finished: {', '.join(found['missing'])}.")
    return said


def _budget(found: Mapping[str, Any]) -> list[str]:
    """At which point runs were compared."""
    name, budget = NAMES[found["field"]], found["budget"]
    if not budget:
        return []
    within = [one for one in found["contenders"] if one["used"][found["field"]] and not one["at_start"]]
    least = min((one["at"][found["field"]] / budget for one in within), default=0)
    said = [
        f"Runs are compared at {budget:,.0f} {name}, the largest budget that all have reached; nothing is "
        f"interpolated: each is taken at its last evaluation within it, where it had used {100 * least:.0f} % of "
        "it or more."
    ]
    if late := [one["label"] for one in found["contenders"] if one["at_start"]]:
        said.append(
            f"Not compared, because within that budget they were evaluated before training alone: {', '.join(late)}. "
            "Evaluate more often (--eval-every), or give them more steps."
        )
    if early := [one for one in within if max(one["at_steps"]) < one["steps"]]:
        steps = ", ".join(
            f"{one['label']} (step {_range(one['at_steps'])} of {one['steps']}, "
            f"{100 * one['at'][found['field']] / budget:.0f} % of the budget)"
            for one in early
        )
        said.append(
            f"Compared before the end of their runs, where the learning rate had not fallen to its end yet: {steps}."
        )
    return said


def _listed(labels: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))


def _range(values: Sequence[int]) -> str:
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
