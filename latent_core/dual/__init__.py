"""The dual vocabulary: every visible token may have a latent twin that only reasoning uses."""

from latent_core.dual.build import BuildReport, build_dual
from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.dual.remap import OutsidePolicy, RemapCounts, RemapOutcome, remap_row
from latent_core.dual.verify import VerifyReport, verify_dual
from latent_core.dual.vocabulary import DualVocabulary

__all__ = [
    "BuildReport",
    "DualVocabulary",
    "OutsidePolicy",
    "Phase",
    "PhaseMachine",
    "RemapCounts",
    "RemapOutcome",
    "VerifyReport",
    "build_dual",
    "remap_row",
    "verify_dual",
]
