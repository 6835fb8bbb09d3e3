"""Which labels make the better compressor: trained on each kind, judged by held-out words, kept answers and models.

Everything but the labels is the same: problems, chains of thought, encoder, ratios, training. A compressor that drops
words at random is what each of them must beat.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer

from flows.launch.registry import FlowEntry
from flows.parts.evaluations import Evaluations, evaluated_at_ratios
from flows.parts.questions import fitted
from flows.parts.ratios import check_asked, prepared_ratios, ratio_tokens_of, warn_of_untrained
from flows.parts.sharded import collected_shards, compressed, dropped_at_random
from latent_core.config.chat import ChatConfig
from latent_core.config.label_kinds import LabelKindsConfig
from latent_core.store import Artifact, ArtifactRef
from tasks.inputs import ModelInput, ProblemsInput
from tasks.label_kinds import COMPARISON, CompareLabelKinds, CompareLabelKindsInputs, compare_label_kinds
from tasks.label_words import LabelWordsInputs, label_words
from tasks.prepare import PrepareInputs, prepare
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.train import TrainInputs, train
from tasks.train_compressor import TrainCompressorInputs, train_compressor

RANDOM = "random"


def label_kinds(cfg: LabelKindsConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Compare compressors trained on different labels, and models trained on their compressions.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    from prefect.artifacts import create_markdown_artifact

    with open_run("label-kinds", cfg, force=force) as run:
        comparison = run.artifact(compose(cfg, run))
        create_markdown_artifact(
            key="label-kinds-comparison",
            markdown=comparison.read_bytes(COMPARISON).decode(),
            description="Compressors compared by the labels they were trained on",
        )
        return {"comparison": run.store.uri(comparison.ref)}


def compose(cfg: LabelKindsConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the comparison."""
    cfg = fitted(cfg, run)
    labelled = cfg.labels.questions + cfg.labels.held_out
    wanted = {"labels.questions + labels.held_out": labelled}
    if cfg.collect.samples_model:
        wanted["collect.questions"] = cfg.collect.questions
    train_split = ProblemsInput.find(cfg.benchmark, "train", wanted)
    test_split = ProblemsInput.find(cfg.benchmark, "test", {"evaluate.questions": cfg.evaluate.questions})
    warn_of_untrained(run, cfg.evaluate.ratios, prepared_ratios(cfg.prepare), "prepare.ratios")
    base = ModelInput.find(cfg.model, chat=cfg.chat)
    tokens = ratio_tokens_of(base, run.store)
    check_asked(tokens, "prepare.ratios", cfg.prepare.labels)
    check_asked(tokens, "evaluate.ratios", cfg.evaluate.ratios)
    own = cfg.chat if cfg.labeller == cfg.model else ChatConfig(date=cfg.chat.date)
    labeller = ModelInput.find(cfg.labeller, "labeller", chat=own)
    shards = collected_shards(cfg.collect, run, base, train_split).shards
    samples = run.merge("collect", shards)
    compressors: dict[str, ArtifactRef] = {}
    texts: dict[str, ArtifactRef] = {}
    evaluations: Evaluations = {}
    for kind in cfg.kinds:
        settings = cfg.labels.model_copy(update={"kind": kind})
        rows = settings.questions + settings.held_out
        labels = run.stage(label_words, settings, LabelWordsInputs(train_split, labeller), label=kind, rows=rows)
        compressors[kind] = run.stage(train_compressor, cfg.compressor, TrainCompressorInputs(labels), label=kind)
        texts[kind] = compressed(cfg.compress, run, base, shards, kind, compressors[kind])
    texts[RANDOM] = compressed(dropped_at_random(cfg.compress), run, base, shards, RANDOM)
    for name, small in texts.items():
        prepared = run.stage(prepare, cfg.prepare, PrepareInputs(base, samples, small), label=name)
        trained = run.stage(train, cfg.train, TrainInputs(base, prepared), label=name)
        evaluations |= evaluated_at_ratios(cfg.evaluate, run, trained, test_split, name)
    compared = CompareLabelKindsInputs(compressors, texts, evaluations)
    return run.stage(compare_label_kinds, CompareLabelKinds(), compared)


def show(comparison: Artifact) -> None:
    """Print the finished comparison, and where it lies."""
    from rich.console import Console
    from rich.markdown import Markdown

    Console(width=WIDTH).print(Markdown(comparison.read_bytes(COMPARISON).decode()))
    typer.echo(f"Comparison: {comparison.store.uri(comparison.ref)}/{COMPARISON}")


WIDTH = 120  # columns: room for the whole table

ENTRY = FlowEntry("label-kinds", LabelKindsConfig, compose, label_kinds, show)
