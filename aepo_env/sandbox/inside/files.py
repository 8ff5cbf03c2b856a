"""Making a forked child's files its own: a copy of the work directory, and own offsets for the files it has open.

Runs in the child, between the planting of its descriptors and the report of its birth. Covered: regular files (deleted
ones too), directories, links, the working directory. Not covered: owners and extended attributes (there is one user).
"""

import fcntl
import os
import stat

_CHUNK = 1 << 20
_DEEPEST = 64


def take_over(control: int, old: int, new: int) -> None:
    """Copy directory `old` into `new`, reopen what the process has open there, and put `new` in place of `old`."""
    device = os.fstat(old).st_dev
    below = os.readlink("/proc/self/cwd")  # a detached mount's paths start at its own root
    in_old = os.stat(".").st_dev == device
    _copy(old, new, 0)
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > control and number not in (old, new):
            _reopen(number, device, new)
    os.dup2(new, old, inheritable=False)
    reserve(new)
    if in_old:
        os.chdir("/work" + (below if below != "/" else ""))


def reserve(number: int) -> None:
    """Put /dev/null at a descriptor number, so that nothing a cell opens comes to lie there."""
    null = os.open("/dev/null", os.O_RDONLY)
    if null != number:
        os.dup2(null, number, inheritable=False)
        os.close(null)


def _copy(source: int, target: int, depth: int) -> None:
    """Copy the content of one directory descriptor into another."""
    if depth > _DEEPEST:
        raise OSError(f"the work directory is nested deeper than {_DEEPEST} levels")
    with os.scandir(source) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                os.mkdir(entry.name, 0o700, dir_fd=target)
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                inner, copy = (os.open(entry.name, flags, dir_fd=folder) for folder in (source, target))
                _copy(inner, copy, depth + 1)
                os.fchmod(copy, stat.S_IMODE(status.st_mode))
                os.close(inner)
                os.close(copy)
            elif stat.S_ISREG(status.st_mode):
                _copy_file(entry.name, source, target, status)
            elif stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(entry.name, dir_fd=source), entry.name, dir_fd=target)


def _copy_file(name: str, source: int, target: int, status: os.stat_result) -> None:
    original = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=source)
    mode = stat.S_IMODE(status.st_mode)
    copy = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=target)
    while os.sendfile(copy, original, None, _CHUNK):
        pass
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.close(original)
    os.close(copy)


def _reopen(number: int, device: int, new: int) -> None:
    """Give an open file its own description at the same offset: Python's buffers above it stay right."""
    try:
        status, path = os.fstat(number), os.readlink(f"/proc/self/fd/{number}")
        flags = fcntl.fcntl(number, fcntl.F_GETFL) & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)
    except OSError:
        return  # the descriptor of the listing itself
    if stat.S_ISREG(status.st_mode):
        if status.st_dev != device:
            own = os.open(f"/proc/self/fd/{number}", flags)
        elif status.st_nlink:
            own = os.open("." + path, flags, dir_fd=new)
        else:
            own = _copy_deleted(number, flags, new)
        os.lseek(own, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
    elif stat.S_ISDIR(status.st_mode) and status.st_dev == device:
        own = os.open("." + path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=new)
    else:
        return
    os.dup2(own, number, inheritable=False)
    os.close(own)


def _copy_deleted(number: int, flags: int, new: int) -> int:
    """A nameless copy of an open file that has been deleted (tempfile.TemporaryFile)."""
    own = os.open(".", os.O_TMPFILE | os.O_RDWR | (flags & os.O_APPEND), 0o600, dir_fd=new)
    offset = 0
    while piece := os.pread(number, _CHUNK, offset):
        os.pwrite(own, piece, offset)
        offset += len(piece)
    return own
