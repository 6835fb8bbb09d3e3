"""Errors on the page: what a user can mend becomes one message; anything else keeps its traceback in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import gradio as gr

from latent_core.errors import LatentError
from latent_core.ui.markup import escape


def guarded(answer: Callable[..., Any]) -> Callable[..., Any]:
    """`answer`, with a LatentError shown as a message."""

    @wraps(answer)
    def answered(*values: Any) -> Any:
        try:
            return answer(*values)
        except LatentError as error:
            raise _shown(error) from error

    return answered


def guarded_stream(answer: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    """The same for an answer that comes piece by piece."""

    @wraps(answer)
    def answered(*values: Any) -> Iterator[str]:
        try:
            yield from answer(*values)
        except LatentError as error:
            raise _shown(error) from error

    return answered


def _shown(error: LatentError) -> gr.Error:
    return gr.Error(escape(str(error)), title="That does not work", print_exception=False)
