"""Nights of re-evaluation without a model: champions that were never trained, and what they answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.here import run_here
from flows.reevaluate import ENTRY
from latent_core.config.ratio_form import AskedRatio
from latent_core.config.reevaluate import ReevaluateConfig
from latent_core.evaluation.summary import summarise
from latent_core.generate.completions import sample_schema
from latent_core.identity import fingerprint
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, ArtifactWriter, begin
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.run.plan import Plan
from tasks.stage import Outcome, StageCall, Workplace
from tasks.tables import SAMPLES
from tasks.tracking.mlflow import open_client
from tasks.tracking.models import register, set_champion
from tasks.workers.compute import perform

NAME = "toy"
QUESTIONS = 60


class Nights:
    """A store, a registry of champions, and the re-evaluations of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = ArtifactStore(folder / "store")

    def config(self, **fields: Any) -> ReevaluateConfig:
        return ReevaluateConfig.model_validate(self.parameters() | fields)

    def parameters(self) -> dict[str, Any]:
        return {
            "model": f"models:/{NAME}@champion",
            "benchmark": {"difficulties": [1]},
            "evaluate": {"questions": QUESTIONS, "ratios": [1.0, 0.5], "sampling": {"max_new_tokens": 64}},
            "store": self.store.root,
            "runtime": {"work_dir": str(self.folder / "work")},
            "tracking": {"uri": f"sqlite:///{self.folder}/mlflow.db"},
        }

    def crown(self, seed: int, tokens: RatioTokens | None = None) -> str:
        """Make a model of that seed the champion, told its ratio by `tokens`; returns its version."""
        ref = ArtifactRef("train", fingerprint("train", 1, {"seed": seed}, {}))
        if self.store.get(ref.stage, ref.fingerprint) is None:
            with begin(self.store, ref) as out:
                with out.directory("weights/model") as folder:
                    (folder / "config.json").write_text(str(seed))
                    if tokens is not None:
                        tokens.save(folder)
                out.commit()
        client, _ = open_client(self.config().tracking)
        version = register(client, NAME, ref, self.store, f"seed{seed}")
        set_champion(self.config().tracking, NAME, version)
        return version

    def answer(self, config: ReevaluateConfig, correct: dict[AskedRatio, int]) -> None:
        """Evaluate the champion as `config` will: the first `correct[ratio]` questions are right."""
        for call in _planned(config):
            ratio = call.config.ratio if isinstance(call.config, EvaluateCondition) else None
            if ratio is not None and self.store.get(call.ref.stage, call.ref.fingerprint) is None:
                workplace = Workplace(self.store, self.folder / "work", lambda *_: None)
                perform(_answered(call, correct[ratio]), workplace)

    def night(self, config: ReevaluateConfig) -> Artifact:
        """The flow, in this process; raises RegressionFound."""
        return run_here("reevaluate", ENTRY, config)[0]


def _planned(config: ReevaluateConfig) -> list[StageCall]:
    calls: list[StageCall] = []

    class Listing(Plan):
        def add(self, call: StageCall) -> ArtifactRef:
            calls.append(call)
            return super().add(call)

    ENTRY.compose(config, Listing("reevaluate", ArtifactStore(config.store), config.tracking))
    return [call for call in calls if call.ref.stage == evaluate.name]


def _answered(call: StageCall, right: int) -> StageCall:
    """The call with a body that needs no model."""

    def body(out: ArtifactWriter, inputs: EvaluateInputs, config: EvaluateCondition, workplace: Workplace) -> Outcome:
        rows = [answered_row(number, number < right) for number in range(config.questions)]
        with SAMPLES.write(out) as table:
            table.extend(rows)
        metrics = summarise(rows).to_metrics()
        return Outcome(accounting={"kept": config.questions}, metrics=metrics, record={"tokens_per_second": 1.0})

    return replace(call, stage=replace(call.stage, body=body))


def answered_row(number: int, is_right: bool) -> dict[str, Any]:
    return dict.fromkeys(sample_schema().names) | {
        "question_id": f"q{number}",
        "sample_index": 0,
        "question": "1 + 1",
        "gold": "2",
        "prompt_token_ids": [1],
        "output_token_ids": [2],
        "finish_reason": "stop",
        "completion": "2",
        "reasoning": "1 + 1",
        "answer": "2",
        "verdict": "correct" if is_right else "wrong",
        "tokens": 10,
        "reasoning_tokens": 5,
        "latent_tokens": 0,
    }
