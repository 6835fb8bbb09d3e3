"""The arms of a comparison: what each is trained on and from, and which others it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.parts.sharded import dropped_at_random
from latent_core.config.compare import CompareConfig
from latent_core.config.compress import CompressConfig, ScoreWordsConfig, Unit
from latent_core.config.tokenskip import Variant
from latent_core.config.training import TrainConfig
from latent_core.evaluation.arm_comparisons import Pair
from tasks.compare_arms import ComparisonFamily

# What the dual model is compared with, and how each differs from it.
DUAL_CONTROLS = {
    Variant.STANDARD: "one vocabulary",
    Variant.STANDARD_ROWS: "one vocabulary, and as many parameters that learn",
    Variant.DUAL_FROZEN: "latent rows that stay copies",
    Variant.DUAL_PERMUTED: "latent rows that start as other tokens' rows",
    Variant.DUAL_PHASE: "its loss over the ids alone that the phase allows",
}
_RULES = ("keep_numbers", "keep_operators", "keep_latex_commands", "keep_value", "drop_consecutive")


@dataclass(frozen=True)
class TrainedArm:
    """One arm: a variant of the main job, trained on the texts of one compressor, and the ratios it is asked for."""

    name: str
    variant: Variant
    compress: CompressConfig
    train: TrainConfig
    ratios: tuple[float, ...]


def latent_arms(cfg: CompareConfig) -> list[TrainedArm]:
    """Every variant, on the texts of the first compressor by the first unit; random_drop on its own."""
    compress = cfg.compress.model_copy(update={"model": cfg.compressors[0], "unit": cfg.units[0]})
    texts = {Variant.RANDOM_DROP: dropped_at_random(compress)}
    return [
        TrainedArm(variant.value, variant, texts.get(variant, compress), cfg.train, cfg.evaluate.ratios)
        for variant in cfg.latent_arms
    ]


def compressor_arms(cfg: CompareConfig) -> list[TrainedArm]:
    """The standard variant on the texts of every compressor by every unit."""
    names = compressor_names(cfg.compressors)
    settings, steps = cfg.train, cfg.compressor_steps
    if steps is not None:
        settings = settings.model_copy(update={"steps": steps, "eval_every": min(steps, settings.eval_every)})
    ratios = cfg.evaluate.ratios if cfg.compressor_ratios is None else cfg.compressor_ratios
    return [
        TrainedArm(f"{names[spec]} {unit}", Variant.STANDARD, _compressing(cfg, spec, unit), settings, ratios)
        for spec in cfg.compressors
        for unit in cfg.units
    ]


def compressor_names(specs: Sequence[str]) -> dict[str, str]:
    """What each compressor is called in results, e.g. lm_surprisal; the whole of it where two are called alike."""
    short = {spec: spec.partition(":")[0].rstrip("/").rpartition("/")[2] for spec in specs}
    alike = [name for name in short.values() if list(short.values()).count(name) > 1]
    return {spec: spec.replace("/", "_") if name in alike else name for spec, name in short.items()}


def families(latent: Sequence[TrainedArm], compressors: Sequence[TrainedArm]) -> tuple[ComparisonFamily, ...]:
    """Who is compared with whom: each family answers one question, and its p-values are corrected together."""
    found = [_against_controls(latent), _against_plain(latent), _of_compressors(compressors)]
    return tuple(family for family in found if family is not None)


def _against_controls(arms: Sequence[TrainedArm]) -> ComparisonFamily | None:
    there = [arm.variant for arm in arms]
    controls = [control for control in DUAL_CONTROLS if Variant.DUAL in there and control in there]
    differences = "; ".join(f"{control.value} ({DUAL_CONTROLS[control]})" for control in controls)
    question = (
        f"Does a second vocabulary for reasoning help, and what of it does? The dual model against {differences}."
    )
    pairs = [Pair(Variant.DUAL.value, control.value) for control in controls]
    return _family("Dual against its controls", question, pairs)


def _against_plain(arms: Sequence[TrainedArm]) -> ComparisonFamily | None:
    plain = Variant.STANDARD
    others = [arm.name for arm in arms if arm.variant not in (plain, Variant.DUAL)]
    pairs = [Pair(name, plain.value) for name in others if plain in [arm.variant for arm in arms]]
    question = "What does each of them change by itself? All against the standard model."
    return _family("Other latent arms", question, pairs)


def _family(title: str, question: str, pairs: Sequence[Pair]) -> ComparisonFamily | None:
    return ComparisonFamily(title=title, question=question, pairs=tuple(pairs)) if pairs else None


def _of_compressors(arms: Sequence[TrainedArm]) -> ComparisonFamily | None:
    """Every arm against the default compressor's words, or the first arm where that is none; spans against words of the
    same compressor."""
    default = CompressConfig.model_fields["model"].default
    words = (arm for arm in arms if arm.compress.model == default and arm.compress.unit is Unit.WORD)
    reference = next(words, arms[0])
    pairs = [Pair(arm.name, reference.name) for arm in arms if arm is not reference]
    pairs += [
        Pair(arm.name, other.name)
        for arm in arms
        for other in arms
        if arm.compress.model == other.compress.model
        and (arm.compress.unit, other.compress.unit) == (Unit.SPAN, Unit.WORD)
    ]
    question = (
        f"Does it matter which words are kept? Every scorer and unit against {reference.name}, and spans against words "
        "of the same scorer."
    )
    return _family("Compressors", question, list(dict.fromkeys(pairs)))


def _compressing(cfg: CompareConfig, spec: str, unit: Unit) -> CompressConfig:
    changes = {"model": spec, "unit": unit}
    if cfg.keep_rules:
        return cfg.compress.model_copy(update=changes)
    scoring = ScoreWordsConfig(max_cot_tokens=cfg.compress.scoring.max_cot_tokens, spans=cfg.compress.scoring.spans)
    return cfg.compress.model_copy(update=changes | dict.fromkeys(_RULES, False) | {"scoring": scoring})
