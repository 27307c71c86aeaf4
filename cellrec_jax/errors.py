"""Errors that a user can mend, and the exit code each one stands for.

A message names what was found, where, and what to do; the command line prints it
as one `error: ...` line without a traceback.
"""


class UserError(Exception):
    """Base of all errors that a user can mend; exit code 2."""

    exit_code = 2


class ConfigError(UserError):
    """A flag or configuration value is unknown, mistyped or impossible."""


class DataError(UserError):
    """An input file or folder cannot be used as it is."""


class CheckpointError(UserError):
    """A work directory or checkpoint is missing, unreadable or foreign."""


class RunError(UserError):
    """The run failed after it had started (NaN loss, full disk); exit code 1."""

    exit_code = 1


class DivergedError(RunError):
    """A training step whose loss or gradient is not finite."""

    def __init__(self, what: str, advice: str) -> None:
        """`what` happened and what to do, two parts of one line."""
        super().__init__(f"{what}; {advice}")
        self.what = what
