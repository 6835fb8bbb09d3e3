"""The stages `evaluate` and `truncate` with the log-prob metric: rows, summary, and what a cut does to a score."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.evaluate import Metric
from latent_core.config.prompting import TextFormat
from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InputError
from latent_core.evaluation.logprob import COLUMN, STATUS
from latent_core.evaluation.summary import Summary
from latent_core.store import Artifact, ArtifactStore
from tasks import evaluate as evaluation
from tasks.evaluate import EvaluateCondition, EvaluateInputs, TruncateCondition, TruncateInputs, evaluate, truncate
from tasks.inputs import ModelInput, ProblemsInput
from tasks.stage import StageCall, Workplace
from tasks.tables import SAMPLES
from tasks.workers.compute import perform

CONDITION = EvaluateCondition(
    sampling=SamplingConfig(max_new_tokens=160), questions=4, ratio=1.0, metrics=(Metric.LOGPROB,)
)
MODEL = ModelInput.find("latent-mini")
PROBLEMS = ProblemsInput.find(BenchmarkConfig(name="word_problems", difficulties=(1,)), "test")


def _perform(call: StageCall, store: ArtifactStore, scratch: Path) -> Artifact:
    return perform(call, Workplace(store, scratch, lambda done, total, tokens: None))


def test_logprob_is_measured_after_the_models_own_reasoning_and_a_cut_row_has_none(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    evaluated = _perform(evaluate.call(CONDITION, EvaluateInputs(MODEL, PROBLEMS)), store, tmp_path / "work")
    rows = list(evaluated.rows_of(SAMPLES.file))
    summary = Summary.from_metrics(evaluated.manifest.content.metrics)
    assert summary.logprob is not None and summary.logprob.mean is not None
    scored = [row[COLUMN] for row in rows if row[STATUS] == "scored"]
    assert len(scored) == summary.logprob.scored >= 1
    assert summary.logprob.mean.value == pytest.approx(sum(scored) / len(scored))
    solved = [row[COLUMN] for row in rows if row["verdict"] == "correct"]
    assert max(solved) > -1  # where it found the answer itself, it is sure of it

    parents = TruncateInputs(evaluated.ref, MODEL, PROBLEMS)
    truncated = _perform(truncate.call(TruncateCondition(ratio=0.5), parents), store, tmp_path / "work")
    for row, cut in zip(rows, truncated.rows_of(SAMPLES.file), strict=True):
        whole = cut["output_token_ids"] == row["output_token_ids"]
        assert (cut[COLUMN], cut[STATUS]) == ((row[COLUMN], row[STATUS]) if whole else (None, "no_think_end"))
    after = Summary.from_metrics(truncated.manifest.content.metrics).logprob
    assert after is not None and after.malformed > summary.logprob.malformed


def test_format_without_an_end_of_thinking_is_refused_before_anything_is_generated(tmp_path: Path) -> None:
    condition = CONDITION.model_copy(update={"text_format": TextFormat.RAW_TEXT})
    call = evaluate.call(condition, EvaluateInputs(MODEL, PROBLEMS))
    with pytest.raises(InputError, match="think marks"):
        _perform(call, ArtifactStore(str(tmp_path / "store")), tmp_path / "work")


def test_vllm_and_the_scorer_share_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[SamplingConfig] = []

    def opened(model: object, fingerprint: str, sampling: SamplingConfig) -> None:
        asked.append(sampling)
        raise InputError("enough seen")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(evaluation, "warm_engine", opened)
    for metrics in ((Metric.LOGPROB,), ()):
        sampling = CONDITION.sampling.model_copy(update={"engine": "vllm"})
        condition = CONDITION.model_copy(update={"sampling": sampling, "metrics": metrics})
        with pytest.raises(InputError, match="enough seen"):
            _perform(
                evaluate.call(condition, EvaluateInputs(MODEL, PROBLEMS)),
                ArtifactStore(str(tmp_path / "store")),
                tmp_path / "work",
            )
    shared, alone = (sampling.vllm.gpu_memory_utilization for sampling in asked)
    assert shared is not None and shared < 0.9 and alone is None
