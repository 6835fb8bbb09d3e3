"""What a test of one stage needs: a store with inputs that the test writes, and an engine that says given texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.generate.engine import Finished, Generation, Request
from latent_core.identity import fingerprint
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin
from tasks.inputs import ModelInput, ProblemsInput
from tasks.stage import StageCall, Workplace
from tasks.tables import Table
from tasks.workers import engines
from tasks.workers.compute import perform

MINI = ModelInput.find("latent-mini")
TRAINING = ProblemsInput.find(BenchmarkConfig(difficulties=(1,)), "train")
TEST = ProblemsInput.find(BenchmarkConfig(difficulties=(1,)), "test")


class StageBench:
    """A store, and stages that are computed in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = ArtifactStore(folder / "store")
        self._workplace = Workplace(self.store, folder / "scratch", lambda *_: None)
        self._monkeypatch = monkeypatch
        self._made = 0

    @staticmethod
    def model() -> ReadableModel:
        """latent-mini, as far as its text goes."""
        return ReadableModel.load(open_model("latent-mini").directory)

    def perform(self, call: StageCall) -> Artifact:
        return perform(call, self._workplace)

    def input(
        self, name: str, tables: Mapping[Table, Sequence[Mapping[str, Any]]] | None = None, **committed: Any
    ) -> ArtifactRef:
        """An artifact as if the stage `name` had made it; columns that a row leaves out are null."""
        self._made += 1
        config = {"made": self._made} | committed.pop("config", {})
        ref = ArtifactRef(name, fingerprint(name, 1, config, {}))
        with begin(self.store, ref) as out:
            for table, rows in (tables or {}).items():
                with table.write(out) as writer:
                    writer.extend(dict.fromkeys(table.schema().names) | row for row in rows)
            out.commit(config=config, **committed)
        return ref

    def answer(self, *texts: str) -> Answering:
        """From now on the engine says these texts, in turn."""
        engine = Answering(texts)
        self._monkeypatch.setattr(engines, "_load", lambda *_: engine)
        self._monkeypatch.setattr(engines, "_warm", None)
        return engine


class Answering:
    """An engine that says given texts, in turn, whatever is asked."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._model = StageBench.model()
        self._texts = list(texts)
        self.prompts: list[str] = []

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        self.prompts += [self._model.tokenizer.decode(request.prompt_ids) for request in requests]
        return [Generation(tuple(self._model.encode(self._texts.pop(0))), "stop") for _ in requests]

    def close(self) -> None:
        pass


def thought(reasoning: str, answer: str) -> str:
    """A completion of latent-mini, whose prompt ends in an opened think tag."""
    return f"{reasoning}\n</think>\n\nThe answer is \\boxed{{{answer}}}.<|im_end|>"


def sample(question: int, reasoning: str, verdict: str = "correct", index: int = 0, gold: str = "4") -> dict[str, Any]:
    """A row of SAMPLES with what later stages read."""
    return {
        "question_id": f"q{question}",
        "sample_index": index,
        "question": f"Question {question}: what is 2 + 2?",
        "gold": gold,
        "reasoning": reasoning,
        "reasoning_tokens": len(reasoning.split()),
        "verdict": verdict,
    }
