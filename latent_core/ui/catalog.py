"""The playground's models: a base and its dual, and what the store has trained; loaded when they are chosen."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import MappingProxyType

from latent_core.atomic import atomic_folder
from latent_core.dual.storage import FILE_NAME
from latent_core.errors import InputError
from latent_core.models.source import cache_dir, model_in, open_model
from latent_core.store import ArtifactStore, DamagedError
from latent_core.ui.playground import Player

logger = logging.getLogger("latent")
_LOADED = 3  # models held in memory: a pair, and the one chosen next


class Kind(StrEnum):
    """Which column of the playground a model is for."""

    STANDARD = "standard"
    DUAL = "dual"


@dataclass(frozen=True)
class Offer:
    """A model that can be chosen; `locate` finds or makes its directory, which may take a while."""

    name: str
    kind: Kind
    remark: str
    locate: Callable[[], Path]


@dataclass(frozen=True)
class KnownName:
    """What people call a model of the store; `is_champion` where somebody made it the champion of its name."""

    words: str
    is_champion: bool = False


_NO_NAMES: Mapping[str, KnownName] = MappingProxyType({})


class ModelCatalog:
    """Offers models by name, and keeps the last few in memory. Usable from many threads."""

    def __init__(self, offers: Callable[[], Sequence[Offer]]) -> None:
        self._offers = offers
        self._loaded: OrderedDict[str, Player] = OrderedDict()
        self._lock = threading.Lock()

    def names(self, kind: Kind) -> list[str]:
        """What there is at the moment, the best first."""
        return [offer.name for offer in self._offers() if offer.kind is kind]

    def player(self, name: str) -> Player:
        """The model of that name, loaded. Raises InputError when there is none."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = _load(self._offer(name))
                while len(self._loaded) > _LOADED:
                    self._loaded.popitem(last=False)  # whoever still plays it keeps it until they are done
            self._loaded.move_to_end(name)
            return self._loaded[name]

    def _offer(self, name: str) -> Offer:
        for offer in self._offers():
            if offer.name == name:
                return offer
        raise InputError(f"model: {name!r} is not on offer any more; reload the page and choose again")


def base_offers(name: str, directory: Path) -> list[Offer]:
    """A base model, and its dual, which is built in the cache when it is first played."""
    untrained = "Not trained on ratios: it was never told what the ratio in the prompt means."
    built = (
        "Built on the fly from the model beside it and not trained: its latent rows are still copies, so it reasons "
    )
    built += "as its base does, in latent ids."
    return [
        Offer(name, Kind.STANDARD, untrained, lambda: directory),
        Offer(f"dual of {name}", Kind.DUAL, built, partial(_dual_of, directory)),
    ]


def stored_offers(
    store: ArtifactStore, stages: Sequence[str], names: Mapping[str, KnownName] = _NO_NAMES
) -> list[Offer]:
    """The models among a store's artifacts of `stages`, champions before others, the newest first.

    `names` is by fingerprint; a model without one is called by its kind and date. Damaged models are left out.
    """
    found = []
    for ref in store.list():
        if ref.stage not in stages:
            continue
        try:
            artifact = store.require(ref)
        except FileNotFoundError:  # removed in this moment
            continue
        except DamagedError as error:
            logger.warning("not offered: %s", error)
            continue
        started = float(artifact.manifest.record["started"])
        is_dual = any(item.path.endswith(f"/{FILE_NAME}") for item in artifact.manifest.content.files)
        kind = Kind.DUAL if is_dual else Kind.STANDARD
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(started))
        known = names.get(ref.fingerprint)
        words = f"{kind} of {made}" if known is None else known.words
        name = f"{words} ({ref.stage}/{ref.fingerprint[:8]})"
        remark = f"From the store, {made}, {ref}."
        rank = (known is None or not known.is_champion, -started)
        found.append((rank, Offer(name, kind, remark, partial(model_in, artifact))))
    return [offer for _, offer in sorted(found, key=lambda item: item[0])]


def _load(offer: Offer) -> Player:
    from latent_core.generate.transformers_engine import TransformersEngine
    from latent_core.models.readable import ReadableModel

    directory = offer.locate()
    return Player(offer.name, offer.remark, ReadableModel.load(directory), TransformersEngine(directory))


def _dual_of(base: Path) -> Path:
    """The dual model of a base, in the cache by the base's content; think tokens are added where it has none."""
    from latent_core.dual.build import build_dual

    target = cache_dir() / "demo_duals" / open_model(str(base)).fingerprint
    if not target.is_dir():
        with atomic_folder(target) as folder:
            build_dual(base, folder, think_missing="add")
    return target
