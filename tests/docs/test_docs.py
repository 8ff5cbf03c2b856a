"""Every ```python block of README.md and docs/*.md runs, in order, one process per page, and needs no network.

The pages of docs/algorithms run one after the other in one process: all they need is torch and the algorithms.

A block right below a line `<!-- not run: reason -->` is left out. Errors name the page and its own line numbers.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aepo_env.sandbox.doctor import requirements

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ALGORITHMS = sorted((ROOT / "docs" / "algorithms").glob("*.md"))
TABLES = sorted((ROOT / "docs" / "results").glob("*/*table.md"))  # made from records: tests/baselines
BLOCK = re.compile(r"(?P<skip><!-- not run: [^\n]+ -->\n)?^```python\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
SECONDS = 240


def script(page: Path) -> str:
    """The page with everything but its runnable Python blanked out, so that line numbers are the page's own."""
    text = page.read_text("utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        if block["skip"] is None:
            first = text.count("\n", 0, block.start("code"))
            code = block["code"].splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines) + "\n"


def test_there_are_pages_and_they_hold_code() -> None:
    assert (ROOT / "docs" / "environment.md") in PAGES
    assert ROOT / "docs" / "algorithms" / "aepo.md" in ALGORITHMS
    assert {*PAGES, *ALGORITHMS, *TABLES} == {ROOT / "README.md", *(ROOT / "docs").rglob("*.md")}
    without = [page.name for page in (*PAGES, *ALGORITHMS) if not script(page).strip()]
    assert without == ["figures.md"]  # tables of what commands printed


def test_script_keeps_line_numbers_and_leaves_out_marked_blocks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# t\n\n```python\na = 1\n```\n<!-- not run: slow -->\n```python\nb = 2\n```\n```sh\nc\n```\n")
    assert [(number, line) for number, line in enumerate(script(page).splitlines(), start=1) if line] == [(4, "a = 1")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cache folder of the tests' own: what a reader's machine has cached must not help."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_runs(page: Path, tmp_path: Path, cache: str) -> None:
    lacking = [check.note for check in requirements() if not check.ok] if "<python>" in script(page) else []
    if "from algorithms" in script(page):
        pytest.importorskip("torch", reason="the page trains, which needs the extra 'train'")
    if lacking:
        pytest.skip(f"the page runs model-written code, and there is no box on this machine: {lacking}")
    blocked = (
        "import sys; sys.path.insert(0, sys.argv[2]); from tests.offline import forbid_network; forbid_network(); "
    )
    run = "exec(compile(sys.stdin.read(), sys.argv[1], 'exec'), {'__name__': '__main__'})"
    done = subprocess.run(
        [sys.executable, "-c", blocked + run, str(page.relative_to(ROOT)), str(ROOT)],
        input=script(page),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "AEPO_CACHE": cache},
        check=False,
    )
    assert done.returncode == 0, f"{page.name}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_code_of_the_algorithms_pages_runs(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
    blocked = "import json, sys; sys.path.insert(0, sys.argv[1]); from tests.offline import forbid_network\n"
    run = "forbid_network()\nfor name, code in json.load(sys.stdin).items():\n    exec(compile(code, name, 'exec'), {})"
    done = subprocess.run(
        [sys.executable, "-c", blocked + run, str(ROOT)],
        input=json.dumps({str(page.relative_to(ROOT)): script(page) for page in ALGORITHMS}),
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"  # the trace names page and line


@pytest.mark.parametrize("page", [*PAGES, *ALGORITHMS], ids=lambda page: page.name)
def test_links_to_other_files_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL))
    assert [target for target in targets if not (page.parent / target).exists()] == []
