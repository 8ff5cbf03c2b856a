"""compare.html in Chromium: it shows, hides and tells without an error or a request, in both themes.

Needs playwright and a Chromium: its own, or the system's.
"""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy.stats", reason="needs the extra 'compare'")
pytest.importorskip("playwright.sync_api", reason="needs the extra 'browser'")

from baselines.page import html_of, put
from tests.algorithms.report.test_page_in_browser import browser, opened  # noqa: F401
from tests.baselines.test_page import found

pytestmark = pytest.mark.integration


@pytest.fixture
def comparison_page(tmp_path: Path) -> Path:
    file = tmp_path / "compare.html"
    put(file, html_of(found(), ["python", "-m", "baselines.compare"]))
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_section_shows_something(browser: Any, comparison_page: Path, scheme: str) -> None:  # noqa: F811
    with opened(browser, comparison_page, color_scheme=scheme) as page:
        assert page.title() == "aepo and grpo on web · comparison"
        assert page.locator("html").get_attribute("data-theme") == scheme
        ids = [one.get_attribute("id") for one in page.locator("section").all()]
        assert ids == ["summary", "scores", "curves", "families", "cost", "diversity", "runs", "method"]
        assert page.locator("#summary .pill").inner_text() in ("worse", "no difference")
        assert page.locator(".curve svg").count() == 4
        assert page.locator("#runs .failed").inner_text().startswith("failed: </script>")


def test_contenders_can_be_hidden_and_points_told(browser: Any, comparison_page: Path) -> None:  # noqa: F811
    with opened(browser, comparison_page) as page:
        first = page.locator(".curve svg").first
        assert first.locator("circle").count() == 10
        page.get_by_role("button", name="grpo").click()
        assert first.locator("circle").count() == 5
        first.focus()
        page.keyboard.press("ArrowLeft")
        assert "aepo" in page.locator(".tip").inner_text()
        assert "after step 4" in page.locator(".tip").inner_text()
        page.keyboard.press("ArrowLeft")
        assert "after step 3" in page.locator(".tip").inner_text()


def test_nothing_is_wider_than_a_small_screen(browser: Any, comparison_page: Path) -> None:  # noqa: F811
    with opened(browser, comparison_page) as page:
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
