"""Blocks of a page, written once as HTML and once as the text a reader takes from it.

    blocks = [Heading("Keld"), Paragraph(("Keld is led by ", Anchor("Mira Tol", "../person/mira_tol"), "."))]
    html_of(blocks)
    text_of(blocks)      # equal to aepo_env.browser.reader.plain_text of a document with these blocks (tests see to it)

Everything that goes into HTML is escaped here and nowhere else.
"""

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Anchor(NamedTuple):
    """A link. href may be relative."""

    text: str
    href: str


Inline = Sequence[str | Anchor]


class Heading(NamedTuple):
    """A heading; level 1 is the page's title."""

    text: str
    level: int = 1


class Paragraph(NamedTuple):
    """Running text."""

    inline: Inline


class Facts(NamedTuple):
    """Rows of label and value: an infobox (a table with row heads) or, with `header`, an ordinary table."""

    rows: Sequence[tuple[str, Inline]]
    header: tuple[str, str] | None = None


class Bullets(NamedTuple):
    """A list."""

    items: Sequence[Inline]


Block = Heading | Paragraph | Facts | Bullets


def html_of(blocks: Iterable[Block]) -> str:
    """The blocks as HTML, one after another."""
    return "\n".join(_block_html(block) for block in blocks)


def _block_html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(inline):
            return f"<p>{_inline_html(inline)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_inline_html(item)}</li>" for item in items) + "</ul>"
        case Facts(rows, None):
            body = "".join(
                f'<tr><th scope="row">{html.escape(label)}</th><td>{_inline_html(value)}</td></tr>'
                for label, value in rows
            )
            return f'<table class="infobox">{body}</table>'
        case Facts(rows, header):
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header or ())
            body = "".join(
                f"<tr><td>{html.escape(label)}</td><td>{_inline_html(value)}</td></tr>" for label, value in rows
            )
            return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _inline_html(inline: Inline) -> str:
    return "".join(
        f'<a href="{html.escape(part.href)}">{html.escape(part.text)}</a>'
        if isinstance(part, Anchor)
        else html.escape(part)
        for part in inline
    )


def plain(inline: Inline) -> str:
    """Inline content without its links."""
    return "".join(part.text if isinstance(part, Anchor) else part for part in inline)


def text_of(blocks: Iterable[Block]) -> str:
    """What the reader would take from a page of these blocks; it leaves out the heading that repeats the title."""
    return "\n".join(line for block in blocks for line in _block_lines(block))


def _block_lines(block: Block) -> list[str]:
    match block:
        case Heading(_, 1):
            return []
        case Heading(text, level):
            return [f"{'#' * level} {text}"]
        case Paragraph(inline):
            return [plain(inline)]
        case Bullets(items):
            return [f"- {plain(item)}" for item in items]
        case Facts(rows, None):
            return [f"{label}: {plain(value)}" for label, value in rows]
        case Facts(rows, header):
            return [" | ".join(header or ()), *(f"{label} | {plain(value)}" for label, value in rows)]
