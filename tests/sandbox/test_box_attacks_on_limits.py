"""Attacks on other branches, the host and the limits, each with its stated outcome.

The order is that of the attack table of the measured design, 13 to 24, as root and as an ordinary user.
"""

import contextlib
import time
from collections.abc import Callable

import pytest

from aepo_env.sandbox import BoxLimits, Interpreter, LocalBox
from tests.sandbox.attacks import ask, call, number_inside, unharmed

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
    assert 64 << 20 < result.output_bytes < 80 << 20


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
