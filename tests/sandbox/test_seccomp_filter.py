"""The filter's decisions, call by call, for both machines: run by a small interpreter of classic BPF, no kernel."""

import errno
import functools
import re
import struct
from pathlib import Path

import pytest

from aepo_env.sandbox.supervisor.seccomp_filter import ALLOW, FORK_FLAGS, KILL_PROCESS, NOTIFY, REFUSED, build_filter
from aepo_env.sandbox.supervisor.syscall_numbers import _NUMBERS, HIGHEST_KNOWN, SUPPORTED, number_of, required_number

ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
REFUSE, UNKNOWN = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


@functools.cache
def instructions(machine: str) -> list[tuple[int, ...]]:
    return list(struct.iter_unpack("=HBBI", build_filter(machine)))


def decide(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter answers to this call; fails on a jump out of the program or a program that does not end."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, architecture or ARCHITECTURE[machine], 0, *padded)
    program = instructions(machine)
    accumulator, place = 0, 0
    for _ in range(len(program) + 1):
        code, if_true, if_false, value = program[place]
        place += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif code == 0x06:
            return int(value)
        else:
            holds = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[code]
            place += if_true if holds else if_false
    raise AssertionError("the program does not end")


@pytest.fixture(params=SUPPORTED)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_ordered_fork_is_asked_about(machine: str) -> None:
    assert decide(machine, required_number("clone", machine), FORK_FLAGS) == NOTIFY


def test_threads_are_asked_about(machine: str) -> None:
    assert decide(machine, required_number("clone", machine), 0x3D0F00) == NOTIFY


@pytest.mark.parametrize("bit", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
def test_new_namespaces_are_refused(machine: str, bit: int) -> None:
    assert decide(machine, required_number("clone", machine), FORK_FLAGS | bit) == REFUSE
    assert decide(machine, required_number("clone", machine), 0x3D0F00 | bit) == REFUSE


def test_clone3_does_not_exist(machine: str) -> None:
    assert decide(machine, required_number("clone3", machine)) == UNKNOWN


@pytest.mark.parametrize("name", REFUSED)
def test_refused_calls_are_refused_whatever_their_arguments(machine: str, name: str) -> None:
    number = number_of(name, machine)
    if number is not None:
        assert decide(machine, number) == decide(machine, number, *[2**64 - 1] * 6) == REFUSE


@pytest.mark.parametrize(
    ("name", "refused", "allowed"),
    [
        ("fcntl", [(0, 8), (0, 10), (0, 15), (0, 1024), (7, 8 | 1 << 40)], [(0, 1), (0, 2), (8, 3), (0, 4)]),
        ("ioctl", [(0, 0x8901), (0, 0x8902), (0, 0x5412), (0, 0x541C)], [(0, 0x5401), (0x8901, 0x5413)]),
        ("prctl", [(4,), (22,), (36,), (62,), (0x59616D61,)], [(3,), (15,), (38, 4)]),
        ("socketpair", [(2,), (16,), (0,), (2**32 - 1,)], [(1,)]),
        ("prlimit64", [(0, 9, 1), (0, 9, 1 << 32), (0, 9, 2**64 - 1)], [(0, 9, 0), (1, 9, 0, 7)]),
    ],
)
def test_arguments_decide(
    machine: str, name: str, refused: list[tuple[int, ...]], allowed: list[tuple[int, ...]]
) -> None:
    number = required_number(name, machine)
    assert {decide(machine, number, *arguments) for arguments in refused} == {REFUSE}
    assert {decide(machine, number, *arguments) for arguments in allowed} == {ALLOW}


def test_foreign_entries_kill(machine: str) -> None:
    for architecture in (0x40000003, *(set(ARCHITECTURE.values()) - {ARCHITECTURE[machine]})):
        assert decide(machine, 1, architecture=architecture) == KILL_PROCESS
    for number in (0x40000000, 0x40000000 | 56, 0x40000000 | 520, 0xFFFFFFFF):
        assert decide(machine, number) == KILL_PROCESS


def test_what_is_newer_than_we_know_does_not_exist(machine: str) -> None:
    assert {decide(machine, number) for number in (HIGHEST_KNOWN + 1, 500, 0x3FFFFFFF)} == {UNKNOWN}
    assert decide(machine, HIGHEST_KNOWN) == ALLOW


def test_all_other_calls_are_allowed(machine: str) -> None:
    special = {"clone", "clone3", "tgkill", "rendezvous", "socketpair", *REFUSED}
    named = {number_of(name, machine) for name in special}
    wrong = [n for n in range(HIGHEST_KNOWN + 1) if n not in named and decide(machine, n) != ALLOW]
    assert wrong == []


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def test_numbers_agree_with_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"no kernel headers here ({HEADERS[machine]})")
    pattern = r"#define __NR(?:3264)?_(\w+)\s+(\d+)"
    official = {name: int(number) for name, number in re.findall(pattern, HEADERS[machine].read_text())}
    checked = 0
    for name in set(_NUMBERS) - {"rendezvous"}:
        if name in official:
            assert number_of(name, machine) == official[name], name
            checked += 1
    assert checked > 60
