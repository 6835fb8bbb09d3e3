"""What a run takes from the store: nothing damaged that is shown, and nothing made from what came out different."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pytest

from latent_core.config.base import IDENTITY, RUNTIME, StageConfig
from latent_core.store import Artifact, ArtifactStore, ArtifactWriter, DamagedError
from tasks.run.hits import Hits
from tasks.run.repair import InputRepair
from tasks.stage import Outcome, StageCall, Workplace, stage
from tasks.workers.compute import perform
from tests.support.toy_stages import ToyInputs

SCHEMA = pa.schema([("number", pa.int64())])


class Numbers(StageConfig):
    """Which numbers; `luck` is what no fingerprint holds."""

    first: Annotated[int, IDENTITY]
    luck: Annotated[int, RUNTIME] = 0


def _count(out: ArtifactWriter, inputs: ToyInputs, config: Numbers, workplace: Workplace) -> Outcome:
    with out.table("numbers.parquet", SCHEMA) as table:
        table.extend({"number": config.first + config.luck + index} for index in range(20))
    return Outcome(accounting={"kept": 20})


SHOWN = stage("shown", version=1, shown=True)(_count)
HIDDEN = stage("hidden", version=1)(_count)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def _computed(call: StageCall, store: ArtifactStore) -> Artifact:
    return perform(call, Workplace(store, Path(store.root).with_name("scratch"), lambda *_: None))


def _flip(artifact: Artifact) -> None:
    path = artifact.store.local_path(artifact.key("numbers.parquet"))
    assert path is not None
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 4
    path.write_bytes(bytes(raw))


def test_damaged_result_that_is_shown_is_a_miss_and_said(
    store: ArtifactStore, caplog: pytest.LogCaptureFixture
) -> None:
    call = SHOWN.call(Numbers(first=1), ToyInputs(), label="1")
    artifact = _computed(call, store)
    hits = Hits(store)
    assert hits.find(call) is not None
    hits.clear(call)
    assert caplog.text == "" and hits.find(call) is not None  # nothing to clear
    _flip(artifact)
    assert hits.find(call) is None
    hits.clear(call)
    assert "shown 1 is damaged and is computed again: numbers.parquet" in caplog.text
    assert store.get(call.ref.stage, call.ref.fingerprint) is None


def test_damaged_result_that_only_stages_read_stays_a_hit_until_one_does(store: ArtifactStore) -> None:
    call = HIDDEN.call(Numbers(first=1), ToyInputs())
    _flip(_computed(call, store))
    assert Hits(store).find(call) is not None


@pytest.mark.parametrize(("luck", "stays"), [(0, True), (5, False)])
def test_result_of_an_input_that_was_computed_again_stays_where_that_is_equal(
    store: ArtifactStore, caplog: pytest.LogCaptureFixture, luck: int, stays: bool
) -> None:
    first = SHOWN.call(Numbers(first=1), ToyInputs())
    second = HIDDEN.call(Numbers(first=2), ToyInputs(first.ref), label="2")
    damaged = _computed(first, store)
    _computed(second, store)
    _flip(damaged)
    hits = Hits(store)
    hits.clear(first)
    _computed(SHOWN.call(Numbers(first=1, luck=luck), ToyInputs()), store)
    hits.renewed(first, hits.renewable(first))
    assert (hits.find(second) is not None) is stays
    hits.clear(second)
    assert ("hidden 2 is computed again: what it was made from came out different" in caplog.text) is not stays
    if not stays:
        made_from = hits.renewable(second)
        _computed(second, store)
        hits.renewed(second, made_from)
        assert hits.find(second) is not None


def test_result_is_outdated_by_what_its_input_held_first_however_often_that_was_computed_again(
    store: ArtifactStore,
) -> None:
    first = HIDDEN.call(Numbers(first=1), ToyInputs())
    second = HIDDEN.call(Numbers(first=2), ToyInputs(first.ref))
    _computed(first, store)
    _computed(second, store)
    hits = Hits(store)
    for luck in (5, 5):
        hits.set_aside(first.ref)
        _computed(HIDDEN.call(Numbers(first=1, luck=luck), ToyInputs()), store)
        assert hits.find(second) is None
    hits.set_aside(first.ref)
    _computed(first, store)
    assert hits.find(second) is not None


def test_damaged_input_that_no_call_of_the_run_makes_is_refused(store: ArtifactStore) -> None:
    """Such as the champion of another run: it can be neither trusted nor computed again here."""
    model = _computed(HIDDEN.call(Numbers(first=1), ToyInputs()), store)
    use = SHOWN.call(Numbers(first=2), ToyInputs(model.ref))
    repair = InputRepair(store, lambda call: _computed(call, store))
    repair.inputs_of(use)
    _flip(model)
    with pytest.raises(DamagedError, match=r"^hidden/\w{12} is damaged: numbers\.parquet: .*run again what made it"):
        InputRepair(store, lambda call: _computed(call, store)).inputs_of(use)
