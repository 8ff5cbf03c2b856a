"""RunDirectory: the files a run leaves behind.

    directory = RunDirectory.create("runs/aepo-web-0", config, command="python -m algorithms.run aepo --env web")
    directory.append("metrics.jsonl", {...})
    directory.save_policy(policy, step=100)              # checkpoints/step_000100/, in Hugging Face format

config.yaml, command.txt, environment.json; metrics.jsonl (a line a step), eval.jsonl, first_batch.txt, checkpoints/.
Whole files are written aside and renamed; lines are appended and flushed.
"""

import contextlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from algorithms.policy.loading import Policy
from algorithms.training.config import RunConfig


class RunDirectory:
    """An existing run's folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.listeners: list[Callable[[str, Mapping[str, Any]], None]] = []

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: RunConfig, command: str) -> "RunDirectory":
        """A new folder with its configuration. Raises ValueError where there is a run already or none can be made."""
        folder = Path(path)
        if (folder / "config.yaml").exists():
            raise ValueError(f"{folder} holds a run already: choose another --run-dir, or remove that one.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            made = cls(folder)
            made.write_text("command.txt", command + "\n")
            made.write_text("environment.json", json.dumps(_environment(), indent=2) + "\n")
            made.write_text("config.yaml", yaml.safe_dump(config.to_plain(), sort_keys=False))
        except OSError as error:
            raise ValueError(f"The run directory {folder} cannot be written ({error}): choose another.") from error
        return made

    def discard(self) -> None:
        """Remove what `create` wrote, of a run that never began; the folder too, where nothing else is in it."""
        for name in ("config.yaml", "command.txt", "environment.json"):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def config(self) -> RunConfig:
        """The run's configuration. Raises ValueError where there is none, or none that can be read."""
        file = self.path / "config.yaml"
        if not file.is_file():
            raise ValueError(f"There is no run in {self.path}: it has no config.yaml.")
        try:
            return RunConfig.from_plain(yaml.safe_load(file.read_text("utf-8")))
        except (yaml.YAMLError, AttributeError, TypeError) as error:  # no YAML, no mapping, or values of another kind
            first = str(error).splitlines()[0]
            raise ValueError(f"{file} is not a run's configuration ({first}): it was changed or cut short.") from error

    def append(self, name: str, record: dict[str, Any]) -> None:
        """One line of JSON at the end of a file. Each of `listeners` is told: file's name, record."""
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        for listener in self.listeners:
            listener(name, record)

    def records(self, name: str) -> list[dict[str, Any]]:
        """The lines of a file; none where it does not exist."""
        file = self.path / name
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []

    def write_text(self, name: str, text: str) -> None:
        """A whole file, aside and renamed."""
        aside = self.path / f"{name}.new"
        aside.write_text(text, "utf-8")
        os.replace(aside, self.path / name)

    def save_policy(self, policy: Policy, step: int) -> Path:
        """Write the policy as it stands; its folder. `checkpoints/latest` names the newest."""
        folder = self.path / "checkpoints" / f"step_{step:06d}"
        folder.parent.mkdir(exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        try:
            policy.save(aside)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self.write_text("checkpoints/latest", folder.name + "\n")
        return folder

    def latest_policy(self) -> Path:
        """The newest checkpoint's folder. Raises ValueError where there is none."""
        pointer = self.path / "checkpoints" / "latest"
        if not pointer.is_file():
            raise ValueError(f"The run in {self.path} has no checkpoint yet.")
        return pointer.parent / pointer.read_text("utf-8").strip()


def _environment() -> dict[str, Any]:
    """What results depend on besides the configuration."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    for package in ("torch", "transformers", "tokenizers", "numpy", "gymnasium"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
