"""The reader: what a page says, and that no page makes it fail, hang or warn."""

import time
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aepo_env.browser.reader import LONGEST_PAGE, MOST_LINKS, Link, plain_text, read

HERE = "https://a.example/wiki/Ada"


# -------------------------------------------------------------------------------------------------------------- layout


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One <b>bold</b>\n  word.</p>two<p>three", "One bold word.\ntwo\nthree"),
        ("one<br>two<hr>three", "one\ntwo\nthree"),
        ("<h2>History</h2><p>Long.</p><h3>Early</h3>", "## History\nLong.\n### Early"),
        ("<ul><li>one<li><p>two</p><li><ul><li>deep</ul></ul>end", "- one\n- two\n- deep\nend"),
        ("<ol><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ol>", "1. a\n2. b\n- c\n3. d"),
        ("<dl><dt>Term</dt> <dd>one</dd><dd>two</dd><dt>Bare</dt></dl>", "Term: one\ntwo\nBare:"),
        ("<pre>a\n b\n\nc</pre>", "a\nb\nc"),
        ("AT&amp;T &lt;b&gt; &eacute; a < b", "AT&T <b> é a < b"),
    ],
)
def test_blocks_become_lines(html: str, text: str) -> None:
    assert plain_text(html) == text


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("<tr><th>Born</th><td>1815<br>London</td></tr>", "Born: 1815, London"),
        ("<tr><th>Children</th><td><ul><li>A</li><li>B</li></ul></td></tr>", "Children: A, B"),
        ("<caption>C</caption><tr><th colspan=2>Ada</th></tr><tr><td>a</td><td>b</td></tr>", "C\nAda\na | b"),
        ("<tr><th>Y<th>N<tr><td>1<td>one<tr><td><td>two", "Y | N\n1 | one\n | two"),
        ("<thead><tr><th>Y</th><th>N</th></tr></thead><tbody><tr><th>1</th><td></td></tr></tbody>", "Y | N\n1"),
        ("<tr><td>left<table><tr><th>a</th><td>b</td></tr></table>after</td><td>c</td></tr>", "left\na: b\nafter | c"),
        ("<tr></tr><tr><td></td><td> </td></tr>", ""),
    ],
)
def test_tables_become_rows(table: str, text: str) -> None:
    assert plain_text(f"<table>{table}</table>").split("\n") == [line.strip() for line in text.split("\n")]


def test_cells_without_a_table_are_lines() -> None:
    assert plain_text("<tr><td>a</td><td>b</td></tr><td>c") == "a\nb\nc"


@pytest.mark.parametrize(
    "clutter",
    [
        "<script>x</script>",
        f"<img alt=x src='data:image/png;base64,{'A' * 50_000}'>",
        "<SCRIPT>if (a<!b) '<p>x</p>'</SCRIPT >",
        "<style>x</style>",
        "<!-- x <p> -->",
        "<!doctype x>",
        "<?php x ?>",
        "<nav>x</nav>",
        "<footer>x</footer>",
        "<div hidden>x</div>",
        "<div style='color:red; DISPLAY : none'><p>x</p></div>",
        "<span style=visibility:hidden>x</span>",
        "<p aria-hidden=true>x</p>",
        "<div role=navigation>x</div>",
        "<table class='wide navbox'><tr><td>x</table>",
        "<sup class=reference>[x]</sup>",
        "<select><option>x</select>",
        "<form><input value=x>x</form>",
        "<template>x</template>",
        "<svg><title>x</title></svg>",
    ],
)
def test_what_is_not_for_reading_is_dropped(clutter: str) -> None:
    assert plain_text(f"<p>before</p>{clutter}<p>after</p>") == "before\nafter"


@pytest.mark.parametrize(
    ("html", "title", "text"),
    [
        ("<title>Ada</title><h1>Ada</h1><p>x", "Ada", "x"),
        ("<title>Ada - Wiki</title><h1>Ada</h1><p>x", "Ada - Wiki", "# Ada\nx"),
        ("<h1>Ada</h1><p>x", "Ada", "x"),
        ("<title>Ada</title><p>Ada</p>", "Ada", "Ada"),
        ("<title>Ada<body><p>x", "Ada", "x"),
    ],
)
def test_the_title_is_not_said_twice(html: str, title: str, text: str) -> None:
    assert (read(html).title, read(html).text) == (title, text)


# --------------------------------------------------------------------------------------------------------------- links


def test_links_are_numbered_in_order_each_address_once() -> None:
    html = "<p><a href=London>London</a>, <a href='/x/y?z=1#f'>the <i>Y</i> </a>; <a href=London>there</a>."
    reading = read(html, HERE, mark_links=True)
    assert reading.text == "London [1], the Y [2]; there [1]."
    assert reading.links == (
        Link("London", "https://a.example/wiki/London"),
        Link("the Y", "https://a.example/x/y?z=1"),
    )
    assert read(html, HERE).text == "London, the Y ; there."


@pytest.mark.parametrize("html", ["<a href=B><div>B</div></a>c", "<a href=B><p>B</p></a><p>c</p>"])
def test_a_mark_stands_behind_its_link_even_over_blocks(html: str) -> None:
    assert read(html, HERE, mark_links=True).text == "B [1]\nc"


@pytest.mark.parametrize(
    "href",
    ["#part", "Ada", "Ada#x", "", "javascript:alert(1)", "mailto:a@b", "data:,x", "http://[", "ftp://a/b", "x" * 3000],
)
def test_what_leads_to_no_other_page_is_no_link(href: str) -> None:
    reading = read(f'<p><a href="{href}">words</a>', HERE, mark_links=True)
    assert (reading.text, reading.links) == ("words", ())


def test_links_are_bounded() -> None:
    reading = read("".join(f"<a href=/{number}>x</a> " for number in range(MOST_LINKS + 50)), HERE, mark_links=True)
    assert len(reading.links) == MOST_LINKS
    assert reading.text.endswith(f"x [{MOST_LINKS}]" + " x" * 50)


# ------------------------------------------------------------------------------------------------------------- hostile

PIECES = [
    "<",
    "</",
    "<!",
    "<!--",
    "-->",
    "<![CDATA[",
    "<?xml ?>",
    "<a href='",
    '<a href="',
    ">",
    "&",
    "&#",
    "&#x110000;",
]
PIECES += [
    "<b>",
    "</b>",
    "<table>",
    "<tr>",
    "<td>",
    "</td>",
    "</table>",
    "<li>",
    "<ol>",
    "</ol>",
    "<dt>",
    "<dd>",
    "</dl>",
]
PIECES += [
    "<a href=x>",
    "</a>",
    "<script>",
    "<title>",
    "<pre>\n",
    "<h1>",
    "\0",
    "\ud800",
    "\x1b",
    "\u202e",
    "word",
    " ",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(st.characters(), max_size=4)).map("".join))
@example("<![foo")
@example("<a href='http://[x'>y</a>")
@example("https://a.example/only-an-address")
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_without_an_error_or_a_warning(html: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reading = read(html, HERE, mark_links=True)
    reading.text.encode()
    assert not set(reading.text) & set("\0\x1b\u202e\r")
    assert all(link.address.startswith("http") for link in reading.links)


def test_deep_nesting_has_no_limit() -> None:
    assert plain_text("<div><b>" * 10_000 + "x" + "</b></div>" * 10_000) == "x"
    assert plain_text("<b>" * 100_000 + "x") == "x"


SLOW_FOR_HTML_PARSER = ["<", "</", "<!", "<!--", "<![", "<?", "<a ", '<a href="', "<a b='", '<a"', "</a ", "<p x=1 "]


@pytest.mark.timing
@pytest.mark.parametrize("piece", [*SLOW_FOR_HTML_PARSER, "&", "&#", "<b></i>", "<script>", "<title>", "<textarea>"])
def test_broken_markup_is_read_in_linear_time(piece: str) -> None:
    def seconds(characters: int) -> float:
        times = []
        for _ in range(3):  # the quickest: whatever else the machine does only makes it slower
            start = time.thread_time()
            read(piece * (characters // len(piece)), HERE, mark_links=True)
            times.append(time.thread_time() - start)
        return min(times)

    # Four times the text: four times as long, or sixteen times if quadratic, which is minutes for the longest page.
    assert seconds(100_000) < 8.0 * seconds(25_000) + 0.05


def test_a_huge_page_is_cut_off_and_says_so() -> None:
    reading = read("<br>" + "<p>word</p>" * (10_000_000 // 11))
    assert reading.text.startswith("word\nword\n")
    assert reading.text.endswith("word\n(The page goes on, but only this much of it can be read.)")
    assert len(reading.text) < LONGEST_PAGE


def test_binary_data_is_read_as_some_text() -> None:
    assert isinstance(plain_text(bytes(range(256)).decode("latin-1") * 200), str)


def test_it_does_not_depend_on_lxml() -> None:
    # lxml moves the paragraph out of the table and closes the list; html.parser leaves both as they stand.
    assert plain_text("<table><p>a</p><tr><td>b</table><li>c</p>") == "a\nb\n- c"


@pytest.mark.timing
def test_an_ordinary_page_is_read_within_milliseconds() -> None:
    facts = "".join(f"<tr><th>Fact {n}</th><td>value {n}</td></tr>" for n in range(8))
    prose = "".join(
        f"<p>The town of <a href=/wiki/{n}>Place {n}</a> lies in the north, by a river.</p>" for n in range(16)
    )
    html = f"<title>T</title><nav><a href=/>Home</a></nav><h1>T</h1><table>{facts}</table>{prose}"
    assert 1500 < len(html) < 2500
    times = []
    for _ in range(9):
        start = time.thread_time()
        read(html, HERE, mark_links=True)
        times.append(time.thread_time() - start)
    assert min(times) < 0.006  # some 2 ms on a quiet machine
