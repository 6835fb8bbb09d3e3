"""What a stage is made from: inputs of its own type, under roles that are part of its identity."""

from __future__ import annotations

import pickle

import pytest

from latent_core.config.prepare import PrepareConfig
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef
from tasks.build_dual import BuildDualInputs
from tasks.compare import CompareEvaluationsInputs
from tasks.concise import SelectShortestInputs
from tasks.inputs import roles_of
from tasks.label_kinds import CompareLabelKindsInputs
from tasks.merge import MERGED, Merge, MergeInputs
from tasks.prepare import PrepareInputs, prepare
from tasks.report import ReportInputs
from tasks.train import TrainInputs
from tasks.train_compressor import TrainCompressorInputs

A, B, C, D = (ArtifactRef("some", digit * 64) for digit in "0123")


@pytest.mark.parametrize(
    ("inputs", "roles"),
    [
        (PrepareInputs(A, B, C), {"model": A, "samples": B, "compressed": C}),
        (PrepareInputs(A, B, C, D), {"model": A, "samples": B, "compressed": C, "quality": D}),
        (BuildDualInputs(A), {"model": A}),
        (SelectShortestInputs(A, B, C), {"model": A, "samples": B, "few_shot": C}),
        (TrainInputs(A, B), {"model": A, "prepared": B}),
        (MergeInputs((B, A)), {"shard_0": B, "shard_1": A}),
        (TrainCompressorInputs(labels=A), {"labels": A}),
        (TrainCompressorInputs(corpora=(A, B)), {"labels_0": A, "labels_1": B}),
        (CompareEvaluationsInputs({"x": A}, {"x": B}), {"before/x": A, "after/x": B}),
    ],
)
def test_roles_are_the_names_that_fingerprints_hold(inputs: tuple[object, ...], roles: dict[str, ArtifactRef]) -> None:
    assert roles_of(inputs) == roles


def test_roles_of_a_report_keep_the_order_of_the_page() -> None:
    inputs = ReportInputs({"evaluation/b/ratio 1": A, "evaluation/a/ratio 1": B}, {"train/b": C, "collect": D})
    assert list(roles_of(inputs)) == ["evaluation/b/ratio 1", "evaluation/a/ratio 1", "train/b", "collect"]


def test_roles_of_label_kinds_name_kind_and_compressor() -> None:
    inputs = CompareLabelKindsInputs({"x": A}, {"x": B, "random": C}, {"evaluation/x/ratio 0.5": D})
    assert roles_of(inputs) == {
        "compressor/x": A, "compress/x": B, "compress/random": C, "evaluation/x/ratio 0.5": D,
    }  # fmt: skip


def test_call_is_addressed_by_the_roles_of_its_inputs() -> None:
    call = prepare.call(PrepareConfig(), PrepareInputs(A, B, C), label="dual", rows=5)
    parents = {"model": A.fingerprint, "samples": B.fingerprint, "compressed": C.fingerprint}
    assert call.ref == ArtifactRef("prepare", fingerprint("prepare", 2, PrepareConfig(), parents))
    assert (call.title, call.expected_rows) == ("prepare dual", 5)


def test_inputs_of_another_stage_are_refused_when_the_call_is_made() -> None:
    with pytest.raises(TypeError, match="prepare: takes PrepareInputs, got TrainInputs"):
        prepare.call(PrepareConfig(), TrainInputs(A, B))  # type: ignore[arg-type]


def test_call_comes_back_from_a_worker_as_the_same_stage() -> None:
    """A decorated function is no longer found by its name, as pickle wants it: the stage is."""
    calls = [
        prepare.call(PrepareConfig(), PrepareInputs(A, B, C)),
        MERGED["collect"].call(Merge(shards=2), MergeInputs((A, B))),
    ]
    first, merged = pickle.loads(pickle.dumps(calls))
    assert first.stage is prepare and first == calls[0]
    assert merged == calls[1] and merged.stage.body is calls[1].stage.body
