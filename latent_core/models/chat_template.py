"""Rendering a model's chat template, with a clock that stands still: what is rendered follows from its arguments.

transformers gives templates a function `strftime_now` that reads the machine's clock in its locale; here it is shadowed
by one that knows one day, at midnight, in English. `now`, which some templates call, gets the same day.
"""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from latent_core.config.chat import DEFAULT_CHAT
from latent_core.errors import InputError

Turn = Mapping[str, str]
_DIRECTIVE = re.compile(r"%[-_0^#]?([a-zA-Z%])")
_COMPOUND = {"c": "%a %b %e %H:%M:%S %Y", "x": "%m/%d/%y", "X": "%H:%M:%S", "r": "%I:%M:%S %p"}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class Clock:
    """The names through which a template can read a clock, and whether it did."""

    def __init__(self, date: str) -> None:
        self._moment = datetime.datetime.fromisoformat(date)
        self.was_read = False

    def names(self) -> dict[str, Any]:
        """For the template's variables, which come before its globals."""
        return {"strftime_now": self.strftime_now, "now": self.now}

    def strftime_now(self, format: str) -> str:
        """The pinned moment as `format` has it, with English names whatever the machine's locale."""
        self.was_read = True
        return _strftime(self._moment, format)

    def now(self, *_: Any, **__: Any) -> datetime.datetime:
        self.was_read = True
        return self._moment


class ChatTemplate:
    """A tokenizer's chat template at a pinned date; `clock` knows whether any rendering so far asked for it."""

    def __init__(self, tokenizer: Any, date: str = DEFAULT_CHAT.date) -> None:
        self.tokenizer = tokenizer
        self.clock = Clock(date)

    def render(
        self,
        turns: Sequence[Turn],
        *,
        add_generation_prompt: bool = False,
        options: Sequence[tuple[str, bool]] = (),
    ) -> str:
        """The text of a conversation; `options` are the template's own switches. Raises jinja2's TemplateError."""
        text: str = self.tokenizer.apply_chat_template(
            list(turns),
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            **self.clock.names(),
            **dict(options),
        )
        return text

    def require(self, turns: Sequence[Turn], **arguments: Any) -> str:
        """The same for a conversation that every template must be able to render. Raises InputError."""
        try:
            return self.render(turns, **arguments)
        except (TemplateError, TypeError) as error:
            raise InputError(f"model: the chat template fails on a plain conversation ({error}); replace it") from error

    def attempt(self, turns: Sequence[Turn], **arguments: Any) -> str:
        """The same for a conversation that a template may refuse, such as one with a system turn; empty then."""
        try:
            return self.render(turns, **arguments)
        except (TemplateError, TypeError):
            return ""


def _strftime(moment: datetime.datetime, format: str) -> str:
    """`moment.strftime` in the C locale and UTC, whatever those of the machine are."""
    names = {
        "a": _DAYS[moment.weekday()][:3],
        "A": _DAYS[moment.weekday()],
        "b": _MONTHS[moment.month - 1][:3],
        "h": _MONTHS[moment.month - 1][:3],
        "B": _MONTHS[moment.month - 1],
        "p": "AM" if moment.hour < 12 else "PM",
        "s": str(calendar.timegm(moment.timetuple())),
        "Z": "",
        "z": "",
    }

    def written(found: re.Match[str]) -> str:
        letter = found[1]
        if letter in _COMPOUND:
            return _strftime(moment, _COMPOUND[letter])
        return names[letter] if letter in names else moment.strftime(found[0])

    return _DIRECTIVE.sub(written, format)
