"""Multi-part uploads to S3 that nobody finished: a killed writer's parts, which no listing shows and which cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from latent_core.errors import InputError
from latent_core.store.remote import explained, is_s3
from latent_core.store.root import Root

logger = logging.getLogger("latent")


@dataclass(frozen=True)
class Upload:
    """An upload by the key it was to become; `age` is in seconds since it was begun."""

    key: str
    id: str
    age: float


def unfinished_uploads(root: Root) -> list[Upload]:
    """Those below an S3 root; none elsewhere, and none, with a warning, where they may not be listed."""
    if not is_s3(root.root):
        return []
    try:
        return list(_listed(root))
    except InputError as error:
        logger.warning("unfinished uploads are not looked for: %s", error)
        return []


def abort_upload(root: Root, upload: Upload) -> None:
    """Free an upload's parts; nothing happens when it ended by itself."""
    bucket, _, prefix = root._base.partition("/")
    key = f"{prefix}/{upload.key}" if prefix else upload.key
    try:
        with explained(root.root):
            root._fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload.id)
    except FileNotFoundError:
        pass


def _listed(root: Root) -> Iterator[Upload]:
    bucket, _, prefix = root._base.partition("/")
    below = f"{prefix}/" if prefix else ""
    wanted: dict[str, Any] = {"Bucket": bucket, "Prefix": below}
    while True:
        with explained(root.root):
            page = root._fs.call_s3("list_multipart_uploads", **wanted)
        for found in page.get("Uploads", []):
            age = max(0.0, time.time() - found["Initiated"].timestamp())
            yield Upload(found["Key"].removeprefix(below), found["UploadId"], age)
        if not page.get("IsTruncated"):
            return
        wanted |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
