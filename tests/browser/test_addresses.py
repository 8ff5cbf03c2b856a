"""Addresses: spellings of one page are equal, other pages differ, no text is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aepo_env.browser.addresses import address_key

PAGE = "https://en.example.org/wiki/S%C3%A3o_Paulo_(city)"


@pytest.mark.parametrize(
    "spelling",
    [
        PAGE,
        f" {PAGE}#History ",
        f"{PAGE}/",
        PAGE.replace("https://", ""),
        "http://EN.example.org/wiki/São_Paulo_(city)",
        "HTTPS://en.example.org/wiki/S%c3%a3o_Paulo_%28city%29",
    ],
)
def test_spellings_of_one_page(spelling: str) -> None:
    assert address_key(spelling) == address_key(PAGE)


@pytest.mark.parametrize(
    "other", [PAGE.lower(), f"{PAGE}?x=1", PAGE[:-1], PAGE.replace("org", "com"), "ftp" + PAGE[5:]]
)
def test_other_pages(other: str) -> None:
    assert address_key(other) != address_key(PAGE)


@given(st.text(st.characters()))
def test_any_text_has_a_key(text: str) -> None:
    assert isinstance(address_key(text), str)
