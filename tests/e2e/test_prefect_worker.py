"""A Prefect server and a process worker, as a lab runs them: runs cancelled, retried, and started twice at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from latent_core.store import ArtifactStore
from tests.support.webhook import webhook

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[2]
POOL = "tests"
CANCEL_SECONDS = 10.0


@dataclass(frozen=True)
class Site:
    """A running server with a worker; `api` is where it answers."""

    api: str
    environment: dict[str, str]

    def prefect(self, *words: str) -> str:
        """What a `prefect` command printed."""
        command = [sys.executable, "-m", "prefect", *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, cwd=ROOT, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        raw = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.api}/{path}", raw, {"Content-Type": "application/json"})
        for _ in range(60):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                if error.code != 503:  # what the server says while another one writes to its SQLite file
                    raise
                time.sleep(1)
        raise AssertionError(f"{path}: the server was busy for a minute")

    def start(self, folder: Path) -> str:
        """Start the toy flow with its store in `folder`; returns the flow run's id."""
        deployment = self.ask("deployments/name/toy/toy")["id"]
        runtime = {"work_dir": str(folder / "work"), "retries": 20, "retry_seconds": 30}
        parameters = {"cfg": {"store": str(folder / "store"), "runtime": runtime}, "log": str(folder / "log")}
        return str(self.ask(f"deployments/{deployment}/create_flow_run", {"parameters": parameters})["id"])

    def state(self, run: str) -> str:
        return str(self.ask(f"flow_runs/{run}")["state"]["name"])

    def task_states(self, run: str) -> list[str]:
        """The states of a flow run's tasks, in the order in which they were started."""
        found = self.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"})
        return [item["state"]["name"] for item in found]


def _until(holds: Callable[[], bool], seconds: float = 600.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def _words(folder: Path) -> list[str]:
    return (folder / "log").read_text().split() if (folder / "log").exists() else []


def _processes(folder: Path) -> list[psutil.Process]:
    """The live processes of the runs in `folder`: each worker's, as its log names it, and its parent's."""
    found = {}
    for log in (folder / "work" / "logs").glob("*.log"):
        for pid in {int(line.split()[1]) for line in log.read_text().splitlines()} | {int(log.name.split("-")[1])}:
            if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found[pid] = psutil.Process(pid)
    return list(found.values())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    api = f"http://127.0.0.1:{port}/api"
    environment = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api,
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_API_REQUEST_TIMEOUT": "180",  # seconds, for a machine that is busy with other things
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PYTHONPATH": str(ROOT),
    }
    site = Site(api, environment)
    running = []

    def start(*words: str) -> None:
        with (home / "log").open("ab") as log:
            command = [sys.executable, "-m", "prefect", *words]
            running.append(
                subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
            )

    def answers() -> bool:
        try:
            return bool(site.ask("health"))
        except OSError:
            return False

    try:
        start("server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui")
        _until(answers)
        site.prefect("work-pool", "create", POOL, "--type", "process")
        entrypoint = "tests/support/worker_flow.py:toy"
        site.prefect("--no-prompt", "deploy", entrypoint, "--name", "toy", "--pool", POOL)
        start("worker", "start", "--pool", POOL)
        yield site
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_cancelled_run_stops_its_processes_within_ten_seconds_and_commits_nothing_partial(
    site: Site, tmp_path: Path
) -> None:
    run = site.start(tmp_path)
    _until(lambda: "numbers3" in _words(tmp_path))
    assert len(_processes(tmp_path)) == 2
    site.prefect("flow-run", "cancel", run)
    cancelled = time.monotonic()
    _until(lambda: not _processes(tmp_path))
    assert time.monotonic() - cancelled < CANCEL_SECONDS
    _until(lambda: site.state(run) == "Cancelled")
    store = ArtifactStore(tmp_path / "store")
    assert [store.require(ref).rows for ref in store.list()] == [2]
    assert _words(tmp_path) == ["numbers2", "numbers3"]  # a stopped stage is no failure, and is not tried again


def test_cancelled_run_goes_on_from_the_last_finished_stage_when_it_is_retried(site: Site, tmp_path: Path) -> None:
    run = site.start(tmp_path)
    _until(lambda: "numbers3" in _words(tmp_path))
    site.prefect("flow-run", "cancel", run)
    _until(lambda: site.state(run) == "Cancelled")
    (tmp_path / "log.go").touch()
    site.prefect("flow-run", "retry", run)
    _until(lambda: site.state(run) == "Completed")
    assert sorted(_words(tmp_path)) == ["numbers2", "numbers3", "numbers3", "sum"]
    assert "Cached" in site.task_states(run)


def test_two_flow_runs_of_one_configuration_at_once_give_one_result(site: Site, tmp_path: Path) -> None:
    runs = [site.start(tmp_path), site.start(tmp_path)]
    _until(lambda: "numbers3" in _words(tmp_path) and all(site.state(run) == "Running" for run in runs))
    (tmp_path / "log.go").touch()
    _until(lambda: [site.state(run) for run in runs] == ["Completed", "Completed"])
    store = ArtifactStore(tmp_path / "store")
    refs = list(store.list())
    assert sorted(ref.stage for ref in refs) == ["numbers", "numbers", "sum"]
    assert all(store.verify(ref).ok for ref in refs)
    assert [store.require(ref).manifest.content.metrics for ref in refs if ref.stage == "sum"] == [{"sum": 4}]


def test_failed_run_and_regression_are_posted_to_a_webhook_by_the_automations_of_the_project(
    site: Site, tmp_path: Path
) -> None:
    save = (
        "import sys; from prefect.blocks.notifications import CustomWebhookNotificationBlock as Block; "
        "block = Block(name='lab', url=sys.argv[1], json_data={'subject': '{{subject}}', 'text': '{{body}}'}); "
        "print(block.save('lab', overwrite=True))"
    )
    with webhook() as hook:
        command = [sys.executable, "-c", save, hook.url]
        block = subprocess.check_output(command, env=site.environment, text=True, timeout=300).split()[-1]
        automations = (ROOT / "deployments" / "automations" / "notifications.yaml").read_text()
        (tmp_path / "notifications.yaml").write_text(automations.replace("BLOCK_ID", block))
        site.prefect("automation", "create", "--from-file", str(tmp_path / "notifications.yaml"))
        for word in ("regression", "failure"):
            command = [sys.executable, "-m", "tests.support.failing_flow", word]
            subprocess.run(command, env=site.environment, cwd=ROOT, check=True, timeout=300)
        told = [hook.posted.get(timeout=300) for _ in range(2)]
    subjects = sorted(item["subject"].partition(", run ")[0] for item in told)
    assert subjects == ["Failed: reevaluate", "Regression: reevaluate"]
    (regression,) = (item["text"] for item in told if item["subject"].startswith("Regression"))
    assert "models:/toy@champion got worse" in regression and "/runs/flow-run/" in regression


def test_deploy_all_gives_every_deployment_the_parameters_of_its_file(site: Site) -> None:
    site.prefect("work-pool", "create", "local-process", "--type", "process")
    site.prefect("--no-prompt", "deploy", "--all")
    files = {file.stem: yaml.safe_load(file.read_text()) for file in (ROOT / "deployments").glob("*.yaml")}
    found = {item["name"]: item["parameters"] for item in site.ask("deployments/filter", {}) if item["name"] != "toy"}
    declared = {
        item["name"]: item["parameters"] for item in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    }
    named = {
        name: parameters["cfg"].strip("{} ").removeprefix("files.")
        for name, parameters in declared.items()
        if "cfg" in parameters
    }
    assert found == declared | {name: {"cfg": files[file]} for name, file in named.items()}
    site.prefect("deployment", "run", "tokenskip-math")
    (run,) = site.ask("flow_runs/filter", {"deployments": {"name": {"any_": ["tokenskip-math"]}}})
    assert run["parameters"] == {"cfg": files["tokenskip-math"]}
