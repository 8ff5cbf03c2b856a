"""The program of an unboxed interpreter (aepo_env/sandbox/unboxed.py): limits, seed, then cells until the pipe closes.

Requests come as a length and the code, replies go as a status letter, a length and text; output goes to descriptor 1.
"""

import os
import random
import resource
import struct
import sys

from .cells import Cells

REQUEST = struct.Struct("=Q")
REPLY = struct.Struct("=cQ")


def main() -> None:
    """Arguments: request descriptor, reply descriptor, seed, eager output, then NAME=VALUE resource limits."""
    requests, replies, seed, eager_output = (int(argument) for argument in sys.argv[1:5])
    for setting in sys.argv[5:]:
        name, _, value = setting.partition("=")
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (int(value), int(value)))
    sys.argv[:] = [""]
    random.seed(seed)
    cells = Cells(eager_output)
    while True:
        header = _read(requests, REQUEST.size)
        code = _read(requests, REQUEST.unpack(header)[0])
        outcome = cells.run(code.decode("utf-8", "surrogatepass"))
        text = outcome.error.encode("utf-8", "replace")
        os.write(replies, REPLY.pack(outcome.status, len(text)) + text)


def _read(descriptor: int, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        piece = os.read(descriptor, count - len(parts))
        if not piece:
            os._exit(0)
        parts += piece
    return bytes(parts)
