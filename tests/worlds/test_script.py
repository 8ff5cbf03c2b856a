"""Scripts: one function becomes an agent whose turns the protocol can read."""

from aepo_env.protocols.protocol import Answer, Calls
from aepo_env.protocols.tags import TagsProtocol
from aepo_env.worlds.script import (
    ScriptedAgent,
    Steps,
    browse,
    has_next_part,
    hit_number,
    python,
    search,
    text_of_part,
    without_link_numbers,
)

PROTOCOL = TagsProtocol(["search", "browse", "python"])


def test_turns_are_read_as_the_call_that_was_meant() -> None:
    code = "for i in range(2):\n    print(i)"
    for turn, tool, argument in (
        (search("Ada Byron", "Who?"), "search", "Ada Byron"),
        (browse("result 2", "There."), "browse", "result 2"),
        (python("print(6 * 7)", "So."), "python", "print(6 * 7)"),
        (python(code, "So."), "python", code),
    ):
        parsed = PROTOCOL.parse(turn)
        assert isinstance(parsed, Calls)
        assert [(call.tool, call.argument) for call in parsed.calls] == [(tool, argument)]


def test_a_single_line_of_code_stays_on_one_line() -> None:
    assert python("print(1)", "So.") == "<think>So.</think><python>print(1)</python>"


def test_a_script_is_sent_what_the_tools_said_and_ends_with_its_answer() -> None:
    heard: list[str] = []

    def solve(question: str) -> Steps:
        heard.append(question)
        heard.append((yield search("a", "First.")))
        heard.append((yield search("b", "Then.")))
        return "42", "It says so."

    agent = ScriptedAgent(solve)
    for observation in ("Which?", "<result>\n1. A <b>\n</result>", "<result>\n</result>\n"):
        turn = agent.act(observation, {})
    assert heard == ["Which?", "1. A <b>", ""]
    answer = PROTOCOL.parse(turn)
    assert isinstance(answer, Answer)
    assert answer.text == "42"
    assert agent.act("anything more", {}) == turn


def test_hits_are_known_by_their_whole_title() -> None:
    listed = "1. Keld Works\n   https://a.example/1\n2. Keld\n   A town. 3. Keld\n"
    assert hit_number(listed, "Keld") == 2
    assert hit_number(listed, "Kel") == 0


def test_what_the_browse_tool_adds_is_told_from_the_page() -> None:
    assert without_link_numbers("Ada [1] was [sic] born in Keld [12].") == "Ada was [sic] born in Keld."
    assert has_next_part("Title\nhttps://a.example\npart 2 of 3\ntext")
    assert not has_next_part("part 3 of 3")
    assert not has_next_part("no parts, but part 1 of 3 in a sentence")
    assert text_of_part("Title\nhttps://a.example\npart 2 of 3\nfirst\nsecond") == "first\nsecond"
