"""The errors a user can cause or must tell apart; every message names the field and the fix."""

from __future__ import annotations


class LatentError(Exception):
    """Base of all errors that are reported as one line, without a traceback."""


class InputError(LatentError, ValueError):
    """A parameter, file or column is not what it must be; retrying cannot help."""


class InfrastructureError(LatentError, RuntimeError):
    """The world failed (a worker died, a device or network was lost); retrying can help."""


class BudgetReached(LatentError, RuntimeError):
    """A configured limit was reached; what was finished is kept, and the run goes on when it is started again."""


class RegressionFound(LatentError, RuntimeError):
    """A model does worse than in its earlier evaluation, beyond noise."""


class StageFailed(LatentError, RuntimeError):
    """A stage's own computation failed; the message ends with the last lines of its log."""
