r"""The tags protocol of the AEPO and ARPO papers: `<think> <search> <browse> <python> <result> <answer>`, `\boxed{}`.

A turn is free text and `<think>…</think>` blocks around either calls (`<search>…</search>`, several are run in order)
or one `<answer>…</answer>`. What stands between a tag and its closing tag is taken as it is. What can trip a policy:

- tags inside a closed `<think>` block are thoughts, not calls; a `<think>` left open hides nothing (generation stops at
  the closing tag of a call, so a policy that calls while thinking can never close the block);
- `<result>` belongs to the environment: a policy that writes it is malformed, wherever it stands;
- a call and an answer in one turn are malformed: the answer was written before the result was seen.
"""

import re
from collections.abc import Sequence

from aepo_env.boxed import unbox
from aepo_env.protocols.protocol import Answer, Call, Calls, Malformed
from aepo_env.records import new_record
from aepo_env.tools.tool import Tool

_RESERVED = ("think", "result", "answer")


def _stripped(content: str) -> str:
    """A call's argument. Indentation at the start of a block of code means something, spaces around a line do not."""
    line = content.strip()
    return content.strip("\n").rstrip() if "\n" in line else line


class TagsProtocol:
    """Tags for the tools of one environment.

    Args:
        tools: the names of the callable tools; each becomes a tag. `think`, `result` and `answer` are taken.
    """

    def __init__(self, tools: Sequence[str]) -> None:
        for name in tools:
            if name in _RESERVED or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(
                    f"A tool's name is a lower-case word other than {', '.join(_RESERVED)}; got {name!r}: rename it."
                )
        self.tools = tuple(tools)
        self.stop = tuple(f"</{name}>" for name in (*self.tools, "answer"))
        names = "|".join((*self.tools, *_RESERVED))
        self._find_tag = re.compile(rf"<(/?)({names})>").search
        self._closing = {name: f"</{name}>" for name in (*self.tools, *_RESERVED)}
        # Whatever a lenient reader could take for one of our tags: any case, spaces, attributes. The spaces after the
        # slash belong to it: two neighbouring runs of spaces would be split in every possible way, which is quadratic.
        self._anything_like_a_tag = re.compile(rf"<(?=\s*(?:/\s*)?(?:{names})\b)", re.IGNORECASE)
        # Reasons name tags without their brackets: `render` would defuse them, and a policy might copy that.
        wanted = f"a call ({' or '.join(self.tools)}) or an answer" if self.tools else "an answer"
        self._no_call = Malformed(f"No call and no answer: write {wanted}, between its opening and its closing tag.")

    def parse(self, text: str) -> Calls | Answer | Malformed:
        """Read one turn. Linear: every character is looked at a bounded number of times."""
        if "result>" in text and ("<result>" in text or "</result>" in text):
            return Malformed("Only the environment writes results: write your call and stop there.")
        calls: list[Call] = []
        answer: Answer | None = None
        position = 0
        if text.startswith("<think>"):  # nearly every turn does: its block needs no look at the tags inside
            end = text.find("</think>")
            position = end + len("</think>") if end >= 0 else 0
        while (tag := self._find_tag(text, position)) is not None:
            closing, name = tag.groups()
            start, position = tag.span()
            if closing:
                # A chat template may have opened the first <think> itself, so its closing tag alone is fine.
                if name != "think":
                    return Malformed(f"The closing tag of {name} closes nothing: write the opening tag first.")
                continue
            end = text.find(self._closing[name], position)
            if name == "think":
                if end >= 0:
                    position = end + len("</think>")
                elif text.find("<think>", position) >= 0:
                    return Malformed("The tag think is opened twice and never closed.")
                continue
            if end < 0:
                return Malformed(f"The tag {name} is never closed: end it with its closing tag.")
            content = text[position:end]
            position = end + len(name) + len("</>")
            if name != "answer":
                calls.append(new_record(Call, (name, _stripped(content), (start, position))))
            elif answer is None:
                answer = Answer(unbox(content), (start, position))
            else:
                return Malformed("Two answers in one turn: give exactly one.")
            if position == len(text):  # as nearly always, since generation stops at the closing tag
                break
        if calls and answer is not None:
            return Malformed("A call and an answer in one turn: wait for the result before you answer.")
        if answer is not None:
            return answer
        return new_record(Calls, (tuple(calls),)) if calls else self._no_call

    def render(self, text: str) -> str:
        """`<result>` around the text; anything in it that looks like one of our tags is defused to `&lt;…`."""
        if "<" in text:
            text = self._anything_like_a_tag.sub("&lt;", text)
        return f"<result>\n{text}\n</result>"

    def system_prompt(self, tools: Sequence[Tool]) -> str:
        """Instructions for a model that was not trained on this protocol."""
        lines = [
            "Answer the question step by step. Think inside <think> and </think>.",
            "When you need a tool, write one call and stop; its result comes back inside <result> and </result>:",
            *(f"<{tool.name}> … </{tool.name}>: {tool.description}" for tool in tools),
            "When you know the answer, give it inside <answer> and </answer>, the final answer alone in \\boxed{}:",
            "<answer> The final answer is \\[ \\boxed{answer here} \\] </answer>",
        ]
        return "\n".join(lines)
