"""The seccomp filter of the box, as classic BPF written by hand (no libseccomp).

`build_filter()` gives the bytes of a `struct sock_filter[]`; the template inside the box installs it before any foreign
code runs, and hands the listener of its notifications to the supervisor (gate.py decides them).

It is a deny-list plus ENOSYS for every call newer than the known ones: enough for Python, numpy and threads. What it
leaves out: a kernel bug reachable through an allowed call.
"""

import errno
import struct

from .syscall_numbers import HIGHEST_KNOWN, MACHINE, number_of, required_number

# What a filter may answer (include/uapi/linux/seccomp.h).
KILL_PROCESS = 0x80000000
NOTIFY = 0x7FC00000
ALLOW = 0x7FFF0000
_ERRNO = 0x00050000

CLONE_THREAD = 0x00010000
CLONE_NEW_NAMESPACE = 0x7E020000  # every CLONE_NEW* bit
FORK_FLAGS = 0x01200011  # CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD: what libc's fork() passes

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

# Offsets in struct seccomp_data; arguments are 64 bits wide, low half first on both machines.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

# BPF instruction codes: load a word, return, jump if equal / greater / greater-or-equal / any bit set.
_LOAD, _RETURN, _IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _IF_ANY_BIT = 0x20, 0x06, 0x15, 0x25, 0x35, 0x45

REFUSED = (
    # making a process or changing the program; threads and ordered forks come through clone
    *("fork", "vfork", "execve", "execveat"),
    # signals to others (tgkill is asked about: abort() and raise need it)
    *("kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_send_signal", "process_mrelease"),
    # looking into others, or taking their descriptors
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    # these take a sibling's process id and slow it down
    *("setpriority", "sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr", "ioprio_set"),
    *("migrate_pages", "move_pages"),
    # network and memory shared by name; socketpair stays, asyncio needs it. setsockopt goes: by SO_PASSCRED a socket of
    # a pair gets an abstract name, under which siblings can send it their descriptors
    *("socket", "bind", "connect", "listen", "shmget", "msgget", "semget", "mq_open", "memfd_create", "memfd_secret"),
    "setsockopt",
    # namespaces and mounts
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen", "fsconfig"),
    *("fsmount", "fspick", "mount_setattr", "name_to_handle_at", "open_by_handle_at", "fanotify_init"),
    # counted for the whole user, so that cells could use up the trainer's; and what keeps all disks busy
    *("inotify_init", "inotify_init1", "sync", "syncfs"),
    # large or privileged kernel interfaces
    *("bpf", "perf_event_open", "add_key", "request_key", "keyctl", "userfaultfd", "io_uring_setup", "io_uring_enter"),
    *("io_uring_register", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "quotactl"),
    *("quotactl_fd", "acct", "swapon", "swapoff", "reboot", "syslog", "personality", "modify_ldt", "uselib", "iopl"),
    "ioperm",
    # the box's own rules
    *("seccomp", "setrlimit"),
)

# call: (which argument, its refused values). F_SETOWN, F_SETSIG, F_SETOWN_EX and FIOSETOWN, SIOCSPGRP would make the
# kernel send any signal, SIGKILL too, to a sibling when a pipe becomes readable: kill() by another name. F_SETLEASE on
# a file that the trainer owns would hold up the trainer when it writes there.
REFUSED_ARGUMENTS = {
    # PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SCHED_CORE, PR_SET_PTRACER
    "prctl": (0, (4, 22, 36, 62, 0x59616D61)),
    "fcntl": (1, (8, 10, 15, 1024)),
    # FIOSETOWN, SIOCSPGRP, TIOCSTI, TIOCLINUX
    "ioctl": (1, (0x8901, 0x8902, 0x5412, 0x541C)),
}

# call: (which argument, its only value allowed). Other families than AF_UNIX have the kernel load their modules.
ALLOWED_ARGUMENT = {"socketpair": (0, 1)}


class _Program:
    """Instructions in order. `_NUMBER` stays loaded between rules that compare the system call number."""

    def __init__(self) -> None:
        self.instructions: list[tuple[int, int, int, int]] = []

    def load(self, offset: int) -> None:
        self.instructions.append((_LOAD, 0, 0, offset))

    def answer(self, action: int) -> None:
        self.instructions.append((_RETURN, 0, 0, action))

    def answer_if(self, test: int, value: int, action: int) -> None:
        self.instructions.append((test, 0, 1, value))
        self.answer(action)

    def block_for(self, number: int, block: "_Program") -> None:
        """Run `block` for this call only; it must end with an answer."""
        self.instructions.append((_IF_EQUAL, 0, len(block.instructions), number))
        self.instructions.extend(block.instructions)


def build_filter(machine: str = MACHINE) -> bytes:
    """The filter for `machine` as packed instructions of 8 bytes each. Raises ValueError for an unknown machine."""
    refuse, unknown = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    program = _Program()
    program.load(_ARCHITECTURE)
    # int 0x80 and other entries of a different architecture would be read by the wrong table
    program.instructions.append((_IF_EQUAL, 1, 0, _AUDIT_ARCH[machine]))
    program.answer(KILL_PROCESS)
    program.load(_NUMBER)
    program.answer_if(_IF_AT_LEAST, _X32_BIT, KILL_PROCESS)
    program.answer_if(_IF_GREATER, HIGHEST_KNOWN, unknown)
    # clone3 keeps its flags behind a pointer, out of the filter's sight; libc falls back to clone
    program.answer_if(_IF_EQUAL, required_number("clone3", machine), unknown)
    for name in ("rendezvous", "tgkill"):
        program.answer_if(_IF_EQUAL, required_number(name, machine), NOTIFY)
    for name in REFUSED:
        number = number_of(name, machine)
        if number is not None:
            program.answer_if(_IF_EQUAL, number, refuse)
    for name, (argument, values) in REFUSED_ARGUMENTS.items():
        block = _Program()
        block.load(_ARGUMENTS + 8 * argument)
        for value in values:
            block.answer_if(_IF_EQUAL, value, refuse)
        block.answer(ALLOW)
        program.block_for(required_number(name, machine), block)
    for name, (argument, value) in ALLOWED_ARGUMENT.items():
        block = _Program()
        block.load(_ARGUMENTS + 8 * argument)
        block.answer_if(_IF_EQUAL, value, ALLOW)
        block.answer(refuse)
        program.block_for(required_number(name, machine), block)
    program.block_for(required_number("prlimit64", machine), _reading_limits_only(refuse))
    program.block_for(required_number("clone", machine), _clone_rule(refuse))
    program.answer(ALLOW)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program.instructions)


def _reading_limits_only(refuse: int) -> _Program:
    """prlimit64: its third argument, the new limit, must be a null pointer (both halves)."""
    block = _Program()
    for half in (0, 4):
        block.load(_ARGUMENTS + 16 + half)
        block.instructions.append((_IF_EQUAL, 1, 0, 0))
        block.answer(refuse)
    block.answer(ALLOW)
    return block


def _clone_rule(refuse: int) -> _Program:
    """New namespaces never; new threads and new processes are the gate's decision."""
    block = _Program()
    block.load(_ARGUMENTS)
    block.answer_if(_IF_ANY_BIT, CLONE_NEW_NAMESPACE, refuse)
    block.answer(NOTIFY)
    return block
