"""RunFiles: what a run has written so far, read without torch. Also of a run that is still going.

    run = RunFiles.read("runs/aepo-web-seed0")
    run.metrics[-1]["success"]                 # a dictionary a step
    run.title, run.steps                       # "aepo on web, seed 0", how many steps it is to take

A line that is being written at this moment is left out. Traces are read one step at a time (`traces`).
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunFiles:
    """A run directory's contents.

    config: of config.yaml, plain. command: the line that started it. environment: versions and machine.
    metrics, evaluations: a dictionary a line of metrics.jsonl and eval.jsonl.
    """

    path: Path
    config: dict[str, Any]
    command: str
    environment: dict[str, Any]
    metrics: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "RunFiles":
        """Read a run directory.

        Raises:
            ValueError: there is no run, or one of its files is not what a run writes.
        """
        folder = Path(path)
        file = folder / "config.yaml"
        if not file.is_file():
            raise ValueError(f"There is no run in {folder}: it has no config.yaml.")
        import yaml  # of the extra 'train', which a report of a run can count on, and its tests cannot

        try:
            config = yaml.safe_load(file.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is not a run's configuration ({_first_line(error)}).") from error
        if not isinstance(config, dict):
            raise ValueError(f"{file} is not a run's configuration: it was changed or cut short.")
        command, environment = folder / "command.txt", folder / "environment.json"
        return cls(
            path=folder,
            config=config,
            command=command.read_text("utf-8").strip() if command.is_file() else "",
            environment=_object(environment) if environment.is_file() else {},
            metrics=_lines(folder / "metrics.jsonl"),
            evaluations=_lines(folder / "eval.jsonl"),
        )

    @property
    def title(self) -> str:
        """What was run, in a few words."""
        environment = self.config.get("environment", {})
        variant = self.config.get("variant", "paper")
        name = f"{self.config.get('algorithm', 'run')}{'' if variant == 'paper' else f' ({variant})'}"
        return f"{name} on {environment.get('name', '?')}, seed {self.config.get('seed', '?')}"

    @property
    def steps(self) -> int:
        """How many steps the run is to take."""
        return int(self.config.get("steps", len(self.metrics)))

    @property
    def done(self) -> int:
        """How many it has taken."""
        return len(self.metrics)

    def evaluation(self, when: str) -> dict[str, Any] | None:
        """The last evaluation of that name, "before" or "after"; None where it was not made."""
        return next((one for one in reversed(self.evaluations) if one.get("when") == when), None)


def _object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON ({_first_line(error)}): it was changed or cut short.") from error
    return found if isinstance(found, dict) else {}


def _lines(file: Path) -> list[dict[str, Any]]:
    """The complete lines of a file; none where it does not exist."""
    if not file.is_file():
        return []
    text = file.read_bytes().decode("utf-8", "replace")
    complete = text[: text.rfind("\n") + 1]
    try:
        found = [json.loads(line) for line in complete.split("\n") if line]
    except ValueError as error:
        raise ValueError(f"{file} holds a line that is no JSON ({_first_line(error)}): it was changed.") from error
    if not all(isinstance(one, dict) for one in found):
        raise ValueError(f"{file} holds a line that is no record of a run: it was changed.")
    return found


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
