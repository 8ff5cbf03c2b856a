"""Going: take a run from where it stands to its end, and say what came out of it; `train` and `resume` share it.

directory = RunDirectory("runs/mine")
go_on(directory)
"""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from algorithms.commands import report
from algorithms.commands.crowd import crowded
from algorithms.commands.ending import terminable
from algorithms.commands.lines import Stopped, again, command, say
from algorithms.commands.trace import tree_to_see

if TYPE_CHECKING:
    from algorithms.training.run_directory import RunDirectory


def go_on(directory: "RunDirectory", *, profile: bool = False) -> int:
    """Do what the run still lacks; the exit code. However it ends before its end, it says how to go on.

    profile: look at where the time goes, see `training.profiling`.
    """
    from algorithms.rollout.faults import ToolsFailed
    from algorithms.training.course import NotWritten, take_course
    from algorithms.training.profiling import profiled
    from algorithms.training.tracking import tracked

    resume = command(["resume", str(directory.path)])
    say(f"whatever may stop it, go on with: {resume}")
    config = directory.config()
    try:
        with directory.locked(), terminable(), tracked(directory, config, say):
            if config.device == "cpu" and (words := crowded(config.threads)):
                say(f"WARNING  {words}")
            with profiled(directory, say) if profile else nullcontext():
                take_course(directory, say)
            closing(directory)
    except ValueError:  # nothing that going on would mend
        raise
    except BaseException as error:
        kept = directory.checkpoints.all()
        say(f"{f'kept after step {kept[0].step}' if kept else 'nothing to keep yet'}; go on with: {resume}")
        if isinstance(error, NotWritten | ToolsFailed):
            raise Stopped(str(error)) from error
        raise
    return 0


def closing(directory: "RunDirectory") -> None:
    """Say what came of a finished run and what can be done next."""
    from algorithms.report.summary import gain, gain_in_words

    config, where = directory.config(), str(directory.path)
    before, after = directory.evaluation("before"), directory.evaluation("after")
    assert before is not None
    assert after is not None
    say("")
    for name, first, second in _pairs(before, after, config.evaluation.temperature):
        say(f"{name}: {gain_in_words(gain(first, second))}")
    for kind, first, second in _pairs(before, after, config.evaluation.temperature, "f1_scores"):
        say(f"token F1 of answers, {kind}: {gain_in_words(gain(first, second))}")
    for when, record in (("before", before), ("after", after)):
        calls = record["greedy"]["tool_calls"]
        asked = len(record["greedy"]["scores"])
        told = ", ".join(f"{name} {count / asked:.2f}" for name, count in calls.items()) or "none"
        say(f"tool calls an episode, greedy, {when}: {told}")
        ends = ", ".join(f"{name} {count}" for name, count in record["greedy"]["stop_reasons"].items())
        lost = record["greedy"].get("lost", 0)
        say(f"how episodes ended, greedy, {when}: {ends}{f', lost to faults {lost}' if lost else ''}")
    minutes = {
        name: sum(_seconds(record["seconds"]) for record in directory.records(name)) / 60
        for name in ("metrics.jsonl", "eval.jsonl")
    }
    say(
        f"training took {minutes['metrics.jsonl']:.1f} minutes, evaluations {minutes['eval.jsonl']:.1f}; "
        f"results are in {where}"
    )
    say(f"  metrics      {where}/metrics.jsonl, eval.jsonl; the first batch in words: {where}/first_batch.txt")
    say(f"  the policy   {directory.latest_policy(say)} (Hugging Face format)")
    report.closing(directory.path)
    line = directory.line()
    say("go on with")
    if tree := tree_to_see(directory.path):
        say(f"  {tree}")
    say(f"  {command(['eval', where])}")
    say(f"  {command(again(line, seed=config.seed + 1))}")
    say(f"  {command(again(line, algorithm='aepo' if config.algorithm == 'grpo' else 'grpo'))}")


def _pairs(
    before: Mapping[str, Any], after: Mapping[str, Any], temperature: float, what: str = "scores"
) -> Iterator[tuple[str, list[float], list[float]]]:
    names = {"greedy": "greedy", "sampled": f"pass@1 at temperature {temperature:g}"}
    for kind, name in names.items():
        if what in before.get(kind, {}) and what in after.get(kind, {}):
            yield name, before[kind][what], after[kind][what]


def _seconds(spent: Any) -> float:
    """Of a record: a number, or a number a part."""
    return float(sum(spent.values()) if isinstance(spent, Mapping) else spent)
