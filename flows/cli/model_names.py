"""What people call the models of a store: as MLflow's registry, the runs that registered them, and reports do."""

from __future__ import annotations

import logging

from latent_core.config.runtime import TrackingConfig
from latent_core.errors import InfrastructureError
from latent_core.store import ArtifactStore, Manifest
from latent_core.ui.catalog import KnownName
from tasks.report import write_report
from tasks.tracking.client import answering, connect
from tasks.tracking.journal import journals, promotions
from tasks.tracking.models import CHAMPION, versions
from tasks.tracking.versions import registered_names

logger = logging.getLogger("latent")
_TRAINED = ("train/", "grpo/")


def names_in(store: ArtifactStore, tracking: TrackingConfig | None = None) -> dict[str, KnownName]:
    """By fingerprint. A name of the registry goes before a run's, and that before a report's.

    Champions are those of the registry, and those made in this store where the registry is not asked or knows none.
    """
    found = _of_reports(store)
    champions = {promotion.name: promotion.fingerprint for promotion in promotions(store)}
    for journal in journals(store):
        for model in journal.models:
            words = f"{model.name}, {model.variant}"
            is_champion = champions.get(model.name) == model.fingerprint
            found[model.fingerprint] = KnownName(f"{words}, champion" if is_champion else words, is_champion)
    if tracking is not None:
        try:
            found |= _of_registry(tracking)
        except InfrastructureError as error:
            logger.warning("models are called as the store calls them: %s", error)
    return found


def _of_registry(tracking: TrackingConfig) -> dict[str, KnownName]:
    found = {}
    for name in registered_names(tracking):
        with answering(tracking):
            client = connect(tracking)
            aliases = client.get_registered_model(name).aliases
            known = versions(client, name)
        for version in known:
            if "fingerprint" not in version.tags:
                continue  # of another project
            number = str(version.version)
            own = [alias for alias, of in aliases.items() if str(of) == number]
            variant = [version.tags["variant"]] if "variant" in version.tags else []
            words = ", ".join(dict.fromkeys([f"{name} {number}", *variant, *sorted(own)]))
            found[version.tags["fingerprint"]] = KnownName(words, CHAMPION in own)
    return found


def _of_reports(store: ArtifactStore) -> dict[str, KnownName]:
    """The role in the newest report that a model was trained for, e.g. train/dual, and what the report is called."""
    reports = [manifest for _, manifest in store.committed(write_report.name) if isinstance(manifest, Manifest)]
    found = {}
    for manifest in sorted(reports, key=lambda manifest: float(manifest.record["started"])):
        title = manifest.content.identity.get("title", "")
        for role, parent in manifest.content.parents.items():
            if role.startswith(_TRAINED):
                found[parent.fingerprint] = KnownName(f"{role.partition('/')[2]} of {title}")
    return found
