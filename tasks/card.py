"""Stages `mini_card` and `compressor_card`: a finished model with its card, as the package ships it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from latent_core.compressor_training.agreement import Agreement
from latent_core.config.base import IDENTITY, StageConfig
from latent_core.models.source import model_in
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.stage import Outcome, Workplace, stage


class CardConfig(StageConfig):
    """What the card says beside what is measured."""

    title: Annotated[str, IDENTITY]
    summary: Annotated[str, IDENTITY]


class MiniCardInputs(NamedTuple):
    """The trained model, and its evaluation by number of steps."""

    model: ArtifactRef
    evaluation: ArtifactRef


class CompressorCardInputs(NamedTuple):
    """The trained token classifier."""

    model: ArtifactRef


@stage("mini_card", version=1, shown=True)
def mini_card(out: ArtifactWriter, inputs: MiniCardInputs, config: CardConfig, workplace: Workplace) -> Outcome:
    trained, evaluation = workplace.artifact(inputs.model), workplace.artifact(inputs.evaluation)
    levels = evaluation.manifest.content.metrics["levels"]
    table = ["| steps | problems | accuracy |", "|---|---|---|"]
    for level in sorted(levels):
        table.append(f"| {level} | {levels[level]['questions']} | {levels[level]['accuracy']:.1%} |")
    heading = "Greedy accuracy on the test split of `word_problems`, by number of steps:"
    return _packaged(out, config, trained, [heading, "", *table])


@stage("compressor_card", version=1, shown=True)
def compressor_card(
    out: ArtifactWriter, inputs: CompressorCardInputs, config: CardConfig, workplace: Workplace
) -> Outcome:
    trained = workplace.artifact(inputs.model)
    metrics = trained.manifest.content.metrics
    names = Agreement._fields
    table = [f"| held out | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for row in ("model", "word_lookup", "random"):
        table.append(f"| {row} | " + " | ".join(f"{number:.3f}" for number in metrics[row]) + " |")
    words = metrics["held_out_words"]
    return _packaged(out, config, trained, [f"Agreement with the labels of {words:,} held-out words:", "", *table])


def _packaged(out: ArtifactWriter, config: CardConfig, trained: Artifact, measured: list[str]) -> Outcome:
    content, record = trained.manifest.content, trained.manifest.record
    with out.directory("model") as directory:
        shutil.copytree(model_in(trained), directory, dirs_exist_ok=True)
        lines = [
            f"# {config.title}", "", config.summary, "", *measured, "",
            f"Made by the stage `{content.stage}` (version {content.stage_version}), fingerprint", "",
            f"    {content.fingerprint}", "",
            f"in {record['seconds'] / 60:.0f} minutes of wall time on two shared CPU cores"
            f" ({_resumed(record)}). {_versions(record)}Its recipe:", "", "```",
            *(f"{key}: {value}" for key, value in sorted(content.identity.items())), "```", "",
        ]  # fmt: skip
        (directory / "README.md").write_text("\n".join(lines), encoding="utf-8")
    return Outcome(metrics=content.metrics)


def _resumed(record: Mapping[str, Any]) -> str:
    step = record.get("resumed_from_step", 0)
    return f"resumed at step {step}: the minutes count from there" if step else "uninterrupted"


def _versions(record: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in sorted(record.get("environment", {}).items()))
    return f"Versions: {versions}. " if versions else ""
