"""The arms of a comparison: what each is trained on and from, and which other arms it must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.parts.sharded import dropped_at_random
from latent_core.config.compare import CompareConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig, Unit
from latent_core.config.tokenskip import Variant
from latent_core.evaluation.arm_comparisons import Pair
from tasks.compare_arms import ComparisonFamily

# Every latent arm is compared with both: with as many parameters that learn, and with the plain model.
LATENT_CONTROLS = (Variant.STANDARD_ROWS, Variant.STANDARD)
_RULES = ("keep_numbers", "keep_operators", "keep_latex_commands", "keep_value", "drop_consecutive")


@dataclass(frozen=True)
class TrainedArm:
    """One arm: a variant of the main job, trained on the texts of one compressor."""

    name: str
    variant: Variant
    compress: CompressConfig

    @property
    def drops_at_random(self) -> bool:
        return self.compress.model.partition(":")[0] == "random"


def latent_arms(cfg: CompareConfig) -> list[TrainedArm]:
    """Every variant, on the texts of the first compressor by the first unit; random_drop on its own."""
    compress = cfg.compress.model_copy(update={"model": cfg.compressors[0], "unit": cfg.units[0]})
    texts = {Variant.RANDOM_DROP: dropped_at_random(compress)}
    return [TrainedArm(variant.value, variant, texts.get(variant, compress)) for variant in cfg.latent_arms]


def compressor_arms(cfg: CompareConfig) -> list[TrainedArm]:
    """The standard variant on the texts of every compressor by every unit."""
    names = compressor_names(cfg.compressors)
    return [
        TrainedArm(f"{names[spec]} {unit}", Variant.STANDARD, _compressing(cfg, spec, unit))
        for spec in cfg.compressors
        for unit in cfg.units
    ]


def compressor_names(specs: Sequence[str]) -> dict[str, str]:
    """What each compressor is called in results, e.g. lm_surprisal; the whole of it where two are called alike."""
    short = {spec: spec.partition(":")[0].rstrip("/").rpartition("/")[2] for spec in specs}
    alike = [name for name in short.values() if list(short.values()).count(name) > 1]
    return {spec: spec.replace("/", "_") if name in alike else name for spec, name in short.items()}


def families(latent: Sequence[TrainedArm], compressors: Sequence[TrainedArm]) -> tuple[ComparisonFamily, ...]:
    """Who is compared with whom: each family's p-values are corrected together.

    Compressors meet those that drop at random by the same unit; spans meet words of the same compressor.
    """
    names = [arm.name for arm in latent]
    controls = [control for control in LATENT_CONTROLS if control in names]
    pairs = [Pair(name, control) for control in controls for name in names if name not in LATENT_CONTROLS]
    if len(controls) == len(LATENT_CONTROLS):
        pairs.append(Pair(*LATENT_CONTROLS))
    scored = [
        Pair(arm.name, other.name)
        for arm in compressors
        for other in compressors
        if other.drops_at_random and not arm.drops_at_random and arm.compress.unit is other.compress.unit
    ]
    by_span = [
        Pair(arm.name, other.name)
        for arm in compressors
        for other in compressors
        if arm.compress.model == other.compress.model
        and (arm.compress.unit, other.compress.unit) == (Unit.SPAN, Unit.WORD)
    ]
    found = [("Latent arms", pairs), ("Compressors", [*scored, *by_span])]
    return tuple(ComparisonFamily(title=title, pairs=tuple(members)) for title, members in found if members)


def _compressing(cfg: CompareConfig, spec: str, unit: Unit) -> CompressConfig:
    changes = {"model": spec, "unit": unit}
    if cfg.keep_rules:
        return cfg.compress.model_copy(update=changes)
    scoring = ScoreWordsConfig(max_cot_tokens=cfg.compress.scoring.max_cot_tokens, spans=cfg.compress.scoring.spans)
    return cfg.compress.model_copy(update=changes | dict.fromkeys(_RULES, False) | {"scoring": scoring})
