"""RunDirectory: the files a run leaves behind.

    directory = RunDirectory.create("runs/aepo-web-0", config, command="python -m algorithms.run aepo --env web")
    with directory.locked():                             # one process at a time writes; reading is free
        directory.append("metrics.jsonl", {"step": 100, ...})
        directory.save(policy, trainer.state(), step=100)    # checkpoints/step_000100/
    directory.rewind(100)                                # forget what was written after step 100

config.yaml, command.txt, environment.json; metrics.jsonl (a line a step), eval.jsonl, first_batch.txt, traces/,
checkpoints/. Whole files are written aside and renamed; lines are appended, and each says its step.
"""

import contextlib
import json
import os
import platform
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from aepo_env.files import InUse, only_one, write_whole
from algorithms.policy.loading import Policy
from algorithms.training.checkpoints import Checkpoints, damage
from algorithms.training.config import RunConfig

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "gymnasium")

_LINES = ("metrics.jsonl", "eval.jsonl")
_WHOLE = (
    "config.yaml", "command.txt", "environment.json", "first_batch.txt", "profile.txt", "report.html", "wandb_id.txt",
    "before.json",
)  # fmt: skip
_TRACE = re.compile(r"step_(\d{6,})\.jsonl\.gz(\.new)?")


class RunDirectory:
    """An existing run's folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.checkpoints = Checkpoints(self.path / "checkpoints")
        self.listeners: list[Callable[[str, Mapping[str, Any]], None]] = []

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: RunConfig, command: str) -> "RunDirectory":
        """A new folder with its configuration, in which 0 threads have become the number there is.

        Other files of the folder are left alone. Raises ValueError where there is a run already, or what is left of
        one, or none can be made.
        """
        folder = Path(path)
        made = cls(folder)
        config = replace(config, threads=config.threads or len(os.sched_getaffinity(0)))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not made._is_taken():
                with made.locked():  # two commands at once may have found the same folder free
                    if not made._is_taken():
                        made.write_text("command.txt", command + "\n")
                        made.write_text("environment.json", json.dumps(_environment(), indent=2) + "\n")
                        made.change_config(config)
                        return made
        except OSError as error:
            raise ValueError(f"The run directory {folder} cannot be written ({error}): choose another.") from error
        raise ValueError(
            f"{folder} holds a run already, or what is left of one: choose another --run-dir, or remove that one."
        )

    def _is_taken(self) -> bool:
        """Whether something lies here that a run would go on from, or write over."""
        return any((self.path / name).exists() for name in ("config.yaml", *_LINES, "traces", "checkpoints"))

    def discard(self) -> None:
        """Remove what `create` wrote, of a run that never began; the folder too, where nothing else is in it."""
        if self.checkpoints.all() or self.records("eval.jsonl") or self.records("metrics.jsonl"):
            return
        for name in ("config.yaml", "command.txt", "environment.json", "before.json", "lock"):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing into the folder meanwhile. The lock dies with its process.

        Raises ValueError where another process has it, or where nothing can be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(only_one(self.path / "lock"))
            except InUse as error:
                raise ValueError(
                    f"{error} is at work on the run in {self.path}: wait for it or stop it; eval and report may be "
                    "used meanwhile."
                ) from None
            except OSError as error:
                raise ValueError(f"The run directory {self.path} cannot be written ({error.strerror}).") from error
            yield

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

    def change_config(self, config: RunConfig) -> None:
        """Write another configuration over the run's."""
        self.write_text("config.yaml", yaml.safe_dump(config.to_plain(), sort_keys=False))

    def line(self) -> list[str]:
        """The words behind "python -m algorithms.run" of the command that makes the run."""
        return shlex.split((self.path / "command.txt").read_text("utf-8"))[3:]

    def change_line(self, line: Sequence[str]) -> None:
        """Write other words behind "python -m algorithms.run"."""
        start = shlex.split((self.path / "command.txt").read_text("utf-8"))[:3]
        self.write_text("command.txt", shlex.join([*start, *line]) + "\n")

    def differences(self) -> list[str]:
        """In words, what of this machine differs from the one the run began on and may change figures."""
        try:
            then = json.loads((self.path / "environment.json").read_text("utf-8"))
        except (OSError, ValueError):
            return []
        now = _environment()
        return [
            f"{name} was {then.get(name)} and is {now[name]}"
            for name in ("machine", "processor", *_PACKAGES)
            if then.get(name) != now[name]
        ]

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """One line of JSON at the end of a file; each of `listeners` is told: file's name, record.

        record: has the "step" it belongs to.
        """
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        for listener in self.listeners:
            listener(name, record)

    def records(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a file; none where it does not exist."""
        return [record for record, _ in _lines(self.path / name)]

    def give_before(self, record: Mapping[str, Any]) -> None:
        """Keep an evaluation before training that another run made, for when this one wants it (`starts`)."""
        self.write_text("before.json", json.dumps(record) + "\n")

    def given_before(self) -> dict[str, Any] | None:
        """What `give_before` kept; None without it, or where it cannot be read."""
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.path / "before.json").read_text("utf-8"))
            return found
        return None

    def evaluation(self, when: str, step: int | None = None) -> dict[str, Any] | None:
        """The last evaluation of that name (and step) in eval.jsonl; None where there is none."""
        found = [one for one in self.records("eval.jsonl") if one["when"] == when and step in (None, one.get("step"))]
        return found[-1] if found else None

    def write_text(self, name: str, text: str) -> None:
        """A whole file, aside, forced to the disk and renamed."""
        write_whole(self.path / name, text, to_disk=True)

    def save(self, policy: Policy, state: Mapping[str, Any], step: int) -> Path:
        """A checkpoint, and with it on the disk all lines so far; its folder."""
        return self.checkpoints.save(policy, state, step, beside=[*self._lines_there(), self.path])

    def latest_policy(self, say: Callable[[str], None] = print) -> Path:
        """The folder of the newest checkpoint whose policy is undamaged. Raises ValueError where there is none."""
        newest = self.checkpoints.newest(say, policy_only=True)
        if newest is None:
            raise ValueError(f"The run in {self.path} has no checkpoint yet.")
        return newest.folder

    def is_finished(self) -> bool:
        """Whether nothing of the run is left to do: its last policy is there and was evaluated."""
        steps, newest = self.config().steps, self.checkpoints.all()[:1]
        if not newest or newest[0].step != steps or self.evaluation("after", steps) is None:
            return False
        return damage(newest[0].folder) is None

    def rewind(self, step: int) -> None:
        """Forget what was written after a step (-1: everything), and what a killed process left half-written.

        Evaluations of the policy as it was after that step stay: they would come out the same again.
        """
        for file in self._lines_there():
            end = 0
            for record, after in _lines(file):
                if record["step"] > step:
                    break
                end = after
            os.truncate(file, end)
        for name in _WHOLE:
            (self.path / f"{name}.new").unlink(missing_ok=True)
        for trace in self.path.glob("traces/*"):  # what others put there has other names
            if (found := _TRACE.fullmatch(trace.name)) and (found[2] or int(found[1]) > step):
                trace.unlink()
        self.checkpoints.rewind(step)

    def _lines_there(self) -> list[Path]:
        return [file for name in _LINES if (file := self.path / name).is_file()]


def _lines(file: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Each line of a file with the place behind it; a last one that is still being written, or was cut, is left out."""
    place = 0
    for line in file.read_bytes().splitlines(keepends=True) if file.is_file() else []:
        place += len(line)
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:  # a power failure can leave anything behind the last checkpoint
            return
        if not isinstance(record, dict):
            return
        yield record, place


def _environment() -> dict[str, Any]:
    """What results depend on besides the configuration."""
    found = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _processor() -> str | None:
    """Its name, as Linux says it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return None
