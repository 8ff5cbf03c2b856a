"""report.html: a run as one self-contained page: curves, before and after, trees to look into, warnings, settings.

    written = write(Path("runs/aepo-web-seed0"))     # runs/aepo-web-seed0/report.html

The page is put together from the files of `page/`; all that a run said goes in as one block of JSON, in which no
character can end the block, and is shown as text nodes alone. A content security policy admits the page's own script
and style by their hashes and nothing else: no other script, no request, no form.

Left out: how things look and move (`page/`), which figures (`summary`, `series`) and which trees (`choose`).
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aepo_env.files import write_whole
from algorithms.report.choose import trees
from algorithms.report.run_files import RunFiles
from algorithms.report.series import charts, families
from algorithms.report.summary import failures_in_words, gain_in_percent, headline, parts_in_words, summary

LARGEST = 5_000_000
"""Bytes of a page; trees get what the rest leaves of it."""
_TREES = 3_600_000
_SLACK = 1_000  # commas between trees, and the like
_FOLDER = Path(__file__).parent / "page"
FRAME = (_FOLDER / "elements.js", _FOLDER / "frame.js")
STYLE = _FOLDER / "report.css"
"""What other pages of ours are made of as well."""
_SCRIPTS = (*FRAME, *(_FOLDER / name for name in ("charts.js", "reading.js", "legend.js", "trees.js", "report.js")))


def write(path: Path, to: Path | None = None) -> Path:
    """Write or refresh a run's report.html, or the file `to`, aside and renamed; the file.

    Raises:
        ValueError: there is no run, one of its files cannot be read, or the page cannot be written.
    """
    text = html(page_data(RunFiles.read(path)))
    file = path / "report.html" if to is None else to
    try:
        write_whole(file, text)
    except OSError as error:
        raise ValueError(f"{file} cannot be written ({error}): make room, or name another file with --to.") from error
    return file


def page_data(run: RunFiles) -> dict[str, Any]:
    """All that the page shows, as plain data."""
    found = summary(run)
    data: dict[str, Any] = {
        "title": run.title,
        "folder": str(run.path),
        "done": run.done,
        "steps": run.steps,
        "model": str(run.config.get("model", "")),
        "finished": run.evaluation("after") is not None,
        "summary": found,
        "headline": headline(found),
        "gains": {name: gain_in_percent(gain) for name, gain in found["gain"].items()},
        "failures": failures_in_words(found),
        "parts": [{**part._asdict(), "verdict": part.verdict} for part in parts_in_words(found)],
        "charts": charts(run),
        "families": families(run),
        "trees": [],
        "config": list(_flat(run.config)),
        "command": run.command,
        "environment": list(_flat(run.environment)),
    }
    data["trees"] = trees(run.path, min(_TREES, LARGEST - len(html(data).encode()) - _SLACK))
    return data


def html(data: Mapping[str, Any], scripts: Sequence[Path] = _SCRIPTS, styles: Sequence[Path] = (STYLE,)) -> str:
    """The page that shows `data`, which its scripts find as JSON in the element "run"."""
    parts_of_script = [file.read_text("utf-8") for file in scripts]
    script = "\n".join(["(() => {", *parts_of_script, "})();", ""])  # names of its own, apart from the browser's
    style = "\n".join(file.read_text("utf-8") for file in styles)
    parts = {
        "script": f"\n{script}",
        "style": f"\n{style}",
        "script_hash": _hash(f"\n{script}"),
        "style_hash": _hash(f"\n{style}"),
        "data": inert(data),
    }
    page = (_FOLDER / "report.html").read_text("utf-8")
    pieces = page.split("{{")  # in one pass: what goes in is never looked at for more places
    out = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        out += [parts[name.strip()], rest]
    return "".join(out)


def inert(data: Any) -> str:
    """JSON for a script element: ASCII alone, without a character that could end the element or open another."""
    text = json.dumps(_finite(data), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _finite(data: Any) -> Any:
    """The data with None for numbers that JSON does not know."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {str(name): _finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data


def _flat(plain: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted names and values in words."""
    found: list[tuple[str, str]] = []
    for name, value in plain.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{above}{name}.")
        else:
            found.append((f"{above}{name}", value if isinstance(value, str) else json.dumps(value, default=str)))
    return found
