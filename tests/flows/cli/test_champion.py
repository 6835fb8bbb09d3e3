"""`latent models` and `latent track champion`: no model is promoted unseen, and none that is not better unasked."""

from __future__ import annotations

import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from flows.cli.main import main
from latent_core.config.runtime import TrackingConfig
from latent_core.evaluation.summary import summarise
from latent_core.generate.completions import sample_schema
from latent_core.identity import fingerprint
from latent_core.store import ArtifactRef, ArtifactStore, Reference, begin
from tasks.tables import SAMPLES
from tasks.tracking.journal import Journal, JournalEntry, promotions
from tasks.tracking.mlflow import open_client, sync
from tasks.tracking.models import register

QUESTIONS = 60
NAME = "toy-model"


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The command line takes signals over, for a process that is all its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    open_client(TrackingConfig(uri=f"sqlite:///{path}"))
    return path


class Registry:
    """A store and an MLflow database, and a command line that works on them."""

    def __init__(self, root: Path, tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self.store = ArtifactStore(root / "store")
        shutil.copyfile(tables, root / "mlflow.db")
        self.tracking = TrackingConfig(uri=f"sqlite:///{root}/mlflow.db")
        self.client, _ = open_client(self.tracking)
        self._patch, self._capture = monkeypatch, capsys
        capsys.readouterr()

    def train(self, seed: int, correct: dict[float, int], questions: int = QUESTIONS, benchmark: str = "sums") -> str:
        """A trained model of which the first `correct[ratio]` answers were right; returns its version."""
        config = {"learning_rate": 0.002, "steps": 800, "seed": seed, "method": "lora"}
        ref = ArtifactRef("train", fingerprint("train", 2, config, {}))
        with begin(self.store, ref) as out:
            out.commit(stage_version=2, config=config)
        stages = [JournalEntry("train", ref.fingerprint, False)]
        for ratio, right in correct.items():
            stages.append(JournalEntry("evaluate", self._evaluate(ref, ratio, right, questions, benchmark), False))
        run = Journal(f"run-{seed}", "toy", "", {"benchmark": {"name": benchmark}, "model": "latent-mini"}, float(seed))
        run.stages = stages
        run.close("FINISHED")
        run.write(self.store)
        return register(self.client, NAME, ref, self.store, "standard")

    def _evaluate(self, model: ArtifactRef, ratio: float, right: int, questions: int, benchmark: str) -> str:
        config = {"ratio": ratio, "questions": questions, "prompting": "ratio"}
        problems = Reference(None, fingerprint("problems", 1, {"name": benchmark}, {}))
        parents = {"model": model.fingerprint, "problems": problems.fingerprint}
        identity = fingerprint("evaluate", 3, config, parents)
        rows = [
            dict.fromkeys(sample_schema().names)
            | {"question_id": f"q{number}", "sample_index": 0, "tokens": 10, "reasoning_tokens": 5, "latent_tokens": 0}
            | {"verdict": "correct" if number < right else "wrong"}
            for number in range(questions)
        ]
        with begin(self.store, ArtifactRef("evaluate", identity)) as out:
            with SAMPLES.write(out) as table:
                table.extend(rows)
            out.commit(
                stage_version=3,
                config=config,
                parents={"model": model, "problems": problems},
                metrics=summarise(rows).to_metrics(),
            )
        return identity

    def call(self, *arguments: str, keys: str | None = None) -> tuple[int, str]:
        """Exit code and output of a command; `keys` are typed on a terminal, without them there is none."""
        where = ["--uri", str(self.tracking.uri), "--store", self.store.root]
        self._patch.setattr(sys, "argv", ["latent", *arguments, *where])
        if keys is not None:
            self._patch.setattr("flows.cli.models.sys.stdin.isatty", lambda: True, raising=False)
            self._patch.setattr(typer, "confirm", lambda question: keys == "y")
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capture.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    def champion(self) -> str | None:
        return {name: str(number) for name, number in self.client.get_registered_model(NAME).aliases.items()}.get(
            "champion"
        )


@pytest.fixture
def registry(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Registry:
    return Registry(tmp_path, tables, monkeypatch, capsys)


def test_models_lists_versions_with_aliases_settings_and_accuracy_with_its_interval(registry: Registry) -> None:
    registry.train(1, {1.0: 30, 0.5: 15})
    registry.train(2, {1.0: 60})
    code, said = registry.call("models", NAME)
    assert code == 0
    first, second = said.split("version 2")
    assert "learning_rate 0.002, steps 800, seed 1, from latent-mini, on sums" in first
    assert "ratio 1       50.0 % (37.7 to 62.3) on 60 questions of sums, 5 reasoning tokens of 10" in first
    assert "ratio 0.5     25.0 % (15.8 to 37.2) on 60 questions of sums" in first
    assert second.startswith(" (standard), trained 20")
    assert f"has no champion: latent track champion {NAME} VERSION" in second
    assert registry.call("models")[1] == said


def test_models_without_any_says_how_one_gets_there(registry: Registry) -> None:
    Path(registry.store.root).mkdir()
    assert registry.call("models") == (
        0,
        "no model is registered; a training run registers its own under tracking.register_as\n",
    )
    code, said = registry.call("models", "nothing")
    assert code == 2 and "no run registered a model as nothing" in said
    code, said = registry.call("models", "a'b")
    assert code == 2 and "is no name of a registered model" in said


def test_models_of_other_projects_in_the_same_registry_are_left_out(registry: Registry) -> None:
    for foreign in ("nobody's model", "no-version", "not-ours"):
        registry.client.create_registered_model(foreign)
    registry.client.create_model_version("not-ours", source="s3://elsewhere/model")
    registry.train(1, {1.0: 30})
    code, said = registry.call("models")
    assert code == 0 and said.startswith(f"{NAME}\n")
    assert not any(foreign in said for foreign in ("nobody", "no-version", "not-ours"))


def test_first_champion_is_made_by_hand_and_shown(registry: Registry) -> None:
    registry.train(1, {1.0: 30})
    assert registry.champion() is None
    code, said = registry.call("track", "champion", NAME, "standard")
    assert code == 0 and registry.champion() == "1"
    assert "has no champion yet" in said and "50.0 % (37.7 to 62.3)" in said


def test_better_version_becomes_champion_without_a_question(registry: Registry) -> None:
    registry.train(1, {1.0: 30, 0.5: 20})
    registry.train(2, {1.0: 50, 0.5: 20})
    registry.call("track", "champion", NAME, "1")
    code, said = registry.call("track", "champion", NAME, "2")
    assert code == 0 and registry.champion() == "2"
    assert "version 2 against version 1 is better: accuracy rose beyond noise at ratio 1 of sums" in said
    assert "version 1 (champion)" in said
    assert re.search(r"ratio 1 of sums \(evaluate/\w{12}\): \+33\.3 points \(95 % \+2\d\.\d to \+4\d\.\d, p = ", said)
    assert re.search(r"ratio 0\.5 of sums \(evaluate/\w{12}\): \+0\.0 points", said)


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        ({1.0: 32, 0.5: 20}, "rose beyond noise in none of 2 conditions"),
        ({1.0: 60, 0.5: 2}, "fell beyond noise at ratio 0.5 of sums"),
        ({0.3: 60}, "no evaluation of the same questions in the same way"),
        ({}, "it was never evaluated"),
    ],
    ids=["within noise", "better and worse", "not comparable", "never evaluated"],
)
def test_version_that_is_not_better_becomes_champion_only_when_somebody_says_so(
    registry: Registry, candidate: dict[float, int], reason: str
) -> None:
    registry.train(1, {1.0: 30, 0.5: 20})
    registry.train(2, candidate)
    registry.call("track", "champion", NAME, "1")
    code, said = registry.call("track", "champion", NAME, "2")  # nobody to ask
    assert (code, registry.champion()) == (2, "1")
    assert reason in said or "no evaluation" in said
    assert "--yes" in said
    code, said = registry.call("track", "champion", NAME, "2", keys="n")
    assert (code, registry.champion()) == (1, "1") and "nothing was moved" in said
    assert registry.call("track", "champion", NAME, "2", keys="y")[0] == 0
    assert registry.champion() == "2"
    registry.call("track", "champion", NAME, "1", "--yes")
    assert registry.call("track", "champion", NAME, "2", "--yes")[0] == 0
    assert registry.champion() == "2"


def test_other_questions_or_another_benchmark_are_not_compared(registry: Registry) -> None:
    registry.train(1, {1.0: 10})
    registry.train(2, {1.0: 40}, questions=40)
    registry.train(3, {1.0: 60}, benchmark="others")
    registry.call("track", "champion", NAME, "1")
    for version in ("2", "3"):
        code, said = registry.call("track", "champion", NAME, version)
        assert code == 2 and "no evaluation of the same questions" in said
    assert registry.champion() == "1"


def test_damaged_evaluation_promotes_nobody(registry: Registry) -> None:
    registry.train(1, {1.0: 10})
    registry.train(2, {1.0: 60})
    registry.call("track", "champion", NAME, "1")
    for path in Path(registry.store.root, "evaluate").rglob(SAMPLES.file):
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)
    code, said = registry.call("track", "champion", NAME, "2")
    assert code == 1 and "is damaged" in said
    assert registry.champion() == "1"


def test_version_that_is_not_there_or_lies_in_another_store_is_named(registry: Registry, tmp_path: Path) -> None:
    registry.train(1, {1.0: 10})
    code, said = registry.call("track", "champion", NAME, "7")
    assert code == 2 and f"`latent models {NAME}` lists" in said
    there, registry.store = registry.store.root, ArtifactStore(tmp_path / "other")
    Path(registry.store.root).mkdir()
    code, said = registry.call("track", "champion", NAME, "1")
    assert code == 2 and there in said
    assert registry.champion() is None
    assert "give it as --store" in registry.call("models", NAME)[1]


def test_champion_again_changes_nothing(registry: Registry) -> None:
    registry.train(1, {1.0: 10})
    registry.call("track", "champion", NAME, "1")
    code, said = registry.call("track", "champion", NAME, "1")
    assert code == 0 and "is version 1 already" in said
    assert len(list(promotions(registry.store))) == 1


def test_champions_made_by_hand_are_rebuilt_from_the_store(registry: Registry, tmp_path: Path, tables: Path) -> None:
    from tasks.tracking.journal import JournalModel

    for seed in (1, 2):
        registry.train(seed, {1.0: 10 * seed})
        ref = registry.client.get_model_version(NAME, str(seed)).tags["fingerprint"]
        run = Journal(
            f"models-{seed}", "toy", "", {}, float(seed), models=[JournalModel(NAME, "standard", "train", ref)]
        )
        run.close("FINISHED")
        run.write(registry.store)
    registry.call("track", "champion", NAME, "2")
    registry.call("track", "champion", NAME, "1", "--yes")
    rebuilt = TrackingConfig(uri=f"sqlite:///{shutil.copyfile(tables, tmp_path / 'rebuilt.db')}")
    sync(registry.store, rebuilt)
    client, _ = open_client(rebuilt)
    champion = client.get_model_version_by_alias(NAME, "champion")
    assert champion.tags["fingerprint"] == registry.client.get_model_version(NAME, "1").tags["fingerprint"]
    client.set_registered_model_alias(NAME, "champion", "2")  # as MLflow's own pages do
    sync(registry.store, rebuilt)
    assert str(client.get_model_version_by_alias(NAME, "champion").version) == "2"


def test_registry_that_does_not_answer_is_told_in_one_line(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry.train(1, {1.0: 10})
    registry.tracking = TrackingConfig(uri="http://127.0.0.1:9")
    for command in (["models"], ["models", NAME], ["track", "champion", NAME, "1"]):
        code, said = registry.call(*command)
        assert code == 1 and "tracking: http://127.0.0.1:9 does not do its work" in said
        assert "Traceback" not in said
