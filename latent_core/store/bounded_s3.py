"""s3fs with two bounds that it lacks: on the time of a call, whatever the endpoint does, and on the memory of a file.

s3fs and botocore bound the silence after a request was sent, but not the sending: an endpoint that accepts a connection
and never reads holds an upload for ever. They also upload and download ten parts of up to 50 MiB at once.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

from latent_core.store.remote import CALLS_AT_ONCE

PART_BYTES = 16 << 20  # of a multi-part upload: what a writer buffers; 10,000 parts make 160 GB a file
_PARTS_AT_ONCE = 2  # of a download: the next part travels while one is written
_TRIES = 2  # botocore's and, around them, s3fs's: their product is the number of tries
_CONNECT_SECONDS = 5.0


class BoundedS3(S3FileSystem):  # type: ignore[misc]
    """An S3 filesystem none of whose calls lasts longer than `seconds`, tries included; TimeoutError then.

    Nothing is remembered of listings, which other writers make stale.
    """

    def __init__(self, seconds: float, **options: Any) -> None:
        self.seconds = seconds
        silence = seconds / _TRIES**2
        super().__init__(
            use_listings_cache=False,
            default_block_size=PART_BYTES,
            fixed_upload_size=True,  # some servers want all parts but the last of one size
            max_concurrency=_PARTS_AT_ONCE,
            config_kwargs={
                "connect_timeout": min(silence, _CONNECT_SECONDS),
                "read_timeout": silence,
                "max_pool_connections": CALLS_AT_ONCE,
                "retries": {"total_max_attempts": _TRIES, "mode": "standard"},
            },
            **options,
        )
        self.retries = _TRIES

    async def _call_s3(self, method: str, *arguments: Any, **options: Any) -> Any:
        async with asyncio.timeout(self.seconds):
            return await super()._call_s3(method, *arguments, **options)

    call_s3 = sync_wrapper(_call_s3)
