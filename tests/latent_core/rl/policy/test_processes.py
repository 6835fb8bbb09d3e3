"""Two processes that train one policy: the same rollouts, filter and weights as one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from latent_core.config.agents import AgentConfig
from latent_core.config.grpo import GrpoConfig
from latent_core.errors import InputError
from latent_core.rl.policy.processes import Processes
from tests.support.policy_processes import RUNS, run_pair, train
from tests.support.training_runs import weights


@pytest.fixture(scope="module")
def pair(mini_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes trained, by run."""
    folder = tmp_path_factory.mktemp("pair") / "runs"
    run_pair(folder, mini_dir)
    return folder


_SAME = (
    "loss", "grad_norm", "reward", "reward_std", "completions/max_length", "value_loss", "explained_variance",
)  # fmt: skip


_FLOATS = {"advantage", "value"}  # of ppo, what hidden states of another batch say


def _distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Euclidean, over all weights."""
    return math.sqrt(sum(float((one[name].float() - other[name].float()).square().sum()) for name in one))


def _discrete(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _FLOATS}


def _of_both(pair: Path, name: str) -> list[Any]:
    return [json.loads((pair / f"{name}-{rank}.json").read_text()) for rank in range(2)]


def test_filter_sees_the_groups_of_all_processes_and_each_is_told_of_its_own(pair: Path) -> None:
    assert [basics["kept"] for basics in _of_both(pair, "basics")] == [[False, False], [True, True]]


def test_rollout_file_has_the_rows_of_all_processes_in_order_and_all_can_read_it(pair: Path) -> None:
    assert [basics["file"] for basics in _of_both(pair, "basics")] == [list(range(6))] * 2


def test_gradients_are_means_over_processes_and_stay_away_where_none_has_one(pair: Path) -> None:
    assert [basics["gradients"] for basics in _of_both(pair, "basics")] == [[[1.5, 3.0], None, [2.0, 3.0]]] * 2


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_the_weights_of_one_from_the_same_rollouts(
    name: str, pair: Path, mini_dir: Path, tmp_path: Path
) -> None:
    from latent_core.rl.rollouts.agent_rollouts import agent_schema
    from latent_core.rl.rollouts.files import RolloutFiles
    from latent_core.rl.rollouts.problem_rollouts import rollout_schema

    one = train(name, mini_dir, tmp_path, processes=1)
    rows = list(one.rollouts)
    is_agent, has_values = "instances_per_step" in RUNS[name], "ppo" in name
    schema = agent_schema(values=has_values) if is_agent else rollout_schema(length="length" in RUNS[name])
    steps = range(0, RUNS[name]["steps"], RUNS[name].get("iterations", 1))
    shared = list(RolloutFiles(pair / name / "steps/rollouts", schema).rows(steps))
    assert [_discrete(row) for row in shared] == [_discrete(row) for row in rows]
    for column in _FLOATS & set(rows[0]):
        theirs, mine = ([row[column] for row in some] for some in (shared, rows))
        assert theirs == (pytest.approx(mine, rel=1e-3, abs=1e-3) if has_values else mine)
    assert {row["taught"] for row in rows} == {True, False}
    alone, paired, start = (
        weights(folder) for folder in (tmp_path / name / "out/model", pair / name / "out/model", mini_dir)
    )
    apart, moved = (_distance(alone, other) for other in (paired, start))
    print(f"{name}: weights moved by {moved:.1e}, and are {apart:.1e} apart")
    assert apart <= 5e-3 * moved  # Adam makes much of the rounding of small gradients
    (curve, diagnosis), _ = _of_both(pair, name)
    for entry, shared_entry in zip(one.curve[:-1], curve[:-1], strict=True):
        same = {key: entry[key] for key in entry if key in _SAME}
        assert {key: shared_entry[key] for key in same} == pytest.approx(same, rel=1e-3, abs=1e-6)
    assert [step for step, _ in diagnosis] == list(one.diagnosis)
    for (_, found), expected in zip(diagnosis, one.diagnosis.values(), strict=True):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert ("diagnose_every" in RUNS[name]) == any("mutual_information" in found for found in one.diagnosis.values())


def test_process_that_is_alone_shares_with_none() -> None:
    alone = Processes.here()
    assert alone == Processes(rank=0, count=1) and alone.share([1, 2, 3]) == [1, 2, 3] and alone.everyones([1]) == [1]
    with pytest.raises(InputError, match="2 cannot share 3 groups evenly"):
        Processes(0, 2).share([1, 2, 3])


@pytest.mark.parametrize(
    ("config", "settings", "named"),
    [
        (GrpoConfig, {"processes": 3}, r"grpo\.processes: 3 cannot share grpo\.questions_per_step, 8, evenly"),
        (AgentConfig, {"processes": 5}, r"agent\.processes: 5 cannot share agent\.instances_per_step, 8, evenly"),
        (
            GrpoConfig,
            {"processes": 2, "micro_batch_size": 64},
            r"grpo\.micro_batch_size: 64 does not divide the 32 rollouts of a step that each of 2 processes",
        ),
    ],
)
def test_processes_that_cannot_share_a_step_evenly_are_refused(
    config: type[GrpoConfig] | type[AgentConfig], settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        config.model_validate(settings)


@pytest.mark.parametrize("config", [GrpoConfig, AgentConfig])
def test_processes_whose_rollouts_vllm_would_draw_are_refused(config: type[GrpoConfig] | type[AgentConfig]) -> None:
    with pytest.raises(
        ValueError, match=r"(grpo|agent)\.processes: 2 .*set (grpo|agent)\.rollout\.engine to transformers"
    ):
        config.model_validate({"processes": 2, "rollout": {"engine": "vllm"}})


def test_processes_are_no_part_of_what_a_result_is() -> None:
    assert GrpoConfig(processes=2).identity() == GrpoConfig().identity()
