"""From the options of a training command to a run's configuration.

    add_options(parser)
    options = parser.parse_args(...)
    config = configuration(options, read_file(options.config))          # a training.config.RunConfig

In this order, the later winning: a preset, `--config FILE`, options. What contradicts itself is refused, never resolved
in silence. Paths become absolute, so that a run can be looked at from any folder.
"""

import argparse
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from algorithms.commands.lines import number, whole

if TYPE_CHECKING:
    from algorithms.training.config import RunConfig

_SECTIONS = ("environment", "optimiser", "lora", "evaluation")
_OURS = ("tiny", "smollm2", "generated", "factbook")  # whatever folders of these names there are
_OF_A_CORPUS = ("difficulty", "pages", "families")  # arguments of the environment that other corpora do not have

_BY_OPTION = {
    "algorithm": "the command's name",
    "variant": "--variant",
    "environment.name": "--env",
    "demonstrations": "--demonstrations",
}


def add_pages(group: argparse._ArgumentGroup) -> None:
    """What is asked over which pages, with which tools."""
    group.add_argument("--corpus", help="the pages: generated, factbook, or a folder of yours (default: generated)")
    group.add_argument("--tasks", help="the questions: families of the corpus (2-hop,counting), FILE.jsonl or .parquet")
    group.add_argument("--tools", help="those the policy may call, with commas between: search,browse,python")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may follow an algorithm's name and decides the run."""
    what = parser.add_argument_group("what is trained, on what")
    what.add_argument("--env", help="web, search or code (default: web)")
    what.add_argument("--preset", help="smoke, quick, default or paper; `list` says what each is for")
    what.add_argument("--variant", help="paper (every published part on) or official (as shipped)")
    what.add_argument("--model", help="tiny, smollm2, a folder, or a Hugging Face name (default: the preset's)")
    add_pages(what)
    what.add_argument("--reward", help="how answers are scored; `list` names the rewards (default: the preset's)")
    what.add_argument("--demonstrations", metavar="FILE", help="transcripts to learn from first, not an oracle's")
    size = parser.add_argument_group("how much")
    size.add_argument("--seed", type=whole, help="of the run (default: 0)")
    size.add_argument("--steps", type=whole, help="rollout batches")
    size.add_argument("--questions", type=whole, help="a rollout batch")
    size.add_argument("--budget", type=whole, help="trajectories a question")
    size.add_argument("--updates", type=whole, help="optimiser steps a rollout batch")
    size.add_argument("--lr", type=number, help="learning rate")
    size.add_argument("--temperature", type=number, help="of sampling while training")
    size.add_argument("--eval-every", type=whole, help="steps between greedy evaluations while training; 0: none")
    size.add_argument("--eval-questions", type=whole, help="questions of the dev split")
    how = parser.add_argument_group("how")
    how.add_argument("--device", help="auto, cpu or cuda (default: auto, a GPU where there is one)")
    how.add_argument("--threads", type=whole, help="of torch; 0: one a core")
    how.add_argument("--traces", type=whole, help="questions of a step whose trees are kept to look at; 0: none")
    how.add_argument("--log", help="jsonl (always written), or jsonl,wandb; wandb is offline where there is no key")
    how.add_argument("--config", metavar="FILE", help="YAML as a run's config.yaml or part of it; options win over it")
    how.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the algorithm (loss.high=0.28) or of the run (turn_tokens=96, optimiser.weight_decay=0.1)",
    )
    how.add_argument("--shuffled-rewards", action="store_true", help="a control that must not learn")


def named(options: argparse.Namespace, file: Mapping[str, Any]) -> tuple[str, int]:
    """Environment and seed, as options or the file say; what is no such thing is found out later."""
    environment = file.get("environment")
    in_file = environment.get("name") if isinstance(environment, Mapping) else None
    seed = options.seed if options.seed is not None else file.get("seed", 0)
    return options.env or str(in_file or "web"), seed if isinstance(seed, int) else 0


def configuration(options: argparse.Namespace, file: Mapping[str, Any]) -> "RunConfig":
    """The run's configuration from the line and `read_file`. Raises ValueError for what does not fit together."""
    from algorithms.settings import with_settings

    config, chosen = _start(options, file)
    given = _assignments(options.set)
    for name, option in _BY_OPTION.items():
        if name in given:
            raise ValueError(f"--set {name} is not how it is said: {option} decides it.")
    of_run = {field.name for field in fields(config)} - {"settings"}
    settings = {**chosen, **{name: value for name, value in given.items() if name.partition(".")[0] not in of_run}}
    for option, name in (("budget", "rollout.budget"), ("updates", "updates")):
        if (value := getattr(options, option)) is not None:
            _only_once(option, name, given)
            settings[name] = value
    if "settings" not in file and "epochs" not in given and not _divides(settings):
        del settings["epochs"]  # a preset's belongs to the number of updates that the line changed
    config = replace(config, settings=settings)
    own = {name: value for name, value in given.items() if name.partition(".")[0] in of_run}
    changes = {**own, **_of_options(options, given)}
    config = with_settings(config, changes)
    return replace(config, environment=_environment(config.environment, options), model=_absolute(config.model))


def _divides(settings: Mapping[str, Any]) -> bool:
    """Whether the updates, where they are said and can be read, are a multiple of the epochs."""
    updates, epochs = (str(settings.get(name, "")) for name in ("updates", "epochs"))
    return not (updates.isdecimal() and epochs.isdecimal()) or int(updates) % max(1, int(epochs)) == 0


def _start(options: argparse.Namespace, file: Mapping[str, Any]) -> tuple["RunConfig", dict[str, Any]]:
    """Preset and file, with the line's algorithm, variant and environment; and the algorithm's settings they say."""
    from algorithms.training.config import RunConfig, preset
    from algorithms.training.known import suited

    environment = file.get("environment") or {}
    named = environment.get("name") if isinstance(environment, Mapping) else None
    if options.env and named and options.env != named:
        raise ValueError(f"--env {options.env} contradicts {options.config}, which is for {named}: leave one out.")
    if options.variant and file.get("settings") and options.variant != file.get("variant", "paper"):
        raise ValueError(
            f"--variant {options.variant} contradicts {options.config}, whose settings are for another: leave one out."
        )
    model, corpus = str(options.model or file.get("model") or ""), options.corpus or _corpus_of(environment)
    base = preset(options.preset or "default", options.env or named or "web", model, corpus).to_plain()
    sections = {name: {**base[name], **file[name]} for name in _SECTIONS if isinstance(file.get(name), Mapping)}
    config = RunConfig.from_plain({**base, **file, **sections})
    config = replace(config, algorithm=options.command, variant=options.variant or config.variant)
    settings = dict(config.settings)
    if "settings" not in file:  # a preset's are meant for all algorithms
        settings = suited(config.algorithm, settings, config.variant)
    if config.variant != "paper" and "settings" not in file:
        # As shipped: of the preset's settings only the size of the budget counts.
        settings = {name: value for name, value in settings.items() if name == "rollout.budget"}
    return config, settings


def _corpus_of(environment: Any) -> str:
    """The pages that a file's environment names."""
    arguments = environment.get("arguments") if isinstance(environment, Mapping) else None
    return str(arguments.get("corpus", "generated")) if isinstance(arguments, Mapping) else "generated"


def read_file(name: str | None) -> dict[str, Any]:
    """The YAML file of settings that `--config` names; nothing where it names none."""
    if name is None:
        return {}
    import yaml

    path = Path(name)
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ValueError(
            f"--config {name} cannot be read ({said}): give a YAML file such as a run's config.yaml."
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{name}{where} is no YAML ({getattr(error, 'problem', error)}): correct it.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} holds no names with values: write it as a run's config.yaml, steps: 20 for example.")
    return found


def _assignments(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise ValueError(f"--set wants NAME=VALUE; got {one!r}.")
        if found.get(name, value) != value:
            raise ValueError(f"--set gives {name} both {found[name]} and {value}: leave one out.")
        found[name] = value
    return found


def _of_options(options: argparse.Namespace, given: Mapping[str, str]) -> dict[str, Any]:
    """What options say of the run, by the dotted names of `RunConfig`."""
    names = ("model", "seed", "steps", "questions", "temperature", "threads", "traces", "device", "log")
    places = {name: name for name in names} | {
        "lr": "optimiser.lr",
        "eval_every": "evaluation.every",
        "eval_questions": "evaluation.questions",
    }
    said = {option: getattr(options, option) for option in places}
    found = {}
    for option, value in said.items():
        if value is not None:
            _only_once(option.replace("_", "-"), places[option], given)
            found[places[option]] = value
    if options.shuffled_rewards:
        found["shuffled_rewards"] = True
    if options.demonstrations is not None:
        found["demonstrations"] = str(_file("--demonstrations", options.demonstrations))
    if options.log is not None:
        found["log"] = ",".join(["jsonl", *(one for one in _names("--log", options.log) if one != "jsonl")])
    return found


def _only_once(option: str, name: str, given: Mapping[str, str]) -> None:
    if name in given:
        raise ValueError(f"--{option} and --set {name} say the same thing twice: leave one out.")


def _environment(environment: Any, options: argparse.Namespace) -> Any:
    """The environment with the line's corpus, tasks, tools and reward."""
    arguments = dict(environment.arguments)
    if options.corpus is not None:
        if environment.name == "code":
            raise ValueError("--corpus gives pages, which --env code has none of: leave it out, or take --env web.")
        before, arguments["corpus"] = arguments.get("corpus", "generated"), _absolute(options.corpus)
        if arguments["corpus"] != before:
            arguments = {name: value for name, value in arguments.items() if name not in _OF_A_CORPUS}
    if options.tools is not None:
        tools = _names("--tools", options.tools)
        if environment.name != "code":
            arguments["tools"] = tools
        elif tools != ["python"]:
            raise ValueError("--env code has the tool python alone: leave --tools out, or take --env web.")
    if options.reward is not None:
        arguments["reward"] = options.reward
    if options.tasks is not None:
        arguments = _with_tasks(environment.name, arguments, options)
    return replace(environment, arguments=arguments)


def _with_tasks(environment: str, arguments: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    from aepo_env.task_files import SUFFIXES

    corpus = arguments.get("corpus", "generated")
    if Path(options.tasks).suffix not in SUFFIXES and not Path(options.tasks).is_file():
        known = {"generated": "web", "factbook": "factbook"}.get(corpus, "folder")
        prefix = "code" if environment == "code" else known
        names = _names("--tasks", options.tasks)
        families = [name if "/" in name or name == prefix else f"{prefix}/{name}" for name in names]
        return {**arguments, "families": families}
    tools = arguments.get("tools") or (["search"] if environment == "search" else ["search", "browse", "python"])
    if environment != "code" and corpus == "generated" and options.corpus is None and set(tools) - {"python"}:
        raise ValueError(
            f"--tasks {options.tasks} needs pages to search, and the generated web knows nothing of its questions: add "
            "--corpus factbook or --corpus FOLDER, or take --tools python."
        )
    kept = {name: value for name, value in arguments.items() if name != "families"}
    return {**kept, "tasks": str(_file("--tasks", options.tasks))}


def _names(option: str, text: str) -> list[str]:
    names = [one.strip() for one in text.split(",")]
    if not all(names):
        raise ValueError(f"{option} takes names with commas between; got {text!r}.")
    return names


def _file(option: str, name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise ValueError(f"{option} {name}: there is {'a folder' if path.is_dir() else 'no file'} there; give a file.")
    return path.resolve()


def _absolute(name: str) -> str:
    """A folder's full path; any other name as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.is_dir() and name not in _OURS else name
