"""The host process: starts one box, tests it, serves its owner, and takes everything down when the owner ends.

Started by aepo_env/sandbox/host_process.py with one connected socket. First message in: the plan; first message out:
{"ready": true, "missing_packages": [...]} or {"failed": "..."}. Then {"seed": n} -> {} with a connection attached, or
{"refused": "..."}.
"""

import contextlib
import os
import resource
import select
import signal
import socket
import threading

from .box import Box, ForkFailed
from .branch import BranchEnded
from .launch import LaunchFailed
from .messages import Disconnected, OutOfTime, receive_message, send_message
from .plan import BoxPlan
from .self_test import find_weakness
from .service import begin, hand_over


def main(descriptor: int, owner: int) -> None:
    """Serve on `descriptor` until it closes, process `owner` ends or the box ends. Never returns."""
    # Ctrl-C in a terminal is for the trainer, which then closes us; SIGTERM still ends us, and the box with us
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.stack_size(512 << 10)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # four descriptors for each branch
    box: Box | None = None
    try:
        with contextlib.suppress(Disconnected, OutOfTime):
            _close_all_but(descriptor)
            connection = socket.socket(fileno=descriptor)
            owner_pidfd = os.pidfd_open(owner)
            request, _ = receive_message(connection, 30.0)
            try:
                box = Box(BoxPlan.from_json(request["plan"]))
                weakness = find_weakness(box)
            except (LaunchFailed, BranchEnded, OSError) as failure:
                weakness = str(failure)
            if weakness or box is None:
                send_message(connection, {"failed": weakness})
            else:
                send_message(connection, {"ready": True, "missing_packages": box.missing_packages})
                _serve(box, connection, owner_pidfd)
    finally:
        if box is not None:
            box.close()
        os._exit(0)


def _close_all_but(descriptor: int) -> None:
    """Nothing inherited may reach the box: whatever is not closed on exec would be in every branch."""
    os.set_inheritable(descriptor, False)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 1 << 20)


def _serve(box: Box, connection: socket.socket, owner_pidfd: int) -> None:
    poll = select.poll()
    for watched in (connection.fileno(), owner_pidfd, box.pidfd, box.template.pidfd):
        poll.register(watched, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if ready != [connection.fileno()]:
            return  # the owner or the box has ended
        request, _ = receive_message(connection, 10.0)
        try:
            owners_end = begin(box, box.start(request["seed"]))
        except ForkFailed as failure:
            send_message(connection, {"refused": str(failure)})
        else:
            hand_over(connection, owners_end)
