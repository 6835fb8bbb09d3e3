"""Stages `mini_card` and `compressor_card`: a finished model with its card, as the package ships it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

from latent_core.benchmarks.noise import HELD_OUT
from latent_core.compressor_training.agreement import Agreement
from latent_core.config.base import IDENTITY, StageConfig
from latent_core.models.source import model_in
from latent_core.store import Artifact, ArtifactRef, ArtifactWriter
from tasks.evaluations import summary_of
from tasks.inputs import Input, Model, ModelInput
from tasks.stage import Outcome, Workplace, stage

NO_NOISE = "none"
CORES = "two shared CPU cores"  # where a stage without a device ran
_NONE: Mapping[str, ArtifactRef] = MappingProxyType({})


class CardConfig(StageConfig):
    """What the card says beside what is measured."""

    title: Annotated[str, IDENTITY]
    summary: Annotated[str, IDENTITY]


class MiniCardInputs(NamedTuple):
    """The trained model with what it was made from, its evaluation by number of steps, and others."""

    initial: Model
    corpus: ArtifactRef
    model: ArtifactRef
    evaluation: ArtifactRef
    promptings: Mapping[str, ArtifactRef] = _NONE
    """By way of prompting: shorter forms of the reasoning."""
    noise: Mapping[str, ArtifactRef] = _NONE
    """By kind of noise around the question."""

    def roles(self) -> dict[str, Input]:
        """prompting/NAME and noise/KIND beside the others."""
        return {
            "initial": self.initial,
            "corpus": self.corpus,
            "model": self.model,
            "evaluation": self.evaluation,
            **{f"prompting/{name}": ref for name, ref in self.promptings.items()},
            **{f"noise/{kind}": ref for kind, ref in self.noise.items()},
        }


class CompressorCardInputs(NamedTuple):
    """The trained token classifier."""

    model: ArtifactRef


# 2: prompting and noise, the recipe of corpus and tokenizer, and the device; 3: every part of a training in parts
@stage("mini_card", version=3, shown=True)
def mini_card(out: ArtifactWriter, inputs: MiniCardInputs, config: CardConfig, workplace: Workplace) -> Outcome:
    corpus = workplace.artifact(inputs.corpus)
    trained, evaluation = workplace.artifact(inputs.model), workplace.artifact(inputs.evaluation)
    plain = summary_of(evaluation)
    levels = evaluation.manifest.content.metrics["levels"]
    measured = [
        "Greedy accuracy on the test split of `word_problems`, by number of steps:",
        "",
        "| steps | problems | accuracy |",
        "|---|---|---|",
    ]
    for level in sorted(levels):
        measured.append(f"| {level} | {levels[level]['questions']} | {levels[level]['accuracy']:.1%} |")
    if inputs.promptings:
        summaries = {name: summary_of(workplace.artifact(ref)) for name, ref in inputs.promptings.items()}
        measured += ["", "When it is asked for less, by the same prompts as everywhere in this project:", ""]
        measured += ["| prompting | problems | accuracy | tokens |", "|---|---|---|---|"]
        for name, summary in {"plain question": plain, **summaries}.items():
            measured.append(
                f"| {name} | {summary.questions} | {summary.accuracy.value:.1%} | {summary.tokens.value:.0f} |"
            )
    if inputs.noise:
        is_read = bool(corpus.manifest.content.identity.get("noise"))
        evaluations = {kind: workplace.artifact(ref) for kind, ref in inputs.noise.items()}
        measured += ["", *_under_noise(evaluations, is_read)]
    before = [
        *_beginning(inputs.initial, workplace),
        *_recipe("The corpus", corpus),
        *_tokens_read(trained, corpus),
    ]
    return _packaged(out, config, trained, measured, before)


def _beginning(initial: Model, workplace: Workplace) -> list[str]:
    """What training began with: an untrained model, or one that had been trained before."""
    if isinstance(initial, ModelInput):
        return [f"It went on from a model whose fingerprint is `{initial.fingerprint}`.", ""]
    parts: list[Artifact] = []
    found: Artifact | None = workplace.artifact(initial)
    while found is not None and found.ref.stage == "train":
        parts.insert(0, found)
        found = _kept(found, "model", workplace)
    lines = _recipe("The untrained model and its tokenizer", found) if found else []
    if parts:
        lines += [
            f"It was trained in {len(parts) + 1} parts. Those before the last:",
            "",
            "| part | stage | steps | batch size | learning rate | tokens, about | time |",
            "|---|---|---|---|---|---|---|",
            *(_part(number, artifact, workplace) for number, artifact in enumerate(parts, start=1)),
            "",
        ]
        if found is None:
            origin = parts[0].manifest.content.parents["model"]
            lines += [
                f"What the first of them began with is not in the store: `{origin.ref or origin.fingerprint}`.",
                "",
            ]
    return lines


def _kept(artifact: Artifact, role: str, workplace: Workplace) -> Artifact | None:
    """An input of an earlier part; None where it was no artifact, or the store does not have it any more."""
    ref = artifact.manifest.content.parents[role].ref
    return workplace.store.get(ref.stage, ref.fingerprint) if ref else None


def _part(number: int, trained: Artifact, workplace: Workplace) -> str:
    """An earlier training as a row of the card."""
    content, record = trained.manifest.content, trained.manifest.record
    corpus = _kept(trained, "prepared", workplace)
    read = _read_by(trained, corpus) if corpus else None
    cells = [
        number,
        f"`{trained.ref}`",
        *(content.identity[name] for name in ("steps", "batch_size", "learning_rate")),
        "-" if read is None else f"{read.tokens / 1e6:.1f} million",
        f"{record['seconds'] / 60:.0f} minutes on {record.get('device', CORES)}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _recipe(title: str, artifact: Artifact) -> list[str]:
    """The parameters of a stage as lines of the card."""
    identity = artifact.manifest.content.identity
    return [f"{title}:", "", "```", *(f"{key}: {identity[key]}" for key in sorted(identity)), "```", ""]


class _Reading(NamedTuple):
    """About how many tokens a training has read, and how often it went through its corpus."""

    tokens: float
    passes: float


def _read_by(trained: Artifact, corpus: Artifact) -> _Reading | None:
    """None where the corpus does not tell its size."""
    tokens = corpus.manifest.content.metrics.get("tokens", {}).get("train")
    if tokens is None:
        return None
    identity = trained.manifest.content.identity
    passes = identity["steps"] * identity["batch_size"] / corpus.manifest.content.identity["problems"]
    return _Reading(passes * tokens, passes)


def _tokens_read(trained: Artifact, corpus: Artifact) -> list[str]:
    """What the last training has read, as lines of the card."""
    read = _read_by(trained, corpus)
    if read is None:
        return []
    passes = f"({read.passes:.2f} passes over the corpus)"
    return [f"This training read about {read.tokens / 1e6:.1f} million tokens {passes}.", ""]


def _under_noise(evaluations: Mapping[str, Artifact], is_read: bool) -> list[str]:
    """A table of the kinds of noise, each with the accuracy on the same questions without any.

    `is_read` says whether the corpus had noise at all.
    """
    lines = [
        "When the question carries what does not matter. Kinds that are held back were never in its corpus:",
        "",
        "| noise | seen in training | problems | accuracy | tokens |",
        "|---|---|---|---|---|",
    ]
    for kind, evaluation in evaluations.items():
        summary = summary_of(evaluation)
        seen = "-" if kind == NO_NOISE else "no" if not is_read else "held back" if kind in HELD_OUT else "yes"
        accuracy = f"{summary.accuracy.value:.1%}"
        lines.append(f"| {kind} | {seen} | {summary.questions} | {accuracy} | {summary.tokens.value:.0f} |")
    return lines


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


def _packaged(
    out: ArtifactWriter,
    config: CardConfig,
    trained: Artifact,
    measured: Sequence[str],
    before: Sequence[str] = (),
) -> Outcome:
    content, record = trained.manifest.content, trained.manifest.record
    with out.directory("model") as directory:
        shutil.copytree(model_in(trained), directory, dirs_exist_ok=True)
        lines = [
            f"# {config.title}", "", config.summary, "", *measured, "", *before,
            f"Made by the stage `{content.stage}` (version {content.stage_version}), fingerprint", "",
            f"    {content.fingerprint}", "",
            f"in {record['seconds'] / 60:.0f} minutes of wall time on {record.get('device', CORES)}"
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
