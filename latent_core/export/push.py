"""An exported folder on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

from latent_core.errors import InputError
from latent_core.hub import failures, reason

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def check_push(repository: str) -> None:
    """Raise InputError for what is no owner/name, and while the Hub is not allowed."""
    if not _REPOSITORY.fullmatch(repository):
        raise InputError(f"--push: {repository!r} is not of the form owner/name")
    if os.environ.get("HF_HUB_OFFLINE") != "0":
        raise InputError("--push: the hub is not asked for anything unless you set HF_HUB_OFFLINE=0 (and HF_TOKEN)")


def push_folder(folder: Path, repository: str, kind: str, *, public: bool = False, message: str = "") -> str:
    """Make all of `folder` a commit of a repository of this kind (model, dataset); returns its address.

    One that does not exist yet is made, for its owner alone unless `public`. Raises InputError as `check_push` does,
    and where the Hub refuses.
    """
    check_push(repository)
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        made = api.create_repo(repository, repo_type=kind, private=not public, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, repo_type=kind, commit_message=message or "Export")
    except failures() as error:
        raise InputError(
            f"--push: {repository} was not written ({reason(error)}); {folder} holds the export"
        ) from error
    return str(made)
