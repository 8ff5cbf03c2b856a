"""Controls: two things that must fail, if a training's gain is what it seems to be.

    python -m benchmarks.controls                                   # trains twice: about two `make run`s
    python -m benchmarks.controls --run runs/aepo-web-seed0         # reuses a finished run: once

1. Rewards shuffled within each batch: the same run, from the same start, must gain less than 5 points. More would mean
   that practice alone, or the evaluation, makes the gain.
2. Tool results swapped between questions (`benchmarks.swapped`): the trained policy must score less than 10 %. More
   would mean that it guesses, or knows answers by heart.

Verdicts are about the means, greedy and sampled alike; their 95 % intervals over questions stand beside them. Where the
ordinary run itself stays below a limit, that control holds for nothing, and the verdict says so. Training runs lie in
the run directory (`ordinary`, `shuffled`), the numbers in `controls.json`. Exit code: 0 both controls hold, 1 one does
not (or the run was stopped), 2 a mistake on the line.
"""

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.swapped import Recorded, RecordingTool, SwappedTool, swapped_partners, with_tools

# The rest of `algorithms` is imported where it is used, so that mistakes on the line are told at once.
if TYPE_CHECKING:
    from aepo_env.tasks import Task
    from algorithms.training.config import RunConfig
    from algorithms.training.evaluation import Evaluation, Interval, Scores
    from algorithms.training.run_directory import RunDirectory

MOST_GAIN = 0.05
MOST_SUCCESS = 0.10
_DECIDED_BY_RUN = ("env", "preset", "seed", "steps", "model", "threads")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _controls(_parser().parse_args(given), shlex.join(["python", "-m", "benchmarks.controls", *given]))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.controls", description="Two things that must fail.")
    parser.add_argument("--run", help="a finished ordinary run, to be reused; it decides all other settings")
    parser.add_argument("--env", help="web, search or code (default: web)")
    parser.add_argument("--preset", help="smoke, default or paper (default: default)")
    parser.add_argument("--model", help="tiny, a folder, or a Hugging Face name (default: the preset's)")
    parser.add_argument("--seed", type=int, help="of the runs (default: 0)")
    parser.add_argument("--steps", type=int, help="rollout batches of each run")
    parser.add_argument("--threads", type=int, help="of torch; 0: one a core")
    parser.add_argument("--run-dir", help="where results go (default: runs/controls-ENV-seedN)")
    return parser


def _say(text: str = "") -> None:
    print(text, flush=True)


# ----------------------------------------------------------------------------------------------------------- set-up


def _controls(options: argparse.Namespace, command: str) -> int:
    from algorithms.training.run_directory import RunDirectory

    config = _config(options)
    folder = _folder(options, config)
    _say(f"controls: {config.algorithm} on {config.environment.name}, seed {config.seed}; results go to {folder}")
    if options.run:
        ordinary = RunDirectory(options.run)
        _say(f"the ordinary run is {ordinary.path}")
    else:
        _say("\nthe ordinary run")
        ordinary = _trained(config, folder / "ordinary", command)
    results_swapped = _swapped_results(config, ordinary)
    _say("\n".join(_swapped_report(results_swapped, config.evaluation.temperature)))  # the other takes a whole run
    _say("\nthe same run with rewards shuffled within the batch")
    shuffled = _trained(replace(config, shuffled_rewards=True), folder / "shuffled", command)
    rewards_shuffled = _shuffled_rewards(ordinary, shuffled)
    found = {
        "command": command,
        "environment": config.environment.name,
        "seed": config.seed,
        "ordinary": str(ordinary.path),
        "shuffled_rewards": rewards_shuffled,
        "swapped_results": results_swapped,
    }
    RunDirectory(folder).write_text("controls.json", json.dumps(found, indent=2) + "\n")
    _say("\n" + "\n".join(_report(found, config.evaluation.temperature)))
    _say(f"the numbers are in {folder / 'controls.json'}")
    return 0 if rewards_shuffled["holds"] and results_swapped["holds"] else 1


def _config(options: argparse.Namespace) -> "RunConfig":
    """The ordinary run's configuration: that of `--run`, or a preset's with what the line changes."""
    from algorithms.training.config import preset

    given = [name for name in _DECIDED_BY_RUN if getattr(options, name) is not None]
    if options.run:
        if given:
            raise ValueError(f"--run decides the settings: leave out {', '.join(f'--{name}' for name in given)}.")
        return _config_of_run(options.run)
    config = preset(options.preset or "default", options.env or "web")
    return replace(config, **{name: getattr(options, name) for name in given if name not in ("env", "preset")})


def _config_of_run(run: str) -> "RunConfig":
    """A finished ordinary run's configuration. Raises ValueError where it is neither finished nor ordinary."""
    from algorithms.training.run_directory import RunDirectory

    directory = RunDirectory(run)
    config = directory.config()
    if config.shuffled_rewards:
        raise ValueError(f"The run in {run} had its rewards shuffled: give an ordinary one.")
    directory.latest_policy()
    for when in ("before", "after"):
        _evaluation(directory, when)
    return config


def _folder(options: argparse.Namespace, config: "RunConfig") -> Path:
    """The directory for the results. Raises ValueError where something lies in the one asked for."""
    if options.run_dir:
        folder = Path(options.run_dir)
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise ValueError(f"{folder} is in use already: choose another --run-dir.")
        return folder
    number, name = 1, f"runs/controls-{config.environment.name}-seed{config.seed}"
    folder = Path(name)
    while folder.exists():
        number += 1
        folder = Path(f"{name}-{number}")
    return folder


# --------------------------------------------------------------------------------------------- rewards shuffled


def _trained(config: "RunConfig", folder: Path, command: str) -> "RunDirectory":
    """Train, evaluated before and after; the run's directory."""
    from algorithms.training.course import take_course
    from algorithms.training.run_directory import RunDirectory

    directory = RunDirectory.create(folder, config, command)
    try:
        with directory.locked():
            take_course(directory, _say)
    except ValueError:
        directory.discard()
        with contextlib.suppress(OSError):
            folder.parent.rmdir()
        raise
    return directory


def _shuffled_rewards(ordinary: "RunDirectory", shuffled: "RunDirectory") -> dict[str, Any]:
    """The gains of both runs and the verdict, as plain numbers."""
    gains, ordinary_gains = _gains(shuffled), _gains(ordinary)
    return {
        "run": str(shuffled.path),
        **_verdict(gains, ordinary_gains, MOST_GAIN),
        "gain": _plain(gains),
        "ordinary_gain": _plain(ordinary_gains),
    }


def _gains(directory: "RunDirectory") -> "dict[str, Interval]":
    """By kind of evaluation, the mean difference after training over the same questions."""
    from algorithms.training.evaluation import paired_gain

    before, after = _evaluation(directory, "before"), _evaluation(directory, "after")
    return {name: paired_gain(before[name], after[name]) for name in before if name in after}


def _evaluation(directory: "RunDirectory", when: str) -> dict[str, Any]:
    """Scores of each question at an evaluation of a run, by its kind. Raises ValueError where there was none."""
    for record in reversed(directory.records("eval.jsonl")):
        if record["when"] == when:
            return {name: np.array(record[name]["scores"]) for name in ("greedy", "sampled") if name in record}
    raise ValueError(f"The run in {directory.path} was not evaluated {when} training: give a finished one.")


# ---------------------------------------------------------------------------------------------- results swapped


class _Swapped(NamedTuple):
    """scores: with swapped results. played: greedy, when the results were recorded. recorded: tool results."""

    scores: "Evaluation"
    played: "Scores"
    tasks: "Sequence[Task]"
    partners: Mapping[str, str]
    recorded: int


def _swapped_results(config: "RunConfig", ordinary: "RunDirectory") -> dict[str, Any]:
    """What the trained policy scores with another question's results, and the verdict, as plain numbers."""
    from algorithms.training.evaluation import mean_share

    _say("\nthe trained policy with tool results swapped between questions")
    found = _play_swapped(replace(config, model=str(ordinary.latest_policy())))
    scores = _intervals(found.scores)
    answers = {task.id: set(task.answers) for task in found.tasks}
    own = {name: mean_share(one) for name, one in _evaluation(ordinary, "after").items()}
    return {
        **_verdict(scores, own, MOST_SUCCESS),
        "success": _plain(scores),
        "own_success": _plain(own),
        "recorded_success": _plain({"greedy": found.played.interval()})["greedy"],
        "questions": len(found.tasks),
        "results": found.recorded,
        "partners_with_the_same_answer": sum(
            bool(answers[own_id] & answers[partner]) for own_id, partner in found.partners.items()
        ),
    }


def _play_swapped(config: "RunConfig") -> _Swapped:
    """Play the dev questions greedily and record; then play them with the results of their partners."""
    from algorithms.policy.sampling import Sampling
    from algorithms.rollout.inputs import TokenLimits
    from algorithms.training.evaluation import evaluate, success
    from algorithms.training.questions import make_environment
    from algorithms.training.tiny_start import starting_policy

    policy, seed = starting_policy(config, _say), config.seed
    limits = TokenLimits(config.turn_tokens, config.total_tokens)
    recorded: Recorded = {}
    development = make_environment(config.environment, "dev")
    try:
        tasks = development.unwrapped.tasks[: config.evaluation.questions]
        partners = swapped_partners([task.id for task in tasks])
        recording = with_tools(development, lambda tool: RecordingTool(tool, recorded))
        played = success(policy, recording, tasks, Sampling(temperature=0.0), limits, samples=1, seed=seed)
        swapping = with_tools(development, lambda tool: SwappedTool(tool, recorded, partners))
        scores = evaluate(policy, swapping, tasks, config.evaluation, limits, seed=seed)
    finally:
        development.close()
    return _Swapped(scores, played, tasks, partners, sum(map(len, recorded.values())))


# ------------------------------------------------------------------------------------------------------- words


def _intervals(found: "Evaluation") -> "dict[str, Interval]":
    parts = {"greedy": found.greedy, "sampled": found.sampled}
    return {name: scores.interval() for name, scores in parts.items() if scores is not None}


def _verdict(control: "Mapping[str, Interval]", ordinary: "Mapping[str, Interval]", limit: float) -> dict[str, Any]:
    """holds: no mean reaches the limit; telling: some mean of the ordinary run does."""
    return {
        "limit": limit,
        "holds": all(one.mean < limit for one in control.values()),
        "telling": any(one.mean >= limit for one in ordinary.values()),
    }


def _plain(intervals: "Mapping[str, Interval]") -> dict[str, dict[str, float]]:
    return {name: interval._asdict() for name, interval in intervals.items()}


def _report(found: Mapping[str, Any], temperature: float) -> list[str]:
    """The closing lines."""
    shuffled, names = found["shuffled_rewards"], _names(temperature)
    return [
        "Rewards shuffled within the batch (gain in points, 95 % interval):",
        *(
            f"  {names[name]}: {_points(gain)}; the ordinary run {_points(shuffled['ordinary_gain'].get(name))}"
            for name, gain in shuffled["gain"].items()
        ),
        f"  gains < {100 * MOST_GAIN:g} points: {_in_words(shuffled)}",
        *_swapped_report(found["swapped_results"], temperature),
    ]


def _swapped_report(swapped: Mapping[str, Any], temperature: float) -> list[str]:
    names, same = _names(temperature), swapped["partners_with_the_same_answer"]
    return [
        "Tool results swapped between questions (success, 95 % interval):",
        *(
            f"  {names[name]}: {_percent(one)}; with its own results {_percent(swapped['own_success'].get(name))}"
            for name, one in swapped["success"].items()
        ),
        f"  ({swapped['questions']} questions, {swapped['results']} recorded results, played greedily with "
        f"{_percent(swapped['recorded_success'])} right; {same} questions share an answer with their partner)",
        f"  scores < {100 * MOST_SUCCESS:g} %: {_in_words(swapped)}",
    ]


def _names(temperature: float) -> dict[str, str]:
    return {"greedy": "greedy", "sampled": f"pass@1 at temperature {temperature:g}"}


def _in_words(verdict: Mapping[str, Any]) -> str:
    if not verdict["holds"]:
        return "does not hold"
    return "holds" if verdict["telling"] else "holds, which tells nothing: nor does the ordinary run reach that"


def _points(interval: Any) -> str:
    return "not measured" if interval is None else _with_interval(interval, "+.1f", "")


def _percent(interval: Any) -> str:
    return "not measured" if interval is None else _with_interval(interval, ".1f", " %")


def _with_interval(interval: Any, form: str, unit: str) -> str:
    from algorithms.report.summary import percent

    mean, low, high = interval.values() if isinstance(interval, dict) else interval
    shown, *ends = (format(percent(one), form) for one in (mean, low, high))
    return f"{shown}{unit} ({' to '.join(ends)})"


if __name__ == "__main__":
    sys.exit(main())
