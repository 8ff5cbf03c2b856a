"""A small interpreter for the code-task tests: runs cells in one child process, unboxed (the tests' own cells only)."""

import json
import subprocess
import sys
import tempfile
from types import TracebackType

WORKER = """
import contextlib, io, json, os, sys
spaces = {}
for line in sys.stdin:
    request = json.loads(line)
    directory = request["directory"]
    os.makedirs(directory, exist_ok=True)
    os.chdir(directory)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(request["code"], spaces.setdefault(directory, {"__name__": "__main__"}))
        except Exception as error:
            printed.write(f"{type(error).__name__}: {error}")
    if request["last"]:
        del spaces[directory]
    sys.__stdout__.write(json.dumps(printed.getvalue()) + "\\n")
    sys.__stdout__.flush()
"""


class Cells:
    """Runs cells by episode. `remembers=False` gives every cell fresh variables and a fresh directory."""

    def __init__(self, *, remembers: bool = True) -> None:
        self._remembers = remembers
        self._count = 0
        self._root = tempfile.TemporaryDirectory()
        self._child = subprocess.Popen(
            [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, episode: str, code: str) -> str:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._count += 1
        directory = f"{self._root.name}/{episode if self._remembers else self._count}"
        request = {"directory": directory, "code": code, "last": not self._remembers}
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        return str(json.loads(self._child.stdout.readline()))

    def __enter__(self) -> "Cells":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(timeout=10)
        self._child.stdout.close()
        self._root.cleanup()
