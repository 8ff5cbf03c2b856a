"""Attacks on the making of processes: forks without leave, stolen forks, forged messages; with their outcomes.

The order is that of the attack table of the measured design, 1 to 12, as root and as an ordinary user. Every test asks
the kernel, from inside, and looks from outside at what is left.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from aepo_env.sandbox import ForkRefused, Interpreter, LocalBox
from aepo_env.sandbox.supervisor.seccomp_filter import FORK_FLAGS
from aepo_env.sandbox.supervisor.syscall_numbers import MACHINE, number_of
from tests.sandbox.attacks import ask, call, unharmed

only_x86 = pytest.mark.skipif(MACHINE != "x86_64", reason="machine code of x86_64")


# 1. making processes without leave


def test_fork_from_python_is_refused(interpreter: Interpreter) -> None:
    assert "PermissionError" in ask(interpreter, "os.fork()").error


@pytest.mark.parametrize("name", ["fork", "vfork"])
def test_raw_fork_is_refused(interpreter: Interpreter, name: str) -> None:
    if number_of(name) is None:
        pytest.skip(f"{MACHINE} has no {name}")
    assert ask(interpreter, call(name)).output == "'EPERM'\n"


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(FORK_FLAGS, id="exactly fork's"),
        pytest.param(17, id="SIGCHLD"),
        pytest.param(0x8011, id="CLONE_PARENT"),
        pytest.param(0x4111, id="VM and VFORK"),
        pytest.param(0x100, id="VM"),
        pytest.param(0x10000011, id="new user namespace"),
        pytest.param(0x20000011, id="new process namespace"),
        pytest.param(FORK_FLAGS | 1 << 40, id="high bits"),
    ],
)
def test_clone_is_refused_whatever_its_flags(interpreter: Interpreter, flags: int) -> None:
    assert ask(interpreter, call("clone", flags, 0, 0, 0, 0)).output == "'EPERM'\n"


def test_clone3_does_not_exist(interpreter: Interpreter) -> None:
    """Its flags lie behind a pointer, where a filter cannot look; libc then falls back to clone."""
    assert ask(interpreter, call("clone3", "ctypes.create_string_buffer(88)", 88)).output == "'ENOSYS'\n"


# 2. other doors into the kernel


@only_x86
def test_32_bit_entry_kills(interpreter: Interpreter) -> None:
    code = """
        import mmap
        page = mmap.mmap(-1, 4096, prot=7, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.write(bytes.fromhex("b802000000cd80c3"))  # mov eax, 2 (fork); int 0x80; ret
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    """
    result = ask(interpreter, code)
    assert (result.status, result.alive) == ("dead", False)


@only_x86
def test_x32_numbers_kill(interpreter: Interpreter) -> None:
    result = ask(interpreter, f"raw({0x40000000 | 56}, 17, 0, 0, 0, 0)")
    assert (result.status, result.alive) == ("dead", False)


# 3.


def test_endless_refused_forks_end_the_branch(interpreter: Interpreter) -> None:
    begun = time.monotonic()
    result = ask(interpreter, "while True:\n    attempt(os.fork)", 20.0)
    assert (result.status, result.alive) == ("killed", False)
    assert "refused" in result.error
    assert time.monotonic() - begun < 10.0


# 4. other programs


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess; attempt(subprocess.run, ['/usr/bin/true'])",
        "attempt(os.posix_spawn, '/usr/bin/true', ['true'], {})",
        "attempt(os.execv, '/usr/bin/true', ['true'])",
        call("execveat", -100, "b'/usr/bin/true'", 0, 0, 0),
    ],
)
def test_programs_cannot_be_started(interpreter: Interpreter, code: str) -> None:
    assert ask(interpreter, code).output == "'EPERM'\n"


def test_os_system_fails(interpreter: Interpreter) -> None:
    assert ask(interpreter, "os.system('/usr/bin/true') != 0").output == "True\n"


# 5.


def test_cell_cannot_make_the_rendezvous(interpreter: Interpreter) -> None:
    assert ask(interpreter, call("rendezvous", 1, 0, 0, 0)).output == "'EPERM'\n"


# 6. to 9. stealing an ordered fork

FORK_CALL = call("clone", FORK_FLAGS, 0, 0, 0, 0)


def try_fork(interpreter: Interpreter) -> str:
    """'forked' when a child came that works, else why not."""
    try:
        child = interpreter.fork(rng="same", seed=0)
    except ForkRefused as refusal:
        return str(refusal)
    with contextlib.closing(child):
        return "forked" if child.run("6 * 7", 5.0).output == "42\n" else "forked, but the child does not work"


@pytest.fixture
def nothing_left(
    box: LocalBox, processes_of: Callable[[LocalBox], set[int]], settles: Callable[..., bool]
) -> Iterator[None]:
    """After the test no process is there that was not there before."""
    before = processes_of(box)
    yield
    assert settles(lambda: processes_of(box) <= before), "a process got away"


@pytest.mark.usefixtures("nothing_left")
def test_timer_handler_cannot_steal_a_fork(box: LocalBox) -> None:
    """A signal handler that forks all the time meets the grant now and then: then thief and parent die, or none."""
    code = f"""
        import signal
        def forks(*_):
            {FORK_CALL}
        signal.signal(signal.SIGALRM, forks)
        signal.setitimer(signal.ITIMER_REAL, %f, %f)
    """
    outcomes = set()
    for round_number in range(25):
        interval = 0.00007 * (1 + round_number)
        with contextlib.closing(box.start(seed=round_number)) as thief:
            ask(thief, code % (interval, interval))
            outcomes.add(try_fork(thief))
    assert "forked, but the child does not work" not in outcomes


@pytest.mark.usefixtures("nothing_left")
def test_hook_that_takes_the_grant_dies_with_its_thief(box: LocalBox) -> None:
    with contextlib.closing(box.start(seed=1)) as parent:
        ask(parent, f"os.register_at_fork(before=lambda: {FORK_CALL})")
        assert "refused" in try_fork(parent)
        assert parent.run("1", 5.0).status == "dead"


@pytest.mark.usefixtures("nothing_left")
def test_thief_whose_parent_ends_is_found(box: LocalBox) -> None:
    """The stolen child is then a child of process 1; a search among the parent's children would miss it."""
    code = f"""
        import time
        def steal():
            if C.syscall({number_of("clone")}, {FORK_FLAGS}, 0, 0, 0, 0) > 0:
                os._exit(0)
            time.sleep(60)
        os.register_at_fork(before=steal)
    """
    with contextlib.closing(box.start(seed=1)) as parent:
        ask(parent, code)
        assert try_fork(parent) != "forked"


@pytest.mark.usefixtures("nothing_left")
def test_hook_in_the_child_cannot_fork_again(box: LocalBox) -> None:
    with contextlib.closing(box.start(seed=1)) as parent:
        ask(parent, f"tries = []\nos.register_at_fork(after_in_child=lambda: tries.append({FORK_CALL}))")
        with contextlib.closing(parent.fork(rng="same", seed=0)) as child:
            assert child.run("tries", 5.0).output == "['EPERM']\n"
        assert parent.run("tries", 5.0).output == "[]\n"


@pytest.mark.usefixtures("nothing_left")
def test_hook_that_hangs_in_the_child_ends_both_and_holds_up_nobody(box: LocalBox, interpreter: Interpreter) -> None:
    with contextlib.closing(box.start(seed=1)) as parent, ThreadPoolExecutor(1) as pool:
        ask(parent, "import time; os.register_at_fork(after_in_child=lambda: time.sleep(99))")
        hanging = pool.submit(try_fork, parent)
        time.sleep(0.1)
        begun = time.monotonic()
        assert try_fork(interpreter) == "forked"
        assert time.monotonic() - begun < 1.0
        assert "did not report" in hanging.result(10.0)
        assert parent.run("1", 5.0).status == "dead"


# 10. keeping something of the parent


KEPT = [
    ("os.dup2(3, 50)", "control socket"),
    ("os.dup2(1, 50)", "output"),
    ("os.dup2(4, 50)", "parent's directory"),
    ("os.dup2(os.open('/work', os.O_PATH), 50)", "parent's directory"),
    ("os.dup2(os.open('s', os.O_RDONLY | os.O_CREAT), 50)", "parent's directory"),
    ("os.pipe()", "pipe"),
    ("__import__('socket').socketpair()", "socket"),
    ("os.eventfd(0)", "eventfd"),
    ("__import__('select').epoll()", "eventpoll"),
    ("__import__('mmap').mmap(-1, 4096)", "shared memory"),
    ("mapped('w', 1)", "memory map"),
    ("mapped('w', 2)", "memory map"),
    ("mapped('usr/w', 1)", "memory map"),
    ("threading.Thread(target=time.sleep, args=(9,), daemon=True).start()", "threads"),
]

KEEPING = """
import mmap, socket, select, threading, time
kept = []
def mapped(name, flags):  # not mmap.mmap: it keeps a descriptor, which would be found first
    os.makedirs("usr", exist_ok=True)
    with open(name, "wb") as file:
        file.write(b"x" * 4096)
    with open(name, "r+b") as file:
        size, offset = ctypes.c_size_t(4096), ctypes.c_long(0)
        C.mmap.restype = ctypes.c_void_p
        assert C.mmap(None, size, 3, flags, file.fileno(), offset) != ctypes.c_void_p(-1).value
def hook():
    real(0)
    kept.append({what})
real = lambda _: None
os.listdir = lambda path: []  # so that the agent in the child finds nothing to reopen
os.register_at_fork({when}=hook)
"""


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("what", "named"), KEPT)
def test_audit_finds_what_a_hook_keeps(box: LocalBox, what: str, named: str) -> None:
    with contextlib.closing(box.start(seed=1)) as parent:
        prepared = ask(parent, KEEPING.format(what=what, when="before"))
        assert prepared.status == "ok", prepared.error
        refusal = try_fork(parent)
        if "threads" in named:
            # a thread started before the fork stays with the parent: the fork is clean
            assert refusal == "forked"
        else:
            assert named in refusal
        assert parent.run("1", 5.0).output == "1\n", "the parent is only told, it lives on"


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("what", ["os.pipe()", KEPT[-1][0]])
def test_audit_finds_what_a_hook_makes_in_the_child(box: LocalBox, what: str) -> None:
    with contextlib.closing(box.start(seed=1)) as parent:
        ask(parent, KEEPING.format(what=what, when="after_in_child"))
        assert "fork refused" in try_fork(parent)


# 11. forged messages


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    "forgery",
    [
        "os.write(3, b'junk')",
        "os.write(3, b'')",
        "os.write(3, b'o' + bytes(4) + b'all is well')",
        "os.write(3, b'F' + bytes(4))",
        "for _ in range(5):\n    os.write(3, b'[' * 60000)",
        "os.close(3)",
    ],
)
def test_forged_message_ends_that_branch_only(box: LocalBox, sibling: Interpreter, forgery: str) -> None:
    with contextlib.closing(box.start(seed=1)) as forger:
        ask(forger, forgery)
        ask(forger, "1")
        assert not forger.run("1", 5.0).alive
    assert unharmed(sibling)


@pytest.mark.usefixtures("nothing_left")
def test_message_queued_between_cells_is_a_forgery(box: LocalBox) -> None:
    """A right number and status, once; then the true reply comes unasked."""
    with contextlib.closing(box.start(seed=1)) as forger:
        forger.run("1", 5.0)
        forger.run("import os, struct; os.write(3, struct.pack('=cI', b'o', 2))", 5.0)
        result = forger.run("1", 5.0)
        assert (result.status, result.alive) == ("killed", False)


# 12.


@pytest.mark.usefixtures("nothing_left")
def test_replaced_functions_break_their_own_branch_only(box: LocalBox, sibling: Interpreter) -> None:
    with contextlib.closing(box.start(seed=1)) as vandal:
        ask(vandal, "import json, struct; os.fork = lambda: 0; os._exit = None; json.dumps = None; struct.pack = None")
        assert try_fork(vandal) in ("forked", "the interpreter ended", "did not answer in time")
    assert unharmed(sibling)
