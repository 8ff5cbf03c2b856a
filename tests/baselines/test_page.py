"""compare.html as a file: self-contained, nothing in it can end the data, links lead to the cells' own reports."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy.stats", reason="needs the extra 'compare'")

from baselines.findings import findings
from baselines.page import html_of, put
from tests.baselines.made import cell, comparison, record

HOSTILE = "</script><img src=x onerror=alert(1)>"


def found(out: Path = Path("out")) -> dict[str, Any]:
    cells, records = comparison({"aepo": 0.6, "grpo": 0.5}, seeds=3)
    broken = cell("dapo", 0, out)
    return findings([*cells, broken], records, failed={broken.name: HOSTILE})


def data(page: str) -> dict[str, Any]:
    inside = re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)
    assert inside is not None
    return dict(json.loads(inside[1]))


def test_the_page_is_one_file_that_asks_for_nothing() -> None:
    page = html_of(found(), ["python", "-m", "baselines.compare", HOSTILE])
    assert "default-src 'none'" in page
    assert HOSTILE not in page
    assert not re.search(r"<(link|img|iframe|script[^>]* src)", page)
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    shown = data(page)
    assert shown["title"] == "aepo and grpo on web"
    assert HOSTILE in shown["command"]
    assert shown["cells"][-1]["failed"] == HOSTILE


def test_a_run_whose_report_is_there_is_linked(tmp_path: Path) -> None:
    here, gone = cell("grpo", 0, tmp_path), cell("grpo", 1, tmp_path)
    here.folder.mkdir(parents=True)
    (here.folder / "report.html").touch()
    records = {one.name: record(one, 0.5, 1) for one in (here, gone)}
    links = [one["report"] for one in findings([here, gone], records)["cells"]]
    assert links == [f"cells/{here.name}/report.html", None]
    assert (tmp_path / str(links[0])).is_file()


def test_many_contenders_get_a_short_title() -> None:
    cells, records = comparison({f"c{number}": 0.5 for number in range(7)}, seeds=1)
    assert data(html_of(findings(cells, records), ["x"]))["title"] == "c0 against 6 others on web"


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    put(tmp_path / "a.html", "text")
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]
    with pytest.raises(ValueError, match="cannot be written"):
        put(tmp_path / "gone" / "a.html", "text")
