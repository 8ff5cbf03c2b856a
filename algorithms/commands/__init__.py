"""The subcommands of `python -m algorithms.run`, a module each: `HELP`, `options(parser)` and `run(options, line)`.

Only `algorithms.run` imports them. Their modules load no torch at the top: the first line of a command comes at once.
"""
