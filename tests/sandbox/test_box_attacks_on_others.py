"""Attacks that go round the processes: what a cell shares with siblings and trainer only by having the same user."""

import contextlib
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from aepo_env.sandbox import ForkRefused, Interpreter, LocalBox
from aepo_env.sandbox.supervisor.syscall_numbers import MACHINE

from .attacks import ask, call

NAMED_SOCKET = """
import socket
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
print(attempt(ours.setsockopt, socket.SOL_SOCKET, {option}, 1))
theirs.close()
attempt(ours.send, b"x")
print(ours.getsockname())
"""


@pytest.mark.parametrize("option", [16, 76])  # SO_PASSCRED, SO_PASSPIDFD
def test_socket_of_a_pair_gets_no_name(interpreter: Interpreter, option: int) -> None:
    """Under a name a sibling could send it a descriptor of its directory."""
    assert ask(interpreter, NAMED_SOCKET.format(option=option)).output == "EPERM\n\n"


def test_pairs_are_of_local_sockets_only(interpreter: Interpreter) -> None:
    code = "import socket; [attempt(socket.socketpair, family) for family in (1, 2, 10, 16, 17, 30, 40)]"
    assert ask(interpreter, code).output == f"{['DONE', *['EPERM'] * 6]}\n"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(call("inotify_init1", 0), id="watches"),
        pytest.param(call("sync"), id="sync"),
        pytest.param(call("syncfs", "os.open('/usr', os.O_RDONLY)"), id="syncfs"),
        pytest.param(call("fcntl", "os.open('/usr/bin', os.O_RDONLY)", 1024, 0), id="lease"),
    ],
)
def test_what_only_costs_the_trainer_is_refused(interpreter: Interpreter, code: str) -> None:
    assert ask(interpreter, code).output == "'EPERM'\n"


def test_timers_of_a_cell_leave_the_trainer_its_own(interpreter: Interpreter) -> None:
    """Timers are counted for the user; the trainer's limit would be reached by any branch alone."""
    code = f"""
        timer = ctypes.c_void_p()
        count = 0
        while count < 5000 and {call_timer("timer")} == "DONE":
            count += 1
        count < 5000
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_SIGPENDING)
    if limit < 5000:
        pytest.skip(f"the trainer's own limit is {limit} already")
    assert ask(interpreter, code, 20.0).output == "True\n"


def call_timer(name: str) -> str:
    number = 222 if MACHINE == "x86_64" else 107  # timer_create
    return f"raw({number}, 0, None, ctypes.byref({name}))"


def test_branches_are_killed_first_when_memory_runs_out(
    box: LocalBox, interpreter: Interpreter, processes_of: Callable[[LocalBox], set[int]]
) -> None:
    assert interpreter.run("print(open('/proc/self/oom_score_adj').read(), end='')", 5.0).output == "1000\n"
    trainers = Path("/proc/self/oom_score_adj").read_text()
    orders = [Path(f"/proc/{process}/oom_score_adj").read_text() for process in processes_of(box)]
    assert orders.count(trainers) == 1, "the helper for directories, which runs no foreign code"
    assert orders.count("1000\n") == len(orders) - 1


# a child whose agent was replaced by the cell, so that only the audit is left

REPLACED_AGENT = """
import socket, inside.files
ours, theirs = (end.detach() for end in socket.socketpair())
memory = os.open("/proc/self/maps", os.O_RDONLY)
def take_over(control, old, new):
    os.dup2(new, old)
    os.dup2(os.open("/dev/null", os.O_RDONLY), new)
    os.chdir("/work")
    {what}
    os.closerange(new + 1, 100)
def hook():
    inside.files.take_over = take_over
os.register_at_fork(after_in_child=hook)
"""


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("os.dup2(theirs, 0)", "descriptor 0"),
        ("os.dup2(theirs, 1)", "descriptor 1"),
        ("os.dup2(theirs, old)", "descriptor 4"),
        ("os.dup2(theirs, new)", "descriptor 5"),
        ("os.dup2(memory, new)", "/proc/"),
    ],
)
def test_audit_looks_at_every_number(box: LocalBox, what: str, named: str) -> None:
    with contextlib.closing(box.start(seed=1)) as parent:
        assert ask(parent, REPLACED_AGENT.format(what=what)).status == "ok"
        with pytest.raises(ForkRefused, match=named):
            parent.fork(rng="same", seed=0).close()


def test_replaced_agent_that_keeps_nothing_is_let_through(box: LocalBox) -> None:
    """So that the test before fails for the reason it names."""
    with contextlib.closing(box.start(seed=1)) as parent:
        ask(parent, REPLACED_AGENT.format(what="pass"))
        with contextlib.closing(parent.fork(rng="same", seed=0)) as child:
            assert child.run("1", 5.0).output == "1\n"
