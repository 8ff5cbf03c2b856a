"""Runners behind the python tool: the local box (default), and the plain subprocess for those who name it.

    from aepo_env.sandbox import BoxLimits, LocalBox

The contract is in interpreter.py; local_box.py is the way in; supervisor/ runs outside the box, inside/ within it.
"""

from .interpreter import CellResult, ForkRefused, Guarantee, Interpreter, Sandbox, SandboxLost, SandboxUnavailable
from .local_box import LocalBox, LocalInterpreter
from .supervisor.plan import BoxLimits
from .unboxed import UnboxedUnsafe

__all__ = [
    "BoxLimits",
    "CellResult",
    "ForkRefused",
    "Guarantee",
    "Interpreter",
    "LocalBox",
    "LocalInterpreter",
    "Sandbox",
    "SandboxLost",
    "SandboxUnavailable",
    "UnboxedUnsafe",
]
