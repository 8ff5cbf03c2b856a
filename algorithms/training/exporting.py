"""export: a run's newest policy as a folder that others can use without this project.

    export(RunDirectory("runs/mine"), "my-agent", say=print)     # my-agent/: model, tokenizer, README.md

Left out: uploading it.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from aepo_env.files import SUMS
from algorithms.report.summary import percent
from algorithms.training.checkpoints import STATE, to_disk
from algorithms.training.config import ENVIRONMENTS
from algorithms.training.run_directory import RunDirectory
from algorithms.training.tiny_start import Say
from algorithms.training.trainer import algorithm_of


def export(directory: RunDirectory, folder: str | os.PathLike[str], say: Say) -> Path:
    """Copy the newest policy into a new or empty folder, with a model card; the folder.

    Raises ValueError where something lies in it, where it cannot be written, or where the run has no checkpoint.
    """
    target = Path(os.path.abspath(folder))
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise ValueError(f"{folder} is in use already: give export a folder that does not exist or is empty.")
    source = directory.latest_policy(say)
    card = model_card(directory, int(source.name.partition("_")[2]))
    aside = target.with_name(f".{target.name}.new")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, aside, ignore=shutil.ignore_patterns(STATE, SUMS))
        (aside / "README.md").write_text(card, "utf-8")
        to_disk(aside.iterdir())
        aside.rename(target)
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror or error}): choose another.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Path(folder)


def model_card(directory: RunDirectory, step: int) -> str:
    """What the policy is, how it was made and what it scored, in the hub's form of Markdown."""
    config = directory.config()
    algorithm = algorithm_of(config)
    command = (directory.path / "command.txt").read_text("utf-8").strip()
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        f"tags: [reinforcement-learning, agents, {algorithm.name}]",
        "---",
        "",
        f"# {directory.path.resolve().name}",
        "",
        f"An agent trained with {algorithm.name} ({algorithm.paper}) on {ENVIRONMENTS[config.environment.name]}, "
        f"{step} of {config.steps} steps, starting from `{config.model}`. {algorithm.summary}",
        "",
        "The run was begun with",
        "",
        *(f"    {line}" for line in command.splitlines()),
        "",
        *_figures(directory),
        "It acts in the environment's protocol: it writes `<think>`, then a call such as `<search>` or `<python>`, "
        "reads what stands in `<result>`, and ends with `<answer>`.",
        "",
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'model = AutoModelForCausalLM.from_pretrained(".")',
        'tokenizer = AutoTokenizer.from_pretrained(".")',
        "```",
    ]
    return "\n".join(lines) + "\n"


def _figures(directory: RunDirectory) -> list[str]:
    """A table of the run's evaluations; nothing where there are none."""
    found = directory.records("eval.jsonl")
    if not found:
        return []
    rows = [
        f"| {record['when']} | {record['step']} | {record['questions']} | {_share(record, 'greedy')} | "
        f"{_share(record, 'sampled')} |"
        for record in found
    ]
    temperature = directory.config().evaluation.temperature
    return [
        "Share of unseen questions answered rightly, in per cent, with 95 % intervals:",
        "",
        f"| when | step | questions | greedy | mean of samples at temperature {temperature:g} |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _share(record: dict[str, Any], kind: str) -> str:
    if kind not in record:
        return ""
    low, high = record[kind]["interval"]
    return f"{percent(record[kind]['mean'])} ({percent(low)} to {percent(high)})"
