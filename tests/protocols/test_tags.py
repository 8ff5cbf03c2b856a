import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aepo_env.protocols.protocol import Answer, Call, Calls, Malformed
from aepo_env.protocols.tags import TagsProtocol
from tests.fakes import EchoTool

NAMES = ("search", "browse", "python")
ALL_NAMES = (*NAMES, "think", "result", "answer")
PROTOCOL = TagsProtocol(NAMES)

# Texts made of what matters: tags, broken tags, and what stands between them.
PIECES = [f"<{slash}{name}>" for name in ALL_NAMES for slash in ("", "/")]
PIECES += [
    "<",
    ">",
    "/",
    "\\boxed{",
    "}",
    "{",
    " ",
    "\n",
    "x",
    "< search >",
    "<SEARCH>",
    "<search",
    "&lt;",
    "é",
    "\ud800",
]
tagged_text = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=20).map("".join)


def calls(text: str) -> tuple[Call, ...]:
    parsed = PROTOCOL.parse(text)
    assert isinstance(parsed, Calls), parsed
    return parsed.calls


def answer(text: str) -> str:
    parsed = PROTOCOL.parse(text)
    assert isinstance(parsed, Answer), parsed
    return parsed.text


# -------------------------------------------------------------------------------------------------- reading a turn


def test_a_call_and_its_span() -> None:
    text = "<think>let me see</think> now <search> capital of France </search> and more"
    (call,) = calls(text)
    assert call.tool == "search"
    assert call.argument == "capital of France"
    assert text[slice(*call.span)] == "<search> capital of France </search>"


def test_several_calls_stand_in_the_order_of_the_text() -> None:
    text = "<python>1</python> then <search>a</search><python>2</python>"
    assert [(call.tool, call.argument) for call in calls(text)] == [("python", "1"), ("search", "a"), ("python", "2")]
    assert [text[slice(*call.span)] for call in calls(text)] == [
        "<python>1</python>",
        "<search>a</search>",
        "<python>2</python>",
    ]


def test_an_answer_is_unboxed_and_its_span_covers_the_tags() -> None:
    text = "<think>t</think><answer> The final answer is \\[ \\boxed{42} \\] </answer>."
    parsed = PROTOCOL.parse(text)
    assert parsed == Answer("42", (text.index("<answer>"), len(text) - 1))


def test_an_answer_without_a_box_is_taken_whole() -> None:
    assert answer("<answer> Paris \n</answer>") == "Paris"


def test_indentation_of_a_code_block_stays() -> None:
    (call,) = calls("<python>\n    x = 1\n    print(x)\n</python>")
    assert call.argument == "    x = 1\n    print(x)"


def test_tags_inside_a_closed_thought_are_thoughts() -> None:
    (call,) = calls("<think>maybe <search>a</search> or <answer>b</answer></think><search>c</search>")
    assert call.argument == "c"


def test_a_thought_left_open_hides_nothing() -> None:
    (call,) = calls("<think>let me look <search>a</search>")
    assert call.argument == "a"


def test_a_thought_opened_by_the_chat_template_may_be_closed() -> None:
    (call,) = calls("so I thought</think><search>a</search>")
    assert call.argument == "a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just words",
        "<search>never closed",
        "</search>",
        "<search>a</search></search>",
        "<answer>one</answer><answer>two</answer>",
        "<search>a</search><answer>b</answer>",
        "<answer>b</answer><search>a</search>",
        "<search>q <answer>x</answer>",
        "<search>q</search><answer>x",
        "<think>a <think>b <search>c</search>",
        "<result>made up</result>",
        "<think><result>made up</result></think><answer>x</answer>",
        "<search>a</search><result>made up</result>",
        "<search>a</result></search>",
        "<think>only <search>a</search> thoughts</think>",
        "<Search>a</Search>",
        "<search >a</search>",
        "<unknown>a</unknown>",
    ],
)
def test_malformed_turns_say_why(text: str) -> None:
    parsed = PROTOCOL.parse(text)
    assert isinstance(parsed, Malformed), parsed
    assert len(parsed.reason) > 10
    assert parsed.reason.endswith(".")
    assert parsed.reason in PROTOCOL.render(parsed.reason)  # nothing in it is defused: a policy may copy what it reads


def test_a_malformed_call_beside_an_answer_is_never_an_answer() -> None:
    """A broken call must not let the rest of the turn be read as an answer."""
    for broken in ("<search>q", "<search>q<search>", "</python>", "<python>1</search>"):
        assert isinstance(PROTOCOL.parse(f"{broken} <answer>x</answer>"), Malformed), broken


def test_without_tools_only_an_answer_is_asked_for() -> None:
    parsed = TagsProtocol([]).parse("hm")
    assert isinstance(parsed, Malformed)
    assert "write an answer" in parsed.reason


@given(tagged_text)
@settings(max_examples=300, deadline=None)
def test_parse_never_raises_and_its_spans_are_exact(text: str) -> None:
    parsed = PROTOCOL.parse(text)
    if isinstance(parsed, Calls):
        end = 0
        for call in parsed.calls:
            start, stop = call.span
            assert end <= start < stop <= len(text)
            assert text[start:stop].startswith(f"<{call.tool}>")
            assert text[start:stop].endswith(f"</{call.tool}>")
            assert call.argument in text[start:stop]
            assert f"</{call.tool}>" not in call.argument
            end = stop
    elif isinstance(parsed, Answer):
        assert text[slice(*parsed.span)].startswith("<answer>")
        assert text[slice(*parsed.span)].endswith("</answer>")
        assert parsed.text in text
    else:
        assert parsed.reason


def seconds_of(work: object, *arguments: object) -> float:
    started = time.process_time()
    work(*arguments)  # type: ignore[operator]
    return time.process_time() - started


HOSTILE_TURNS = {
    "opened thoughts": "<think>",
    "closed thoughts": "</think>",
    "empty thoughts": "<think></think>",
    "opened calls": "<search>",
    "empty calls": "<search></search>",
    "opened and other closed": "<search></python>",
    "angles": "<",
    "half tags": "<searc",
    "spaces in a tag": "< ",
    "boxes": "\\boxed{",
}


@pytest.mark.parametrize("unit", HOSTILE_TURNS.values(), ids=HOSTILE_TURNS.keys())
def test_a_megabyte_of_hostile_text_is_read_in_linear_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    assert seconds_of(PROTOCOL.parse, text) < 2.0
    assert seconds_of(PROTOCOL.parse, "<think>" + text) < 2.0
    assert seconds_of(PROTOCOL.parse, f"<answer>{text}</answer>") < 2.0


# ------------------------------------------------------------------------------------------------- writing a result


def inside(rendered: str) -> str:
    assert rendered.startswith("<result>\n")
    assert rendered.endswith("\n</result>")
    return rendered[len("<result>\n") : -len("\n</result>")]


def test_ordinary_text_is_rendered_as_it_is() -> None:
    text = "if a < b: print('<b>bold</b>') & <thinking> about <searches>"
    assert PROTOCOL.render(text) == f"<result>\n{text}\n</result>"


@pytest.mark.parametrize("name", ALL_NAMES)
@pytest.mark.parametrize(
    "form", ["<{}>", "</{}>", "<{} >", "< {}>", "<\n/\t{}>", "<{} a='b'>", "<{}/>", "<{}", "</ {} ", "<\u00a0{}>"]
)
def test_tags_in_a_result_are_defused_in_any_case_and_spacing(name: str, form: str) -> None:
    for word in (name, name.upper(), name.capitalize()):
        rendered = inside(PROTOCOL.render(f"before {form.format(word)} after"))
        assert "<" not in rendered
        assert "&lt;" in rendered


LENIENT_TAG = re.compile(rf"<\s*/?\s*(?:{'|'.join(ALL_NAMES)})(?!\w)", re.IGNORECASE)


@given(tagged_text)
@settings(max_examples=300, deadline=None)
def test_no_result_can_be_read_as_a_call_an_answer_or_a_result(text: str) -> None:
    rendered = PROTOCOL.render(text)
    assert isinstance(PROTOCOL.parse(rendered), Malformed)
    assert isinstance(PROTOCOL.parse(inside(rendered)), Malformed)
    assert rendered.count("<result>") == rendered.count("</result>") == 1


@given(tagged_text)
@settings(max_examples=200, deadline=None)
def test_nothing_in_a_result_looks_like_a_tag_even_to_a_lenient_reader(text: str) -> None:
    assert LENIENT_TAG.search(inside(PROTOCOL.render(text))) is None


@pytest.mark.parametrize("unit", ["<", "< ", "</", "< / ", "<search>", "<\n", "<searc"])
def test_rendering_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    assert seconds_of(PROTOCOL.render, text) < 2.0


@pytest.mark.parametrize("start", ["<", "</", "< /"])
def test_rendering_a_long_run_of_spaces_after_an_angle_takes_linear_time(start: str) -> None:
    assert seconds_of(PROTOCOL.render, start + " " * 200_000 + "x") < 1.0


# --------------------------------------------------------------------------------------------------------- making it


@pytest.mark.parametrize("name", ["think", "result", "answer", "Search", "a b", "", "1a", "a>b", "é"])
def test_names_that_are_no_tags_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="rename it"):
        TagsProtocol([name])


def test_generation_stops_at_the_end_of_a_call_or_an_answer() -> None:
    assert PROTOCOL.stop == ("</search>", "</browse>", "</python>", "</answer>")
    generator = random.Random(0)
    for name in (*NAMES, "answer"):
        text = f"<think>{generator.random()}</think><{name}>x</{name}> and what a model would go on with"
        cut = min(text.find(stop) + len(stop) for stop in PROTOCOL.stop if stop in text)
        assert not isinstance(PROTOCOL.parse(text[:cut]), Malformed)


def test_the_system_prompt_names_each_tool_with_its_description() -> None:
    prompt = PROTOCOL.system_prompt([EchoTool("search")])
    assert "<search> … </search>: says its argument back" in prompt
    assert "\\boxed{" in prompt
