"""The command: an agent that does not train plays unseen questions.

    python -m baselines.agents react --env web --questions 100 --policy tiny
    python -m baselines.agents react --policy runs/aepo-web-seed0
    python -m baselines.agents search-o1 --preset paper --server http://127.0.0.1:8000/v1 --served-model NAME
    python -m baselines.agents oracle --env code
    python -m baselines.agents list

Environment, pages, questions and rewards are said as in `algorithms.run`. A mistake on the line gets one sentence and
exit code 2; a server that goes away ends it with 1.
"""

import sys
from collections.abc import Sequence

from algorithms.commands.ending import ended, lacking
from baselines.agents.known import AGENTS, known_agent
from baselines.agents.options import check, parser
from baselines.agents.writer import WriterFailed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        if not given:
            raise ValueError("Say which agent: python -m baselines.agents list names them.")
        options = parser().parse_args(given)
        if options.agent == "list":
            return _list()
        check(options, known_agent(options.agent))
        from baselines.agents.command import run  # torch comes with it

        return run(options)
    except ValueError as error:
        return ended("error", error, 2)
    except ImportError as error:
        return ended("error", lacking(error, "pip install -e '.[train]'."), 2)
    except WriterFailed as error:
        return ended("stopped", error, 1)
    except KeyboardInterrupt:
        return ended("stopped", "by Ctrl-C; nothing was written", 130)


def _list() -> int:
    """Print the agents; the exit code."""
    for name, known in AGENTS.items():
        print(f"{name:<18} {known.summary}" + f" ({known.source})" * bool(known.source))
    return 0


if __name__ == "__main__":
    sys.exit(main())
