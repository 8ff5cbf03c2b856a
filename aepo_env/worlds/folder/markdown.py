"""Markdown to HTML, as far as pages of text need it: headings, paragraphs, lists, links, emphasis, code.

    markdown_to_html("# Ada\\n\\nSee [Bob](bob.md).", "Ada")

Left out on purpose (shown as written): tables, images, footnotes, raw HTML, nested lists. A folder that needs more
can be converted by any Markdown tool and given as .html files.
"""

import html
import re

_LINK = re.compile(r"\[([^\[\]\n]+)\]\(<?([^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+\"[^\"\n]*\")?\)")
_ITEM = re.compile(r"\s{0,3}(?:[-*+]|\d{1,9}[.)])\s+(.*)")
_HEADING = re.compile(r"(#{1,6})[ \t]+(.*)")


def markdown_to_html(source: str, title: str) -> str:
    """A whole HTML page titled `title`. Never raises: what is not understood stays text."""
    blocks: list[str] = []
    paragraph: list[str] = []
    items: list[str] = []
    code: list[str] | None = None

    def finish() -> None:
        if paragraph:
            blocks.append(f"<p>{_inline(' '.join(paragraph))}</p>")
            paragraph.clear()
        if items:
            blocks.append("<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>")
            items.clear()

    for line in source.splitlines():
        if line.lstrip().startswith("```"):
            finish()
            if code is not None:
                blocks.append(_code_block(code))
            code = [] if code is None else None
        elif code is not None:
            code.append(line)
        elif not line.strip():
            finish()
        elif match := _HEADING.fullmatch(line.strip()):
            finish()
            level = len(match.group(1))
            blocks.append(f"<h{level}>{_inline(without_closing_marks(match.group(2)))}</h{level}>")
        elif match := _ITEM.fullmatch(line):
            if paragraph:
                finish()
            items.append(match.group(1))
        elif items:
            items[-1] += " " + line.strip()
        else:
            paragraph.append(line.strip())
    finish()
    if code is not None:  # a fence that was never closed
        blocks.append(_code_block(code))
    heading = html.escape(title, quote=False)
    return f"<html><head><title>{heading}</title></head><body>\n" + "\n".join(blocks) + "\n</body></html>"


def without_closing_marks(heading: str) -> str:
    """A heading's text without the marks some writers repeat at its end ("Title ##")."""
    return re.sub(r"[ \t]#+$", "", heading.strip()).strip()


def _code_block(lines: list[str]) -> str:
    return "<pre>" + html.escape("\n".join(lines), quote=False) + "</pre>"


def _inline(text: str) -> str:
    """Links and emphasis within one block; everything else escaped."""
    pieces, position = [], 0
    for match in _LINK.finditer(text):
        pieces.append(_emphasis(text[position : match.start()]))
        pieces.append(f'<a href="{html.escape(match.group(2))}">{_emphasis(match.group(1))}</a>')
        position = match.end()
    pieces.append(_emphasis(text[position:]))
    return "".join(pieces)


def _emphasis(text: str) -> str:
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*\n]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"(?<![\w*])\*([^*\s][^*\n]*)\*(?![\w*])", r"<em>\1</em>", text)
