"""The command's options, and what is wrong with them before anything heavy is loaded.

    options = parser().parse_args(["react", "--policy", "tiny"])
    check(options, known_agent(options.agent))

Environment, pages, questions and reward are said as in `algorithms.run`, whose reader makes a configuration of them.
"""

import argparse
from pathlib import Path
from typing import get_args

from aepo_env.environments import Split
from aepo_env.text import did_you_mean
from algorithms.commands.configuration import add_pages
from algorithms.commands.ending import Parser
from algorithms.commands.lines import number, whole
from baselines.agents.known import Known


def parser() -> argparse.ArgumentParser:
    """Reads the line."""
    made = Parser(
        "python -m baselines.agents", description="Let an agent that does not train play.", allow_abbrev=False
    )
    made.add_argument("agent", help="direct, retrieve, react, search-o1, plan-then-search, oracle, random; or list")
    model = made.add_argument_group("what it writes with")
    model.add_argument("--policy", help="tiny, a run's directory, a folder, or a Hugging Face name")
    model.add_argument(
        "--server", metavar="URL", help="an OpenAI-compatible server, for example http://127.0.0.1:8000/v1"
    )
    model.add_argument("--served-model", metavar="NAME", help="the model's name there")
    model.add_argument(
        "--key-variable",
        metavar="NAME",
        default="OPENAI_API_KEY",
        help="environment variable that holds the server's key",
    )
    model.add_argument(
        "--prompt",
        help="own (instructions) or environment (its messages alone; default for tiny and runs, which know these)",
    )
    model.add_argument("--temperature", type=number, default=0.0, help="0 takes the likeliest token (default)")
    model.add_argument(
        "--top-p", type=number, default=1.0, help="only the likeliest tokens that reach this probability"
    )
    model.add_argument(
        "--turn-tokens", type=whole, help="of one text (default: the preset's or the run's; others 1024)"
    )
    model.add_argument("--total-tokens", type=whole, help="of a conversation (default: likewise; others 8192)")
    model.add_argument("--device", help="auto, cpu or cuda (default: auto)")
    model.add_argument("--threads", type=whole, help="of torch; 0: one a core")
    asked = made.add_argument_group("what is asked")
    asked.add_argument("--env", help="web, search or code (default: web)")
    asked.add_argument("--preset", help="smoke, quick, default or paper: `algorithms.run list` says what each is for")
    add_pages(asked)
    asked.add_argument("--reward", help="how answers are scored")
    asked.add_argument("--config", metavar="FILE", help="YAML as a run's config.yaml or part of it")
    asked.add_argument("--split", default="dev", help="train, dev (default) or test; all for a corpus without splits")
    asked.add_argument("--questions", type=whole, default=100, help="the first so many of the split (default: 100)")
    asked.add_argument("--samples", type=whole, default=1, help="episodes a question (default: 1)")
    asked.add_argument("--seed", type=whole, help="of the environment's and the agent's chance (default: 0)")
    how = made.add_argument_group("how")
    how.add_argument("--at-once", type=whole, help="episodes at the same time (default: 64; with a server 8)")
    how.add_argument(
        "--results", default="runs/agents.jsonl", help="a line is added there (default: runs/agents.jsonl)"
    )
    how.add_argument("--episodes", metavar="FILE", help="write every episode there, a line of JSON each")
    how.add_argument("--verbose", action="store_true", help="print the first episode")
    return made


def check(options: argparse.Namespace, known: Known) -> None:
    """Raise ValueError for what does not fit together; nothing was loaded yet."""
    for name, least in (("questions", 1), ("samples", 1), ("at_once", 1), ("turn_tokens", 1), ("total_tokens", 2)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {least}; got {value}.")
    if options.split not in get_args(Split):
        raise ValueError(f"--split is one of {', '.join(get_args(Split))}; got {options.split!r}.")
    if options.prompt not in (None, "own", "environment"):
        hint = did_you_mean(options.prompt, ("own", "environment"))
        raise ValueError(f"--prompt is own or environment; got {options.prompt!r}{hint}")
    if options.temperature < 0 or not 0 < options.top_p <= 1:
        raise ValueError(
            f"Expected --temperature >= 0 and 0 < --top-p <= 1; got {options.temperature} and {options.top_p}."
        )
    if known.writes and bool(options.policy) == bool(options.server):
        said = "both are given" if options.policy else "none is given"
        raise ValueError(f"{options.agent} writes with a model: give either --policy or --server; {said}.")
    if not known.writes and (options.policy or options.server):
        raise ValueError(f"{options.agent} writes by itself: leave --policy and --server out.")
    if options.episodes and not Path(options.episodes).absolute().parent.is_dir():
        raise ValueError(f"There is no folder for {options.episodes}: make it, or choose another --episodes.")
    if bool(options.server) != bool(options.served_model):
        raise ValueError("--server and --served-model belong together: give both, or none.")
    if options.samples > 1 and known.writes and options.temperature == 0:
        raise ValueError("At --temperature 0 all samples of a question are the same: give one above 0, or --samples 1.")
