"""first cut"""


def plain_text(html: str) -> str:
    """The readable text of a page."""
    from bs4 import BeautifulSoup

    return BeautifulSoup(html, "html.parser").get_text("\n") if html else ""
