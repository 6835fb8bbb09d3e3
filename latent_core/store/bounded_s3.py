"""s3fs with two bounds that it lacks: on the time of a call, whatever the endpoint does, and on the memory of a file.

s3fs and botocore bound the silence after a request was sent, but not the sending: an endpoint that accepts a connection
and never reads holds an upload for ever. They also upload and download ten parts of up to 50 MiB at once.

Two habits that cost most of the time of many small files go as well: asking for a file's size before reading it whole,
and reading every timestamp with dateutil.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Any

from aiobotocore.session import AioSession
from botocore.utils import parse_timestamp
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

_CALLS_AT_ONCE = 32  # and connections: the time that a call waits for one would count as the endpoint's
PART_BYTES = 16 << 20  # of a multi-part upload: what a writer buffers; 10,000 parts make 160 GB a file
_PARTS_AT_ONCE = 2  # of a download: the next part travels while one is written
_TRIES = 2  # botocore's and, around them, s3fs's: their product is the number of tries
_CONNECT_SECONDS = 5.0
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


class BoundedS3(S3FileSystem):  # type: ignore[misc]
    """An S3 filesystem none of whose calls lasts longer than `seconds`, tries included; TimeoutError then.

    Nothing is remembered of listings, which other writers make stale.
    """

    def __init__(self, seconds: float, **options: Any) -> None:
        self.seconds = seconds
        silence = seconds / _TRIES**2
        super().__init__(
            session=_session(),
            use_listings_cache=False,
            default_block_size=PART_BYTES,
            fixed_upload_size=True,  # some servers want all parts but the last of one size
            max_concurrency=_PARTS_AT_ONCE,
            config_kwargs={
                "connect_timeout": min(silence, _CONNECT_SECONDS),
                "read_timeout": silence,
                "max_pool_connections": _CALLS_AT_ONCE,
                "retries": {"total_max_attempts": _TRIES, "mode": "standard"},
            },
            **options,
        )
        self.retries = _TRIES
        self.batch_size = _CALLS_AT_ONCE

    async def _cat_file(self, path: str, **options: Any) -> bytes:
        """Whole files that are read at once are small: one request, where s3fs asks for the size first."""
        content: bytes = await super()._cat_file(path, **({"max_concurrency": 1} | options))
        return content

    async def _call_s3(self, method: str, *arguments: Any, **options: Any) -> Any:
        async with asyncio.timeout(self.seconds):
            return await super()._call_s3(method, *arguments, **options)

    call_s3 = sync_wrapper(_call_s3)


def _session() -> AioSession:
    session = AioSession()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return session


def _moment(text: Any) -> datetime:
    """A timestamp of an answer; listings, which have one for each key, write ISO 8601."""
    if isinstance(text, str) and _ISO.fullmatch(text):
        return datetime.fromisoformat(text)
    other: datetime = parse_timestamp(text)
    return other
