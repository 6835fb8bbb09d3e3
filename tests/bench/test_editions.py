"""Editions of latent-mini side by side: every condition is paired with the plain question."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import editions


def test_every_condition_has_an_accuracy_and_its_difference_to_the_plain_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editions, "KINDS", ("suffix",))
    rows = editions.measured("latent-mini", 2, 4, tmp_path)
    assert [row["condition"] for row in rows] == ["plain", "concise", "chain_of_draft", "suffix"]
    plain, *others = rows
    assert "against_plain" not in plain and plain["reasoning_tokens"] > 0
    for row in others:
        assert row["against_plain"] == pytest.approx(row["accuracy"] - plain["accuracy"])
    assert rows[1]["reasoning_tokens"] < plain["reasoning_tokens"]
