"""Messages between a trainer and its box host: JSON behind a length, over a stream socket, with descriptors attached.

Both sides trust each other; what comes out of the box never travels this way unchecked. Every wait has a deadline.
"""

import json
import os
import socket
import struct
import time
from typing import Any

_LENGTH = struct.Struct("=I")
_LONGEST = 64 << 20


class Disconnected(Exception):
    """The other side has gone."""


class OutOfTime(Exception):
    """No whole message came before the deadline; the connection cannot be used any more."""


def send_message(connection: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Send one message. Raises Disconnected; OutOfTime when the other side does not read for 10 s."""
    body = json.dumps(message).encode("ascii")
    packet = _LENGTH.pack(len(body)) + body
    try:
        connection.settimeout(10.0)
        sent = socket.send_fds(connection, [packet], list(descriptors)) if descriptors else connection.send(packet)
        if sent < len(packet):
            connection.sendall(packet[sent:])
    except TimeoutError as late:
        raise OutOfTime("the other side does not read") from late
    except OSError as gone:
        raise Disconnected(str(gone)) from gone


def receive_message(
    connection: socket.socket, seconds: float | None, *, descriptors: int = 0
) -> tuple[dict[str, Any], list[int]]:
    """One message and up to `descriptors` attached descriptors, within `seconds` (None: wait for ever)."""
    deadline = None if seconds is None else time.monotonic() + seconds
    received: list[int] = []
    try:
        length = _LENGTH.unpack(_receive_exactly(connection, _LENGTH.size, deadline, descriptors, received))[0]
        if length > _LONGEST:
            raise Disconnected(f"a message of {length} bytes was announced")
        return json.loads(_receive_exactly(connection, length, deadline, 0, received)), received
    except BaseException:
        for descriptor in received:
            os.close(descriptor)
        raise


def _receive_exactly(
    connection: socket.socket, count: int, deadline: float | None, descriptors: int, received: list[int]
) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise OutOfTime("no answer in time")
        try:
            connection.settimeout(left)
            if descriptors:
                piece, fresh, _, _ = socket.recv_fds(connection, count - len(parts), descriptors)
                received.extend(fresh)
            else:
                piece = connection.recv(count - len(parts))
        except TimeoutError as late:
            raise OutOfTime("no answer in time") from late
        except OSError as gone:
            raise Disconnected(str(gone)) from gone
        if not piece:
            raise Disconnected("the connection was closed")
        parts += piece
    return bytes(parts)
