"""What is recorded of the code that computed a result."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tasks import environment


@pytest.mark.parametrize(
    ("installed", "expected"),
    [("1.2.3", "latent-reasoning 1.2.3"), (None, "latent-reasoning, version unknown")],
)
def test_code_version_outside_a_checkout_is_the_packages_if_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str | None, expected: str
) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(environment, "__file__", str(tmp_path / "tasks" / "environment.py"))
    monkeypatch.setattr(environment, "version", version)
    assert environment.code_version.__wrapped__() == expected
