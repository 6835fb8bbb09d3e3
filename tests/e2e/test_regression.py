"""A nightly champion that was exchanged for a worse model: trained, evaluated and tracked for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.deployed import reevaluate
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.direct import DirectExamplesConfig
from latent_core.config.reevaluate import ReevaluateConfig
from latent_core.config.training import TrainConfig, TrainMethod
from latent_core.errors import InputError, RegressionFound
from latent_core.store import Artifact, ArtifactStore
from tasks.direct import PrepareDirectInputs, prepare_direct
from tasks.inputs import ModelInput, ProblemsInput
from tasks.stage import StageCall, Workplace
from tasks.tracking.mlflow import open_client
from tasks.tracking.models import register, set_champion
from tasks.train import TrainInputs, train
from tasks.workers.compute import perform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("prefect_server")]

NAME = "tokenskip-math"
QUESTIONS = 24
BENCHMARK = BenchmarkConfig(difficulties=(1,))
# One step at a rate of nothing leaves the packaged model as it is; forty at a wild one make it answer at random.
GOOD, BAD = {"steps": 1, "learning_rate": 1e-9}, {"steps": 40, "learning_rate": 0.02, "schedule": "linear"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ReevaluateConfig:
    root = tmp_path_factory.mktemp("nights")
    return ReevaluateConfig.model_validate(
        {
            "model": f"models:/{NAME}@champion",
            "benchmark": BENCHMARK.model_dump(),
            "evaluate": {"questions": QUESTIONS, "ratios": [1.0], "sampling": {"max_new_tokens": 128}},
            "store": str(root / "store"),
            "runtime": {"threads_per_worker": 1, "retry_seconds": 0, "work_dir": str(root / "work")},
            "tracking": {"uri": f"sqlite:///{root}/mlflow.db"},
        }
    )


def _trained(config: ReevaluateConfig, scratch: Path, **fields: Any) -> Artifact:
    """The packaged model, fine-tuned on answers without reasoning."""
    store = ArtifactStore(config.store)
    base, problems = ModelInput.find("latent-mini"), ProblemsInput.find(BENCHMARK, "train")
    examples = prepare_direct.call(DirectExamplesConfig(questions=32), PrepareDirectInputs(base, problems))
    settings = TrainConfig(
        method=TrainMethod.FULL, batch_size=4, micro_batch_size=4, max_length=256, eval_every=40, **fields
    )

    def performed(call: StageCall) -> Artifact:
        found = store.get(call.ref.stage, call.ref.fingerprint)
        return found or perform(call, Workplace(store, scratch / call.ref.key, lambda *_: None))

    prepared = performed(examples)
    return performed(train.call(settings, TrainInputs(base, prepared.ref)))


def _tracked_states(config: ReevaluateConfig) -> list[str]:
    client, experiment = open_client(config.tracking)
    runs = client.search_runs([experiment], "tags.`latent.flow` = 'reevaluate'", order_by=["attributes.start_time ASC"])
    return [run.info.status for run in runs]


def _flow_states() -> list[tuple[str, str]]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_ASC)
        names = {flow.id: flow.name for flow in client.read_flows()}
    return [
        (run.state.name, run.state.message or "")
        for run in runs
        if names[run.flow_id] == "reevaluate" and run.state is not None
    ]


def test_reevaluate_worse_model_as_champion_fails_with_the_reason_until_it_is_moved_back(
    config: ReevaluateConfig, tmp_path: Path
) -> None:
    store = ArtifactStore(config.store)
    client, _ = open_client(config.tracking)
    good = register(client, NAME, _trained(config, tmp_path, **GOOD).ref, store, "standard")
    with pytest.raises(InputError, match=f"latent track champion {NAME} VERSION"):
        reevaluate(config)  # nobody has made one yet
    set_champion(config.tracking, NAME, good)
    reevaluate(config)

    bad = register(client, NAME, _trained(config, tmp_path, **BAD).ref, store, "undertrained")
    reevaluate(config)  # registering moves no champion
    set_champion(config.tracking, NAME, bad)
    for _ in range(2):
        with pytest.raises(RegressionFound, match=r"@champion got worse .*ratio 1: accuracy -\d+\.\d points"):
            reevaluate(config)
    set_champion(config.tracking, NAME, good)
    reevaluate(config)

    assert _tracked_states(config) == ["FAILED", "FINISHED", "FINISHED", "FAILED", "FAILED", "FINISHED"]
    states = _flow_states()[-5:]
    assert [name for name, _ in states] == ["Completed", "Completed", "Failed", "Failed", "Completed"]
    reason = states[2][1]
    assert f"models:/{NAME}@champion got worse since its last accepted evaluation: ratio 1: accuracy -" in reason
    assert f"on {QUESTIONS} questions" in reason
