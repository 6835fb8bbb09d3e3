"""The arms of a comparison: what each is trained on and from, and which other arms it must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latent_core.config.compare import CompareConfig
from latent_core.config.compress import CompressConfig
from latent_core.config.tokenskip import Variant
from latent_core.errors import InputError
from latent_core.evaluation.arm_comparisons import Pair
from tasks.compare_arms import ComparisonFamily

LATENT_CONTROLS = (Variant.STANDARD,)
RANDOM = "random"


@dataclass(frozen=True)
class TrainedArm:
    """One arm: a variant of the main job, trained on the texts of one compressor."""

    name: str
    variant: Variant
    compress: CompressConfig


def latent_arms(cfg: CompareConfig) -> list[TrainedArm]:
    """Every variant, on the texts of the first compressor."""
    compress = _compressing(cfg, cfg.compressors[0])
    return [TrainedArm(variant.value, variant, compress) for variant in cfg.latent_arms]


def compressor_arms(cfg: CompareConfig) -> list[TrainedArm]:
    """The standard variant on the texts of every compressor."""
    names = compressor_names(cfg.compressors)
    return [TrainedArm(names[spec], Variant.STANDARD, _compressing(cfg, spec)) for spec in cfg.compressors]


def compressor_names(specs: Sequence[str]) -> dict[str, str]:
    """What each compressor is called in results, e.g. lm_surprisal; the whole of it where two are called alike."""
    short = {spec: spec.partition(":")[0].rpartition("/")[2] for spec in specs}
    alike = [name for name in short.values() if list(short.values()).count(name) > 1]
    return {spec: spec.replace("/", "_") if name in alike else name for spec, name in short.items()}


def families(latent: Sequence[TrainedArm], compressors: Sequence[TrainedArm]) -> tuple[ComparisonFamily, ...]:
    """Who is compared with whom: each family's p-values are corrected together."""
    names = [arm.name for arm in latent]
    pairs = [
        Pair(name, control)
        for control in LATENT_CONTROLS
        if control in names
        for name in names
        if name != control and not (name in LATENT_CONTROLS and name < control)
    ]
    at_random = [arm.name for arm in compressors if arm.name.partition(" ")[0] == RANDOM]
    scored = [Pair(arm.name, control) for control in at_random for arm in compressors if arm.name != control]
    found = [("Latent arms", pairs), ("Compressors", scored)]
    return tuple(ComparisonFamily(title=title, pairs=tuple(members)) for title, members in found if members)


def check_names(arms: Sequence[TrainedArm]) -> None:
    """Raise InputError where two arms have one name, so that one would be lost."""
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"compressors: two arms are called {name!r}; name other compressors")


def _compressing(cfg: CompareConfig, spec: str) -> CompressConfig:
    return cfg.compress.model_copy(update={"model": spec})
