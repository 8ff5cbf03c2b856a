"""What the attacks on the box have in common: raw system calls from inside, and questions to a cell."""

import textwrap

from aepo_env.sandbox import CellResult, Interpreter
from aepo_env.sandbox.supervisor.syscall_numbers import number_of

HELPERS = """
import ctypes, errno, os
C = ctypes.CDLL(None, use_errno=True)
def raw(*arguments):
    result = C.syscall(*map(lambda a: ctypes.c_long(a) if isinstance(a, int) else a, arguments))
    return "DONE" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def attempt(function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except OSError as refusal:
        return errno.errorcode[refusal.errno]
    return "DONE"
"""


def call(name: str, *arguments: object) -> str:
    """Source of a raw system call, from its name."""
    return f"raw({', '.join(map(str, (number_of(name), *arguments)))})"


def ask(interpreter: Interpreter, code: str, seconds: float = 5.0) -> CellResult:
    interpreter.run(HELPERS, 5.0)
    return interpreter.run(textwrap.dedent(code), seconds)


def number_inside(interpreter: Interpreter) -> int:
    """Its process id as the box sees it."""
    return int(interpreter.run("import os; os.getpid()", 5.0).output)


def unharmed(interpreter: Interpreter) -> bool:
    """Whether the fixture `sibling` still has its variable and its file."""
    return interpreter.run("secret, open('s').read()", 5.0).output == "('kept', 'x')\n"
