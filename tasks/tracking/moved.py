"""A tracking database that lies in a checkout moves with it: the places that it names in full are put right.

MLflow writes the absolute address of every experiment's and run's files into its database. In a checkout that was moved
or copied they would be looked for, and new ones written, in the old place.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from latent_core.errors import InfrastructureError

logger = logging.getLogger("latent")
ARTIFACTS = "mlflow-artifacts"  # the folder of runs' files, beside the database
_OURS = ".latent"  # a database in a folder of this name belongs to the checkout above it
_PATIENCE = 60.0  # seconds that another process may hold the database
# What names a place: table, column, and which rows. The last two are tags of ours, which tell a path of the store.
_PLACES = (
    ("experiments", "artifact_location", "1"),
    ("runs", "artifact_uri", "1"),
    ("logged_models", "artifact_location", "1"),
    ("tags", "value", "key = 'artifact_uri'"),
    ("model_version_tags", "value", "key = 'store'"),
)


def embedded_database(uri: str) -> Path | None:
    """The file of a local SQLite database; None for a server, or a database elsewhere or in memory."""
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    if path in (uri, "", ":memory:"):
        return None
    return Path(path).absolute()


def artifacts_of(database: Path) -> str:
    """The address of the folder that holds the files of an embedded database's runs."""
    return database.with_name(ARTIFACTS).as_uri()


def put_right(database: Path) -> None:
    """Where the database was moved or copied, let what it says of its old place say the new one.

    What lies elsewhere is left as it is. Raises InfrastructureError where the database cannot be read or written.
    """
    if not database.is_file():
        return
    try:
        with closing(sqlite3.connect(database, timeout=_PATIENCE)) as connection:
            for there in list(_old_folders(connection, database.parent)):
                logger.info("tracking: %s was in %s before; its paths follow", database, there)
                with connection:
                    _rewrite(connection, *_roots(there, database.parent))
    except sqlite3.Error as error:
        raise InfrastructureError(f"tracking: {database} cannot be used ({error})") from error


def _old_folders(connection: sqlite3.Connection, here: Path) -> Iterator[Path]:
    """Other folders in which this database has lain, as its experiments know them."""
    if not _exists(connection, "experiments"):
        return
    for (location,) in connection.execute("SELECT DISTINCT artifact_location FROM experiments"):
        parts = urlsplit(location or "")
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or path.name != ARTIFACTS or path.parent == here:
            continue
        if not (path.parent.exists() and path.parent.samefile(here)):  # else only another name of the same folder
            yield path.parent


def _roots(old: Path, new: Path) -> tuple[Path, Path]:
    """What was moved: the checkout where both folders are its own, else only the database's folder."""
    return (old.parent, new.parent) if old.name == new.name == _OURS else (old, new)


def _rewrite(connection: sqlite3.Connection, old: Path, new: Path) -> None:
    for table, column, rows in _PLACES:
        if not _exists(connection, table):
            continue
        for before, after in ((old.as_uri(), new.as_uri()), (str(old), str(new))):
            within = f"substr({column} || '/', 1, ?) = ?"
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {rows} AND {within} AND NOT {within}",
                (after, len(before) + 1, len(before) + 1, f"{before}/", len(after) + 1, f"{after}/"),
            )


def _exists(connection: sqlite3.Connection, table: str) -> bool:
    wanted = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(wanted, (table,)).fetchone() is not None
