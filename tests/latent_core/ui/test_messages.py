"""A message takes the place of a result, so that nothing old stays below it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from latent_core.errors import InputError
from latent_core.ui.messages import told, told_stream


def _refuse(*_: object) -> tuple[str, str]:
    raise InputError("text: <b> is empty")


def test_message_takes_the_place_of_every_result():
    first, *others = told(_refuse, 3)("x")
    assert "class='error'" in first and "text: &lt;b&gt; is empty" in first and others == ["", ""]
    assert isinstance(told(_refuse)("x"), str)


def test_message_ends_a_stream_and_follows_what_came_before():
    def stream(*_: object) -> Iterator[str]:
        yield "first"
        raise InputError("model: it is gone")

    assert [piece if piece == "first" else "class='error'" in piece for piece in told_stream(stream)()] == [
        "first",
        True,
    ]


def test_fault_of_ours_is_not_made_a_message():
    def broken() -> str:
        raise KeyError("x")

    with pytest.raises(KeyError):
        told(broken)()
