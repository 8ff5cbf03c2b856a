"""compare.html: a comparison as one self-contained page, in the look of a run's report.

    put(out / "compare.html", html_of(found, ["python", "-m", "baselines.compare", "aepo", "grpo"]))

Built as `algorithms.report.page` builds a report, whose frame, style and content security policy it has: one file, no
request, all that a run said as text.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aepo_env.files import write_whole
from algorithms.report import page

_FOLDER = Path(__file__).parent / "page"
_SCRIPTS = (*page.FRAME, _FOLDER / "curves.js", _FOLDER / "compare.js")


def html_of(found: Mapping[str, Any], line: Sequence[str]) -> str:
    """The page; `found` is of `findings.findings`, `line` the command's words."""
    labels = [one["label"] for one in found["contenders"]]
    most = 5
    names = ", ".join(labels[:-1]) + " and " + labels[-1] if 1 < len(labels) <= most else labels[0]
    if len(labels) > most:
        names = f"{found['reference']} against {len(labels) - 1} others"
    data = {**found, "title": f"{names} on {found['environment']}", "command": shlex.join(line)}
    return page.html(data, _SCRIPTS, (page.STYLE, _FOLDER / "compare.css"))


def put(file: Path, text: str) -> None:
    """Write a file, whole. Raises ValueError where it cannot be written."""
    try:
        write_whole(file, text)
    except OSError as error:
        raise ValueError(f"{file} cannot be written ({error.strerror}): make room, or give another --out.") from error
