"""The stages `legal_play` and `play`: how a turn is written, and what a model's episodes come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from latent_core.config.agents import HELD_OUT, LegalPlayConfig, PlayConfig, TurnSampling
from latent_core.dual import build_dual
from latent_core.dual.constraint import PhaseMachine
from latent_core.errors import InputError
from latent_core.generate.engine import Generation
from latent_core.models.readable import ReadableModel
from latent_core.models.source import open_model
from latent_core.rl.environments import EnvironmentFailed
from latent_core.rl.play.episodes import Episode, Played, Player, Turn
from tasks.inputs import EnvironmentInput, ModelInput
from tasks.legal_play import LegalPlayInputs, write_legal_play
from tasks.play import PlayInputs, play
from tasks.tables import TRAIN, TURNS, VALIDATION
from tests.support.stage_bench import StageBench

LAKE = EnvironmentInput.find("frozen_lake")
FEW = LegalPlayConfig(episodes=3, validation_episodes=1)


def _own(row: dict[str, list[int]]) -> list[list[int]]:
    """The runs of ids that are learned."""
    runs: list[list[int]] = [[]]
    for token, label in zip(row["input_ids"], row["labels"], strict=True):
        if label != -100:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def test_legal_play_teaches_turns_and_not_what_the_environment_says(bench: StageBench) -> None:
    made = bench.perform(write_legal_play.call(FEW, LegalPlayInputs(ModelInput.find("latent-mini"), LAKE)))
    model = ReadableModel.load(open_model("latent-mini").directory)
    rows = list(TRAIN.rows(made))
    assert len(rows) == 3 and len(list(VALIDATION.rows(made))) == 1
    assert made.manifest.content.accounting == {"kept": 4}
    for row in rows:
        for words in _own(row):
            text = model.decode(words)
            action = text.split("<answer>")[1].split("</answer>")[0]
            assert text == f"I take {action}.\n\n</think>\n\n<answer>{action}</answer><|im_end|>"


def test_legal_play_of_a_dual_model_reasons_in_latent_tokens_and_breaks_no_rule(
    bench: StageBench, tmp_path: Path
) -> None:
    build_dual(open_model("latent-mini").directory, tmp_path)
    dual = ReadableModel.load(tmp_path)
    assert dual.vocabulary is not None
    machine = PhaseMachine(dual.vocabulary, stop_ids=dual.family.stop_ids)
    made = bench.perform(write_legal_play.call(FEW, LegalPlayInputs(ModelInput.find(str(tmp_path)), LAKE)))
    for row in TRAIN.rows(made):
        prompt: list[int] = []
        for token, label in zip(row["input_ids"], row["labels"], strict=True):
            if label != -100:
                assert machine.violations(prompt, [token]).size == 0
            prompt.append(token)
        assert all(dual.latent_count(words) > 3 for words in _own(row))


def test_legal_play_that_is_too_long_is_left_out_and_counted(bench: StageBench) -> None:
    config = FEW.model_copy(update={"max_length": 8})
    made = bench.perform(write_legal_play.call(config, LegalPlayInputs(ModelInput.find("latent-mini"), LAKE)))
    assert made.manifest.content.accounting == {"too_long": 4} and list(TRAIN.rows(made)) == []


@pytest.mark.parametrize(("name", "words"), [("static", "takes whole texts"), ("sudoku", "lists no legal actions")])
def test_legal_play_where_there_is_none_raises(bench: StageBench, name: str, words: str) -> None:
    inputs = LegalPlayInputs(ModelInput.find("latent-mini"), EnvironmentInput.find(name))
    with pytest.raises(InputError, match=words):
        bench.perform(write_legal_play.call(FEW, inputs))


def test_play_of_a_model_that_never_saw_a_grid_is_wrong_format_and_is_told_turn_by_turn(bench: StageBench) -> None:
    config = PlayConfig(instances=2, sampling=TurnSampling(max_new_tokens=24, samples=2))
    made = bench.perform(play.call(config, PlayInputs(ModelInput.find("latent-mini"), LAKE)))
    rows = list(TURNS.rows(made))
    assert [(row["seed"], row["sample"]) for row in rows] == [
        (HELD_OUT + instance, sample) for instance in range(2) for sample in range(2)
    ]
    assert {row["end"] for row in rows} == {"format"} and {row["return"] for row in rows} == {-0.1}
    metrics = made.manifest.content.metrics
    assert metrics["return"]["value"] == pytest.approx(-0.1) and metrics["format_rate"] == 0
    assert metrics["optimum"] == 1 and metrics["ends"] == {"format": 4}


@pytest.mark.parametrize(("failing", "raises"), [(0, False), (1, False), (2, True), (10, True)])
def test_play_that_the_environment_left_without_more_than_a_few_answers_is_no_result(
    bench: StageBench, monkeypatch: pytest.MonkeyPatch, failing: int, raises: bool
) -> None:
    """What is committed stays: a server that was down would be a model's result for ever."""

    def play_all(self: Player, seeds: Sequence[int], *, patience: int, **_: object) -> Played:
        assert patience == 1
        turn = Turn((5,), Generation((6,), "stop"), ("up",), 0.0, {})
        found = [None if seed - HELD_OUT < failing else [Episode(seed, 0, (turn,), "terminated")] for seed in seeds]
        return Played(found, EnvironmentFailed("down") if failing else None)

    monkeypatch.setattr(Player, "play", play_all)
    config = PlayConfig(instances=10, sampling=TurnSampling(max_new_tokens=24))
    inputs = PlayInputs(ModelInput.find("latent-mini"), LAKE)
    if raises:
        with pytest.raises(
            EnvironmentFailed, match=r"frozen_lake failed in more than a tenth of 10 .* The last time: down$"
        ):
            bench.perform(play.call(config, inputs))
    else:
        assert bench.perform(play.call(config, inputs)).manifest.content.accounting["aborted"] == failing


def test_play_follows_from_its_seed(bench: StageBench) -> None:
    config = PlayConfig(instances=2, sampling=TurnSampling(max_new_tokens=24))
    one = bench.perform(play.call(config, PlayInputs(ModelInput.find("latent-mini"), LAKE)))
    other = config.model_copy(update={"sampling": config.sampling.model_copy(update={"seed": 7})})
    two = bench.perform(play.call(other, PlayInputs(ModelInput.find("latent-mini"), LAKE)))
    again = bench.perform(
        play.call(config.model_copy(update={"instances": 1}), PlayInputs(ModelInput.find("latent-mini"), LAKE))
    )
    wrote = [[row["wrote"] for row in TURNS.rows(made)] for made in (one, two, again)]
    assert wrote[0] != wrote[1] and wrote[2] == wrote[0][:1]
