"""Pushing to the Hub: never without being allowed to, private unless said otherwise, and failures in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.utils import httpx

from latent_core.errors import InputError
from latent_core.export.push import push_folder


class FakeHub:
    """What would have been asked of the Hub; uploads raise `failure` where there is one."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._failure = failure

    def create_repo(self, repo_id: str, **options: Any) -> str:
        self.calls.append(("create", {"repo_id": repo_id, **options}))
        return f"https://hub/{repo_id}"

    def upload_folder(self, **options: Any) -> None:
        self.calls.append(("upload", options))
        if self._failure is not None:
            raise self._failure


@pytest.mark.parametrize("public", [False, True])
def test_push_makes_the_repository_and_uploads_the_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, public: bool
) -> None:
    hub = FakeHub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    address = push_folder(tmp_path, "me/model", "dataset", public=public, message="latent export x")
    assert address == "https://hub/me/model"
    assert hub.calls == [
        ("create", {"repo_id": "me/model", "repo_type": "dataset", "private": not public, "exist_ok": True}),
        (
            "upload",
            {
                "repo_id": "me/model",
                "folder_path": tmp_path,
                "repo_type": "dataset",
                "commit_message": "latent export x",
            },
        ),
    ]


@pytest.mark.parametrize("offline", ["1", None, "yes"])
def test_push_asks_the_hub_for_nothing_unless_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: str | None
) -> None:
    hub = FakeHub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    if offline is None:
        monkeypatch.delenv("HF_HUB_OFFLINE")
    else:
        monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    with pytest.raises(InputError, match=r"^--push: .*HF_HUB_OFFLINE=0"):
        push_folder(tmp_path, "me/model", "model")
    assert hub.calls == []


@pytest.mark.parametrize("name", ["model", "a/b/c", "me/", "/model", "me/../x", "me/mo del"])
def test_push_to_what_is_no_repository_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(InputError, match=r"^--push: .*owner/name"):
        push_folder(tmp_path, name, "model")


def test_push_that_fails_is_one_line_that_says_where_the_export_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub(httpx.ConnectError("[Errno -2] Name or service not known"))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(InputError, match=r"^--push: me/model was not written \(the hub does not answer") as told:
        push_folder(tmp_path, "me/model", "model")
    assert str(tmp_path) in str(told.value) and "\n" not in str(told.value)
