"""Addresses of servers and stores: what is shown, logged or recorded of one never holds its password."""

from __future__ import annotations

from urllib.parse import urlsplit

TEMPORARY_SERVER = "LATENT_TEMPORARY_PREFECT_SERVER"
"""Environment variable with the address of the Prefect server that ends with the run, where there is one: no address to
link to."""


def holds_password(address: str) -> bool:
    """Whether the address has the form `scheme://user:password@host`."""
    return "://" in address and bool(urlsplit(address).password)


def without_password(address: str) -> str:
    """The address with `***` for its password."""
    if not holds_password(address):
        return address
    parts = urlsplit(address)
    _, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{parts.username}:***@{host}").geturl()
