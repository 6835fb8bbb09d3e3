"""Conditions computed together: the same artifacts as one by one, each committed and answered for on its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.evaluate import EvaluateConfig
from latent_core.config.prompting import Prompting
from latent_core.config.runtime import LeasePolicy, RuntimeConfig
from latent_core.config.sampling import SamplingConfig
from latent_core.errors import InputError
from latent_core.generate import joined
from latent_core.generate.engine import Finished, Generation, Request
from latent_core.store import Artifact, ArtifactRef, ArtifactStore
from latent_core.store.lease import HeldError, LeaseTerms, held
from tasks import evaluate as evaluation
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.inputs import ModelInput, ProblemsInput
from tasks.run.companions import Group
from tasks.run.execution import open_run
from tasks.run.protocol import Run
from tasks.stage import StageCall, Workplace
from tasks.tables import SAMPLES
from tasks.workers import engines
from tasks.workers.compute import perform
from tasks.workers.joined import perform_with
from tests.support.toy_stages import CopyInputs, Numbers, SumInputs, ToyConfig, ToyInputs, add_up, copy, count_up, draw

SAMPLED = SamplingConfig(temperature=0.7, samples=2, max_new_tokens=80, batch_tokens=4000)
PASS_SECONDS = 60.0
CONDITIONS = ((1.0, Prompting.RATIO), (0.5, Prompting.RATIO), (1.0, Prompting.CONCISE))


def _calls(questions: int = 3, sampling: SamplingConfig = SAMPLED) -> list[StageCall]:
    inputs = EvaluateInputs(ModelInput.find("latent-mini"), ProblemsInput.find(BenchmarkConfig(), "test"))
    return [
        evaluate.call(
            EvaluateCondition(sampling=sampling, questions=questions, ratio=ratio, prompting=prompting), inputs
        )
        for ratio, prompting in CONDITIONS
    ]


def _found(store: ArtifactStore, calls: Sequence[StageCall]) -> list[Artifact]:
    return [store.require(call.ref) for call in calls]


def test_joined_conditions_are_byte_for_byte_those_computed_one_by_one(tmp_path: Path) -> None:
    calls = _calls()
    apart, together = (ArtifactStore(str(tmp_path / name)) for name in ("apart", "together"))

    def workplace_in(store: ArtifactStore, call: StageCall) -> Workplace:
        return Workplace(store, tmp_path / call.ref.key, lambda *_: None)

    for call in calls:
        perform(call, workplace_in(apart, call))
    perform_with(calls[0], calls[1:], partial(workplace_in, together))
    for one, other in zip(_found(apart, calls), _found(together, calls), strict=True):
        assert other.manifest.content == one.manifest.content  # with the hash of every file
        assert other.read_bytes(SAMPLES.file) == one.read_bytes(SAMPLES.file)
        assert other.manifest.record["joined"] == 3 and "joined" not in one.manifest.record


class Counting:
    """An engine that ends its turn at once, and says when it is asked."""

    def __init__(self) -> None:
        self.passes: list[int] = []
        self.seconds = 0.0  # by a clock that only its passes move

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        self.passes.append(len(requests))
        self.seconds += PASS_SECONDS
        return [Generation((2,), "stop") for _ in requests]

    def close(self) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(engines, "_load", lambda *_: counting)
    monkeypatch.setattr(engines, "_warm", None)
    return counting


def test_conditions_of_a_model_are_one_pass_whose_seconds_are_shared_out(
    engine: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: engine.seconds)
    for module in (joined, evaluation):
        monkeypatch.setattr(module, "time", clock)
    calls, store, shown = _calls(questions=40), ArtifactStore(str(tmp_path)), dict[str, tuple[int, int, int]]()

    def workplace(call: StageCall) -> Workplace:
        return Workplace(store, tmp_path / "work", lambda *now: shown.__setitem__(call.ref.key, now))

    perform_with(calls[0], calls[1:], workplace)
    assert engine.passes == [3 * 40 * 2]
    assert shown == {call.ref.key: (80, 80, 80) for call in calls}
    for artifact in _found(store, calls):
        # Up to the one completion that the others had still to get.
        assert artifact.manifest.record["seconds"] == pytest.approx(PASS_SECONDS / 3, rel=0.02)
        assert artifact.manifest.record["tokens_per_second"] == pytest.approx(3 * 80 / PASS_SECONDS, rel=0.02)


def test_condition_held_by_another_run_is_left_to_it_and_the_rest_computed(engine: Counting, tmp_path: Path) -> None:
    calls, store, terms = _calls(), ArtifactStore(str(tmp_path)), LeaseTerms(600.0)

    def workplace(call: StageCall) -> Workplace:
        return Workplace(store, tmp_path / "work", lambda *_: None)

    with held(store, calls[1].ref, terms, lambda reason: None):
        perform_with(calls[0], calls[1:], workplace, terms)
        with pytest.raises(HeldError):
            perform_with(calls[1], calls[2:], workplace, terms)
    assert engine.passes == [2 * 3 * 2]
    assert [store.get(call.ref.stage, call.ref.fingerprint) is not None for call in calls] == [True, False, True]


def test_conditions_are_joined_where_slots_fill_at_once_and_never_where_a_server_bills_each() -> None:
    def joins(engine: str, joined: str = "auto") -> bool:
        sampling = {"engine": engine, "openai": {"served_model": "m"}}
        return EvaluateConfig.model_validate({"sampling": sampling, "joined": joined}).joins

    assert [joins(engine) for engine in ("vllm", "transformers", "openai")] == [True, False, False]
    assert joins("transformers", "always") and not joins("vllm", "never")
    with pytest.raises(ValueError, match=r"evaluate\.joined: .*bills each condition"):
        joins("openai", "always")


def test_group_deals_what_is_missing_to_the_workers_once() -> None:
    calls = [count_up.call(Numbers(count=count, log=""), ToyInputs()) for count in range(5)]
    group = Group(calls, workers=2)
    part = group.part_of(calls[1], lambda call: call is not calls[0])
    assert part is not None and [call.config.count for call in part.calls] == [1, 3]
    assert part.lead() and not part.lead() and part.others(calls[3]) == [calls[1]]
    other = group.part_of(calls[2], lambda call: False)
    assert other is not None and [call.config.count for call in other.calls] == [2, 4]
    assert group.part_of(calls[0], lambda call: True) is None and not group.has_dealt(calls[0])


@pytest.fixture
def config(tmp_path: Path) -> ToyConfig:
    runtime = RuntimeConfig(work_dir=str(tmp_path / "work"), retries=1, retry_seconds=0)
    return ToyConfig(store=str(tmp_path / "store"), runtime=runtime)


def _execute(config: ToyConfig, log: Path, trouble: str = "", counts: Sequence[int] = (2, 3, 4), **options: Any) -> Any:
    """Numbers computed together, and their sum; returns it and the states of the tasks by title."""
    from prefect import flow

    states: dict[str, str] = {}

    def compose(run: Run) -> ArtifactRef:
        configs = {
            str(count): Numbers(count=count, log=str(log), trouble=trouble if count == 3 else "") for count in counts
        }
        parts = run.stages(count_up, configs, ToyInputs())
        return run.stage(add_up, Numbers(count=0, log=str(log)), SumInputs(tuple(parts)))

    @flow(name="toy")
    def toy() -> Any:
        with open_run("toy", config, **options) as run:
            artifact = run.artifact(compose(run))
            states.update((call.title, run.state_of(call.ref)) for call in run._calls.values())
        return artifact.manifest.content.metrics["sum"]

    return toy(), states


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("lease", list(LeasePolicy))
def test_run_computes_together_what_is_missing_and_only_that(
    config: ToyConfig, tmp_path: Path, lease: LeasePolicy
) -> None:
    config = config.model_copy(update={"runtime": config.runtime.model_copy(update={"lease": lease})})
    log = tmp_path / "log"
    total, states = _execute(config, log)
    assert total == 1 + 3 + 6 and set(states.values()) == {"Completed"}
    assert _events(tmp_path) == {"started": 3, "done": 1}  # three conditions in one call to a worker
    total, states = _execute(config, log, counts=(2, 3, 4, 5))
    assert total == 20
    assert states == {"numbers 2": "Cached", "numbers 3": "Cached", "numbers 4": "Cached"} | {
        "numbers 5": "Completed",
        "sum": "Completed",
    }
    assert _events(tmp_path) == {"started": 4, "done": 2}
    total, states = _execute(config, log, force=["numbers"])
    assert total == 10 and [states[f"numbers {count}"] for count in (2, 3, 4)] == ["Completed"] * 3
    words = log.read_text().split()
    assert [words.count(f"numbers{count}") for count in (2, 3, 4, 5)] == [2, 2, 2, 1]


@pytest.mark.usefixtures("prefect_server")
def test_joined_condition_whose_task_comes_late_is_not_computed_again_when_its_input_came_out_different(
    config: ToyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow

    monkeypatch.setattr(
        "tasks.run.prefect_tasks.LEAST_WINDOW", 1
    )  # so that the third waits until the first two are done
    log = str(tmp_path / "log")

    @flow(name="toy")
    def toy(force: Sequence[str]) -> Any:
        with open_run("toy", config, force=force) as run:
            drawn = run.stage(draw, Numbers(count=0, log=log), ToyInputs())
            configs = {str(count): Numbers(count=count, log=log) for count in (1, 2, 3)}
            copies = run.stages(copy, configs, CopyInputs(drawn))
            total = run.artifact(run.stage(add_up, Numbers(count=0, log=log), SumInputs(tuple(copies))))
            return total.manifest.content.metrics["sum"]

    assert toy([]) == 3 * 1000
    assert toy(["draw"]) == 3 * 2000
    assert sorted(Path(log).read_text().split()) == sorted(["draw", "copy1", "copy2", "copy3", "sum"] * 2)


@pytest.mark.usefixtures("prefect_server")
def test_death_in_a_joined_call_keeps_what_was_committed_and_the_rest_is_computed_apart(
    config: ToyConfig, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    total, states = _execute(config, log, "killed_once")
    assert total == 10 and set(states.values()) == {"Completed"}
    words = log.read_text().split()
    assert [words.count(f"numbers{count}") for count in (2, 3, 4)] == [1, 2, 1]


@pytest.mark.usefixtures("prefect_server")
def test_bad_input_of_one_condition_leaves_the_others_in_the_store(config: ToyConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(InputError, match="not to my liking"):
        _execute(config, log, "bad_input")
    store = ArtifactStore(config.store)
    kept = {ref.fingerprint for ref in store.list()}
    calls = {count: count_up.call(Numbers(count=count, log=""), ToyInputs()).ref.fingerprint for count in (2, 3, 4)}
    assert kept == {calls[2], calls[4]}


def _events(folder: Path) -> dict[str, int]:
    """How many numbers workers say that they started, and how many calls for them they finished."""
    lines = "".join(file.read_text() for file in (folder / "work" / "logs").iterdir()).splitlines()
    return {word: sum(" numbers " in line and f": {word} " in line for line in lines) for word in ("started", "done")}
