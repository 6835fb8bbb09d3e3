"""How a run ended early: whether it failed or was cancelled, and why, in words."""

from __future__ import annotations

import signal

from latent_core.addresses import without_passwords
from latent_core.errors import LatentError

_SIGNALS = 128  # a program's exit status is this and the number of the signal that ended it


def is_cancellation(why: BaseException | None) -> bool:
    """Whether somebody or something outside ended the run: a signal, or Prefect's own cancelling."""
    from prefect.exceptions import CancelledRun

    return why is not None and (isinstance(why, CancelledRun) or not isinstance(why, Exception))


def reason(why: BaseException | None) -> str:
    """Why the run ended early, without the passwords of addresses in it; empty where nothing was raised."""
    return "" if why is None else without_passwords(_words(why))


def _words(why: BaseException) -> str:
    if isinstance(why, LatentError):
        return str(why)
    if isinstance(why, SystemExit) and isinstance(why.code, int) and why.code - _SIGNALS in signal.valid_signals():
        return f"ended by {signal.Signals(why.code - _SIGNALS).name}"
    return f"{type(why).__name__}: {why}" if str(why) else type(why).__name__
