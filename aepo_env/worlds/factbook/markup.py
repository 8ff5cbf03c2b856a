"""A page's body, written twice at once: as HTML, and as the text that the reader makes of that HTML.

    body = Body()
    body.heading(2, "Background")
    body.paragraph("France today is …")
    body.table([(plain("Capital"), plain("Paris"))], headed=True)       # "Capital: Paris"
    body.html, body.text

Knowing the text saves parsing fourteen megabytes of HTML when the index is built. That it is the reader's text, line
for line, is tested. Left out: everything these pages do not use.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from aepo_env.text import clean


class Inline(NamedTuple):
    """A piece of a line: its HTML, and what it reads as."""

    html: str
    text: str


def plain(text: str) -> Inline:
    """Words without markup."""
    return Inline(escape(text, quote=False), text)


def link(target: str, text: str) -> Inline:
    """Words that lead to `target`."""
    return Inline(f'<a href="{escape(target)}">{escape(text, quote=False)}</a>', text)


def joined(separator: str, pieces: Iterable[Inline]) -> Inline:
    """Pieces with `separator` between them."""
    listed = list(pieces)
    html = escape(separator, quote=False).join(piece.html for piece in listed)
    return Inline(html, separator.join(piece.text for piece in listed))


class Body:
    """The body of one page, from top to bottom."""

    def __init__(self) -> None:
        self._html: list[str] = []
        self._lines: list[str] = []

    @property
    def html(self) -> str:
        return "\n".join(self._html)

    @property
    def text(self) -> str:
        return "\n".join(line for line in self._lines if line)

    def heading(self, level: int, words: str) -> None:
        self._add(f"<h{level}>{escape(words, quote=False)}</h{level}>", "#" * level + " ", words)

    def paragraph(self, words: Inline) -> None:
        self._add(f"<p>{words.html}</p>", "", words.text)

    def paragraphs(self, text: str) -> None:
        """One paragraph for each line of `text`."""
        for line in filter(None, text.split("\n")):
            self.paragraph(plain(line))

    def bullets(self, items: Iterable[Inline]) -> None:
        listed = list(items)
        self._html.append("<ul>" + "".join(f"<li>{item.html}</li>" for item in listed) + "</ul>")
        self._lines += [f"- {clean(item.text)}" for item in listed]

    def table(self, rows: Iterable[Sequence[Inline]], *, headed: bool = False) -> None:
        """Rows of cells. headed: the first cell of each row is its head, and there are two."""
        lines = []
        for cells in rows:
            names = ("th", *["td"] * (len(cells) - 1)) if headed else ["td"] * len(cells)
            html = "".join(f"<{name}>{cell.html}</{name}>" for name, cell in zip(names, cells, strict=True))
            lines.append(f"<tr>{html}</tr>")
            self._lines.append((": " if headed else " | ").join(clean(cell.text) for cell in cells))
        self._html.append("<table>\n" + "\n".join(lines) + "\n</table>")

    def _add(self, html: str, mark: str, text: str) -> None:
        self._html.append(html)
        if line := clean(text):
            self._lines.append(mark + line)
