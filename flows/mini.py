"""How the embedded model latent-mini is made: tokenizer and shape, corpus, pre-training, accuracy per difficulty."""

from __future__ import annotations

from collections.abc import Sequence

from flows.launch.registry import FlowEntry
from flows.parts.publish import show_card
from latent_core.benchmarks.noise import KINDS
from latent_core.benchmarks.word_problems import MAX_DIFFICULTY
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.mini import MiniConfig
from latent_core.config.prompting import Prompting
from latent_core.config.sampling import SamplingConfig
from latent_core.store import ArtifactRef
from tasks.card import NO_NOISE, CardConfig, MiniCardInputs, mini_card
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.inputs import Model, ProblemsInput
from tasks.mini import MiniCorpusInputs, MiniInitInputs, mini_corpus, mini_init
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.tracking.models import find_model
from tasks.train import TrainInputs, train

DIFFICULTIES = tuple(range(1, MAX_DIFFICULTY + 1))
SAMPLING = SamplingConfig(max_new_tokens=512, batch_tokens=131_072)
PROMPTINGS = (Prompting.CONCISE, Prompting.CHAIN_OF_DRAFT)
SHAPE = (
    "A Qwen3-shaped causal language model of a few million parameters (bfloat16, tied embeddings) with a byte-level "
    "BPE of its own: single digits, ChatML, `<think>` and `</think>` as ordinary tokens. Pre-trained from scratch on "
    "procedural arithmetic word problems and nothing else: it solves those, and is good for nothing "
    "but showing the workflow."
)
REGISTERS = (
    "It has read the same kind of solutions in several registers: whole sentences, equations in a short frame, drafts, "
    "and **telegraphic text**, that is sentences of which words were left out at random. So short forms are no new "
    "language to it, and learning to compress is easier for it than for a model that has read sentences only. No "
    "instruction that it has read names a ratio or a share of the words."
)
NOISE = (
    "A part of the questions carried what does not matter (instructions, remarks, marks, numbers), so that it does not "
    "take a few more words for another question."
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
    generator = ProblemsInput.generator("train", cfg.generator)
    initial = _initial(cfg, run, generator)
    corpus = run.stage(mini_corpus, cfg.corpus, MiniCorpusInputs(initial, generator))
    trained = run.stage(train, cfg.train, TrainInputs(initial, corpus))
    problems = ProblemsInput.find(BenchmarkConfig(difficulties=DIFFICULTIES, generator=cfg.generator), "test")

    def evaluated(questions: int, prompting: Prompting = Prompting.RATIO, noise: str | None = None) -> ArtifactRef:
        condition = EvaluateCondition(
            sampling=SAMPLING, questions=questions, ratio=1.0, prompting=prompting, noise=noise
        )
        label = noise or ("" if prompting is Prompting.RATIO else prompting.value)
        return run.stage(evaluate, condition, EvaluateInputs(trained, problems), label=label, rows=questions)

    plain = evaluated(cfg.test_problems)
    promptings = {prompting.value: evaluated(cfg.test_problems, prompting) for prompting in PROMPTINGS}
    noise = {}
    if cfg.noise_problems:
        noise = {kind: evaluated(cfg.noise_problems, noise=kind) for kind in KINDS}
        same = plain if cfg.noise_problems == cfg.test_problems else evaluated(cfg.noise_problems)
        noise = {NO_NOISE: same, **noise}
    card = CardConfig(title="latent-mini", summary=_summary(cfg))
    return run.stage(mini_card, card, MiniCardInputs(initial, corpus, trained, plain, promptings, noise))


def _initial(cfg: MiniConfig, run: Run, generator: ProblemsInput) -> Model:
    """The model that training begins with: the one that was named, or an untrained one."""
    if cfg.initial is None:
        return run.stage(mini_init, cfg.init, MiniInitInputs(generator))
    return find_model(cfg.initial, run.store, cfg.tracking)


def _summary(cfg: MiniConfig) -> str:
    """What the model is, said openly: with what it has read beside whole sentences."""
    said = [SHAPE]
    if cfg.corpus.registers is not None:
        said.append(REGISTERS)
    if cfg.corpus.noise:
        said.append(NOISE)
    return "\n\n".join(said)


ENTRY = FlowEntry("mini", MiniConfig, compose, mini, show_card)
