"""Cells: runs pieces of code one after the other in one `__main__` namespace, as a notebook does.

A last bare expression is printed. Standard output and error go to one descriptor in the order written. The first part
of a cell's output is written through at once, so that it is not lost when the cell has to be killed; the rest is
buffered, because the reader keeps only the first part anyway.
"""

import ast
import ctypes
import io
import linecache
import os
import signal
import sys
import traceback
import types
from typing import Any, NamedTuple

OK, ERROR, EXIT, INTERRUPTED = b"o", b"e", b"x", b"i"
_BUFFER = 65536
_LONGEST_ERROR = 4000
_FRAMES = 20


class Outcome(NamedTuple):
    """status: one of the letters above; error: a traceback of the cell's own frames, or the reason."""

    status: bytes
    error: str


class CellOutput(io.BufferedIOBase):
    """The binary stream under sys.stdout and sys.stderr. Closing it does nothing: the next cell needs it."""

    def __init__(self, descriptor: int, eager: int) -> None:
        self._descriptor = descriptor
        self._eager = eager
        self._eager_left = eager
        self._pending = bytearray()

    def begin_cell(self) -> None:
        self._eager_left = self._eager

    def write(self, data: Any, /) -> int:
        piece = memoryview(data).cast("B")
        if self._eager_left > 0:
            self.flush()
            self._eager_left -= len(piece)
            self._write_out(piece)
        else:
            self._pending += piece
            if len(self._pending) >= _BUFFER:
                self.flush()
        return len(piece)

    def flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, bytearray()
            self._write_out(memoryview(pending))

    def _write_out(self, piece: memoryview) -> None:
        while piece:
            piece = piece[os.write(self._descriptor, piece) :]

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        self.flush()


class Cells:
    """The namespace and the counter of one interpreter; makes itself the process's `__main__` and standard streams."""

    def __init__(self, eager_output: int) -> None:
        self.count = 0
        self._output = CellOutput(1, eager_output)
        self._running = False
        self._interrupted = False
        self._c_library = ctypes.CDLL(None)
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self._names = module.__dict__
        # errors="backslashreplace": a lone surrogate must not turn a print into an exception
        for name in ("stdout", "stderr"):
            output: Any = self._output
            stream = io.TextIOWrapper(output, "utf-8", "backslashreplace", write_through=True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115

    def flush(self) -> None:
        """Write out what Python and C hold back. Before a fork, or both sides would write it."""
        self._output.flush()
        self._c_library.fflush(None)

    def run(self, code: str) -> Outcome:
        """Run one cell. Never raises."""
        self.count += 1
        self._output.begin_cell()
        self._interrupted = False
        # a cell may have taken the signal for itself; the next time-out needs it again
        signal.signal(signal.SIGINT, self._on_interrupt)
        name = f"<cell {self.count}>"
        try:
            try:
                self._running = True
                self._execute(code, name)
            finally:
                self._running = False
        except SystemExit as leaving:
            outcome = Outcome(EXIT, f"SystemExit: {leaving.code}")
        except BaseException as failure:
            self._running = False
            interrupted = self._interrupted and isinstance(failure, KeyboardInterrupt)
            outcome = Outcome(INTERRUPTED if interrupted else ERROR, _describe(failure, name))
        else:
            outcome = Outcome(OK, "")
        self.flush()
        return outcome

    def _on_interrupt(self, number: int, frame: Any) -> None:
        """SIGINT: only a running cell is interrupted; between cells one that came too late is dropped."""
        if self._running:
            self._interrupted = True
            self._output.flush()
            raise KeyboardInterrupt

    def _execute(self, code: str, name: str) -> None:
        tree = ast.parse(code, name)
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec", dont_inherit=True), self._names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), self._names)
            if value is not None:
                print(repr(value))


def _describe(failure: BaseException, name: str) -> str:
    """The traceback from the cell's first frame on; its end is what matters when it is too long."""
    frames = failure.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != name:
        frames = frames.tb_next
    try:
        report = traceback.TracebackException(type(failure), failure, frames, limit=-_FRAMES)
        while report.stack and report.stack[-1].filename == __file__:
            report.stack.pop()  # our own frame that turned the signal into an exception
        return "".join(report.format())[-_LONGEST_ERROR:]
    except BaseException:
        return type(failure).__name__
