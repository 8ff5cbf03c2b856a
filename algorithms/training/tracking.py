"""Tracking: what a run writes goes to Weights & Biases too, where `log` says wandb.

    with tracked(directory, config, say):
        ...                                    # directory.append("metrics.jsonl", ...) is told to wandb as well

Without a key, and unless WANDB_MODE says otherwise, the run is offline: it lies in the run directory below wandb/, and
`wandb sync` sends it when wanted. Numbers inside numbers have names with dots, as "rollout.forks"; lists are kept as
JSON. Evaluations have "eval." before their names; where report.html lies in the directory at the end, it goes along.

Left out: steering a run from there (sweeps), and other trackers.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aepo_env.errors import MissingExtra
from algorithms.training.config import RunConfig
from algorithms.training.run_directory import RunDirectory

PROJECT = "aepo"

_EXTRA = "--log wandb needs wandb: pip install -e '.[wandb]', or leave it out."


def require_tracker(config: RunConfig) -> None:
    """Raise MissingExtra where the run wants wandb and it is not installed."""
    if "wandb" in config.log.split(","):
        _wandb()


@contextmanager
def tracked(directory: RunDirectory, config: RunConfig, say: Callable[[str], None]) -> Iterator[None]:
    """Tell the tracker of all that is written to the directory meanwhile; of nothing where `log` is jsonl alone."""
    if "wandb" not in config.log.split(","):
        yield
        return
    run = _started(directory, config)
    say(f"wandb: {run.url if not run.offline else f'offline, in {run.dir}; send it with wandb sync'}")

    def tell(name: str, record: Mapping[str, Any]) -> None:
        numbers = flat(record)
        if name == "eval.jsonl":
            numbers = {f"eval.{key}": value for key, value in numbers.items()}
        run.log(numbers, step=int(record.get("step", 0)))

    directory.listeners.append(tell)
    code = 1
    try:
        yield
        code = 0
    finally:
        directory.listeners.remove(tell)
        report = directory.path / "report.html"
        if report.is_file():
            run.log({"report": _wandb().Html(report.read_text("utf-8"), inject=False)})
        run.finish(exit_code=code)


def flat(record: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted names; lists as JSON, none left as it is."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = json.dumps(value) if isinstance(value, list | tuple) else value
    return found


def _started(directory: RunDirectory, config: RunConfig) -> Any:
    wandb = _wandb()
    mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
    name = directory.path / "wandb_id.txt"  # a run that goes on is the same one there
    if not name.is_file():
        directory.write_text(name.name, uuid.uuid4().hex[:12] + "\n")
    return wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        name=directory.path.name,
        id=name.read_text("utf-8").strip(),
        resume="allow" if mode == "online" else None,
        config=config.to_plain(),
        dir=directory.path,
        mode=mode,
        settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
    )


def _wandb() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise MissingExtra(_EXTRA) from error
    return wandb
