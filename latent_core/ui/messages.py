"""Errors on the page: what a user can mend becomes one message; anything else keeps its traceback in the log.

A message takes the place of the result, so that no older result stays below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import gradio as gr

from latent_core.errors import LatentError
from latent_core.ui.markup import error_note, escape


def guarded(answer: Callable[..., Any]) -> Callable[..., Any]:
    """`answer`, whose results are no HTML, with a LatentError shown as a message over the page."""

    @wraps(answer)
    def answered(*values: Any) -> Any:
        try:
            return answer(*values)
        except LatentError as error:
            raise _shown(error) from error

    return answered


def told(answer: Callable[..., Any], results: int = 1) -> Callable[..., Any]:
    """`answer`, which gives `results` pieces of HTML: a LatentError takes the place of the first, the others go."""

    @wraps(answer)
    def answered(*values: Any) -> Any:
        try:
            return answer(*values)
        except LatentError as error:
            message = error_note(str(error))
            return message if results == 1 else (message, *[""] * (results - 1))

    return answered


def told_stream(answer: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    """The same for one piece of HTML that comes again and again."""

    @wraps(answer)
    def answered(*values: Any) -> Iterator[str]:
        try:
            yield from answer(*values)
        except LatentError as error:
            yield error_note(str(error))

    return answered


def _shown(error: LatentError) -> gr.Error:
    return gr.Error(escape(str(error)), title="That does not work", print_exception=False)
