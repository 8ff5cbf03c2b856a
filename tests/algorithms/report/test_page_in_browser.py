"""The page in Chromium: it shows, moves and filters without an error or a request, and a hostile run does nothing.

Needs playwright and a Chromium: its own, or the system's.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from algorithms.report.page import write
from tests.algorithms.report.made import fork, lines, metrics, run, trace
from tests.algorithms.report.test_page import HOSTILE, hostile

playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra 'browser'")
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as found:
        try:
            made = found.chromium.launch(executable_path=own, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"there is no Chromium: {error}")
        yield made
        made.close()


@contextmanager
def opened(browser: Any, file: Path, **given: Any) -> Iterator[Any]:
    """The page, which must neither complain nor ask for anything but itself."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce", **given)
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message) or dialog.dismiss())
    page.on("request", lambda request: heard.append(request.url))
    page.set_default_timeout(5_000)
    page.goto(file.as_uri())
    yield page
    context.close()
    assert set(heard) == {file.as_uri()}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    other = trace(2, 1, task__question="Who keeps dogs?", task__family="web/2-hop")
    for leaf in other["leaves"]:
        leaf["solved"] = False
    some = [trace(1), trace(2), other]
    some[1]["report"]["calls"] = {"python": 3}
    other["report"]["forks"] = []
    return write(run(tmp_path, traces=some))


def background(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_a_turn_and_a_trajectory_can_be_read(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        page.locator(".turn", has_text="cats").first.click()
        reading = page.locator(".reading")
        assert "<search>cats</search>" in reading.inner_text()
        assert "a page" in reading.inner_text()
        assert "Forked here." in reading.inner_text()
        page.locator(".leaf.solved").first.click()
        assert "Trajectory 2 of 3" in reading.inner_text()
        assert "+1.400" in reading.inner_text()
        page.locator(".segmented button", has_text="Advantage").click()
        assert page.locator(".t.up").count() == 6


def test_a_token_says_its_numbers_to_the_pointer_and_to_the_keyboard(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        page.locator(".turn", has_text="cats").first.click()
        tip = page.locator(".tip")
        page.locator(".t", has_text="cats").hover()
        assert "p 0.607" in tip.inner_text()
        assert "entropy 0.50 nats" in tip.inner_text()
        page.mouse.move(5, 5)
        assert tip.is_hidden()
        page.locator(".said.policy .text").focus()
        page.keyboard.press("ArrowRight")
        assert "<search>" in tip.inner_text()
        assert "p 0.368" in tip.inner_text()


def test_trees_are_filtered_and_searched(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        items = page.locator(".list button")
        assert items.count() == 3
        page.get_by_label("Family").select_option("web/2-hop")
        assert items.count() == 1
        assert "dogs" in page.locator(".stage .asked").inner_text()
        page.get_by_label("Family").select_option("")
        page.get_by_label("Step", exact=True).select_option("1")
        assert items.count() == 1
        page.get_by_label("Step", exact=True).select_option("")
        page.get_by_label("Outcome").select_option("none right")
        assert items.count() == 1
        page.get_by_label("Outcome").select_option("any outcome")
        page.keyboard.press("/")
        page.keyboard.type("CATS")
        assert items.count() == 3
        assert page.locator(".turn.found").count() == 2  # the search, and the answer that says it
        page.keyboard.type(" and nothing")
        assert items.count() == 0
        assert page.locator(".list .empty").is_visible()
        assert "0 of 3" in page.locator(".filters").inner_text()


def test_the_keyboard_walks_the_tree_and_zooms(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        page.locator(".turn.prompt").click()
        heading = page.locator(".reading h3").first
        assert heading.inner_text() == "The prompt"
        page.keyboard.press("ArrowRight")
        assert heading.inner_text() == "Turn 1"
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        assert heading.inner_text() == "Turn 2"
        page.keyboard.press("ArrowRight")
        assert heading.inner_text() == "Trajectory 2 of 3"
        page.keyboard.press("ArrowLeft")
        assert heading.inner_text() == "Turn 2"
        scale = "document.querySelector('.plane').getBoundingClientRect().width"
        before = page.evaluate(scale)
        page.keyboard.press("+")
        assert page.evaluate(scale) == pytest.approx(1.25 * before, rel=1e-3)
        page.keyboard.press("0")
        canvas = page.locator(".canvas").bounding_box()
        assert page.evaluate(scale) <= canvas["width"] + 1
        page.keyboard.press("f")
        assert page.locator(".explorer").bounding_box()["width"] == 1400
        page.keyboard.press("Escape")  # what the last step of the walk left dimmed comes back first
        page.keyboard.press("Escape")
        assert page.locator(".explorer").bounding_box()["width"] < 1400


@pytest.mark.parametrize("width", [1000, 1280, 1700])
def test_a_tree_opens_with_its_outcomes_in_sight_and_nothing_dimmed(width: int, browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        page.set_viewport_size({"width": width, "height": 860})
        page.reload()
        canvas = page.locator(".canvas").bounding_box()
        for place in range(page.locator(".leaf").count()):
            leaf = page.locator(".leaf").nth(place).bounding_box()
            assert canvas["x"] <= leaf["x"] < leaf["x"] + leaf["width"] <= canvas["x"] + canvas["width"]
        assert page.locator(".away").count() == 0


def test_what_a_click_dims_comes_back(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        back = page.get_by_role("button", name="Show all")
        for act in (back.click, lambda: page.keyboard.press("Escape")):
            assert back.is_disabled()
            page.locator(".leaf.solved").first.click()
            assert page.locator(".away").count() > 0
            act()
            assert page.locator(".away").count() == 0
            assert "Trajectory 2 of 3" in page.locator(".reading").inner_text()  # still there to read


def test_the_page_opens_with_the_tree_worth_seeing_and_says_which_are_mixed(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        first = page.locator(".list button").first
        assert first.get_attribute("aria-current") == "true"
        assert "start here" in first.inner_text()
        assert "step 2 · question 0" in page.locator(".stage header").inner_text()
        assert [one for one in page.locator(".why span:first-child").all_inner_texts() if "mixed" in one] == [
            "mixed 1/3",
            "mixed 1/3",
        ]
        page.get_by_label("Outcome").select_option("mixed: some right")
        assert page.locator(".list button").count() == 2
        assert page.get_by_label("Step", exact=True).locator("option").all_inner_texts() == [
            "all steps",
            "step 1",
            "step 2",
        ]


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.9999])
def test_the_label_of_a_draw_stays_within_its_box(draw: float, browser: Any, tmp_path: Path) -> None:
    made = trace(2)
    made["report"]["forks"] = [fork(draw=draw, probability=1.0)]
    with opened(browser, write(run(tmp_path, traces=[made]))) as page:
        box, label = (page.locator(which).bounding_box() for which in (".decision .scale", ".decision .scale span"))
        assert box["x"] - 1 <= label["x"] <= label["x"] + label["width"] <= box["x"] + box["width"] + 1


def test_the_terms_of_a_tree_are_explained_where_it_has_them(browser: Any, tmp_path: Path) -> None:
    still, flat = trace(2), trace(2, question=1)
    still["report"]["forks"] = [fork(rise=0.0, probability=0.4)]
    flat["report"].update(forks=[], gap=None)
    with opened(browser, write(run(tmp_path / "a", traces=[still]))) as page:
        assert page.locator(".guide dt").all_inner_texts() == ["path", "m", "gap", "P(fork)"]
        assert "a base, 0.4" in page.locator(".guide").inner_text()
    with opened(browser, write(run(tmp_path / "b", traces=[flat]))) as page:
        assert page.locator(".guide dt").all_inner_texts() == ["path", "m"]


def test_a_part_of_which_it_is_too_early_to_tell_is_not_marked_as_idle(browser: Any, tmp_path: Path) -> None:
    for steps, mark in ((3, "too few steps to tell"), (12, "NO")):
        folder = run(tmp_path / str(steps), steps=steps, planned=steps, traces=[trace(2)])
        lines(folder / "metrics.jsonl", [metrics(step, rollout__forks=0) for step in range(1, steps + 1)])
        with opened(browser, write(folder)) as page:
            marks = {one.get_attribute("aria-label") for one in page.locator(".part .mark").all()}
            assert marks == {"seen to act: yes", f"seen to act: {mark}"}


def test_the_theme_follows_the_system_until_it_is_switched(browser: Any, report: Path) -> None:
    with opened(browser, report, color_scheme="dark") as page:
        dark = background(page)
        page.locator("#theme").click()
        light = background(page)
        assert light != dark
        page.reload()
        assert background(page) == light
    with opened(browser, report, color_scheme="light") as page:
        assert background(page) == light


@pytest.mark.parametrize("width", [340, 390, 800, 1100])
def test_nothing_sticks_out_of_a_narrow_window(width: int, browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator(".leaf").first.click()
        assert page.locator(".reading").is_visible()


def test_pointing_at_a_step_shows_it_in_every_chart(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        charts = page.locator(".chart svg")
        charts.first.hover(position={"x": 40, "y": 50})
        steps = set(page.locator(".chart .at").all_inner_texts())
        assert steps == {"step 1"}
        assert charts.count() == page.locator(".chart .cursor[visibility=visible]").count() > 10


def test_a_hostile_run_is_shown_as_text_and_does_nothing(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write(hostile(tmp_path))) as page:
        page.locator(".turn").nth(1).click()
        page.locator(".leaf").first.click()
        page.get_by_role("searchbox").fill("alert")
        assert page.locator("img, iframe, form, link").count() == 0
        assert page.locator("script").count() == 2
        assert "<img src=x onerror=alert(1)>" in page.locator(".stage .asked").inner_text()
        assert HOSTILE[:9] in page.locator(".reading").inner_text()


def test_even_a_script_that_got_in_would_not_run(browser: Any, report: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(report.as_uri())
    page.evaluate(
        """() => {
          const one = document.createElement('script'), two = document.createElement('div');
          one.textContent = 'window.got = 1';
          two.innerHTML = '<img src=x onerror="window.got = 2">';
          document.body.append(one, two);
        }"""
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.got") is None
    context.close()


def test_runs_that_have_hardly_begun_are_shown_with_words(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write(run(tmp_path / "one", steps=1, planned=9, traces=[trace(1)]))) as page:
        assert page.locator(".chart").count() > 10
        assert "1 of 9 steps so far" in page.locator(".facts").inner_text()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "config.yaml").write_text("algorithm: grpo\n")
    with opened(browser, write(tmp_path / "none")) as page:
        assert page.locator(".empty").count() == 4
