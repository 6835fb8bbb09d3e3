"""Why something could not be had from the hub, in a few words without addresses or lines of advice."""

from __future__ import annotations

import re
from typing import Any

_ADDRESS = re.compile(r"\s*(?:for url:?|at)?\s*'?https?://[^\s')]+'?")


def failures() -> tuple[type[Exception], ...]:
    """What the hub's client and `datasets` raise where a name is wrong, or the hub does not answer or give."""
    return (OSError, ValueError, _httpx().HTTPError)


def reason(error: BaseException) -> str:
    """What went wrong, for a message that names the repository itself."""
    from huggingface_hub import errors

    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    for kind, words in (
        (errors.OfflineModeIsEnabled, "HF_HUB_OFFLINE is set"),
        (errors.GatedRepoError, "its owner has to allow it; ask on its page, and set HF_TOKEN"),
        (errors.RepositoryNotFoundError, "there is no such repository, or it is private and HF_TOKEN is not set"),
        (errors.RevisionNotFoundError, "it has no such revision"),
        (errors.HFValidationError, "that is no name of a repository"),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return words
    for cause in causes:
        if isinstance(cause, errors.HfHubHTTPError) and cause.response is not None:
            return f"the hub answers {cause.response.status_code}"
        if isinstance(cause, _httpx().TransportError):
            return f"the hub does not answer: {_short(cause)}"
    return _short(error)


def _httpx() -> Any:
    """The HTTP client of the installed hub library, which has been published under two names."""
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    return httpx


def _short(error: BaseException) -> str:
    return _ADDRESS.sub("", str(error).strip().partition("\n")[0]) or type(error).__name__
