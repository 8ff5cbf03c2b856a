"""The command: algorithms head to head on the same questions, budget and seeds, with intervals and tests.

    python -m baselines.compare                                                    # AEPO against seven others
    python -m baselines.compare aepo arpo grpo dapo --env web --seeds 3 --preset quick
    python -m baselines.compare aepo aepo:official --seeds 5                       # two variants
    python -m baselines.compare grpo --grid loss.high=0.2,0.28 --seeds 5           # one setting
    python -m baselines.compare --ablate aepo --seeds 5                            # AEPO without each of its parts

    python -m baselines.compare all --seeds 1 --steps 30                           # every algorithm
    python -m baselines.compare --report --records FILE                            # table and page of records alone

Every contender and seed is a cell: an ordinary run below OUT/cells, trained in a process of its own on one thread.
Stopped or killed at any moment, the same command goes on; finished cells are kept and never repeated. In the end there
are OUT/results.jsonl (a line a cell, from which all else is made; --records keeps it elsewhere, under version control
for example, and goes on from it on any machine), OUT/table.md and OUT/compare.html. What cells of one start measure
before training is measured once, but by each of those that begin together.

Options that are not listed here under "comparison" are those of `python -m algorithms.run` and hold for all cells.
Exit code: 0 all cells are finished, 1 some failed, 2 a mistake on the line.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from aepo_env.files import InUse, only_one
from aepo_env.text import did_you_mean
from algorithms.commands.configuration import add_options
from algorithms.commands.ending import Parser, ended, lacking, terminable
from algorithms.commands.lines import number, say, whole
from algorithms.report.summary import percent
from baselines.cells import Cell, all_cells, longest_first, measured_start
from baselines.contenders import Contender, contenders

_UNITS = ("rollouts", "tokens", "tool-calls", "seconds")
_EVALUATIONS = 5  # of a run about, beside those before and after, unless --eval-every says otherwise
_ONE_SAMPLE = (
    "evaluation.samples=1"  # verdicts are about greedy answers; four samples a question take half a run's time
)
_OURS = {
    "algorithms",
    "seeds",
    "grid",
    "ablate",
    "against",
    "budget_unit",
    "jobs",
    "cell_minutes",
    "out",
    "report",
    "agents",
    "records",
    "variant",
}
_REFUSED = {"seed": "--seeds N takes the seeds 0 to N - 1", "shuffled_rewards": "it is a control of one run"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _compare(_parser().parse_args(given), given)
    except ValueError as error:
        return ended("error", error, 2)
    except ImportError as error:
        return ended("error", lacking(error, "comparing needs the extras train and compare, or make setup-train."), 2)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser("python -m baselines.compare", description="Algorithms head to head.", allow_abbrev=False)
    ours = parser.add_argument_group("comparison")
    ours.add_argument(
        "algorithms",
        nargs="*",
        metavar="ALGO",
        help="NAME, NAME:VARIANT or LABEL=NAME; all: every one (default: AEPO and seven others)",
    )
    ours.add_argument("--seeds", type=whole, default=3, metavar="N", help="trainings of each contender (default: 3)")
    ours.add_argument("--grid", action="append", default=[], metavar="NAME=V,V", help="cross contenders with settings")
    ours.add_argument("--ablate", metavar="ALGO", help="compare it with itself without each of its parts")
    ours.add_argument("--against", metavar="LABEL", help="whom all are tested against (default: the first)")
    ours.add_argument(
        "--budget-unit", default="rollouts", help=f"{', '.join(_UNITS)}: compared at equal (default: rollouts)"
    )
    ours.add_argument(
        "--jobs", type=whole, default=len(os.sched_getaffinity(0)), help="cells at once (default: the cores)"
    )
    ours.add_argument("--cell-minutes", type=number, default=120.0, help="the most one cell may take (default: 120)")
    ours.add_argument("--out", help="where results go (default: runs/compare-ENV-PRESET)")
    ours.add_argument("--records", metavar="FILE", help="where a line a cell is kept (default: OUT/results.jsonl)")
    ours.add_argument("--agents", metavar="FILE", help="results of baselines.agents, to stand in the same tables")
    ours.add_argument("--report", action="store_true", help="train nothing: write table and page of what is finished")
    add_options(parser)
    return parser


def _compare(options: argparse.Namespace, given: Sequence[str]) -> int:
    found = _contenders(options)
    preset, environment = options.preset or "quick", options.env or "web"
    out = Path(options.out or f"runs/compare-{environment}-{preset}")
    from baselines.records import Results, cells_of
    from baselines.statistics import scipy_stats

    scipy_stats()  # that it lacks is better said before training than after
    file = Path(options.records or out / "results.jsonl")
    if options.report and options.records and not file.is_file():
        raise ValueError(f"--records {file} is no file, so that there is nothing to report: name one that exists.")
    if _of_records_alone(options):
        cells = cells_of(Results(file).found, out)
        _check_against(options.against, [cell.contender.label for cell in cells])
    else:
        cells = all_cells(found, seeds=options.seeds, shared=_shared(options, preset, environment), out=out)
    with _only_one("--out", out, out / "lock"), _only_one("--records", file.parent, _lock_of(file)), terminable():
        results = Results(file)
        failed = {} if options.report else _train(cells, results, options, out)
        _write(cells, results.found, options, out, failed, ["python", "-m", "baselines.compare", *given])
    return 1 if failed else 0


def _of_records_alone(options: argparse.Namespace) -> bool:
    """Whether a page is asked for of whatever cells a file of records has."""
    return bool(options.report and options.records and not (options.algorithms or options.ablate or options.grid))


def _lock_of(records: Path) -> Path:
    return records.with_name(f"{records.name}.lock")


def _contenders(options: argparse.Namespace) -> list[Contender]:
    """Who is compared. Raises ValueError for what the line may not say."""
    for name, least in (("seeds", 1), ("jobs", 1)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name} must be at least {least}; got {getattr(options, name)}.")
    if options.cell_minutes <= 0:
        raise ValueError(f"--cell-minutes must be above 0; got {options.cell_minutes:g}.")
    if options.budget_unit not in _UNITS:
        raise ValueError(f"--budget-unit is one of {', '.join(_UNITS)}; got {options.budget_unit!r}.")
    for name, why in _REFUSED.items():
        if getattr(options, name):
            raise ValueError(f"--{name.replace('_', '-')} is not for comparisons: {why}.")
    found = contenders(options.algorithms, variant=options.variant, grid=options.grid, ablate=options.ablate)
    if not _of_records_alone(options):
        _check_against(options.against, [one.label for one in found])
    return found


def _check_against(label: str | None, labels: Sequence[str]) -> None:
    """Raise ValueError where all are to be tested against somebody who is not there."""
    if label and label not in labels:
        known = dict.fromkeys(labels)
        raise ValueError(f"--against {label} is none of the contenders: {', '.join(known)}{did_you_mean(label, known)}")


def _shared(options: argparse.Namespace, preset: str, environment: str) -> list[str]:
    """The options of `algorithms.run` that all cells have, as words."""
    from algorithms.training.config import preset as preset_named

    every = options.eval_every
    if every is None:
        steps = options.steps if options.steps is not None else preset_named(preset, environment).steps
        every = max(1, steps // _EVALUATIONS)
    values = {**vars(options), "preset": preset, "env": environment, "eval_every": every}
    if options.config is None and not any(one.startswith("evaluation.samples=") for one in options.set):
        values["set"] = [*options.set, _ONE_SAMPLE]
    values["threads"] = 1 if options.threads is None else options.threads
    line: list[str] = []
    for name, value in values.items():
        if name in _OURS or name in _REFUSED or value is None:
            continue
        for one in value if isinstance(value, list) else [value]:
            line += [f"--{name.replace('_', '-')}", str(one)]
    return line


def _train(cells: Sequence[Cell], results: Any, options: argparse.Namespace, out: Path) -> dict[str, str]:
    """Train what is not finished; why cells failed, by name."""
    from algorithms.training.run_directory import RunDirectory
    from baselines.records import record
    from baselines.running import run_cells

    for cell in cells:  # finished, but killed before it was recorded
        if (
            not results.has(cell)
            and (cell.folder / "config.yaml").is_file()
            and RunDirectory(cell.folder).is_finished()
        ):
            results.add(record(cell))
    waiting = longest_first([cell for cell in cells if not results.has(cell)])
    done = len(cells) - len(waiting)
    say(f"{len(cells)} cells: {done} finished, {len(waiting)} to train, {options.jobs} at once; results go to {out}")
    if waiting and waiting[0].model == "tiny" and options.demonstrations is None:
        _cold_start(waiting[0].environment)  # once, instead of in every cell at once

    def finished(cell: Cell, seconds: float) -> None:
        one = record(cell)
        results.add(one)
        before, after = (percent(sum(at["greedy"]) / len(at["greedy"])) for at in (one["curve"][0], one["curve"][-1]))
        say(f"done     {cell.words}: greedy {before:.1f} % before, {after:.1f} % after training, {seconds:.0f} s")

    def more(cell: Cell) -> Sequence[str]:
        measured = measured_start(cell, cells)
        return () if measured is None else ("--before", str(measured))

    jobs = {"jobs": options.jobs, "minutes": options.cell_minutes, "logs": out / "logs"}
    return run_cells(waiting, say=say, finished=finished, more=more, **jobs)


def _cold_start(environment: str) -> None:
    """Make the tiny model's start if there is none."""
    from baselines.running import CHECKOUT

    line = [sys.executable, "-m", "algorithms.run", "coldstart", "--env", environment]
    made = subprocess.run(line, cwd=CHECKOUT, timeout=1_800, stdin=subprocess.DEVNULL, check=False)
    if made.returncode:
        raise ValueError(f"The cold start on {environment} failed: see above.")


def _write(
    cells: Sequence[Cell],
    records: Mapping[str, Any],
    options: argparse.Namespace,
    out: Path,
    failed: Mapping[str, str],
    line: Sequence[str],
) -> None:
    """Table and page of what is finished."""
    from baselines import page
    from baselines.findings import findings
    from baselines.table import table
    from baselines.untrained import untrained

    if failed and not any(cell.name in records for cell in cells):
        say(f"no cell was finished; their logs are in {out / 'logs'}")
        return
    finished = [records[cell.name] for cell in cells if cell.name in records]
    if options.agents and finished:
        seeds, families = sorted({cell.seed for cell in cells}), finished[0]["families"]
        where = {"environment": cells[0].environment, "families": families, "out": out}
        others, theirs = untrained(Path(options.agents), seeds=seeds, **where)
        cells, records = [*cells, *others], {**records, **theirs}
    found = findings(cells, records, unit=options.budget_unit, reference=options.against, failed=failed)
    page.put(out / "table.md", table(found))
    page.put(out / "compare.html", page.html_of(found, line))
    say("")
    for one in [*found["conclusions"], *found["starts"]]:
        say(one)
    say("what cannot be concluded:")
    for one in found["limits"]:
        say(f"  {one}")
    say(
        f"open {out / 'compare.html'} in a browser; as Markdown: {out / 'table.md'}; "
        f"all numbers: {options.records or out / 'results.jsonl'}"
    )


@contextmanager
def _only_one(option: str, folder: Path, lock: Path) -> Iterator[None]:
    """Keep a second comparison from writing into the same folder."""
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(only_one(lock))
        except InUse:
            raise ValueError(f"A comparison is at work in {folder}: wait for it, or give another {option}.") from None
        except OSError as error:
            raise ValueError(f"{option} {folder} cannot be written ({error.strerror}): choose another.") from error
        yield


if __name__ == "__main__":
    sys.exit(main())
