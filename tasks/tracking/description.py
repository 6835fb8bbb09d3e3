"""What runs are called, and the parameters that tell them apart: model, variant, seed, ratio and benchmark.

Everything is read from the journal of the flow's run and the manifest, so that a rebuilt run says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latent_core.evaluation.condition import BASE, Condition, Kind, seeded_name
from latent_core.models.source import short_name
from latent_core.report.names import condition_name
from latent_core.store import Manifest
from tasks.tracking.journal import Journal, JournalEntry

EVALUATIONS = ("evaluate", "truncate", "intervene")
_BASELINES = (Kind.REDUCE, Kind.CONCISE, Kind.CHAIN_OF_DRAFT, Kind.SKETCH_OF_THOUGHT, Kind.TRUNCATE)
_MOST_PARENTS = 8  # that are parameters; a merged artifact has thousands
_LONGEST_RUN_NAME = 200  # characters
_BETWEEN = " · "


class Description(NamedTuple):
    """What a stage's run is called, and its parameters beside those of its identity."""

    name: str
    parameters: dict[str, str]


def describe(manifest: Manifest, entry: JournalEntry | None, journal: Journal | None) -> Description:
    """The run of an artifact; what no journal tells of it is left out."""
    content = manifest.content
    config = {} if journal is None else journal.config
    label = "" if entry is None else entry.label
    about: dict[str, str] = {}
    if model := _text(config.get("model")):
        about["model"] = model
    condition = evaluated_condition(content.stage, label)
    if condition is not None:
        about |= {"variant": condition.model, "condition": condition_name(condition)}
        if condition.ratio is not None:
            about["ratio"] = f"{condition.ratio:g}"
        if condition.kind is not Kind.UNTRAINED and condition.kind not in _BASELINES:
            about |= _training_seed(condition.seed, config)
    elif content.stage == "train" and label:
        variant, seed = seeded_name(label)
        about |= {"variant": variant} | _training_seed(seed, config)
    elif label:
        about["label"] = label
    if benchmark := _benchmark(manifest, config):
        about["benchmark"] = benchmark
    about = {name: value for name, value in about.items() if name not in content.identity}
    if len(content.parents) <= _MOST_PARENTS:
        about |= {
            f"inputs/{role}": f"{parent.stage}/{parent.fingerprint[:12]}" if parent.stage else parent.fingerprint[:12]
            for role, parent in content.parents.items()
        }
    about["stage_version"] = str(content.stage_version)
    title = f"{content.stage} {label}" if label else f"{content.stage} {content.fingerprint[:8]}"
    return Description(_named(title, model and short_name(model), benchmark), about)


def evaluated_condition(stage: str, label: str) -> Condition | None:
    """The condition of an evaluation, from the label of its stage; None for what is none, or has no label."""
    if stage not in EVALUATIONS or not label:
        return None
    return read_label(label, is_truncated=stage == "truncate")


def read_label(label: str, *, is_truncated: bool = False) -> Condition:
    """The condition that `latent_core.report.names.label` wrote: dual-seed1 0.5, base reduce 0.5, base."""
    words, _, last = label.rpartition(" ")
    ratio = _ratio(last)
    rest = words if ratio is not None else label
    for kind in sorted(Kind, key=lambda kind: -len(kind.value)):
        if rest.endswith(f" {kind.value}") and kind.takes_ratio == (ratio is not None):
            return _condition(rest.removesuffix(f" {kind.value}"), kind, ratio)
    if ratio is not None and words:
        return _condition(words, Kind.TRUNCATE if is_truncated else Kind.RATIO, ratio)
    return Condition(BASE, Kind.UNTRAINED, 1.0) if label == BASE else _condition(label, Kind.TRAINED)


def _condition(name: str, kind: Kind, ratio: float | None = None) -> Condition:
    model, seed = seeded_name(name)
    return Condition(model, kind, ratio, seed)


def _ratio(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def flow_name(journal: Journal) -> str:
    """What a flow's run is called: tokenskip-math · latent-mini · standard, dual · word_problems · seeds 1, 2."""
    config = journal.config
    model, variants = _text(config.get("model")), _several(config.get("variants") or config.get("latent_arms"))
    seeds = _several(config.get("seeds"))
    return _named(
        journal.flow,
        model and short_name(model),
        ", ".join(variants),
        _text(_section(config, "benchmark").get("name")),
        ("seeds " if len(seeds) > 1 else "seed ") + ", ".join(seeds) if seeds else None,
    )


def _named(*parts: str | None) -> str:
    name = _BETWEEN.join(part for part in parts if part)
    return name if len(name) <= _LONGEST_RUN_NAME else f"{name[: _LONGEST_RUN_NAME - 2]} …"


def _training_seed(seed: int | None, config: Mapping[str, Any]) -> dict[str, str]:
    found = _section(config, "train").get("seed") if seed is None else seed
    return {} if found is None else {"seed": str(found)}


def _benchmark(manifest: Manifest, config: Mapping[str, Any]) -> str | None:
    recorded: Sequence[Mapping[str, Any]] = list(manifest.record.get("benchmarks", {}).values())
    return _text(recorded[0].get("name")) if recorded else _text(_section(config, "benchmark").get("name"))


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _several(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
