"""A model together with how its conversations are read: what `ChatConfig` says travels in its directory.

Whatever renders a prompt or reads a completion gets a model's directory, and finds the settings there; a model trained
from it takes them along. Directories from outside are not written to: where the settings are not the default, the model
is read through a directory of links in the cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_core.atomic import atomic_file, atomic_folder
from latent_core.config.chat import DEFAULT_CHAT, ChatConfig
from latent_core.errors import InputError
from latent_core.identity import canonical_json, fingerprint
from latent_core.models.family import SETTINGS_FILE, chat_family, load_tokenizer, open_family, settings_in
from latent_core.models.source import Adapter, ModelSource, cache_dir, find_adapter, merged, open_model
from latent_core.think_marks import THINK_PAIRS

if TYPE_CHECKING:
    from latent_core.store import Artifact

READING_VERSION = 1  # raised when families are read otherwise, so that none is remembered wrongly


def open_chat_model(spec: str, chat: ChatConfig = DEFAULT_CHAT, field: str = "model") -> ModelSource:
    """Find a model as `open_model` does, and read its conversations as `chat` wants.

    The identity is that of its content, with what reading it adds (`ChatFamily.identity`). Raises InputError for
    settings that contradict the chat template, or those that a trained model carries.
    """
    adapter = find_chat_adapter(spec, chat, field)
    return _as_read(open_model(spec, field), chat) if adapter is None else merged(spec, adapter)


def chat_model_fingerprint(spec: str, chat: ChatConfig = DEFAULT_CHAT, field: str = "model") -> str:
    """The identity of `open_chat_model`; it merges no adapter to say so."""
    adapter = find_chat_adapter(spec, chat, field)
    return _as_read(open_model(spec, field), chat).fingerprint if adapter is None else adapter.fingerprint


def find_chat_adapter(spec: str, chat: ChatConfig = DEFAULT_CHAT, field: str = "model") -> Adapter | None:
    """The adapter in the directory `spec` on a base that is read as `chat` wants; None where there is none."""
    return find_adapter(spec, field, lambda base, name: _as_read(open_model(base, name), chat))


def check_settings(artifact: Artifact, chat: ChatConfig) -> None:
    """Raise InputError where `chat` asks for what a model of the store was not trained with."""
    names = [item.path for item in artifact.manifest.content.files if item.path.endswith(f"model/{SETTINGS_FILE}")]
    own = DEFAULT_CHAT
    if names:
        own = settings_in(artifact.directory(names[0].removesuffix(f"/{SETTINGS_FILE}")))
    _combined(str(artifact.ref), own, chat)


def check_dual(spec: str, chat: ChatConfig = DEFAULT_CHAT) -> None:
    """Raise InputError where a dual model built from this one could not be started inside its reasoning."""
    source = open_model(spec) if (adapter := find_chat_adapter(spec, chat)) is None else adapter.base
    if not _has_template(source.directory):
        return
    memo = _memo(source, chat, "chat_reading_of_dual")
    if memo.is_file():
        return
    tokenizer = load_tokenizer(source.directory)
    tokenizer.add_tokens(list(THINK_PAIRS[0]))  # as the build does where there are none (dual.think_missing)
    own = settings_in(source.directory) if chat == DEFAULT_CHAT else chat
    chat_family(tokenizer, own, is_dual=True)
    _remember(memo, {})


def _combined(spec: str, own: ChatConfig, chat: ChatConfig) -> ChatConfig:
    """A model's own settings, or `chat` for one that has none."""
    if chat in (DEFAULT_CHAT, own):
        return own
    for name in ChatConfig.model_fields:
        wanted, has = getattr(chat, name), getattr(own, name)
        if wanted != has:
            raise InputError(f"chat.{name}: is {wanted}, but {spec} was trained with {has}; leave it out")
    return own


def _as_read(source: ModelSource, chat: ChatConfig) -> ModelSource:
    if (source.directory / SETTINGS_FILE).is_file():
        chat = _combined(source.spec, settings_in(source.directory), chat)
    if not _has_template(source.directory):  # a token classifier, or a model that is told so where it is asked
        return source
    identity, chat = _effective(source, chat)
    if identity:
        parents = {"model": source.fingerprint}
        source = ModelSource(source.spec, source.directory, fingerprint("chat_model", 1, identity, parents))
    if chat == DEFAULT_CHAT or (source.directory / SETTINGS_FILE).is_file():
        return source
    return ModelSource(source.spec, _linked(source, chat), source.fingerprint)


def _effective(source: ModelSource, chat: ChatConfig) -> tuple[Mapping[str, Any], ChatConfig]:
    """What reading the model adds to its identity, and the settings without those that change nothing."""
    identity = _remembered_identity(source, chat)
    for name, field in ChatConfig.model_fields.items():
        plainer = chat.model_copy(update={name: field.default})
        if plainer != chat and _is_refused_or_other(source, plainer, identity):
            continue
        chat = plainer
    return identity, chat


def _is_refused_or_other(source: ModelSource, chat: ChatConfig, identity: Mapping[str, Any]) -> bool:
    try:
        return _remembered_identity(source, chat) != identity
    except InputError:
        return True


def _has_template(directory: Path) -> bool:
    if (directory / "chat_template.jinja").is_file():
        return True
    path = directory / "tokenizer_config.json"
    return path.is_file() and '"chat_template"' in path.read_text(encoding="utf-8", errors="replace")


def _remembered_identity(source: ModelSource, chat: ChatConfig) -> Mapping[str, Any]:
    """What reading a model adds to its identity; remembered by content, since it takes loading the tokenizer."""
    memo = _memo(source, chat, "chat_reading")
    with suppress(FileNotFoundError, ValueError):  # a memo that is not whole is as good as none
        known: dict[str, Any] = json.loads(memo.read_text(encoding="utf-8"))
        return known
    _, family = open_family(source.directory, chat)
    identity = family.identity()
    _remember(memo, identity)
    return identity


def _memo(source: ModelSource, chat: ChatConfig, what: str) -> Path:
    key = fingerprint(what, READING_VERSION, {"chat": chat}, {"model": source.fingerprint})
    return cache_dir() / "chat_readings" / f"{key}.json"


def _remember(memo: Path, identity: Mapping[str, Any]) -> None:
    with suppress(OSError):  # a home that cannot be written costs time, not the run
        memo.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(memo) as partial:
            partial.write_text(canonical_json(identity), encoding="utf-8")


def _linked(source: ModelSource, chat: ChatConfig) -> Path:
    """A directory of links to a model's files, with the settings beside them."""
    place = {"directory": str(source.directory.absolute()), "chat": chat}
    names = sorted(path.name for path in source.directory.iterdir())
    target = cache_dir() / "chat_models" / fingerprint("chat_directory", 1, place | {"files": names}, {})
    if target.is_dir():
        return target
    with atomic_folder(target) as folder:
        for name in names:
            (folder / name).symlink_to((source.directory / name).absolute())
        (folder / SETTINGS_FILE).write_text(canonical_json(chat), encoding="utf-8")
    return target
