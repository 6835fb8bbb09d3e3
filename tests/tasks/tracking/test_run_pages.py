"""What MLflow's pages say of a flow's run: names, parameters, headlines, one chart over the ratio, links, its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from latent_core.config.runtime import TrackingConfig
from latent_core.config.tokenskip import TokenSkipConfig
from latent_core.errors import StageFailed
from latent_core.evaluation.condition import Condition, Kind
from latent_core.identity import fingerprint
from latent_core.report.names import label
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin
from tasks.tracking import parents
from tasks.tracking import tracker as tracker_module
from tasks.tracking.curves import curves
from tasks.tracking.description import read_label
from tasks.tracking.journal import Journal, JournalEntry
from tasks.tracking.mlflow import open_client, sync
from tasks.tracking.parameters import flat_parameters, is_taken
from tasks.tracking.tracker import Tracker
from tests.support.tracked import database, fields_of

RATIOS = (1.0, 0.5, 0.3)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def _made(
    store: ArtifactStore, stage: str, config: dict[str, Any], parents: dict[str, ArtifactRef], **committed: Any
) -> Artifact:
    hashes = {role: parent.fingerprint for role, parent in parents.items()}
    ref = ArtifactRef(stage, fingerprint(stage, 1, config, hashes))
    found = store.get(ref.stage, ref.fingerprint)
    if found is not None:
        return found
    with begin(store, ref) as out:
        with out.open("weights/model/config.json") as handle:
            handle.write(b"{}")
        return out.commit(config=config, parents=parents, **committed)


def _evaluated(store: ArtifactStore, model: ArtifactRef, ratio: float, accuracy: float) -> Artifact:
    metrics = {
        "accuracy": {"value": accuracy, "low": accuracy - 0.1, "high": accuracy + 0.1},
        "tokens": {"value": 100 * ratio, "low": 1.0, "high": 200.0},
        "reasoning_tokens": 90 * ratio,
        "histogram": {"edges": [0, 8, 16], "counts": [1, 2, 3]},
    }
    record = {"benchmarks": {"problems": {"name": "gsm8k"}}}
    return _made(store, "evaluate", {"ratio": ratio}, {"model": model}, metrics=metrics, record=record)


def _tracked(tracking: TrackingConfig, store: ArtifactStore, *, cached: bool = False) -> Tracker:
    """A run that trains two variants and evaluates each at three ratios."""
    tracker = Tracker(tracking, "compare", TokenSkipConfig(seeds=(1,)), store)
    for variant, accuracy in (("standard", 0.5), ("dual", 0.6)):
        trained = _made(store, "train", {"seed": 1, "steps": len(variant)}, {})
        tracker.stage(trained, cached=cached, label=f"{variant}-seed1")
        for ratio in RATIOS:
            evaluated = _evaluated(store, trained.ref, ratio, accuracy + ratio / 10)
            tracker.stage(evaluated, cached=cached, label=f"{variant}-seed1 {ratio:g}")
        tracker.register_model("m", trained.ref, f"{variant}-seed1")
    tracker.finish(failed=False)
    return tracker


def _runs(tracking: TrackingConfig, wanted: str = "") -> list[Any]:
    client, experiment = open_client(tracking)
    return list(client.search_runs([experiment], wanted, order_by=["attributes.start_time ASC"]))


def test_labels_of_all_conditions_are_read_back() -> None:
    for model in ("dual", "lm_surprisal span", "policy"):
        for seed in (None, 0, 12):
            for kind in Kind:
                if kind is not Kind.UNTRAINED:
                    condition = Condition(model, kind, 0.25 if kind.takes_ratio else None, seed)
                    assert read_label(label(condition), is_truncated=kind is Kind.TRUNCATE) == condition
    base = Condition("base", Kind.UNTRAINED, 1.0)
    assert read_label(label(base)) == base


@pytest.mark.parametrize("trainer", ["train", "grpo", "agent"])
def test_models_without_ratios_are_lines_of_their_own_beside_a_base_that_was_trained_before(
    store: ArtifactStore, trainer: str
) -> None:
    before, after = (_made(store, trainer, {"seed": seed}, {}).ref for seed in (1, 2))
    evaluated = {"base": _evaluated(store, before, 1.0, 0.5), "concise": _evaluated(store, after, 1.0, 0.7)}
    journal = Journal("run", "concise", "", {}, 0.0)
    found = [
        (JournalEntry(one.ref.stage, one.ref.fingerprint, False, name), one.manifest) for name, one in evaluated.items()
    ]
    drawn = [(curve.name, [point.ratio for point in curve.points]) for curve in curves(journal, found)]
    assert drawn == [("base by ratio · gsm8k", [1.0]), ("concise trained by ratio · gsm8k", [1.0])]
    assert curves(journal, found[1:]) == []


def test_parameters_that_mlflow_cannot_hold_are_told_and_not_cut() -> None:
    fields = {"a": {"b": 0.5, "c": None, "d": ""}, "e": "x" * 6001, "f?": 1, "g" * 251: 2, "h": []}
    assert flat_parameters(fields, "config.json") == {
        "a/b": "0.5",
        "a/c": "null",
        "a/d": '""',
        "e": "6,001 characters: see config.json",
        "h": "[]",
        "parameters_left_out": "2 with names that MLflow does not take: see config.json",
    }
    assert not is_taken("a//b") and not is_taken("../b") and is_taken("a.b-c/d 0.5:e")


def test_pages_of_a_run_say_what_it_was_and_rebuilt_ones_say_the_same(
    tmp_path: Path, tables: Path, store: ArtifactStore
) -> None:
    live, rebuilt = (database(tables, tmp_path / name) for name in ("live", "rebuilt"))
    _tracked(live, store)
    runs = _runs(live)
    parent = next(run for run in runs if "latent.run" in run.data.tags)
    assert parent.info.run_name == "compare · latent-mini · standard, dual · word_problems · seed 1"
    assert parent.data.params["train/learning_rate"] and parent.data.params["model"] == "latent-mini"
    assert parent.data.tags["mlflow.user"] == parent.info.user_id != ""
    assert parent.data.metrics["accuracy/dual-seed1 ratio 0.5"] == pytest.approx(0.65)
    assert parent.data.metrics["tokens/standard-seed1 ratio 1"] == 100
    evaluations = [run for run in runs if run.data.tags.get("stage") == "evaluate"]
    said = {json.dumps(run.data.params, sort_keys=True) for run in evaluations}
    assert len(said) == len(evaluations) == 6
    one = next(run for run in evaluations if run.info.run_name.startswith("evaluate dual-seed1 0.5"))
    assert one.info.run_name == "evaluate dual-seed1 0.5 · latent-mini · gsm8k"
    about = {"model": "latent-mini", "variant": "dual", "seed": "1", "ratio": "0.5", "benchmark": "gsm8k"}
    assert about.items() <= one.data.params.items() and one.data.params["condition"] == "ratio 0.5"
    assert not [name for name in one.data.metrics if "histogram" in name]
    client, _ = open_client(live)
    bins = Path(client.download_artifacts(one.info.run_id, "histogram.csv")).read_text()
    assert bins == "from,below,count\n0,8,1\n8,16,2\n16,,3\n"
    sync(store, rebuilt)
    assert fields_of(rebuilt) == fields_of(live)


def test_accuracy_over_ratio_is_one_metric_of_one_run_a_variant_with_percents_as_steps(
    tmp_path: Path, tables: Path, store: ArtifactStore
) -> None:
    tracking = database(tables, tmp_path / "live")
    _tracked(tracking, store)
    client, _ = open_client(tracking)
    drawn, files = {}, []
    for run in _runs(tracking, "tags.stage = 'by_ratio'"):
        history = client.get_metric_history(run.info.run_id, "by_ratio_percent/accuracy")
        files.append(Path(client.download_artifacts(run.info.run_id, "by_ratio.csv")).read_text().splitlines())
        drawn[run.data.params["variant"]] = [(point.step, round(point.value, 3)) for point in history]
    assert drawn == {
        "standard": [(30, 0.53), (50, 0.55), (100, 0.6)],
        "dual": [(30, 0.63), (50, 0.65), (100, 0.7)],
    }
    assert [row.split(",")[0] for row in files[0]] == ["ratio", "0.3", "0.5", "1.0"]
    (parent,) = _runs(tracking, "tags.`latent.flow` = 'compare'")
    assert parent.data.tags["mlflow.note.content"].startswith("[Accuracy over ratio](#/metric?runs=")


def test_headlines_are_sent_once(
    tmp_path: Path, tables: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    send = parents.log_metrics

    def noted(client: Any, run_id: str, metrics: list[Any]) -> None:
        sent.extend(metric.key for metric in metrics)
        send(client, run_id, metrics)

    monkeypatch.setattr(parents, "log_metrics", noted)
    _tracked(database(tables, tmp_path / "live"), store)
    assert len(sent) == len(set(sent)) == 2 * 2 * len(RATIOS)


def test_cached_rerun_makes_one_run_that_links_to_the_first_ones(
    tmp_path: Path, tables: Path, store: ArtifactStore
) -> None:
    tracking = database(tables, tmp_path / "live")
    _tracked(tracking, store)
    before = {run.info.run_id for run in _runs(tracking)}
    _tracked(tracking, store, cached=True)
    (new,) = [run for run in _runs(tracking) if run.info.run_id not in before]
    (first,) = {run.info.run_id for run in _runs(tracking, "tags.`latent.flow` = 'compare'")} & before
    assert new.data.tags["latent.first_runs"] == first
    assert new.data.metrics["accuracy/dual-seed1 ratio 0.5"] == pytest.approx(0.65)
    client, _ = open_client(tracking)
    stages = json.loads(Path(client.download_artifacts(new.info.run_id, "stages.json")).read_text())["stages"]
    assert len(stages) == 8 and {stage["run_id"] for stage in stages} <= before
    assert sync(store, tracking)[:2] == (0, 0)


def test_registered_version_has_source_run_description_and_measured_accuracy(
    tmp_path: Path, tables: Path, store: ArtifactStore
) -> None:
    tracking = database(tables, tmp_path / "live")
    _tracked(tracking, store)
    client, _ = open_client(tracking)
    version = client.get_model_version_by_alias("m", "dual-seed1")
    source = client.get_run(version.run_id)
    assert source.data.tags["stage"] == "train" and source.data.params["variant"] == "dual"
    assert version.tags["accuracy/ratio 0.5 gsm8k"] == "0.6500"
    assert "| ratio 0.3 | gsm8k | 63.0 % (53.0 to 73.0) | 30.0 |" in version.description
    files = [item.path for item in client.list_artifacts(version.run_id, "weights/model")]
    assert files == ["weights/model/config.json"]


@pytest.mark.parametrize(
    ("why", "status", "reason"),
    [
        (StageFailed("train dual: no room on the disk"), "FAILED", "train dual: no room on the disk"),
        (ValueError("bad"), "FAILED", "ValueError: bad"),
        (ValueError("https://canary@host/v1?api_key=canary"), "FAILED", "ValueError: https://***@host/v1?api_key=***"),
        (SystemExit(143), "KILLED", "ended by SIGTERM"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
    ],
)
def test_run_that_ended_early_says_why_and_a_cancelled_one_is_killed(
    tmp_path: Path, tables: Path, store: ArtifactStore, why: BaseException, status: str, reason: str
) -> None:
    live, rebuilt = (database(tables, tmp_path / name) for name in ("live", "rebuilt"))
    Tracker(live, "compare", TokenSkipConfig(), store).finish(failed=True, why=why)
    (run,) = _runs(live)
    assert (run.info.status, run.data.tags["latent.failure"]) == (status, reason)
    assert run.data.tags["mlflow.note.content"].startswith(f"**{status.capitalize()}**: {reason}")
    sync(store, rebuilt)
    assert fields_of(rebuilt) == fields_of(live)


def test_next_attempt_that_ends_well_takes_the_reason_away(
    tmp_path: Path, tables: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = database(tables, tmp_path / "live")
    monkeypatch.setattr(tracker_module, "_flow_run_id", lambda: "the-same-run")
    Tracker(tracking, "compare", TokenSkipConfig(), store).finish(failed=True, why=ValueError("bad"))
    Tracker(tracking, "compare", TokenSkipConfig(), store).finish(failed=False)
    (run,) = _runs(tracking)
    assert run.info.status == "FINISHED" and "latent.failure" not in run.data.tags
