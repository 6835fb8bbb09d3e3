"""What a value in a row of questions may be: the types of the columns that benchmarks read.

- A *question* is text, or a chat: the text of its last message with the role `user`. A number is no question.
- An *answer* (gold answers, rationales, levels, options of a choice) is text, a finite number, true or false (read as
  the words True and False), or a chat: the text of its last message with the role `assistant`. A number is read
  as Python prints it: 7, 7.5, 1e+22.

A list with one value in it stands for that value. A chat is a list of objects with `role` and `content`; content is
text, or a list of parts of the type `text`, which are joined. Null and text without a visible character are no value.
Everything else is unusable, NaN and infinite numbers, bytes, dates, objects, longer or nested lists and text with half
a surrogate pair among them.
"""

from __future__ import annotations

import math
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Real


class Unusable(ValueError):
    """A value that its column cannot have; the message says what it is, as in "it is NaN"."""


def as_question(value: object) -> str | None:
    """The question that `value` is, None for no value; raises Unusable."""
    value = _only(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return _last_message(value, "user")
    if isinstance(value, bool | Real | Decimal):
        raise Unusable("it is a number, not text")
    return _scalar(value)


def as_answer(value: object) -> str | None:
    """The answer that `value` is, None for no value; raises Unusable."""
    value = _only(value)
    return _last_message(value, "assistant") if isinstance(value, list) else _scalar(value)


def as_options(value: object) -> list[str]:
    """The options of a choice, each an answer of its own; raises Unusable for no list, or an option without value."""
    if not isinstance(value, list) or not value:
        raise Unusable(f"it is {_kind(value)}, not a list of options")
    options = [_scalar(option) for option in value]
    filled = [option for option in options if option is not None]
    if len(filled) < len(options):
        raise Unusable(f"option {options.index(None) + 1} is empty")
    return filled


def _only(value: object) -> object:
    """The value in a list of one, which may be a chat of one message; any other value as it is."""
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], dict | list):
        return value[0]
    return value


def _last_message(chat: list[object], role: str) -> str | None:
    if not chat or not all(isinstance(message, dict) and {"role", "content"} <= message.keys() for message in chat):
        raise Unusable(f"it is {_kind(chat)}, neither of one value nor of messages with role and content")
    said = [message["content"] for message in chat if isinstance(message, dict) and message["role"] == role]
    if not said:
        raise Unusable(f"it is a chat without a message of the role {role}")
    content = said[-1]
    if not isinstance(content, list):
        if not isinstance(content, str | None):
            raise Unusable(f"the content of its last {role} message is {_kind(content)}")
        return _scalar(content)
    parts = [part if isinstance(part, dict) else {} for part in content]
    for part in parts:
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise Unusable(
                f"its last {role} message has a part of the type {part.get('type')!r}; only text can be read"
            )
    return _scalar("".join(part["text"] for part in parts))


def _scalar(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Real | Decimal):
        if not math.isfinite(value):
            raise Unusable("it is NaN" if math.isnan(value) else "it is an infinite number")
        return str(value)
    raise Unusable(f"it is {_kind(value)}")


def _text(text: str) -> str | None:
    if text.isascii() and text[:1].isalnum():  # most are, and the rest takes time
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise Unusable(f"it holds half a surrogate pair ({half}), which is no character") from error
    return text if any(sign.isprintable() and not sign.isspace() for sign in text) else None


def _kind(value: object) -> str:
    if isinstance(value, Unreadable):
        return value.reason
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return f"a {type(value).__name__}"


class Narrow(float):
    """A number of a column of single or half precision, with the digits that it has there: 0.1, not 0.10000000149."""


class Unreadable:
    """Stands in a row for a value that cannot be read from its file; the reason is told as what it is."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "empty"),
    (str, "text"),
    (dict, "an object"),
    (bytes, "binary"),
    ((Real, Decimal), "a number"),
    ((date, time, timedelta), "a date or time; write it as text"),
)
