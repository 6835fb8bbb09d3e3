"""How a model's conversations are written, where its files leave it open."""

from __future__ import annotations

import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import field_validator

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, StageConfig


class Thinking(StrEnum):
    """Whether a model reasons between think marks."""

    AUTO = "auto"  # as its chat template has it
    ON = "on"
    OFF = "off"


class ChatConfig(StageConfig):
    """How the model's chat template is read. It enters identities through the model, where it changes what is written.

    A trained model keeps what it was trained with: only models that come from outside the store can be told.
    """

    thinking: Annotated[Thinking, IDENTITY, OMITTED_AT_DEFAULT] = Thinking.AUTO
    """auto reads from the chat template whether the model reasons between think marks; on and off say so, and are
    refused where the template contradicts them. Templates with a switch (enable_thinking) get it."""
    date: Annotated[str, IDENTITY, OMITTED_AT_DEFAULT] = "2024-07-26"
    """The day that chat templates are told when they ask for today's (Llama 3.2, gpt-oss), as YYYY-MM-DD."""

    @field_validator("thinking", mode="before")
    @classmethod
    def _on_and_off_are_words(cls, value: object) -> object:
        return (Thinking.ON if value else Thinking.OFF) if isinstance(value, bool) else value  # as YAML reads them

    @field_validator("date", mode="before")
    @classmethod
    def _is_a_day(cls, value: object) -> object:
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):  # as YAML reads one
            return value.isoformat()
        try:
            day = datetime.date.fromisoformat(str(value))
        except ValueError as error:
            raise ValueError(f"date: {value!r} is not a date; write it as YYYY-MM-DD") from error
        return day.isoformat()  # one spelling a day


DEFAULT_CHAT = ChatConfig()
