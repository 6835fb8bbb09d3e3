"""Content-addressed artifacts: manifest, streaming Parquet, verification."""

from latent_core.store.garbage import Garbage, collect_garbage, find_garbage
from latent_core.store.layout import ArtifactRef
from latent_core.store.manifest import DamagedError, Manifest
from latent_core.store.reference import Reference
from latent_core.store.store import Artifact, ArtifactStore, Verification
from latent_core.store.writer import ArtifactWriter, TableWriter, begin

__all__ = [
    "Artifact",
    "ArtifactRef",
    "ArtifactStore",
    "ArtifactWriter",
    "DamagedError",
    "Garbage",
    "Manifest",
    "Reference",
    "TableWriter",
    "Verification",
    "begin",
    "collect_garbage",
    "find_garbage",
]
