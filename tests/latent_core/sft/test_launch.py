"""Training in several processes: the same losses and weights as in one, and clear words when a process ends."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pyarrow as pa
import pytest

from latent_core.config.training import TrainConfig
from latent_core.errors import InfrastructureError, InputError, StageFailed
from latent_core.models.readable import ReadableModel
from latent_core.sft.launch import environment_of
from latent_core.sft.rank import TrainResult
from latent_core.sft.trainer import train
from tests.support.training_runs import (
    SETTINGS,
    largest_difference,
    loss_curve,
    run,
    run_and_die,
    write_example_inputs,
    write_inputs,
)

# 9 examples in batches of 4: the last step of an epoch leaves the second process with less, or nothing, to do.
SHARED: dict[str, Any] = {"steps": 6, "eval_every": 3}
LORA = SHARED | {
    "method": "lora",
    "steps": 60,
    "eval_every": 30,
    "save_every": 30,
}  # so long that the processes can be looked at


@pytest.fixture(scope="module")
def root(plain_dir: Path, plain: ReadableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_example_inputs(tmp_path_factory.mktemp("shared") / "runs", plain_dir, plain, training=9, validation=5)


class Group(NamedTuple):
    """What two processes trained, and what was seen of them while they did."""

    result: TrainResult
    ranks: set[str]
    addresses: set[str]  # on which they listened


@pytest.fixture(scope="module")
def group(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Group:
    """Two processes that train with LoRA, and abort as they end."""
    folder = tmp_path_factory.mktemp("aborts")
    aborts = 'import atexit, os\nif "RANK" in os.environ:\n    atexit.register(os.abort)\n'
    (folder / "sitecustomize.py").write_text(aborts)
    ranks: set[str] = set()
    addresses: set[str] = set()

    def look(done: int, total: int) -> None:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it may end while it is looked at
                ranks.add(process.environ().get("RANK", "launcher"))
                listening = [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
                addresses.update(connection.laddr.ip for connection in listening)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
        result = run(root, "lora-2", LORA | {"processes": 2}, progress=look)
    return Group(result, ranks, addresses)


def _assert_equal(root: Path, name: str, one: TrainResult, two: TrainResult) -> None:
    losses, expected = loss_curve(two), loss_curve(one)
    assert [entry[:2] for entry in losses] == [entry[:2] for entry in expected]
    assert {entry[1] for entry in expected} == {"loss", "eval_loss"}
    apart = max(abs(left[2] - right[2]) for left, right in zip(losses, expected, strict=True))
    weights = largest_difference(root / f"{name}-1/out/model", root / f"{name}-2/out/model")
    print(f"{name}: 1 and 2 processes: losses {apart:.1e} apart, weights {weights:.1e}")
    assert apart <= 1e-4 and weights <= 1e-5
    assert one.trainable_parameters == two.trainable_parameters and one.best_eval_loss is not None


def _compare(root: Path, settings: dict[str, Any]) -> None:
    name = "-".join(str(value) for value in settings.values())
    one, two = (run(root, f"{name}-{count}", SHARED | settings | {"processes": count}) for count in (1, 2))
    _assert_equal(root, name, one, two)


def test_two_processes_have_the_loss_curve_of_one_even_if_they_abort_once_they_are_done(
    root: Path, group: Group
) -> None:
    _assert_equal(root, "lora", run(root, "lora-1", LORA | {"processes": 1}), group.result)


def test_processes_listen_on_the_loopback_interface_alone(group: Group) -> None:
    assert group.ranks == {"launcher", "0", "1"}
    assert group.addresses <= {"127.0.0.1", "::1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"method": "full", "micro_batch_size": 1},
        {"method": "full", "gradient_checkpointing": True},
        {"method": "lora", "gradient_checkpointing": True},
        {"method": "lora", "loss_weights": {"reasoning": 0.5, "answer": 2.0}},
        {"method": "lora", "layout": "packed"},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_two_processes_have_the_loss_curve_of_one_in_every_way_to_train(root: Path, settings: dict[str, Any]) -> None:
    _compare(root, settings)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"support": "phase"}], ids=["full", "phase"])
def test_two_processes_have_the_loss_curve_of_one_for_a_dual_model(
    settings: dict[str, Any], dual_dir: Path, dual: ReadableModel, tmp_path: Path
) -> None:
    root = write_example_inputs(tmp_path / "runs", dual_dir, dual, training=9, validation=5)
    _compare(root, {"method": "lora", "latent_rows": "trainable"} | settings)


def test_processes_on_gpus_get_one_each_and_meet_on_the_loopback_interface_unless_told_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NCCL_SOCKET_IFNAME", raising=False)
    environment = environment_of(2, ["3", "5", "7"])
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["NCCL_SOCKET_IFNAME"]) == ("3,5", "lo")
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "eth1")
    assert environment_of(2, ["3", "5"])["NCCL_SOCKET_IFNAME"] == "eth1"


@pytest.mark.slow
def test_processes_end_with_the_one_that_asked_for_them(root: Path) -> None:
    settings = SHARED | {"method": "full", "processes": 2, "steps": 2000, "eval_every": 1000}  # far from done by then
    assert run_and_die(root, "orphaned", settings, kill_at=2) == -signal.SIGKILL
    orphans = [
        process for process in psutil.process_iter(["cmdline"])
        if any("orphaned" in part for part in process.info["cmdline"] or [])
    ]  # fmt: skip
    assert not psutil.wait_procs(orphans, timeout=120)[1]
    assert not (root / "orphaned/out/model").exists()


@pytest.mark.slow
def test_killed_process_ends_the_others_and_training_goes_on_from_its_checkpoint(root: Path) -> None:
    settings = SHARED | {"method": "full", "processes": 2, "steps": 9}
    run(root, "undisturbed", settings)
    ranks: list[psutil.Process] = []

    def kill_the_second(done: int, total: int) -> None:
        if done < 4 or ranks:
            return
        ranks.extend(
            process for process in psutil.Process().children(recursive=True)
            if process.environ().get("RANK") is not None
        )  # fmt: skip
        victim = next(process for process in ranks if process.environ()["RANK"] == "1")
        os.kill(victim.pid, signal.SIGKILL)

    from pyarrow import feather

    with pytest.raises(InfrastructureError, match=r"died \(number 1 by signal 9\)\. Last lines of .*log"):
        train(
            root / "model",
            feather.read_table(str(root / "training.arrow")),
            feather.read_table(str(root / "validation.arrow")),
            TrainConfig(**{**SETTINGS, **settings}),
            out_dir=root / "disturbed/out",
            checkpoint_dir=root / "disturbed/checkpoints",
            progress=kill_the_second,
        )
    assert len(ranks) == 2 and not any(process.is_running() for process in ranks)
    assert run(root, "disturbed", settings).resumed_from_step >= 3
    assert largest_difference(root / "undisturbed/out/model", root / "disturbed/out/model") <= 1e-6


@pytest.mark.slow
def test_error_in_a_process_is_told_once_with_its_words(root: Path, tmp_path: Path) -> None:
    broken = write_inputs(tmp_path / "runs", tmp_path, pa.table({"input_ids": [[1, 2]] * 8, "labels": [[1, 2]] * 8}))
    with pytest.raises(StageFailed, match=r"train: ValueError: Couldn't inst(.|\n)*Last lines of .*log"):
        run(broken, "broken", {"processes": 2})


def test_more_processes_than_a_batch_can_feed_raise_before_anything_starts(root: Path) -> None:
    with pytest.raises(InputError, match=r"train\.processes"):
        run(root, "uneven", {"processes": 3})
    assert not (root / "uneven").exists()
