"""The way to MLflow: where runs go, a client that does not hang, and what its errors are called here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from latent_core.addresses import without_passwords
from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InfrastructureError
from latent_core.locked import locked
from tasks.tracking.moved import artifacts_of, embedded_database, put_right

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

# MLflow's own defaults hang for minutes on a dead server, for as long as one that is busy says (Retry-After), and print
# two lines for each run. A call that fails is tried three times within some three seconds.
_CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_LONGEST_REASON = 160  # characters of an error that are worth a page's place


def tracking_uri(config: TrackingConfig) -> str:
    """Where runs go: the configured URI, MLFLOW_TRACKING_URI, or a local SQLite file."""
    return config.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('.latent').absolute()}/mlflow.db"


def holds_nothing(config: TrackingConfig) -> bool:
    """Whether runs would go to an embedded database that does not exist yet, so that reading it need not make it."""
    database = embedded_database(tracking_uri(config))
    return database is not None and not database.exists()


def connect(config: TrackingConfig) -> Any:
    """An MLflow client. An embedded database is made if there is none, and follows the checkout that it lies in."""
    for name, value in _CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    uri = tracking_uri(config)
    database = embedded_database(uri)
    if database is None:
        return MlflowClient(uri)
    with _alone_with(database):
        put_right(database)
        return MlflowClient(uri)  # makes the tables of a new database


def _alone_with(database: Path) -> AbstractContextManager[object]:
    """Two runs that begin together would both make the tables, and one would fail over what the other has made."""
    lock, held = database.with_name(f".{database.name}.lock"), ExitStack()
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        # Where it cannot be written another user has made it, or the database is only read.
        if os.access(lock if lock.exists() else lock.parent, os.W_OK):
            held.enter_context(locked(lock))
    except OSError as error:
        raise InfrastructureError(f"tracking: {database} cannot be used ({error})") from error
    return held


def open_client(config: TrackingConfig) -> tuple[Any, str]:
    """An MLflow client and the id of the configured experiment, created if there is none."""
    from mlflow.exceptions import MlflowException

    client = connect(config)
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is not None:
        return client, experiment.experiment_id
    database = embedded_database(tracking_uri(config))
    location = None if database is None else artifacts_of(database)
    try:
        return client, client.create_experiment(config.experiment, artifact_location=location)
    except MlflowException as error:
        experiment = client.get_experiment_by_name(config.experiment)
        if not exists_already(error) or experiment is None:
            raise
        return client, experiment.experiment_id  # another run made it just now


def exists_already(error: MlflowException) -> bool:
    """Whether MLflow made nothing because somebody else made it first."""
    return bool(error.error_code == "RESOURCE_ALREADY_EXISTS")


@contextmanager
def answering(config: TrackingConfig) -> Iterator[None]:
    """Raise InfrastructureError where the tracking server, or its database, does not do its work."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        where = without_passwords(tracking_uri(config))
        raise InfrastructureError(f"tracking: {where} does not do its work ({one_line(error)})") from error


def one_line(error: Exception | str) -> str:
    """What went wrong, short enough for a page and without passwords."""
    return shorten(without_passwords(str(error)), _LONGEST_REASON, placeholder=" …")
