"""The page: one inert file, whatever a run said; also of a run still going, or one that has hardly begun."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from algorithms.report.page import LARGEST, html, inert, page_data, write
from algorithms.report.run_files import RunFiles
from algorithms.report.traces import read, traced_steps
from tests.algorithms.report.made import evaluation, lines, metrics, run, trace

HOSTILE = (
    "</script><script>alert(1)</script><!--<script> ]]> <img src=x onerror=alert(1)> {{script}} {{data}} ${alert(1)} "
    "`'\" &lt; \u2028\u2029\u0000\u202e https://example.com/x.js </style></title>"
)


def hostile(folder: Path) -> Path:
    """A run in which every text is hostile."""
    made = trace(
        task__question=HOSTILE, task__family=HOSTILE, task__answers=[HOSTILE], task__id=HOSTILE,
        pieces={str(number): HOSTILE for number in range(1, 9)},
    )  # fmt: skip
    for leaf in made["tree"]["leaves"]:
        leaf["stop_reason"] = HOSTILE
        leaf["rewards"][HOSTILE] = 1.0
    run(folder, traces=[made], model=HOSTILE, algorithm=HOSTILE)
    lines(folder / "metrics.jsonl", [metrics(1, warnings=[HOSTILE]), metrics(2)])
    (folder / "command.txt").write_text(HOSTILE.replace("\0", ""), "utf-8")
    return folder


def parsed(page: str) -> tuple[BeautifulSoup, dict[str, Any]]:
    soup = BeautifulSoup(page, "html.parser")
    (block,) = soup.find_all("script", id="run")
    return soup, json.loads(block.string)


def test_hostile_text_adds_no_element_and_comes_back_unchanged(tmp_path: Path) -> None:
    page = write(hostile(tmp_path / "hostile")).read_text("utf-8")
    soup, data = parsed(page)
    plain, _ = parsed(write(run(tmp_path / "plain")).read_text("utf-8"))
    assert [tag.name for tag in soup.find_all()] == [tag.name for tag in plain.find_all()]
    assert page.count("</script") == 2
    assert page.count("<!--") == 0
    assert data["trees"][0]["task"]["question"] == HOSTILE
    assert data["summary"]["warnings"] == [[1, HOSTILE]]
    assert data["trees"][0]["leaves"][0]["stop"] == HOSTILE


def test_the_block_of_data_is_plain_ascii_without_a_character_of_markup() -> None:
    text = inert({HOSTILE: [HOSTILE, float("nan"), float("inf"), 1.5]})
    assert text.isascii()
    assert not set("<>&\n") & set(text)
    assert json.loads(text) == {HOSTILE: [HOSTILE, None, None, 1.5]}


def test_the_policy_admits_the_pages_own_script_and_style_alone(tmp_path: Path) -> None:
    soup, _ = parsed(write(run(tmp_path)).read_text("utf-8"))
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    (script,) = [tag for tag in soup.find_all("script") if tag.get("type") != "application/json"]
    style = soup.find("style")
    wanted = {
        name: "sha256-" + base64.b64encode(hashlib.sha256(tag.string.encode()).digest()).decode()
        for name, tag in (("script", script), ("style", style))
    }
    assert policy == (
        f"default-src 'none'; script-src '{wanted['script']}'; style-src '{wanted['style']}'; base-uri 'none'; "
        "form-action 'none'"
    )


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    soup, _ = parsed(write(run(tmp_path)).read_text("utf-8"))
    assert not soup.find_all(["link", "img", "iframe", "object", "embed", "base", "form"])
    assert not soup.find_all(src=True)
    assert not soup.find_all(style=True)  # such attributes would need a wider policy
    code = "".join(tag.string for tag in soup.find_all(["script", "style"]) if tag.get("type") != "application/json")
    assert set(re.findall(r"https?://[^\s\"')]+", code)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|@import|url\(", code
    )


def test_a_page_of_many_large_trees_stays_below_5_megabytes(tmp_path: Path) -> None:
    big = []
    for step in range(1, 13):
        for question in range(5):
            one = trace(step, question, pieces={str(number): "word " * 1_500 for number in range(1, 9)})
            one["leaves"][question % 3]["solved"] = True
            one["report"]["calls"] = {"python": question}
            big.append(one)
    written = write(run(tmp_path, steps=12, planned=12, traces=big))
    _, data = parsed(written.read_text("utf-8"))
    assert written.stat().st_size < LARGEST
    assert {1, 12} <= {one["step"] for one in data["trees"]}


@pytest.mark.parametrize("sign", ["<", "é"])
def test_signs_that_take_more_room_in_the_page_are_counted_so(tmp_path: Path, sign: str) -> None:
    big = [trace(step, question, pieces={str(number): sign * 4_000 for number in range(1, 9)})
           for step in range(1, 13) for question in range(5)]  # fmt: skip
    for one in big:
        one["leaves"][one["question"] % 3]["solved"] = True
        one["report"]["calls"] = {"python": one["question"]}
    records = [metrics(step, warnings=["x" * 150_000]) for step in range(1, 13)]
    folder = run(tmp_path, steps=12, planned=12, traces=big)
    lines(folder / "metrics.jsonl", records)
    written = write(folder)
    _, data = parsed(written.read_text("utf-8"))
    assert written.stat().st_size < LARGEST
    assert {1, 12} <= {one["step"] for one in data["trees"]}


def test_a_run_still_going_is_shown_as_far_as_it_got(tmp_path: Path) -> None:
    folder = run(tmp_path, steps=2, planned=9)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "questi')  # being written at this moment
    data = page_data(RunFiles.read(folder))
    assert (data["done"], data["steps"], data["finished"]) == (2, 9, False)
    assert data["headline"] == []
    assert data["charts"]
    lines(folder / "metrics.jsonl", [metrics(step) for step in range(1, 4)])
    assert page_data(RunFiles.read(folder))["done"] == 3


def test_the_gain_is_the_same_number_wherever_it_is_said(tmp_path: Path) -> None:
    folder = run(tmp_path)
    scores = {"before": [1.0] * 131 + [0.0] * 269, "after": [1.0] * 226 + [0.0] * 174}  # 23.75 points more
    lines(folder / "eval.jsonl", [evaluation(when, some) for when, some in scores.items()])
    data = page_data(RunFiles.read(folder))
    assert data["gains"]["greedy"]["mean"] == data["families"][0]["rows"][0]["gained"] == 23.8
    assert "+23.8 points" in data["headline"][0]


def test_a_run_that_has_only_a_configuration_gives_a_page(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("algorithm: grpo\n")
    _, data = parsed(html(page_data(RunFiles.read(tmp_path))))
    assert (data["done"], data["charts"], data["trees"], data["families"]) == (0, [], [], [])


def test_the_same_run_gives_the_same_page_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    folder = run(tmp_path)
    first = write(folder).read_bytes()
    assert write(folder).read_bytes() == first
    assert write(folder, tmp_path / "other.html").read_bytes() == first
    assert not list(folder.glob("*.new"))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("config.yaml", None, "There is no run in"),
        ("config.yaml", "- a\n", "not a run's configuration"),
        ("config.yaml", "a: [", "not a run's configuration"),
        ("metrics.jsonl", "{]\n", "a line that is no JSON"),
        ("environment.json", "{", "is no JSON"),
    ],
)
def test_files_that_no_run_writes_are_named(name: str, text: str | None, words: str, tmp_path: Path) -> None:
    folder = run(tmp_path)
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(ValueError, match=re.escape(words)):
        write(folder)


def test_traces_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = run(tmp_path)
    assert traced_steps(folder) == [1, 2]
    with pytest.raises(ValueError, match=r"no traces of step 7 in .*: there are steps 1 to 2"):
        read(folder, 7)
    (folder / "traces" / "step_000002.jsonl.gz").write_bytes(b"torn")
    with pytest.raises(ValueError, match="cannot be read"):
        read(folder, 2)
    run(tmp_path / "other", traces=[trace(version=99)])
    with pytest.raises(ValueError, match="holds no traces of version 1"):
        read(tmp_path / "other", 1)
