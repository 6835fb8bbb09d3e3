"""Addresses of servers and stores: what is shown, logged or recorded of one never holds its password."""

from __future__ import annotations

import re

TEMPORARY_SERVER = "LATENT_TEMPORARY_PREFECT_SERVER"
"""Environment variable with the address of the Prefect server that ends with the run, where there is one: no address to
link to."""

HIDDEN = "***"
"""What is shown in the place of a secret."""
# A scheme is short, so that a long word costs no time. A password may have a slash, as SQLAlchemy takes it;
# host:port/path is told from it by the port.
_CREDENTIALS = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]{0,30})://
        (?: (?P<user>[^\s:/?\#@\[]*) : (?!\d*(?:[/?\#\s]|$)) (?P<password>[^\s@]*(?:@[^\s/?\#@]*(?=@))*)
          | (?P<alone>[^\s:/?\#@\[]+) ) @""",
    re.IGNORECASE | re.VERBOSE,
)
_PARAMETER = re.compile(r"(?P<start>[?&][^\s=&?#]+)=(?P<value>[^\s&#\"'<>)]+)")
_SECRET = re.compile(r"(?:pass(?:word|wd)?|pwd|token|secret|key|sig(?:nature)?|credentials?|auth(?:orization)?)$", re.I)
_NO_PASSWORDS = ("", "x-oauth-basic")  # beside a token that stands as the user's name


def holds_password(address: str) -> bool:
    """Whether the address holds a secret: user:password@host, a token as the name of an HTTP user, or a parameter of
    its query such as password, token or api_key."""
    return without_passwords(address) != address


def without_passwords(text: str) -> str:
    """An address, or a text with addresses in it, with `***` for every secret that `holds_password` knows."""
    return _PARAMETER.sub(_parameter, _CREDENTIALS.sub(_credentials, text))


def _credentials(found: re.Match[str]) -> str:
    scheme, user, password = found["scheme"], found["user"], found["password"]
    if user is None:
        is_token = scheme.lower().rpartition("+")[2] in ("http", "https")  # others name a user, as git@host does
        return f"{scheme}://{HIDDEN}@" if is_token else found[0]
    return f"{scheme}://{HIDDEN}@" if password in _NO_PASSWORDS else f"{scheme}://{user}:{HIDDEN}@"


def _parameter(found: re.Match[str]) -> str:
    return f"{found['start']}={HIDDEN}" if _SECRET.search(found["start"]) else found[0]
