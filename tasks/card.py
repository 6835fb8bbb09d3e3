"""Stages `mini_card` and `compressor_card`: a finished model with its card, as the package ships it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Annotated, Any

from latent_core.compressor_training.agreement import Agreement
from latent_core.config.base import IDENTITY, StageConfig
from latent_core.store import Artifact, ArtifactWriter
from tasks.stage import Inputs, Outcome, Stage, Workplace


class CardConfig(StageConfig):
    """What the card says beside what is measured."""

    title: Annotated[str, IDENTITY]
    summary: Annotated[str, IDENTITY]


def mini_card(out: ArtifactWriter, inputs: Inputs, config: CardConfig, workplace: Workplace) -> Outcome:
    trained, evaluation = inputs.artifact("model"), inputs.artifact("evaluation")
    levels = evaluation.manifest.content.metrics["levels"]
    table = ["| steps | problems | accuracy |", "|---|---|---|"]
    for level in sorted(levels):
        table.append(f"| {level} | {levels[level]['questions']} | {levels[level]['accuracy']:.1%} |")
    heading = "Greedy accuracy on the test split of `word_problems`, by number of steps:"
    return _packaged(out, inputs, config, trained, [heading, "", *table])


def compressor_card(out: ArtifactWriter, inputs: Inputs, config: CardConfig, workplace: Workplace) -> Outcome:
    trained = inputs.artifact("model")
    metrics = trained.manifest.content.metrics
    names = Agreement._fields
    table = [f"| held out | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for row in ("model", "word_lookup", "random"):
        table.append(f"| {row} | " + " | ".join(f"{number:.3f}" for number in metrics[row]) + " |")
    words = metrics["held_out_words"]
    return _packaged(
        out, inputs, config, trained, [f"Agreement with the labels of {words:,} held-out words:", "", *table]
    )


def _packaged(
    out: ArtifactWriter, inputs: Inputs, config: CardConfig, trained: Artifact, measured: list[str]
) -> Outcome:
    content, record = trained.manifest.content, trained.manifest.record
    with out.directory("model") as directory:
        shutil.copytree(inputs.model_dir("model"), directory, dirs_exist_ok=True)
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


MINI_CARD = Stage("mini_card", 1, mini_card, is_shown=True)
COMPRESSOR_CARD = Stage("compressor_card", 1, compressor_card, is_shown=True)
