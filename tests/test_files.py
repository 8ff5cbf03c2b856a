"""Files and folders that are there whole or not at all, and the lock that one process has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aepo_env.files import InUse, only_one, whole_folder, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_whole(file, "first")
    write_whole(file, "zweitens: ü".encode(), to_disk=True)
    assert file.read_text("utf-8") == "zweitens: ü"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_whole(file, "first")
    (tmp_path / "a.txt.new").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(file, "second")
    assert file.read_text("utf-8") == "first"


def test_a_folder_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    for text in ("first", "second"):
        with whole_folder(tmp_path / "deep" / "made") as aside:
            (aside / text).touch()
            assert not (tmp_path / "deep" / "made" / text).exists()
    assert os.listdir(tmp_path / "deep") == ["made"]
    assert os.listdir(tmp_path / "deep" / "made") == ["second"]


def test_a_folder_that_was_not_finished_leaves_the_earlier_one(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "made") as aside:
        (aside / "first").touch()
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "made") as aside:
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["made"]
    assert os.listdir(tmp_path / "made") == ["first"]


def test_one_process_has_a_lock_and_says_who_until_it_lets_go(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with only_one(file), pytest.raises(InUse, match=f"Process {os.getpid()} on "), only_one(file):
        pass
    with only_one(file):
        pass


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no such locks")
    code = (
        "import os, sys; from pathlib import Path; from aepo_env.files import only_one\n"
        "with only_one(Path(sys.argv[1])): os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=True, timeout=60)
    with only_one(tmp_path / "lock"):
        pass


def test_a_failure_inside_the_block_is_the_callers_own(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), only_one(tmp_path / "lock"):
        raise OSError("mine")
