"""Tracking: an offline run of wandb holds every number of the run's own files, and the report."""

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the algorithms need torch: pip install -e '.[train]'")
pytest.importorskip("transformers", reason="algorithms.policy needs the extra 'train'")

from aepo_env.errors import MissingExtra
from algorithms.training.run_directory import RunDirectory
from algorithms.training.tracking import flat, require_tracker, tracked
from tests.algorithms.training.small import config, silent, trainer


def test_nested_numbers_get_names_with_dots() -> None:
    record = {"step": 1, "rollout": {"forks": 2, "roots": [[1, 2]], "parts": {"a": None}}}
    assert flat(record) == {"step": 1, "rollout.forks": 2, "rollout.roots": "[[1, 2]]", "rollout.parts.a": None}


def test_wandb_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    wanted = config(log="jsonl,wandb")
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[wandb\]'"):
        require_tracker(wanted)
    require_tracker(config())
    directory = RunDirectory.create(tmp_path / "run", config(), "command")
    with tracked(directory, config(), silent):  # nobody listens where only lines are wanted
        assert directory.listeners == []


def records(file: Path) -> Iterator[bytes]:
    """The records of a .wandb file: seven bytes, then LevelDB's log format (pieces of records in blocks of 32 KiB)."""
    content, place, record = file.read_bytes(), 7, b""
    assert content.startswith(b":W&B")
    while place + 7 <= len(content):
        if (room := 32_768 - place % 32_768) < 7:
            place += room
            continue
        size, kind = struct.unpack_from("<HB", content, place + 4)
        record += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            yield record
            record = b""


def read_back(run: Path) -> tuple[dict[int, dict[str, Any]], list[str]]:
    """What an offline run of wandb holds: values by step, and the names of its files."""
    from wandb.proto import wandb_internal_pb2

    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    found: dict[int, dict[str, Any]] = {}
    for data in records(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            found.setdefault(items["_step"], {}).update(items)
    return found, [path.name for path in file.parent.rglob("*") if path.is_file()]


@pytest.mark.timeout(180)
def test_an_offline_run_holds_every_key_of_the_files_and_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="tracking needs the extra 'wandb'")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where a key might lie
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wanted = config(log="jsonl,wandb")
    directory = RunDirectory.create(tmp_path / "run", wanted, "command")
    said: list[str] = []
    run = trainer(wanted, directory=directory)
    with tracked(directory, wanted, said.append):
        run.evaluate("before")
        run.train()
        directory.write_text("report.html", "<p>The report</p>")
    run.close()
    wandb.teardown()  # as at the end of a process: what is still on its way to the file is written
    assert "offline" in said[0]
    found, files = read_back(directory.path)
    metrics = directory.records("metrics.jsonl")
    assert len(metrics) == wanted.steps
    for record in metrics:
        sent = found[record["step"]]
        for name, value in flat(record).items():
            assert name in sent, name
            assert sent[name] == value
    (evaluation,) = directory.records("eval.jsonl")
    for name, value in flat(evaluation).items():
        assert found[0][f"eval.{name}"] == value
    reports = [file for file in files if file.endswith(".html")]
    assert len(reports) == 1
