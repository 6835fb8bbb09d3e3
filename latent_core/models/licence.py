"""Under which licence a model may be passed on, as far as its files tell."""

from __future__ import annotations

from pathlib import Path

from latent_core.models.source import EMBEDDED

_PACKAGED = {**dict.fromkeys(EMBEDDED, "apache-2.0"), "smollm2": "apache-2.0"}
_TEXTS = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")


def licence_of(spec: str, directory: Path | None) -> str | None:
    """The Hub's identifier of a model's licence: that of a packaged model, else of its card; None where none tells."""
    if spec in _PACKAGED:
        return _PACKAGED[spec]
    card = None if directory is None else directory / "README.md"
    if card is None or not card.is_file():
        return None
    from huggingface_hub.repocard import metadata_load

    try:
        found = (metadata_load(card) or {}).get("license")
    except ValueError:  # a page without metadata, or with some that cannot be read
        return None
    return found if isinstance(found, str) and found else None


def licence_files(directory: Path) -> list[Path]:
    """Texts that have to go with a model: its licence, notices, and rules of use."""
    return sorted(path for path in directory.iterdir() if path.is_file() and path.stem.upper() in _TEXTS)
