"""PageWriter: puts the text of a page together, line by line, as a walk over its elements reports them.

Used by `aepo_env.browser.reader` alone. It copes with elements that are never closed or closed twice, because real
pages are like that. Inside a table's cell line breaks become commas, so that a row stays one line; a table inside a
cell is written as a table of its own (pages whose layout is a table).
"""

from dataclasses import dataclass, field

from aepo_env.text import clean


@dataclass(slots=True)
class _Table:
    """An open table: the cells of its open row (is it a header?, its text) and whether a cell is open."""

    row: list[tuple[bool, str]] = field(default_factory=list)
    cell_open: bool = False
    cell_is_header: bool = False


class PageWriter:
    """Collects lines. Pieces of a line are joined as they come; None among them stands for a line break in a cell."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._pieces: list[str | None] = []
        self._prefix = ""
        self._term_open = False
        self._tables: list[_Table] = []
        self._link: list[str] | None = None

    def write(self, text: str) -> None:
        self._pieces.append(text)
        if self._link is not None:
            self._link.append(text)

    def break_line(self) -> None:
        """End the line, if there is anything on it; inside a cell only note that a new one begins."""
        self._term_open = False
        if self._tables and self._tables[-1].cell_open:
            self._pieces.append(None)
        else:
            self._flush()

    def start_line(self, prefix: str) -> None:
        """Begin a line that gets `prefix` if it gets any text."""
        self.break_line()
        self._prefix = prefix

    def end_line(self) -> str:
        """End the line with its prefix; returns its text."""
        text = _joined(self._pieces)
        self.break_line()
        self._prefix = ""
        return text

    def end_term(self) -> None:
        """The term of a definition is over: its definition follows on the same line."""
        if _joined(self._pieces):
            self._pieces.append(": ")
            self._term_open = True

    def start_definition(self) -> None:
        if not self._term_open:
            self.break_line()
        self._term_open = False

    def open_link(self) -> None:
        self._link = []

    def close_link(self) -> str:
        """The text written since `open_link`."""
        text = clean("".join(self._link or ()))
        self._link = None
        return text

    def mark(self, mark: str) -> None:
        """Put `mark` behind what was written last."""
        if any(self._pieces) or not self._lines:
            self._pieces.append(mark)
        else:
            self._lines[-1] += mark

    def open_table(self) -> None:
        if self._tables and self._tables[-1].cell_open:  # what stood before it in the outer cell: a line of its own
            self._flush()
        self.break_line()
        self._tables.append(_Table())

    def close_table(self) -> None:
        if self._tables:
            self.close_row()
            self._tables.pop()

    def open_row(self) -> None:
        self.close_row()

    def close_row(self) -> None:
        if not self._tables:
            return self.break_line()
        self.close_cell()
        table = self._tables[-1]
        if line := _row_line(table.row):
            self._lines.append(line)
        table.row = []
        return None

    def open_cell(self, header: bool) -> None:
        if not self._tables:
            return self.break_line()
        self.close_cell()
        self._flush()
        table = self._tables[-1]
        table.cell_open, table.cell_is_header = True, header
        return None

    def close_cell(self) -> None:
        if not self._tables:
            return self.break_line()
        table = self._tables[-1]
        if table.cell_open:
            table.row.append((table.cell_is_header, _joined(self._pieces)))
            self._pieces, table.cell_open, self._term_open = [], False, False
        return None

    def finish(self) -> list[str]:
        """All lines."""
        while self._tables:
            self.close_table()
        self._flush()
        return self._lines

    def _flush(self) -> None:
        if text := _joined(self._pieces):
            self._lines.append(self._prefix + text)
            self._prefix = ""
        self._pieces = []


def _joined(pieces: list[str | None]) -> str:
    """The pieces as one clean line; the parts between line breaks with commas between them."""
    if None not in pieces:
        return clean("".join(piece for piece in pieces if piece))
    parts, part = [], ""
    for piece in [*pieces, None]:
        if piece is None:
            if part := clean(part):
                parts.append(part)
            part = ""
        else:
            part += piece
    return ", ".join(parts)


def _row_line(row: list[tuple[bool, str]]) -> str:
    """A row as "Header: value" if it is one header and one value, else as "a | b | c"; empty if all cells are."""
    texts = [text for _, text in row]
    if not any(texts):
        return ""
    if len(row) == 2 and row[0][0] and not row[1][0] and all(texts):
        return f"{texts[0]}: {texts[1]}"
    return " | ".join(texts).rstrip(" |").lstrip()
