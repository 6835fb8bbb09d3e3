"""How the embedded model latent-mini is made: tokenizer and shape, corpus, pre-training, accuracy per difficulty."""

from __future__ import annotations

from collections.abc import Sequence

from flows.launch.registry import FlowEntry
from flows.parts.publish import show_card
from latent_core.benchmarks.word_problems import MAX_DIFFICULTY
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.mini import MiniConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.store import ArtifactRef
from tasks.card import CardConfig, MiniCardInputs, mini_card
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.inputs import ProblemsInput
from tasks.mini import MiniCorpusInputs, MiniInitInputs, mini_corpus, mini_init
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.train import TrainInputs, train

DIFFICULTIES = tuple(range(1, MAX_DIFFICULTY + 1))
SUMMARY = (
    "A Qwen3-shaped causal language model of 2.4 million parameters (bfloat16, tied embeddings) with a byte-level BPE "
    "of its own: single digits, ChatML, `<think>` and `</think>` as ordinary tokens. Pre-trained from scratch on "
    "procedural arithmetic word problems and nothing else: it solves those, and is good for nothing "
    "but showing the workflow."
)


def mini(cfg: MiniConfig, force: Sequence[str] = ()) -> dict[str, str]:
    """Pre-train latent-mini on procedural word problems.

    Args:
        cfg: The run, one section per stage.
        force: Names of stages to compute again although the store has their results.
    """
    with open_run("mini", cfg, force=force) as run:
        artifact = run.artifact(compose(cfg, run))
        return {"model": run.store.uri(artifact.ref)}


def compose(cfg: MiniConfig, run: Run) -> ArtifactRef:
    """The stages and how they hang together; returns the model with its card."""
    generator = ProblemsInput.generator("train")
    initial = run.stage(mini_init, cfg.init, MiniInitInputs(generator))
    corpus = run.stage(mini_corpus, cfg.corpus, MiniCorpusInputs(initial, generator))
    trained = run.stage(train, cfg.train, TrainInputs(initial, corpus))
    condition = EvaluateCondition(sampling=SamplingConfig(max_new_tokens=512), questions=cfg.test_problems, ratio=1.0)
    problems = ProblemsInput.find(BenchmarkConfig(difficulties=DIFFICULTIES), "test")
    evaluation = run.stage(evaluate, condition, EvaluateInputs(trained, problems), rows=cfg.test_problems)
    card = CardConfig(title="latent-mini", summary=SUMMARY)
    return run.stage(mini_card, card, MiniCardInputs(trained, evaluation))


ENTRY = FlowEntry("mini", MiniConfig, compose, mini, show_card)
