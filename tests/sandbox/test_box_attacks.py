"""Attacks on the box, each with its stated outcome, as root and as an ordinary user.

The order follows the attack table of the measured design. Every test asks the kernel, from inside, and looks from
outside at what is left.
"""

import contextlib
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from aepo_env.sandbox import CellResult, ForkRefused, Interpreter, LocalBox
from aepo_env.sandbox.supervisor.seccomp_filter import FORK_FLAGS
from aepo_env.sandbox.supervisor.syscall_numbers import MACHINE, number_of

only_x86 = pytest.mark.skipif(MACHINE != "x86_64", reason="machine code of x86_64")

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


@pytest.fixture
def sibling(box: LocalBox) -> Iterator[Interpreter]:
    with contextlib.closing(box.start(seed=1)) as other:
        other.run("import os; secret = 'kept'; open('s', 'w').write('x'); os.getpid()", 5.0)
        yield other


def number_inside(interpreter: Interpreter) -> int:
    return int(interpreter.run("import os; os.getpid()", 5.0).output)


def unharmed(interpreter: Interpreter) -> bool:
    return interpreter.run("secret, open('s').read()", 5.0).output == "('kept', 'x')\n"


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


# 13. and 14. signals to others


def test_signals_reach_nobody_else(interpreter: Interpreter, sibling: Interpreter) -> None:
    other = number_inside(sibling)
    code = f"""
        print([attempt(os.kill, -1, 9), attempt(os.kill, {other}, 9), attempt(os.kill, 1, 9),
               attempt(os.pidfd_open, {other}), {call("tkill", other, 9)}, {call("tgkill", other, other, 9)},
               {call("pidfd_send_signal", 3, 9, 0, 0)}, {call("rt_sigqueueinfo", other, 9, 0)}])
    """
    assert ask(interpreter, code).output == f"{['EPERM'] * 8}\n"
    assert unharmed(sibling)


def test_descriptor_signals_reach_nobody_else(interpreter: Interpreter, sibling: Interpreter) -> None:
    """O_ASYNC with an owner and a signal is kill() by another name: it did kill a sibling before it was refused."""
    other = number_inside(sibling)
    code = f"""
        import fcntl, struct
        receive, send = os.pipe()
        print([attempt(fcntl.fcntl, receive, fcntl.F_SETOWN, {other}), attempt(fcntl.fcntl, receive, 10, 9),
               attempt(fcntl.fcntl, receive, 15, struct.pack("ii", 1, {other})),
               attempt(fcntl.ioctl, receive, 0x8901, struct.pack("i", {other})),
               attempt(fcntl.ioctl, receive, 0x8902, struct.pack("i", {other}))])
        fcntl.fcntl(receive, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(send, b"x")
    """
    assert ask(interpreter, code).output.startswith(f"{['EPERM'] * 5}\n")
    assert unharmed(sibling)


def test_sibling_cannot_be_slowed_down(interpreter: Interpreter, sibling: Interpreter) -> None:
    other = number_inside(sibling)
    code = f"""
        [attempt(os.sched_setaffinity, {other}, [0]), attempt(os.setpriority, os.PRIO_PROCESS, {other}, 19),
         attempt(os.sched_setscheduler, {other}, os.SCHED_IDLE, os.sched_param(0)), {call("ioprio_set", 1, other, 0)}]
    """
    assert ask(interpreter, code).output == f"{['EPERM'] * 4}\n"


# 15. looking into others


@pytest.mark.parametrize("whose", ["a sibling", "process 1"])
def test_other_processes_are_closed(interpreter: Interpreter, sibling: Interpreter, whose: str) -> None:
    other = number_inside(sibling) if whose == "a sibling" else 1
    code = f"""
        found = []
        for name in ("mem", "environ", "maps", "cwd/s", "fd/4/s", "root/usr", "auxv", "pagemap"):
            found.append(attempt(os.open, "/proc/{other}/" + name, os.O_RDONLY))
        found.append(attempt(os.open, "/proc/{other}/mem", os.O_RDWR))
        found += [{call("ptrace", 16, other, 0, 0)}, {call("process_vm_readv", other, 0, 0, 0, 0, 0)}]
        print(found)
    """
    found = ask(interpreter, code).output
    assert "DONE" not in found
    assert sum(map(found.count, ("EACCES", "EPERM", "EROFS"))) == 11


# 16. host files and variables


def test_the_own_directory_has_nothing_above_it(interpreter: Interpreter) -> None:
    code = "sorted(os.listdir(os.open('..', os.O_RDONLY, dir_fd=4))), os.path.samefile('/work', '/work/../..')"
    assert ask(interpreter, code).output.startswith("([], ")


@pytest.mark.parametrize("path", ["/root", "/home", "/etc", "/var", "/etc/passwd", "/sys", "/run", "/dev/ptmx"])
def test_host_paths_are_not_there(interpreter: Interpreter, path: str) -> None:
    assert ask(interpreter, f"attempt(os.stat, {path!r})").output == "'ENOENT'\n"


def test_environment_is_our_own(
    make_box: Callable[..., LocalBox], monkeypatch: pytest.MonkeyPatch, box: LocalBox
) -> None:
    monkeypatch.setenv("AEPO_TEST_SECRET", "hunter2")
    with contextlib.closing(make_box()) as fresh, contextlib.closing(fresh.start(0)) as interpreter:
        shown = interpreter.run("import os; dict(os.environ)", 5.0).output
        everything = interpreter.run("open('/proc/self/environ', 'rb').read()", 5.0)
    names = {
        *("PATH", "HOME", "TMPDIR", "LANG", "PWD", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE"),
        *("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MALLOC_ARENA_MAX", "LD_LIBRARY_PATH"),
    }
    assert set(eval(shown)) <= names
    assert "hunter2" not in shown + everything.output + everything.error


# 17.


@pytest.mark.parametrize(
    "path", ["/x", "/usr/x", "/usr/bin/x", "/dev/x", "/dev/shm/x", "/proc/sys/kernel/x", "/agent/inside/cells.py"]
)
def test_nothing_else_can_be_written(interpreter: Interpreter, path: str) -> None:
    found = ask(interpreter, f"attempt(os.open, {path!r}, os.O_WRONLY | os.O_CREAT)").output
    assert found in ("'EROFS'\n", "'ENOENT'\n", "'EACCES'\n")


@pytest.mark.parametrize("name", ["oom_score_adj", "coredump_filter", "clear_refs", "comm"])
def test_process_settings_cannot_be_changed(interpreter: Interpreter, sibling: Interpreter, name: str) -> None:
    """Where the trainer is root, these files of a sibling belong to the cell's own user."""
    paths = [f"/proc/{whose}/{name}" for whose in ("self", number_inside(sibling), 1)]
    assert "DONE" not in ask(interpreter, f"[attempt(os.open, path, os.O_WRONLY) for path in {paths}]").output


# 18.


@pytest.mark.parametrize("family", [1, 2, 10, 16, 17, 40])
def test_sockets_are_refused(interpreter: Interpreter, family: int) -> None:
    code = f"import socket; [attempt(socket.socket, {family}, kind) for kind in (1, 2, 3)]"
    assert ask(interpreter, code).output == f"{['EPERM'] * 3}\n"


# 19. changing the rules


def test_limits_cannot_be_raised(interpreter: Interpreter) -> None:
    code = """
        import resource
        before = resource.getrlimit(resource.RLIMIT_AS)
        for limit in ((-1, -1), (1 << 40, 1 << 40), (1 << 20, 1 << 20)):
            try:
                resource.setrlimit(resource.RLIMIT_AS, limit)
            except (OSError, ValueError) as refusal:
                print("refused")
        resource.getrlimit(resource.RLIMIT_AS) == before
    """
    assert ask(interpreter, code).output == "refused\n" * 3 + "True\n"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(call("prctl", 4, 1, 0, 0, 0), id="dumpable"),
        pytest.param(call("prctl", 36, 1, 0, 0, 0), id="subreaper"),
        pytest.param(call("prctl", 0x59616D61, -1, 0, 0, 0), id="ptracer"),
        pytest.param(call("seccomp", 1, 0, 0), id="seccomp"),
        pytest.param(call("unshare", 0x10000000), id="unshare"),
        pytest.param(call("bpf", 0, 0, 0), id="bpf"),
        pytest.param(call("setns", 3, 0), id="setns"),
        pytest.param(call("mount", 0, "b'/work'", "b'tmpfs'", 0, 0), id="mount"),
        pytest.param(call("io_uring_setup", 1, "ctypes.create_string_buffer(120)"), id="io_uring"),
        pytest.param(call("userfaultfd", 0), id="userfaultfd"),
        pytest.param(call("perf_event_open", 0, 0, -1, -1, 0), id="perf"),
        pytest.param(call("keyctl", 0, -3, 0), id="keyctl"),
        pytest.param(call("prlimit64", 0, 9, "ctypes.create_string_buffer(16)", 0), id="prlimit64"),
    ],
)
def test_rules_cannot_be_changed(interpreter: Interpreter, code: str) -> None:
    assert ask(interpreter, code).output == "'EPERM'\n"


def test_unknown_system_calls_do_not_exist(interpreter: Interpreter) -> None:
    assert ask(interpreter, "raw(470), raw(1000)").output == "('ENOSYS', 'ENOSYS')\n"


# 20. resources


def test_memory_is_limited(interpreter: Interpreter) -> None:
    result = ask(interpreter, "x = bytearray(2 << 30)")
    assert "MemoryError" in result.error
    assert result.alive


def test_directory_is_limited(interpreter: Interpreter) -> None:
    code = """
        for number in range(9):
            with open(f"f{number}", "wb") as file:
                file.write(b"0" * 4_000_000)
    """
    result = ask(interpreter, code)
    assert "No space left" in result.error
    assert (
        interpreter.run("import os; sum(os.path.getsize(f) for f in os.listdir('.')) <= 16 << 20", 5.0).output
        == "True\n"
    )


def test_number_of_files_is_limited(interpreter: Interpreter) -> None:
    assert "No space left" in ask(interpreter, "for number in range(9999):\n    open(str(number), 'w').close()").error


def test_file_size_is_limited(interpreter: Interpreter) -> None:
    result = ask(
        interpreter, "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); open('f', 'wb').truncate(64 << 20)"
    )
    assert "too large" in result.error


def test_open_files_are_limited(interpreter: Interpreter) -> None:
    assert "Too many open files" in ask(interpreter, "kept = [open('/dev/null') for _ in range(999)]").error


@pytest.mark.parametrize(
    "code", [call("memfd_create", "b'x'", 0), call("shmget", 0, 4096, 0o1600), call("memfd_secret", 0)]
)
def test_memory_outside_the_limits_is_refused(interpreter: Interpreter, code: str) -> None:
    assert ask(interpreter, code).output == "'EPERM'\n"


def test_threads_are_limited(interpreter: Interpreter) -> None:
    code = """
        import threading, time
        started = 0
        try:
            while started < 500:
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                started += 1
        except RuntimeError as refusal:
            print(refusal)
        started
    """
    result = ask(interpreter, code)
    assert result.output == "can't start new thread\n15\n"


def test_processor_time_is_limited(make_box: Callable[..., LocalBox], box: LocalBox) -> None:
    """A path of forks has one account: a child does not begin at nought."""
    from aepo_env.sandbox import BoxLimits

    burn = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass"
    tell = "import time\nnext_one = 0\nwhile True:\n    if time.process_time() > next_one:\n"
    tell += "        print(time.process_time())\n        next_one += 0.1"
    tight = make_box(BoxLimits(cpu_seconds=2, memory_mb=512))
    with contextlib.closing(tight), contextlib.closing(tight.start(0)) as parent:
        assert parent.run(burn.format(1.2), 10.0).status == "ok"
        with contextlib.closing(parent.fork(rng="same", seed=0)) as child:
            result = child.run(tell, 15.0)
            assert result.status == "dead"
            assert float(result.output.split()[-1]) < 1.1, "the child had less than a second left"
        assert parent.run("1", 5.0).alive


# 21.


def test_deaf_cell_is_killed_in_time(interpreter: Interpreter, sibling: Interpreter) -> None:
    code = """
        import signal, sys
        for number in range(1, 64):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        print("so far")
        while True:
            try:
                while True:
                    x = 1
            except BaseException:
                pass
    """
    begun = time.monotonic()
    result = ask(interpreter, code, 0.5)
    assert time.monotonic() - begun < 1.0
    assert (result.status, result.alive, result.output) == ("timeout", False, "so far\n")
    assert unharmed(sibling)


# 22. output


def test_long_output_is_cut_and_counted(interpreter: Interpreter) -> None:
    result = ask(interpreter, "print('x' * 10_000_000)")
    assert (result.status, len(result.output), result.output_bytes) == ("ok", 20_000, 10_000_001)


def test_endless_output_ends_the_branch(interpreter: Interpreter) -> None:
    result = ask(interpreter, "while True:\n    os.write(1, b'y' * 65536)", 20.0)
    assert (result.status, result.alive) == ("killed", False)
    assert "output" in result.error


# 23.


@pytest.mark.parametrize("code", ["os._exit(0)", "ctypes.string_at(0)", "os.abort()"])
def test_crash_ends_that_branch_only(box: LocalBox, interpreter: Interpreter, code: str) -> None:
    interpreter.run("x = 41", 5.0)
    with contextlib.closing(interpreter.fork(rng="same", seed=0)) as child:
        result = ask(child, "print('last words')\n" + code)
        assert (result.status, result.alive, result.output) == ("dead", False, "last words\n")
    assert interpreter.run("x + 1", 5.0).output == "42\n"


# 24.


def test_background_thread_stands_still_between_cells(interpreter: Interpreter) -> None:
    code = """
        import threading, time
        n, stop = 0, False
        def count():
            global n
            while not stop:
                n += 1
                time.sleep(0.001)
        threading.Thread(target=count, daemon=True).start()
    """
    begun = time.monotonic()
    assert ask(interpreter, code).status == "ok"
    before = int(interpreter.run("n", 5.0).output)
    time.sleep(0.5)
    after = int(interpreter.run("n", 5.0).output)
    assert after - before < 50
    assert time.monotonic() - begun < 3.0
