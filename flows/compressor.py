"""How the packaged compressor is made: a causal language model labels words, a token classifier learns the labels."""

from __future__ import annotations

from collections.abc import Sequence

from flows.launch.registry import FlowEntry
from flows.parts.publish import show_card
from latent_core.config.compressor import CompressorConfig
from latent_core.config.label_words import LabelKind
from latent_core.store import ArtifactRef
from tasks.card import CardConfig, CompressorCardInputs, compressor_card
from tasks.inputs import ModelInput, ProblemsInput
from tasks.label_words import LabelWordsInputs, label_words
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.train_compressor import TrainCompressorInputs, train_compressor

SUMMARY = (
    "A BERT-shaped token classifier for LLMLingua-2 compression, trained from scratch on worked solutions of "
    "arithmetic problems. Labels: a word is kept when {worth} exceeds the median of its text."
)
WORTH = {
    LabelKind.SURPRISAL: "its surprisal under {labeller}",
    LabelKind.ANSWER_AWARE: "the drop of {labeller}'s log P(answer) without it",
    LabelKind.ANSWER_ABLATION: "its mean effect on {labeller}'s log P(answer) over random halves of the text",
}
NAMES = {"smollm2": "SmolLM2-135M-Instruct"}


def compressor(cfg: CompressorConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Train an LLMLingua-2-style token classifier on worked solutions.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("compressor", cfg, force=force) as run:
        artifact = run.artifact(compose(cfg, run))
        return {"compressor": run.store.uri(artifact.ref)}


def compose(cfg: CompressorConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the classifier with its card."""
    labeller = ModelInput.find(cfg.labeller, "labeller", chat=cfg.chat)
    corpora = []
    for index, corpus in enumerate(cfg.corpora):
        rows = corpus.labels.questions + corpus.labels.held_out
        wanted = {f"corpora.{index}.labels.questions + held_out": rows}
        problems = ProblemsInput.find(corpus.benchmark, "train", wanted)
        inputs = LabelWordsInputs(problems, labeller)
        corpora.append(run.stage(label_words, corpus.labels, inputs, label=corpus.benchmark.name, rows=rows))
    trained = run.stage(train_compressor, cfg.train, TrainCompressorInputs(corpora=tuple(corpora)))
    card = CardConfig(title="latent-compressor", summary=summary(cfg))
    return run.stage(compressor_card, card, CompressorCardInputs(trained))


def summary(cfg: CompressorConfig) -> str:
    """What the card says of the labels."""
    kinds = dict.fromkeys(corpus.labels.kind for corpus in cfg.corpora)
    labeller = NAMES.get(cfg.labeller, cfg.labeller)
    return SUMMARY.format(worth=" or ".join(WORTH[kind].format(labeller=labeller) for kind in kinds))


ENTRY = FlowEntry("compressor", CompressorConfig, compose, compressor, show_card)
