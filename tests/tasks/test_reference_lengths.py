"""The stage `reference_lengths`: the start model's correct lengths, and a counted mean where it has none."""

from __future__ import annotations

import pytest

from latent_core.config.lengths import ReferenceLengths
from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InputError
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from tasks.reference_lengths import ReferenceLengthsInputs, measure_reference_lengths
from tasks.stage import StageCall
from tasks.tables import REFERENCES, SAMPLES
from tests.support.stage_bench import MINI, TRAINING, StageBench, thought

INPUTS = ReferenceLengthsInputs(MINI, TRAINING)


def _call(questions: int) -> StageCall:
    sampling = SamplingConfig(temperature=1.0, samples=2)
    return measure_reference_lengths.call(ReferenceLengths(sampling=sampling, questions=questions), INPUTS)


def _tokens(reasoning: str) -> int:
    """As the model counts what comes before the closing think tag, its line break included."""
    return len(ReadableModel.load(open_model("latent-mini").directory).encode(f"{reasoning}\n"))


def test_lengths_are_of_correct_samples_and_the_mean_stands_in_where_there_are_none(bench: StageBench) -> None:
    gold = [problem.gold for problem in TRAINING.open().problems(0, 3)]
    short, long = "3 plus 4", "3 plus 4 is 7 and 7 is what was asked for"
    texts = [thought(short, gold[0]), thought(long, gold[0])]  # both are right
    texts += [thought(long, gold[1]), thought(short, "no number")]  # one is
    texts += [thought(short, "none"), thought(short, "none")]
    bench.answer(*texts)
    made = bench.perform(_call(3))
    own = [(_tokens(short) + _tokens(long)) / 2, float(_tokens(long))]
    rows = list(REFERENCES.rows(made))
    assert [row["tokens"] for row in rows] == [*own, sum(own) / 2] and own[0] != own[1]
    assert [(row["own"], row["correct"]) for row in rows] == [(True, 2), (True, 1), (False, 0)]
    assert made.manifest.content.accounting == {"own_length": 2, "mean_length": 1}
    assert made.manifest.content.metrics["mean_tokens"] == sum(own) / 2
    assert len(list(SAMPLES.rows(made))) == 6


def test_model_that_answers_nothing_has_no_lengths_to_ask_for(bench: StageBench) -> None:
    bench.answer(*[thought("hm", "none")] * 2)
    with pytest.raises(InputError, match="model: answers no question correctly"):
        bench.perform(_call(1))
