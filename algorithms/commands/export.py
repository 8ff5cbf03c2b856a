"""export: a run's newest policy in a folder of its own, in Hugging Face format with a model card.

python -m algorithms.run export runs/aepo-web-seed0 my-agent
"""

import argparse
from collections.abc import Sequence

from algorithms.commands.lines import say

HELP = "write a run's newest policy into a folder of its own, in Hugging Face format"


def options(parser: argparse.ArgumentParser) -> None:
    """What may follow the command's name."""
    parser.add_argument("run", help="a run's directory")
    parser.add_argument("folder", help="where the policy goes; it must not exist, or be empty")


def run(options: argparse.Namespace, line: Sequence[str]) -> int:
    """Write it; the exit code."""
    from algorithms.training.exporting import export
    from algorithms.training.run_directory import RunDirectory

    folder = export(RunDirectory(options.run), options.folder, say)
    say(f"the policy is in {folder}; in Python, transformers loads it:")
    say(f"  AutoModelForCausalLM.from_pretrained({str(folder)!r}), AutoTokenizer.from_pretrained({str(folder)!r})")
    return 0
