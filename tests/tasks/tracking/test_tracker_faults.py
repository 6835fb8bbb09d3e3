"""A tracking server that errs or dawdles costs seconds, once; what `track sync` rebuilds is what a run would log."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3.util.retry
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from latent_core.config.runtime import RuntimeConfig, TrackingConfig
from latent_core.identity import fingerprint
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin
from tasks.run.execution import open_run
from tasks.tracking import parents
from tasks.tracking import tracker as tracker_module
from tasks.tracking.mlflow import open_client, sync
from tasks.tracking.tracker import Tracker
from tests.support.toy_stages import Numbers, SumInputs, ToyConfig, ToyInputs, add_up, count_up
from tests.support.tracked import database, fields_of

SECONDS = 60.0  # a few on an idle machine; what goes wrong here would take minutes


def _artifact(store: ArtifactStore, seed: int, parents: dict[str, ArtifactRef] | None = None) -> Artifact:
    config = {"seed": seed, "nested": {"ratio": 0.5, "name": "x"}, "list": [1, 2]}
    parents = parents or {}
    fingerprints = {role: parent.fingerprint for role, parent in parents.items()}
    with begin(store, ArtifactRef("numbers", fingerprint("numbers", 1, config, fingerprints))) as out:
        for path in ("table.md", "report.html", "figures/pareto.svg"):
            with out.open(path) as handle:
                handle.write(f"{path} {seed}".encode())
        return out.commit(
            config=config,
            parents=parents,
            accounting={"kept": 1, "wrong": 2},
            metrics={"accuracy": {"value": 0.5}, "curve": [1, 2]},
            record={"curve": [{"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.0, "eval_loss": 1.5}]},
        )


@contextmanager
def _server(status: int, delay: float, asked: list[str] | None = None) -> Iterator[str]:
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            if asked is not None:
                asked.append(self.path)
            released.wait(delay)
            self.send_response(status)
            self.send_header("Retry-After", "3600")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_PATCH = _answer

        def log_message(self, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    released.set()
    server.shutdown()
    server.server_close()


def _track(config: TrackingConfig, store: ArtifactStore) -> Tracker:
    """What a run with two stages, one of them cached, asks of its tracker."""
    tracker = Tracker(config, "flow", TrackingConfig(), store)
    first = _artifact(store, 0)
    tracker.stage(first, cached=True)
    tracker.stage(_artifact(store, 1, {"model": first.ref}), cached=False)
    tracker.tag({"latent.model": "m"})
    tracker.finish(failed=False)
    return tracker


@pytest.mark.parametrize(("status", "delay"), [(500, 0.0), (200, 600.0)], ids=["answers 500", "never answers"])
def test_bad_tracking_server_costs_seconds_once_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, status: int, delay: float
) -> None:
    monkeypatch.setattr(tracker_module, "PATIENCE", 2.0)
    with _server(status, delay) as url, caplog.at_level(logging.WARNING):
        started = time.monotonic()
        tracker = _track(TrackingConfig(uri=url), ArtifactStore(tmp_path))
        assert tracker.describe() == "" and tracker.url() is None
        assert time.monotonic() - started < SECONDS
    assert sum("track sync" in message for message in caplog.messages) == 1


def test_server_of_errors_is_asked_three_times_in_all_and_waited_for_less_than_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    slept: list[tuple[object, float]] = []
    monkeypatch.setattr(
        urllib3.util.retry.time, "sleep", lambda seconds: slept.append((threading.current_thread(), seconds))
    )
    with _server(503, 0.0, asked) as url:
        tracker = Tracker(TrackingConfig(uri=url), "flow", TrackingConfig(), ArtifactStore(tmp_path))
        for seed in range(5):
            tracker.stage(_artifact(ArtifactStore(tmp_path), seed), cached=False)
            tracker.describe()
        tracker.finish(failed=False)
        tracker._thread.join(60)
    mine = [seconds for thread, seconds in slept if thread is tracker._thread]
    assert len(asked) == 3 and sum(mine) < 5


def test_all_that_a_run_waits_for_a_silent_server_is_five_seconds_in_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()  # a second passes whenever somebody looks
    monkeypatch.setattr(tracker_module, "time", SimpleNamespace(monotonic=lambda: float(next(clock)), time=time.time))
    monkeypatch.setattr(tracker_module, "_LOOK", 0.0)
    with _server(200, 600.0) as url:
        tracker = Tracker(TrackingConfig(uri=url), "flow", TrackingConfig(), ArtifactStore(tmp_path))
        for seed in range(5):
            tracker.stage(_artifact(ArtifactStore(tmp_path), seed), cached=False)
            assert tracker.describe() == "" and tracker.url() is None
        tracker.tag({"latent.model": "m"})
        tracker.finish(failed=False)
        assert next(clock) <= tracker_module.PATIENCE + 3


def test_waits_that_each_end_well_are_taken_from_the_same_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, step = [0.0], [0.0]
    waited_for = threading.Event()

    def monotonic() -> float:
        now[0] += step[0]
        waited_for.set()
        return now[0]

    def slow(*words: object) -> None:
        assert waited_for.wait(60)
        now[0] += 2

    monkeypatch.setattr(tracker_module, "time", SimpleNamespace(monotonic=monotonic, time=time.time))
    monkeypatch.setattr(tracker_module, "open_client", lambda config: (SimpleNamespace(tracking_uri=config.uri), "1"))
    monkeypatch.setattr(tracker_module, "create_parent", lambda *words: "parent")
    monkeypatch.setattr(tracker_module, "log_artifact_run", slow)
    store = ArtifactStore(tmp_path)
    tracker = Tracker(TrackingConfig(uri="http://127.0.0.1:9"), "flow", TrackingConfig(), store)
    for seed in range(3):  # six seconds in sum
        waited_for.clear()
        tracker.stage(_artifact(store, seed), cached=False)
        assert tracker.describe()
    stuck = threading.Event()
    monkeypatch.setattr(tracker_module, "log_artifact_run", lambda *words: stuck.wait(60))
    step[0] = 0.5  # seconds that pass between two looks
    tracker.stage(_artifact(store, 3), cached=False)
    before = now[0]
    assert tracker.describe() == ""
    stuck.set()
    assert now[0] - before < 2


def test_server_that_falls_asleep_in_the_middle_never_holds_a_stage_up(
    tmp_path: Path, tables: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep, wake = threading.Event(), threading.Event()

    def dawdle(*words: object) -> None:
        asleep.set()
        wake.wait(600)

    monkeypatch.setattr(tracker_module, "LOCAL_PATIENCE", 1.0)
    monkeypatch.setattr(tracker_module, "log_artifact_run", dawdle)
    store = ArtifactStore(tmp_path / "store")
    config = database(tables, tmp_path / "live")
    tracker = Tracker(config, "flow", TrackingConfig(), store)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for seed in range(5):
            tracker.stage(_artifact(store, seed), cached=False)
        assert asleep.wait(60)
        tracker.finish(failed=False)
    wake.set()
    assert time.monotonic() - started < SECONDS
    assert sum("too slow" in message for message in caplog.messages) == 1
    monkeypatch.undo()
    assert sync(store, config)[1:3] == (5, 0)


def test_refused_entry_is_left_out_with_a_warning_and_all_else_is_written(
    tmp_path: Path, tables: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object) -> None:
        raise MlflowException("no rights to the registry", PERMISSION_DENIED)

    monkeypatch.setattr(tracker_module, "register", refuse)
    store = ArtifactStore(tmp_path / "store")
    config = database(tables, tmp_path / "live")
    tracker = Tracker(config, "flow", TrackingConfig(), store)
    model = _artifact(store, 0)
    tracker.stage(model, cached=False)
    for variant in ("standard", "dual"):
        tracker.register_model("m", model.ref, variant)
    tracker.stage(_artifact(store, 1), cached=False)
    with caplog.at_level(logging.WARNING):
        tracker.finish(failed=False)
    assert sum("no rights" in message for message in caplog.messages) == 1
    assert {fields[0]["status"] for fields in fields_of(config).values()} == {"FINISHED"} and len(
        fields_of(config)
    ) == 3
    monkeypatch.undo()
    assert sync(store, config) == (0, 0, 2, 1)


def _live_run(tmp_path: Path, tracking: TrackingConfig) -> ToyConfig:
    """A real flow of three stages, one in the store already, tracked while it ran."""
    from prefect import flow

    config = ToyConfig(
        store=str(tmp_path / "store"),
        runtime=RuntimeConfig(work_dir=str(tmp_path / "work"), retry_seconds=0),
        tracking=tracking,
    )
    log = str(tmp_path / "log")

    @flow(name="toy")
    def toy(counts: tuple[int, ...]) -> None:
        with open_run("toy", config) as run:
            shards = tuple(run.stage(count_up, Numbers(count=n, log=log), ToyInputs()) for n in counts)
            run.artifact(run.stage(add_up, Numbers(count=0, log=log), SumInputs(shards)))
            run.tag({"latent.setting": "toy"})

    toy((2,))
    toy((2, 3))
    return config


@pytest.mark.usefixtures("prefect_server")
def test_runs_rebuilt_after_an_outage_equal_the_live_ones_field_by_field(tmp_path: Path, tables: Path) -> None:
    config = _live_run(tmp_path, database(tables, tmp_path / "live"))
    rebuilt = database(tables, tmp_path / "rebuilt")
    done = sync(ArtifactStore(config.store), rebuilt)
    live = fields_of(config.tracking)
    assert len(live) == 2 + 2 + 2 and done == (2, 4, 1, 0)  # the cached stage is linked, not logged again
    assert live == fields_of(rebuilt)
    assert sync(ArtifactStore(config.store), config.tracking)[:2] == (0, 0)


def test_rebuilt_stage_run_has_every_kind_of_field(tmp_path: Path, tables: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    live, rebuilt = (database(tables, tmp_path / name) for name in ("live", "rebuilt"))
    _track(live, store)
    sync(store, rebuilt)
    fields = fields_of(live)
    assert fields == fields_of(rebuilt)
    parent, cached, computed = (next(fields[key] for key in fields if test(key, fields[key])) for test in _KINDS)
    assert parent[3]["latent.model"] == "m" and set(parent[5]) == {"config.json", "stages.json"}
    assert cached[3]["cache"] == "hit" and computed[3]["cache"] == "miss"
    _, params, histories, _, inputs, files = computed
    assert params.pop("inputs/model").startswith("numbers/") and params.pop("stage_version") == "1"
    assert params == {"seed": "1", "nested/ratio": "0.5", "nested/name": "x", "list": "[1, 2]"}
    assert [value[:2] for value in histories["train/loss"]] == [(10, 2.0), (20, 1.0)]
    assert histories["rows/wrong"][0][1] == 2 and histories["accuracy/value"][0][1] == 0.5
    assert [item[0]["name"] for item in inputs] == ["model"]
    assert set(files) == {"identity.json", "table.md", "report.html", "figures/pareto.svg"}


_KINDS = (
    lambda key, value: not key[0],
    lambda key, value: value[3].get("cache") == "hit",
    lambda key, value: value[3].get("cache") == "miss",
)


def test_run_that_was_half_written_when_the_server_died_is_completed(tmp_path: Path, tables: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    live, half = (database(tables, tmp_path / name) for name in ("live", "half"))
    journal = _track(live, store).journal
    client, experiment = open_client(half)
    parent = parents.create_parent(client, experiment, journal)
    tags = {"stage": "numbers", "fingerprint": journal.stages[1].fingerprint}
    client.create_run(experiment, tags={**tags, **parents.nested_tags(journal, journal.stages[1], parent)})
    assert sync(store, half) == (0, 2, 0, 0)
    assert fields_of(half) == fields_of(live)
