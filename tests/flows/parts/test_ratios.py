"""Evaluating at a ratio that was never trained is said in one line, on every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.launch.plan import plan, show_plan
from flows.launch.registry import find_flow
from flows.parts.ratios import prepared_ratios, trained_ratios, warn_of_untrained
from latent_core.config.prepare import PrepareConfig, RatioLabel
from latent_core.config.runtime import TrackingConfig
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, Reference, begin
from tasks.inputs import ModelInput
from tasks.run.plan import Plan

OUTSIDE = Reference(None, "f" * 64)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def made(store: ArtifactStore, stage: str, config: Any, **parents: Reference | ArtifactRef) -> ArtifactRef:
    fingerprints = {role: parent.fingerprint for role, parent in parents.items()}
    ref = ArtifactRef(stage, fingerprint(stage, 1, config, fingerprints))
    with begin(store, ref) as out:
        out.commit(config=config, parents=parents)
    return ref


def trained(store: ArtifactStore, base: Reference | ArtifactRef = OUTSIDE, **prepare: Any) -> ArtifactRef:
    """A model that a run trained at `prepare`'s ratios."""
    prepared = made(store, "prepare", PrepareConfig(**prepare), model=base)
    return made(store, "train", {"steps": 1}, model=base, prepared=prepared)


def flow_config(name: str, tmp_path: Path, **fields: Any) -> Any:
    places = {"store": str(tmp_path / "store"), "tracking": {"uri": f"sqlite:///{tmp_path}/mlflow.db"}}
    return find_flow(name).config.model_validate({**places, **fields})


def test_ratios_of_a_trained_model_are_those_of_all_its_examples(store: ArtifactStore) -> None:
    first = trained(store, ratios=(1.0, 0.5))
    again = trained(store, first, ratios=(0.3,))
    assert trained_ratios(first, store) == {1.0, 0.5}
    assert trained_ratios(again, store) == {1.0, 0.5, 0.3}
    reinforced = made(store, "grpo", {"ratios": [0.25]}, model=first)
    assert trained_ratios(reinforced, store) == {1.0, 0.5, 0.25}


def test_ratios_of_a_model_with_buckets_are_the_buckets(store: ArtifactStore) -> None:
    label = {"ratio_label": RatioLabel.BUCKET, "ratios": (1.0, 0.5, 0.3)}
    assert trained_ratios(trained(store, **label, buckets=(0.2, 0.4)), store) == {1.0, 0.4, 0.2}
    assert trained_ratios(trained(store, **label), store) == {1.0, 0.5, 0.3}
    assert prepared_ratios(PrepareConfig(**label, buckets=(0.2, 0.4))) == {1.0, 0.4, 0.2}


def test_ratios_of_models_that_heard_none_are_one(store: ArtifactStore) -> None:
    direct = made(store, "prepare_direct", {"seed": 1})
    answering = made(store, "train", {"steps": 1}, model=OUTSIDE, prepared=direct)
    assert trained_ratios(answering, store) == {1.0}
    assert trained_ratios(ModelInput.find("latent-mini"), store) == {1.0}
    assert trained_ratios(made(store, "build_dual", {"seed": 0}, model=OUTSIDE), store) == {1.0}


def test_nothing_is_claimed_where_nothing_is_known(store: ArtifactStore) -> None:
    assert trained_ratios(ModelInput("owner/name", "f" * 64), store) is None
    lost = made(store, "train", {"steps": 2}, model=OUTSIDE, prepared=ArtifactRef("prepare", "e" * 64))
    assert trained_ratios(lost, store) is None
    assert trained_ratios(trained(store, ratios=(0.5,), ratio_label=RatioLabel.ACHIEVED), store) is None
    assert prepared_ratios(PrepareConfig(ratio_label=RatioLabel.ACHIEVED)) is None


def test_reevaluation_names_the_untrained_ratio_on_every_run(store: ArtifactStore, tmp_path: Path) -> None:
    model = trained(store, ratios=(1.0, 0.5))
    fields: dict[str, Any] = {"benchmark": {}, "evaluate": {"ratios": [1.0, 0.5, 0.4]}}
    config = flow_config("reevaluate", tmp_path, model=str(model), **fields)
    (line,) = plan(find_flow("reevaluate"), config)[0].warnings
    assert line.startswith(f"evaluate.ratios: 0.4 was never trained ({model}: trained at 1, 0.5)")


def test_main_job_compares_the_ratios_it_evaluates_with_those_it_prepares(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"prepare": {"ratios": [1.0, 0.5]}, "variants": ["standard"], "collect": {"questions": 4}}
    flow = find_flow("tokenskip-math")
    planned, _ = plan(flow, flow_config("tokenskip-math", tmp_path, **fields, evaluate={"ratios": [0.5]}))
    assert not planned.warnings
    more = flow_config("tokenskip-math", tmp_path, **fields, evaluate={"ratios": [0.5, 0.3, 0.1]})
    (line,) = plan(flow, more)[0].warnings
    assert line.startswith("evaluate.ratios: 0.3, 0.1 were never trained (prepare.ratios: trained at 1, 0.5), so")


def test_command_that_only_plans_logs_the_warnings_of_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("flows.launch.plan.logger.warning", lambda form, *values: said.append(form % values))
    planned = Plan("toy", ArtifactStore(tmp_path), TrackingConfig())
    warn_of_untrained(planned, [0.5], frozenset({1.0}), "m")
    monkeypatch.setattr("flows.launch.plan.plan", lambda *words: (planned, None))
    show_plan("reevaluate", None, [], [])
    assert said == planned.warnings and "0.5 was never trained" in said[0]


def test_stages_are_called_by_their_names() -> None:
    from flows.parts import ratios
    from tasks.grpo import train_policy
    from tasks.train import train

    assert (train.name, train_policy.name) == (ratios.TRAIN, ratios.GRPO)
