"""Secrets in addresses: what is one, and that no text keeps it."""

from __future__ import annotations

import time

import pytest

from latent_core.addresses import holds_password, without_passwords


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://user:hunter2@host:5432/db", "postgresql://user:***@host:5432/db"),
        ("postgresql+psycopg://user:hun/ter2@host/db", "postgresql+psycopg://user:***@host/db"),
        ("https://user:hunt@er2@host", "https://user:***@host"),
        ("https://hunter2@host/v1", "https://***@host/v1"),
        ("git+https://hunter2@host/v1", "git+https://***@host/v1"),
        ("https://hunter2:@host", "https://***@host"),
        ("https://hunter2:x-oauth-basic@host", "https://***@host"),
        ("https://host/v1?api_key=hunter2&limit=5", "https://host/v1?api_key=***&limit=5"),
        ("https://host/v1?limit=5&token=hunter2#there", "https://host/v1?limit=5&token=***#there"),
        ("postgresql://host/db?user=me&password=hunter2", "postgresql://host/db?user=me&password=***"),
        ("s3://bucket/key?X-Amz-Signature=hunter2", "s3://bucket/key?X-Amz-Signature=***"),
    ],
)
def test_secret_of_an_address_is_seen_and_hidden_alone_and_in_a_text(address: str, shown: str) -> None:
    assert holds_password(address) and not holds_password(shown)
    assert without_passwords(address) == shown
    text = without_passwords(f"train: <{address}> and ({address}) failed:\n{address}")
    assert text == f"train: <{shown}> and ({shown}) failed:\n{shown}"


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////home/a@b/mlflow.db",
        "http://127.0.0.1:5000/runs/a@b",
        "http://[::1]:5000/a@b",
        "postgresql://user@host/db",
        "https://host/v1?api-version=2024-06-01&max_tokens=5",
        "key=5 differs; is the token right? password=see the environment",
        "mail me@host: http://host is away",
    ],
)
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert not holds_password(text) and without_passwords(text) == text


def test_long_word_costs_no_time_and_hides_no_password_behind_it() -> None:
    word = "a" * 20_000  # such as base64 in a server's answer
    started = time.process_time()
    for rest in (" http://me:%s@host", "://me:%s@host"):
        assert without_passwords(word + rest % "hunter2") == word + rest % "***"
    assert time.process_time() - started < 2


def test_path_of_a_request_loses_its_token() -> None:
    text = "HTTPConnectionPool(host='h', port=80): Max retries exceeded with url: /v1?token=hunter2 (Caused by X)"
    assert without_passwords(text) == text.replace("hunter2", "***")
