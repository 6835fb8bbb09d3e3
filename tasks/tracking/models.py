"""Models by where they are kept: outside, in the store, or under a name in MLflow's model registry.

A registered version points at an artifact of the store; nothing is copied into MLflow. Runs register what they train
under the name that their configuration gives (tracking.register_as), and none makes a champion: that is a decision
(`latent track champion`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from latent_core.addresses import without_passwords
from latent_core.config.chat import DEFAULT_CHAT, ChatConfig
from latent_core.config.runtime import MODEL_NAME, TrackingConfig
from latent_core.errors import InputError
from latent_core.models.chat import check_settings, open_chat_model
from latent_core.models.source import MODEL_STAGES, model_in
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.inputs import Model, ModelInput
from tasks.tracking.client import answering, connect, exists_already, holds_nothing, tracking_uri
from tasks.tracking.journal import Journal, JournalModel, promotions
from tasks.tracking.stage_runs import whole_run
from tasks.tracking.version_text import VersionText, version_text

logger = logging.getLogger("latent")
CHAMPION = "champion"
_REGISTERED = re.compile(rf"models:/(?P<name>{MODEL_NAME})(?:@(?P<alias>[^@/]+)|/(?P<version>\d+))")
_ADDRESS = re.compile(rf"({'|'.join(MODEL_STAGES)})/[^/]+")
_UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # what MLflow says of a name, a number and an alias


class FoundModel(NamedTuple):
    """A model, and in words which one it is at the moment: its version in the registry, its address in the store."""

    parent: Model
    words: str


def find_version(
    spec: str, store: ArtifactStore, tracking: TrackingConfig, chat: ChatConfig = DEFAULT_CHAT
) -> FoundModel:
    """As `find_model`, with the version that an alias stands for now."""
    registered = _REGISTERED.fullmatch(spec)
    if registered is None:
        parent = find_model(spec, store, tracking, chat)
        return FoundModel(parent, str(parent) if isinstance(parent, ArtifactRef) else spec)
    ref, version = _from_registry(registered, store, tracking)
    return FoundModel(_kept(ref, store, chat), f"version {version} ({ref})")


def find_model(
    spec: str, store: ArtifactStore, tracking: TrackingConfig, chat: ChatConfig = DEFAULT_CHAT, field: str = "model"
) -> Model:
    """The model that `spec` names, as a stage's input.

    `models:/NAME@ALIAS` and `models:/NAME/VERSION` are looked up in MLflow's registry, `train/FINGERPRINT` or
    `grpo/FINGERPRINT` (which may be shortened while it stays unique) in the store; anything else as `open_model` does.
    `chat` says how the conversations of a model from outside are read; one of the store keeps what it was trained with.
    Raises InputError naming the `field`, and InfrastructureError when the registry does not answer.
    """
    if spec.startswith("models:/"):
        return _kept(find_registered(spec, store, tracking, field), store, chat)
    if _ADDRESS.fullmatch(spec) and not Path(spec).is_dir():
        return _kept(store.find(spec, field), store, chat)
    return ModelInput.find(spec, field, chat=chat)


def find_registered(spec: str, store: ArtifactStore, tracking: TrackingConfig, field: str = "model") -> ArtifactRef:
    """Where the version lies that `models:/NAME@ALIAS` or `models:/NAME/VERSION` names. Raises as `find_model` does."""
    registered = _REGISTERED.fullmatch(spec)
    if registered is None:
        raise InputError(f"{field}: {spec!r} is not of the form models:/NAME@ALIAS or models:/NAME/VERSION")
    return _from_registry(registered, store, tracking)[0]


def model_directory(
    spec: str, store: ArtifactStore, tracking: TrackingConfig | None = None, chat: ChatConfig = DEFAULT_CHAT
) -> Path:
    """The local directory of the model that `spec` names, as `find_model` finds it. Raises InputError likewise."""
    found = find_model(spec, store, tracking or TrackingConfig(), chat)
    if isinstance(found, ArtifactRef):
        return model_in(store.require(found))
    return open_chat_model(spec, chat).directory


def _kept(ref: ArtifactRef, store: ArtifactStore, chat: ChatConfig) -> ArtifactRef:
    if chat != DEFAULT_CHAT:
        check_settings(store.require(ref), chat)
    return ref


def _from_registry(wanted: re.Match[str], store: ArtifactStore, tracking: TrackingConfig) -> tuple[ArtifactRef, str]:
    """Where a registered version lies, and its number. A database that is not there yet is not made to be asked."""
    if holds_nothing(tracking):
        lack = _unknown_name(wanted["name"], tracking_uri(tracking))
        raise InputError(f"model: {wanted[0]} {lack}")
    with answering(tracking):
        version = version_of(connect(tracking), wanted["name"], wanted["version"] or wanted["alias"])
    return in_store(version, store), str(version.version)


def version_of(client: Any, name: str, version: str) -> Any:
    """MLflow's version of a model by its number or alias; raises InputError saying which there are instead."""
    from mlflow.exceptions import MlflowException

    try:
        if version.isdigit():
            return client.get_model_version(name, version)
        return client.get_model_version_by_alias(name, version)
    except MlflowException as error:
        if error.error_code not in _UNKNOWN:
            raise
        where = _registry_at(client.tracking_uri)
        spec = f"models:/{name}/{version}" if version.isdigit() else f"models:/{name}@{version}"
        if not versions(client, name):
            lack = _unknown_name(name, client.tracking_uri)
        elif version == CHAMPION:
            lack = (
                f"names no version in {where} yet: `latent models {name}`, then `latent track champion {name} VERSION`"
            )
        else:
            lack = f"is not in {where}; `latent models {name}` lists its versions and aliases"
        raise InputError(f"model: {spec} {lack}") from error


def _registry_at(uri: str) -> str:
    return f"the MLflow registry at {without_passwords(uri)}"


def _unknown_name(name: str, uri: str) -> str:
    lack = f"no run registered a model as {name} (tracking.register_as); see `latent models`"
    return f"is not in {_registry_at(uri)}: {lack}"


def versions(client: Any, name: str, fingerprint: str = "") -> list[Any]:
    """The versions of a registered model, oldest first; with `fingerprint` those of this artifact."""
    wanted = f"name = '{name}'" + (f" AND tags.fingerprint = '{fingerprint}'" if fingerprint else "")
    found: list[Any] = []
    token = None
    while token != "":
        page = client.search_model_versions(wanted, page_token=token)
        found += page
        token = page.token or ""
    return sorted(found, key=lambda version: int(version.version))


def in_store(version: Any, store: ArtifactStore) -> ArtifactRef:
    """Where a version's artifact lies in `store`; raises InputError, naming the store that it was registered from.

    An artifact is what its fingerprint says wherever the store lies, so a store that was moved or copied serves too.
    """
    tags, spec = version.tags, f"models:/{version.name}/{version.version}"
    if not {"stage", "fingerprint", "store"} <= set(tags):
        raise InputError(f"model: {spec} was not registered by a run of this project; give its directory instead")
    ref = ArtifactRef(tags["stage"], tags["fingerprint"])
    if tags["store"] != store.root and store.get(ref.stage, ref.fingerprint) is None:
        raise InputError(f"model: {spec} lies in the store {tags['store']}, not in {store.root}; set store to it")
    return ref


def register(
    client: Any,
    name: str,
    ref: ArtifactRef,
    store: ArtifactStore,
    variant: str,
    text: VersionText | None = None,
    run_id: str | None = None,
) -> str:
    """Make the trained model at `ref` a version of `name` unless it is one; returns the version.

    The variant (standard, dual) becomes an alias of its newest version. `text` is what else is said of it, `run_id` the
    MLflow run of its training, which a version that exists already cannot be given any more.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if not exists_already(error):
            raise
    known = versions(client, name, ref.fingerprint)
    if known:
        version = str(known[0].version)
        _tell(client, known[0], text)
    else:
        tags = {"stage": ref.stage, "fingerprint": ref.fingerprint, "store": store.root, "variant": variant}
        said = {} if text is None else {"description": text.description}
        tags |= {} if text is None else text.tags
        made = client.create_model_version(name, source=_source(ref, store), run_id=run_id, tags=tags, **said)
        version = str(made.version)
    client.set_registered_model_alias(name, variant, version)
    return version


def _tell(client: Any, version: Any, text: VersionText | None) -> None:
    """Add what a later run knows of a version; a description that somebody wrote stays."""
    if text is None:
        return
    for name, value in text.tags.items():
        if version.tags.get(name) != value:
            client.set_model_version_tag(version.name, version.version, name, value)
    if not version.description:
        client.update_model_version(version.name, version.version, description=text.description)


def _source(ref: ArtifactRef, store: ArtifactStore) -> str:
    """Where a version's files are. An MLflow server refuses paths of a disk, which the version's tags tell instead."""
    uri = store.uri(ref)
    return uri if "://" in uri and not uri.startswith("file:") else f"latent://{ref.key}"


def set_champion(config: TrackingConfig, name: str, version: str) -> str:
    """Point the alias `champion` of a registered model at a version, named by number or alias; returns its number."""
    with answering(config):
        client = connect(config)
        number = str(version_of(client, name, version).version)
        client.set_registered_model_alias(name, CHAMPION, number)
    return number


def sync_registry(store: ArtifactStore, client: Any, experiment_id: str, written: Sequence[Journal]) -> int:
    """Register, in the order of the runs, what the registry lacks; returns how many versions that were.

    The aliases of a model that lacked a version become what the runs left, and its champion, where it has none, what
    was made one last; others stay as they are.
    """
    lacking: set[str] = set()
    count = 0
    last: dict[tuple[str, str], JournalModel] = {}
    for journal, model in ((each, model) for each in written for model in each.models):
        known = versions(client, model.name, model.fingerprint)
        found = None if known else store.get(model.stage, model.fingerprint)
        if not known and (found is None or found.problems()):
            logger.warning("%s/%s is gone or damaged and was not registered", model.stage, model.fingerprint[:12])
            continue
        last[model.name, model.variant] = model
        if not known:
            ref = ArtifactRef(model.stage, model.fingerprint)
            text = version_text(journal, ref, model.variant, store)
            register(client, model.name, ref, store, model.variant, text, whole_run(client, experiment_id, ref))
            lacking.add(model.name)
            count += 1
    for (name, variant), model in last.items():
        if name in lacking:
            register(client, name, ArtifactRef(model.stage, model.fingerprint), store, variant)
    champions = {promotion.name: promotion for promotion in promotions(store)}
    for name, promotion in champions.items():
        known = versions(client, name, promotion.fingerprint)
        if known and CHAMPION not in client.get_registered_model(name).aliases:
            client.set_registered_model_alias(name, CHAMPION, str(known[0].version))
    return count
