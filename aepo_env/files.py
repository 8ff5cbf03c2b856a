"""Files and folders that are there whole or not at all, and folders that one process at a time may write into.

    write_whole(Path("report.html"), text)             # aside, then renamed
    with whole_folder(cache / "tiny-1f0c") as aside:   # renamed when the block ends well, removed when it does not
        ...
    with only_one(Path("runs/mine/lock")):             # InUse where another process has it
        ...
    write_sums(folder)                                 # SHA256SUMS, as `sha256sum -c` reads it

Left out: what a power failure leaves of a file that was written without `to_disk`.
"""

import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUMS = "SHA256SUMS"


class InUse(Exception):
    """Another process has the lock. The text says which, as far as it is known."""


def write_whole(file: Path, content: str | bytes, *, to_disk: bool = False) -> None:
    """Write a file aside and rename it, so that nobody ever reads half of it.

    to_disk: wait until the content would outlive a power failure.

    Raises OSError where it cannot be written; what stood there before is then untouched.
    """
    aside = file.with_name(f"{file.name}.new")
    with aside.open("wb") as opened:
        opened.write(content.encode() if isinstance(content, str) else content)
        if to_disk:
            opened.flush()
            os.fsync(opened.fileno())
    os.replace(aside, file)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `folder` when the block ends well. Makes its parents."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}-"))
    try:
        yield aside
        shutil.rmtree(folder, ignore_errors=True)  # an earlier try that was cut short, or was damaged since
        os.replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def digest(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_sums(folder: Path) -> list[Path]:
    """Write the checksums of all files below a folder into its `SUMS`; the files, in order of their paths."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    (folder / SUMS).write_text("".join(f"{digest(file)}  {file.relative_to(folder)}\n" for file in files), "utf-8")
    return files


@contextmanager
def only_one(file: Path) -> Iterator[None]:
    """Hold a lock that dies with its process. On file systems without locks there is none.

    Raises:
        InUse: another process has it. OSError: the file cannot be written.
    """
    import fcntl  # not on every system that the rest of this package runs on

    with file.open("a+", encoding="utf-8") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            opened.seek(0)
            raise InUse(opened.read().strip() or "a process") from None
        except OSError:  # a file system without locks
            pass
        opened.truncate(0)
        opened.write(f"Process {os.getpid()} on {socket.gethostname()}\n")
        opened.flush()
        yield
