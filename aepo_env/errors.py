"""Errors a caller of the environment can meet. What goes wrong *inside* an episode is data, not an exception."""


class ForkNotSupported(Exception):
    """This environment (a tool or a wrapper of it) cannot be forked; the message names which and what to do."""


class MissingExtra(ImportError):
    """An optional package is not installed; the message gives the command."""
