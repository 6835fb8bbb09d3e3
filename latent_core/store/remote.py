"""Remote stores: bounded waiting, and one clear error for everything that an S3 endpoint can do wrong.

s3fs lets botocore's exceptions through, some of which are no OSError and cannot be pickled; here alone they become
errors of this project: bad keys and buckets are input, what may heal by itself is infrastructure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from latent_core.errors import InfrastructureError, InputError, LatentError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TIMEOUT = "LATENT_S3_TIMEOUT"
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE)"
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "401", "403"}


class UnreachableError(InfrastructureError):
    """A store's endpoint is down or silent: whoever meets this tries nothing more with it, not even cleaning up."""


class UnsupportedError(InputError):
    """The server says that it has not implemented what was asked of it."""


def is_s3(root: str) -> bool:
    return root.startswith(("s3://", "s3a://"))


def open_filesystem(root: str) -> tuple[AbstractFileSystem, str]:
    """The filesystem of a store's root and the path below it.

    On S3 no call waits longer than LATENT_S3_TIMEOUT seconds (default 60), whatever the endpoint does. Raises
    InputError when that is no positive number.
    """
    import fsspec

    if "@" in root.partition("://")[2].partition("/")[0]:  # the root is part of manifests' tags, logs and messages
        raise InputError(f"store: {root.partition('://')[0]}://… holds credentials; leave them to the environment")
    if not is_s3(root):
        try:
            filesystem, base = fsspec.core.url_to_fs(root)
        except (ValueError, ImportError, OSError) as error:  # no such protocol, its package is missing, no such host
            raise InputError(
                f"store: {root} cannot be opened ({error}); give a folder or s3://bucket/prefix"
            ) from error
        return filesystem, base
    from latent_core.store.bounded_s3 import BoundedS3

    return BoundedS3(_timeout()), BoundedS3._strip_protocol(root)


def _timeout() -> float:
    text = os.environ.get(TIMEOUT, "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InputError(f"{TIMEOUT}: {text!r} must be a positive number of seconds")
    return seconds


@contextmanager
def explained(root: str) -> Iterator[None]:
    """What the endpoint of an S3 root does wrong inside the block is raised as InputError or InfrastructureError.

    Answers that are no fault (no such key, already there) and errors of other origin pass as they are.
    """
    if not is_s3(root):
        yield
        return
    from aiohttp import ClientError as ConnectionLost
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (OSError, BotoCoreError, ClientError, ConnectionLost) as error:
        explanation = explain(root, error)
        if explanation is None:
            raise
        raise explanation from error


def explain(root: str, error: BaseException) -> LatentError | None:
    """The one error that says what the endpoint did wrong; None when the error is no fault or of other origin."""
    if not is_s3(root):
        return None
    from aiohttp import ClientError as ConnectionLost
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    origin: BaseException | None = error
    while origin is not None and not isinstance(origin, BotoCoreError | ClientError | ConnectionLost):
        origin = origin.__cause__
    if origin is None and not isinstance(error, TimeoutError):
        return None
    if isinstance(origin, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return InputError(f"store: there are no credentials for {root} ({origin}); set {_KEYS}")
    if isinstance(origin, ParamValidationError):
        return InputError(f"store: {root} is no valid S3 address ({origin}); write s3://bucket/prefix")
    if isinstance(origin, ClientError):
        return _explain_answer(root, error, origin.response)
    reason = origin or f"no answer within the {_timeout():g} s of {TIMEOUT}"
    return UnreachableError(
        f"store: {root} cannot be reached ({reason}); check the network and AWS_ENDPOINT_URL, "
        "then run the same command again: it continues from what is committed"
    )


def _explain_answer(root: str, error: BaseException, response: Any) -> LatentError | None:
    """An answer of the server other than success, by its S3 error code."""
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code == "NoSuchBucket":
        bucket = root.split("://", 1)[1].split("/", 1)[0]
        return InputError(f"store: the bucket {bucket!r} of {root} does not exist; create it, or correct the name")
    if code in _REFUSED or status in (401, 403):
        return InputError(f"store: {root} refuses these credentials ({code}); check {_KEYS} and the bucket's policy")
    if code == "NotImplemented" or status == 501:
        return UnsupportedError(f"store: the server of {root} does not implement this ({error})")
    if isinstance(error, FileNotFoundError | FileExistsError) or status in (404, 409, 412):
        return None
    return InfrastructureError(
        f"store: {root} answered {code or status} ({error}); see the server's log, then run the same command again"
    )
