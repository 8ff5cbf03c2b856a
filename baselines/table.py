"""table.md: a comparison as Markdown: scores, differences, starts and ends, kinds of task, cost, diversity, in words.

(out / "table.md").write_text(table(found))
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from algorithms.report.summary import percent
from baselines.words import NAMES, points, span


def table(found: Mapping[str, Any]) -> str:
    """The whole file; `found` is of `findings.findings`."""
    contenders = found["contenders"]
    seeds = found["seeds"]
    lines = [
        f"# {', '.join(one['label'] for one in contenders)} on {found['environment']}",
        "",
        f"Model {found['model']}, {seeds} seed{'s' * (seeds > 1)}, {found['questions']} unseen questions, greedy; "
        f"compared at {found['budget']:,.0f} {NAMES[found['field']]}. Brackets: 95 % intervals.",
        "",
        *_scores(found),
        "",
        *_starts(found),
        "What can be concluded:",
        "",
        *(f"- {one}" for one in found["conclusions"]),
        "",
        "What cannot:",
        "",
        *(f"- {one}" for one in found["limits"]),
        "",
        "Success by kind of task (%):",
        "",
        *_rows(
            ["", *(f"{name.rpartition('/')[2]} ({count})" for name, count in found["families"].items())],
            [[one["label"], *(_percent(one["families"][name]) for name in found["families"])] for one in contenders],
        ),
        "",
        "Cost of a whole run, and diversity of its rollouts (calls, answers: different ones of a question):",
        "",
        *_cost(contenders),
    ]
    failed = [one for one in found["cells"] if one["failed"]]
    if failed:
        lines += ["", "Failed:", "", *(f"- {one['label']}, seed {one['seed']}: {one['failed']}" for one in failed)]
    return "\n".join(lines) + "\n"


def _scores(found: Mapping[str, Any]) -> list[str]:
    heads = [
        "",
        "seeds",
        "success %",
        "interquartile mean %",
        "gained",
        f"against {found['reference']}",
        "p (Holm)",
        "P(higher)",
        "verdict",
        "sampled at the end %",
    ]
    rows = []
    for one in found["contenders"]:
        versus = one["versus"]
        compared = ["", "", "", "reference" if one["label"] == found["reference"] else "not compared"]
        if versus is not None:
            compared = [
                f"{points(versus['difference'])} ({span(versus['low'], versus['high'])})",
                f"{versus['p_corrected']:.3f}",
                _with_interval(f"{one:.2f}" for one in versus["improvement"]),
                versus["verdict"],
            ]
        rows.append(
            [
                one["label"],
                str(len(one["seeds"])),
                _with_interval(map(_percent, one["score"])),
                _with_interval(map(_percent, one["interquartile"])),
                "" if one["gain"] is None else points(one["gain"][0]),
                *compared,
                "" if one["sampled"] is None else _with_interval(map(_percent, one["sampled"])),
            ]
        )
    return _rows(heads, rows)


def _starts(found: Mapping[str, Any]) -> list[str]:
    """Whole runs against their own starts."""
    trained = [one for one in found["contenders"] if one["since_start"]["verdict"] is not None]
    if not trained:
        return []
    rows = []
    for one in trained:
        row = [one["label"]]
        for kind in ("greedy", "sampled"):
            part = one["since_start"].get(kind)
            if part is None:
                row += ["", "", ""]
            else:
                gained = f"{points(part['gain'][0])} ({span(*part['gain'][1:])})"
                row += [_percent(part["before"]), _percent(part["after"]), gained]
        rows.append([*row, one["since_start"]["verdict"]])
    heads = ["", "start, greedy %", "end %", "gained", "start, sampled %", "end %", "gained", "verdict"]
    told = [f"- {one}" for one in found["starts"]]
    return ["Whole runs against their own starts:", "", *_rows(heads, rows), "", *told, ""]


def _cost(contenders: Sequence[Mapping[str, Any]]) -> list[str]:
    heads = [
        "",
        *NAMES.values(),
        "evaluation seconds",
        "distinct trajectories %",
        "mixed questions %",
        "calls",
        "answers",
        "entropy",
    ]
    rows = [
        [
            one["label"],
            *(f"{one['used'][name]:,.0f}" for name in NAMES),
            f"{one['evaluation_seconds']:,.0f}",
            _percent(one["diversity"]["distinct"]),
            _percent(one["diversity"]["mixed"]),
            *(
                "" if one["diversity"][name] is None else f"{one['diversity'][name]:.2f}"
                for name in ("calls", "answers", "entropy")
            ),
        ]
        for one in contenders
    ]
    return _rows(heads, rows)


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cell.replace('|', '&#124;') for cell in one)} |" for one in lines]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{percent(share):.1f}"


def _with_interval(texts: Iterable[str]) -> str:
    value, low, high = texts
    return f"{value} ({low} to {high})"
