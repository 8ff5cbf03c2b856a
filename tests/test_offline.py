"""What must work without a network works, and the block that proves it blocks."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import offline
from tests.readme import ROOT, quick_start

OUTSIDE = [
    ("socket.connect", (offline.OUTSIDE_IPV4, 80)),
    ("socket.connect", (offline.OUTSIDE_IPV6, 80, 0, 0)),
    ("socket.connect", ("host.invalid", 80)),
    ("socket.connect", ("::ffff:192.0.2.1", 80, 0, 0)),
    ("socket.sendto", (offline.OUTSIDE_IPV4, 53)),
    ("socket.sendmsg", (offline.OUTSIDE_IPV4, 53)),
]
INSIDE = [("127.0.0.1", 80), ("127.9.9.9", 80), ("localhost", 80), ("::1", 80, 0, 0), ("::ffff:127.0.0.1", 80, 0, 0)]


class EndOfFamily:
    def __init__(self, family: int) -> None:
        self.family = family


@pytest.mark.parametrize(("event", "address"), OUTSIDE)
def test_block_objects_to_addresses_outside(event: str, address: tuple[object, ...]) -> None:
    family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
    assert offline.objection(event, (EndOfFamily(family), address)) is not None


@pytest.mark.parametrize("address", INSIDE)
def test_block_lets_loopback_pass(address: tuple[object, ...]) -> None:
    family = socket.AF_INET6 if len(address) == 4 else socket.AF_INET
    assert offline.objection("socket.connect", (EndOfFamily(family), address)) is None


@pytest.mark.parametrize("event", ["socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"])
def test_block_objects_to_asking_for_names(event: str) -> None:
    assert offline.objection(event, ("host.invalid", 80, 0, 0, 0)) is not None
    assert offline.objection(event, ("localhost", 80, 0, 0, 0)) is None


def test_block_is_on_in_every_test() -> None:
    # A datagram socket: should the block fail, connecting it sends nothing.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end, pytest.raises(offline.NetworkBlocked):
        end.connect((offline.OUTSIDE_IPV4, 9))


def test_servers_on_loopback_still_work() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        client = threading.Thread(target=lambda: socket.create_connection(server.getsockname(), timeout=5).close())
        client.start()
        server.accept()[0].close()
        client.join(5)
        assert not client.is_alive()


def test_quick_start_makes_no_socket_that_could_leave_the_machine(tmp_path: Path) -> None:
    script = tmp_path / "quick_start.py"
    script.write_text(
        f"from tests.offline import forbid_network\nforbid_network(any_socket=True)\n{quick_start()}", "utf-8"
    )
    run = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_forbidding_any_socket_does_forbid_one() -> None:
    code = "import socket; from tests.offline import *; forbid_network(any_socket=True); {}"
    for make, stopped in [("socket.socket()", True), ("socket.socketpair()", False)]:
        run = subprocess.run(
            [sys.executable, "-c", code.format(make)], capture_output=True, text=True, timeout=30, cwd=ROOT, check=False
        )
        assert ("NetworkBlocked" in run.stderr) is stopped, run.stderr


def test_namespace_holds_loopback_alone() -> None:
    if offline.namespace_command() is None:
        pytest.skip("no network namespace can be made here (not Linux, no `unshare`, or not allowed)")
    # Prints whether the outside can be reached, whether loopback can, and the user id: all from inside.
    code = (
        "import os, socket; from tests.offline import outside_is_reachable; "
        "server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname(), timeout=5); "
        "print(outside_is_reachable(), 'loopback', os.getuid())"
    )
    run = subprocess.run(
        [sys.executable, "tests/offline.py", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )
    assert run.stdout.split() == ["False", "loopback", str(os.getuid())], run.stderr
