"""What a check says while it runs: rows of the table, numbers for the record, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

OK, WRONG, FAILED, SKIPPED = "ok", "wrong", "failed", "skipped"
FAULTY = (WRONG, FAILED)


class Row(NamedTuple):
    """A line of the table. `numbers` are for the record; `status` is ok, wrong, failed or skipped."""

    check: str
    what: str
    found: str
    status: str
    numbers: dict[str, Any]


class Findings:
    """Rows of one check, handed on one by one as soon as they are there."""

    def __init__(self, check: str, send: Callable[[Row], None]) -> None:
        self._check, self._send = check, send

    def note(self, what: str, found: str, **numbers: Any) -> None:
        """A measurement that nothing is expected of."""
        self._send(Row(self._check, what, found, OK, numbers))

    def expect(self, holds: bool, what: str, found: str, **numbers: Any) -> None:
        """A measurement that is wrong unless `holds`; the check goes on."""
        self._send(Row(self._check, what, found, OK if holds else WRONG, numbers))

    def skip(self, what: str, reason: str) -> None:
        """Something that cannot be measured here."""
        self._send(Row(self._check, what, reason, SKIPPED, {}))
