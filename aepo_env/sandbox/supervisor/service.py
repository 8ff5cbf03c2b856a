"""Serving one interpreter: a thread of the host reads its owner's requests and answers them one by one.

Requests: {"do": "run", "code", "seconds"} -> the fields of CellResult; {"do": "fork", "split", "seed"} -> {} with the
child's connection attached, or {"refused", "alive"}. When the connection closes, the branch dies.
"""

import socket
import threading
from typing import Any

from .box import Box, ForkFailed
from .branch import Branch
from .cell import run_cell
from .messages import Disconnected, OutOfTime, receive_message, send_message


def begin(box: Box, branch: Branch) -> socket.socket:
    """Start the thread that serves `branch`; returns the owner's end. Raises ForkFailed."""
    ours, theirs = socket.socketpair()
    try:
        threading.Thread(target=_serve, args=(box, branch, ours), daemon=True).start()
    except RuntimeError as failure:
        box.kill(branch, "no thread could be started for it")
        raise ForkFailed(f"the box host cannot serve another interpreter: {failure}") from failure
    return theirs


def hand_over(connection: socket.socket, owners_end: socket.socket) -> None:
    """Send an owner's end through an existing connection. Raises Disconnected, OutOfTime."""
    with owners_end:
        send_message(connection, {}, (owners_end.fileno(),))


def _serve(box: Box, branch: Branch, connection: socket.socket) -> None:
    with connection:
        try:
            while not branch.ended:
                request, _ = receive_message(connection, None)
                if request["do"] == "run":
                    send_message(connection, _run(box, branch, connection, request))
                else:
                    _fork(box, branch, connection, request)
        except (Disconnected, OutOfTime):
            pass
        finally:
            box.kill(branch, "closed")


def _run(box: Box, branch: Branch, connection: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
    result, why = run_cell(branch, request["code"], request["seconds"], box.plan.limits, connection)
    if why:
        box.kill(branch, why)
    return result


def _fork(box: Box, branch: Branch, connection: socket.socket, request: dict[str, Any]) -> None:
    try:
        owners_end = begin(box, box.fork(branch, split=request["split"], seed=request["seed"]))
    except ForkFailed as failure:
        send_message(connection, {"refused": str(failure), "alive": not branch.ended})
        return
    hand_over(connection, owners_end)
