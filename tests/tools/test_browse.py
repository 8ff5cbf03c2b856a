"""The browse tool: its commands, its state as a value, and a sentence for every wrong use."""

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aepo_env.browser.source import Document, FetchFailed, FetchTimedOut, PageNotFound
from aepo_env.corpus import Corpus, Page
from aepo_env.tools.browse import BrowseTool, OpenPage
from aepo_env.tools.tool import CallContext, Forking, ToolResult

SITE = "https://a.example/wiki/"
MILL = "<p>The mill stands in <a href=Keld>Keld</a>, near the <a href=Tower>tower</a> and <a href=Lost>more</a>.</p>"
LONG = "<p>First keld.</p>" + "".join(f"<p>Line {n} of the long page.</p>" for n in range(40)) + "<p>Last KELD.</p>"
CORPUS = Corpus.build(
    [
        Page(SITE + "Mill", "The Mill", html=f"<title>The Mill</title><h1>The Mill</h1>{MILL}"),
        Page(SITE + "Keld", "Keld", html="<p>Keld is a town.</p>"),
        Page(SITE + "Tower", "The Tower", html="<p>A tower.</p>"),
        Page(SITE + "Long", "Long", html=LONG),
        Page(SITE + "1984", "1984", html="<p>A novel.</p>"),
        Page(SITE + "Find", "Find the Mill", html="<p>A song.</p>"),
        Page(SITE + "Empty", "Empty", html="<script>x</script>"),
        Page(SITE + "Old", "The Old Mill", redirect=SITE + "Mill"),
    ]
)
HITS = CallContext(results=(SITE + "Keld", SITE + "Tower"))
TOOL = BrowseTool(CORPUS, page_characters=300)


def go(*arguments: str, tool: BrowseTool = TOOL, context: CallContext | None = None) -> ToolResult:
    """What the last of the arguments gives."""
    result = ToolResult("", tool.start(0))
    for argument in arguments:
        result = tool.call(result.state, argument, context or CallContext())
        assert (result.fault, result.results) == (None, None)
    return result


def place(result: ToolResult) -> Any:
    return result.state.address.removeprefix(SITE), result.state.offset


# ------------------------------------------------------------------------------------------------------------- opening


def test_an_open_page_shows_title_address_and_text_with_numbered_links() -> None:
    result = go(SITE + "Mill")
    assert result.text == f"The Mill\n{SITE}Mill\nThe mill stands in Keld [1], near the tower [2] and more [3]."
    assert result.state == OpenPage(SITE + "Mill", 0, (SITE + "Keld", SITE + "Tower", SITE + "Lost"))


def test_without_numbered_links_the_text_is_plain_and_the_state_small() -> None:
    result = go(SITE + "Mill", tool=BrowseTool(CORPUS, links=False))
    assert result.text.endswith("The mill stands in Keld, near the tower and more.")
    assert result.state == OpenPage(SITE + "Mill", 0, ())


@pytest.mark.parametrize(
    "argument", [SITE + "Mill", f" {SITE}Mill#x ", "a.example/wiki/Mill", SITE + "Old", "the MILL", "The Old Mill"]
)
def test_ways_to_open_a_page(argument: str) -> None:
    assert place(go(argument)) == ("Mill", 0)


@pytest.mark.parametrize("argument", ["2", " 2. ", "result 2", "Result  2", "RESULT 2.", "#2", "hit 2"])
@pytest.mark.parametrize("before", [(), ("The Mill",)])
def test_a_search_hit_is_opened_by_its_number(argument: str, before: tuple[str, ...]) -> None:
    assert place(go(*before, argument, context=HITS)) == ("Tower", 0)


@pytest.mark.parametrize("argument", ["link 1", "Link  1", "LINK [1]", "[1]", "link 1."])
@pytest.mark.parametrize("context", [HITS, CallContext()])
def test_a_link_is_followed_by_its_number(argument: str, context: CallContext) -> None:
    assert place(go("The Mill", argument, context=context)) == ("Keld", 0)


def test_a_bare_number_is_a_link_only_while_there_are_no_hits() -> None:
    assert place(go("The Mill", "1")) == ("Keld", 0)
    assert place(go("The Mill", "2", context=HITS)) == ("Tower", 0)
    result = go("The Mill", "3", context=HITS)
    assert result.text == (
        "There is no search hit 3: the last search gave 1 to 2. For the open page's link write 'link 3'."
    )


def test_a_title_that_is_a_number_or_a_command_can_be_opened() -> None:
    assert place(go("1984", context=HITS)) == ("1984", 0)
    assert place(go("find the mill")) == ("Find", 0)


def test_a_dead_link_is_an_ordinary_answer_and_the_page_stays_open() -> None:
    result = go("The Mill", "link 3")
    assert (result.text, place(result)) == (f"No page at {SITE}Lost.", ("Mill", 0))


def test_a_page_without_text_says_so() -> None:
    assert go(SITE + "Empty").text.endswith("\n(This page has no text.)")


# ------------------------------------------------------------------------------------------------------ parts and words


def test_a_long_page_is_shown_in_parts() -> None:
    shown = [go("Long"), go("Long", "next"), go("Long", "next", "NEXT page")]
    count = int(shown[0].text.split("\n")[2].split()[-1])
    assert [result.text.split("\n")[2] for result in shown] == [f"part {n} of {count}" for n in (1, 2, 3)]
    every = [go("Long", *["next"] * number).text.split("\n")[3:] for number in range(count)]
    assert [line for lines in every for line in lines] == [
        "First keld.",
        *[f"Line {n} of the long page." for n in range(40)],
        "Last KELD.",
    ]
    assert go("Long", "next", "previous").text == shown[0].text
    assert go("Long", "next", "next", "top").text == shown[0].text


@pytest.mark.parametrize(
    ("commands", "sentence"),
    [(("previous",), "This is the first part"), (("next",) * 9, "This is the last part of the page. 'top' goes")],
)
def test_there_is_nothing_before_the_first_and_after_the_last_part(commands: tuple[str, ...], sentence: str) -> None:
    result = go("Long", *commands)
    assert result.text.startswith(sentence)
    assert result.state == go("Long", *commands, commands[0]).state


def test_words_are_found_one_place_after_another_and_round() -> None:
    results = [go("Long", *["Find  keld"] * number) for number in (1, 2, 3)]
    assert ["First keld." in result.text for result in results] == [True, False, True]
    assert ["Last KELD." in result.text for result in results] == [False, True, False]
    assert results[0].state == results[2].state
    assert results[1].text.split("\n")[2].startswith("part 4 of")
    assert go("Long", "find keld", "find keld", "previous").text == go("Long", "next", "next").text


@pytest.mark.parametrize("words", ["zebra", "long page line 40", "???"])
def test_words_that_are_absent(words: str) -> None:
    result = go("Long", f"find {words}")
    assert result.text == f"'{words}' does not stand on this page."
    assert place(result) == ("Long", 0)


# ----------------------------------------------------------------------------------------------------------- wrong use


@pytest.mark.parametrize(
    ("arguments", "context", "sentence"),
    [
        (("",), HITS, "The argument is empty. Give an address, 'result 3'"),
        (("next",), HITS, "No page is open. Open one first"),
        (("find mill",), HITS, "No page is open. Open one first"),
        (("link 1",), HITS, "No page is open. Open one first"),
        (("result 3",), HITS, "There is no search hit 3: the last search gave 1 to 2."),
        (("0",), HITS, "There is no search hit 0: the last search gave 1 to 2."),
        (("1",), CallContext(), "There is no search hit 1: nothing has been found yet. Search first."),
        (("Keld", "link 1"), HITS, "The open page has no numbered links."),
        (("The Mill", "link 4"), HITS, "The open page has no link 4: its links are 1 to 3."),
        (("The Mill", "find"), HITS, "Say what to find"),
        (("click the button",), HITS, "There is no page called 'click the button'. Give an address"),
        (("http://169.254.169.254/",), HITS, "No page at http://169.254.169.254/."),
        (("file:///etc/passwd",), HITS, "No page at file:///etc/passwd."),
        (("result 99999999999999999999",), HITS, "There is no page called 'result 9"),
    ],
)
def test_wrong_use_gets_a_sentence(arguments: tuple[str, ...], context: CallContext, sentence: str) -> None:
    assert go(*arguments, context=context).text.startswith(sentence)


WORDS = st.sampled_from(
    ["next", "previous", "top", "find", "link", "result", "1", "[2]", "#", "Keld", "\0", "\ud800", SITE]
)


@given(st.lists(st.lists(WORDS | st.text(st.characters(), max_size=3), max_size=4).map(" ".join), max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_arguments_give_text_and_a_value(arguments: list[str]) -> None:
    result = go("The Mill", *arguments, context=HITS)
    assert result.text.encode()
    hash(result.state)
    assert pickle.loads(pickle.dumps(result.state)) == result.state
    assert TOOL.anchor(result.state) == result.state[:2]


# ------------------------------------------------------------------------------------------- state, faults and sources


def test_branches_do_not_disturb_each_other() -> None:
    assert TOOL.forking is Forking.VALUE
    trunk = go("Long", "next").state
    first = TOOL.call(TOOL.fork(trunk, rng="same", seed=0), "next", CallContext())
    TOOL.call(TOOL.fork(trunk, rng="split", seed=1), "The Mill", CallContext())
    assert TOOL.call(trunk, "next", CallContext()) == first
    assert TOOL.anchor(None) is None


class Source:
    """Gives one document, or raises; knows no titles."""

    def __init__(self, answer: Document | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, float]] = []

    def fetch(self, address: str, seconds: float) -> Document:
        self.asked.append((address, seconds))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("error", "kind"), [(FetchFailed("It is down."), "unavailable"), (FetchTimedOut("It is slow."), "timeout")]
)
def test_a_failing_source_is_a_fault_and_the_page_stays_open(error: FetchFailed, kind: str) -> None:
    state = OpenPage(SITE + "Mill", 0, ())
    for argument in (SITE + "Keld", "next", "find x"):
        result = BrowseTool(Source(error)).call(state, argument, CallContext())
        assert result.text == f"The page could not be opened: {error} Try again."
        assert result.fault == (kind, result.text, True)
        assert result.state == state


def test_a_call_past_its_deadline_is_a_time_out() -> None:
    fault = TOOL.call(None, "The Mill", CallContext(seconds=0.0)).fault
    assert fault is not None
    assert fault.kind == "timeout"


def test_two_fetches_of_a_call_share_its_deadline() -> None:
    source = Source(Document(SITE, "x", "<p>words</p>"))
    BrowseTool(source).call(OpenPage(SITE, 0, ()), "find words", CallContext(seconds=5.0))
    (_, first), (_, second) = source.asked
    assert 5.0 >= first > second > 4.0


def test_a_source_without_titles_is_asked_for_addresses_only() -> None:
    source = Source(PageNotFound("x"))
    assert BrowseTool(source).call(None, "The Mill", CallContext()).text.startswith("There is no page called")
    assert source.asked == []


def test_the_address_after_redirects_is_the_one_shown() -> None:
    source = Source(Document("https://b.example/new/", "", "<h1>Head</h1><p><a href=x>y</a>"))
    result = BrowseTool(source).call(None, "https://b.example/old", CallContext())
    assert result.text == "Head\nhttps://b.example/new/\ny [1]"
    assert result.state == OpenPage("https://b.example/new/", 0, ("https://b.example/new/x",))


def test_a_page_cannot_forge_the_lines_above_its_text() -> None:
    source = Source(Document("https://b.example/", "T\npart 1 of 9\x1b[2J" + "x" * 500, "<p>y"))
    lines = BrowseTool(source).call(None, "https://b.example/", CallContext()).text.split("\n")
    assert [len(lines), lines[1], lines[2]] == [3, "https://b.example/", "y"]


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected page_characters >= 1, got 0"):
        BrowseTool(CORPUS, page_characters=0)
