"""What a full disk looks like: libraries wrap it in errors of their own, and it must be one clear error of ours."""

from __future__ import annotations

import errno
import os

from latent_core.errors import InfrastructureError

_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WORDS = tuple(os.strerror(code) for code in _CODES)


class FullError(InfrastructureError):
    """A disk, a quota or a file-size limit is used up; what is committed stays, and the work goes on with more room."""


def is_full(error: BaseException | None) -> bool:
    """Whether the error, or one behind it, says that there is no room: by its number, or by the system's words."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _CODES:
            return True
        if any(words in str(error) for words in _WORDS):  # safetensors and torch keep the words only
            return True
        error = error.__cause__ or error.__context__
    return False
