"""What `compare_label_kinds` makes of finished trainings, compressions and evaluations."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from latent_core.compress.corpus import compressed_schema
from latent_core.compressor_training.agreement import Agreement
from latent_core.evaluation.condition import Condition, Kind
from latent_core.evaluation.summary import summarise
from latent_core.generate.completions import sample_schema
from latent_core.identity import fingerprint
from latent_core.models.source import open_model
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, begin
from tasks.inputs import Opener
from tasks.label_kinds import COMPARISON, CompareLabelKinds, CompareLabelKindsInputs, compare_label_kinds
from tasks.stage import Workplace
from tasks.tables import COMPRESSED, SAMPLES
from tasks.workers.compute import perform

QUESTIONS = 40


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def _commit(store: ArtifactStore, name: str, config: dict[str, Any], **made: Any) -> ArtifactRef:
    identity = fingerprint(name, 1, config, {})
    with begin(store, ArtifactRef(name, identity)) as out:
        out.commit(config=config, **made)
    return ArtifactRef(name, identity)


def _compressor(store: ArtifactStore, name: str, auc: float) -> ArtifactRef:
    metrics = {"model": Agreement(0.7, 0.6, auc), "word_lookup": Agreement(0.6, 0.5, 0.55)}
    metrics |= {"random": Agreement(0.5, 0.5, 0.5)}
    return _commit(store, "train_compressor", {"of": name}, metrics=metrics | {"held_out_words": 1234})


def _compressed(store: ArtifactStore, name: str, *retained: float) -> ArtifactRef:
    """One shard a number, with twice the texts of the one before it; of them this share keeps the answer."""
    shards = []
    for index, share in enumerate(retained):
        shard = ArtifactRef("compress_shard", fingerprint("compress_shard", 1, {"of": name, "shard": index}, {}))
        texts = 10 * 2**index
        with begin(store, shard) as out:
            with COMPRESSED.write(out) as table:
                for number in range(texts):
                    table.add(
                        dict.fromkeys(compressed_schema().names)
                        | {"question_id": f"q{number}", "ratio": 0.5, "tokens_before": 20, "tokens_after": 10}
                        | {"achieved_ratio": 0.5, "answer_retained": number < share * texts}
                    )
            out.commit()
        shards.append(shard)
    identity = fingerprint("compress", 1, {"of": name}, {})
    with begin(store, ArtifactRef("compress", identity)) as out:
        for shard in shards:
            out.add_shard(store.require(shard))
        out.commit(config={"of": name})
    return ArtifactRef("compress", identity)


def _evaluated(store: ArtifactStore, name: str, right: int) -> ArtifactRef:
    identity = fingerprint("evaluate", 1, {"of": name}, {})
    rows = [
        dict.fromkeys(sample_schema().names) | {
            "question_id": f"q{number}", "sample_index": 0, "tokens": 60, "reasoning_tokens": 5,
            "latent_tokens": 0, "verdict": "correct" if number < right else "wrong",
        }
        for number in range(QUESTIONS)
    ]  # fmt: skip
    with begin(store, ArtifactRef("evaluate", identity)) as out:
        with SAMPLES.write(out) as table:
            for row in rows:
                table.add(row)
        out.commit(config={"of": name}, metrics=summarise(rows).to_metrics())
    return ArtifactRef("evaluate", identity)


def _compare(store: ArtifactStore, parents: CompareLabelKindsInputs, scratch: Path) -> Artifact:
    call = compare_label_kinds.call(CompareLabelKinds(), parents)
    return perform(call, Workplace(store, scratch, lambda *_: None))


def test_comparison_pairs_every_kind_with_the_first(store: ArtifactStore, tmp_path: Path) -> None:
    parents = CompareLabelKindsInputs(
        {"surprisal": _compressor(store, "surprisal", 0.8)},
        {"surprisal": _compressed(store, "surprisal", 0.4, 0.7), "random": _compressed(store, "random", 0.3)},
        {
            Condition(name, Kind.RATIO, 0.5): _evaluated(store, name, right)
            for name, right in (("surprisal", 20), ("random", 10))
        },
    )
    artifact = _compare(store, parents, tmp_path / "scratch")
    rows = artifact.manifest.content.metrics["ratios"]
    assert [row["compressor"] for row in rows] == ["surprisal", "random"]
    assert rows[0]["answer_retention"] == pytest.approx((0.4 + 2 * 0.7) / 3)  # the larger shard counts twice
    assert (rows[0]["accuracy"][0], "difference" in rows[0]) == (0.5, False)
    assert rows[1]["difference"] == pytest.approx(-0.25)
    assert rows[1]["p"] < 0.01
    page = artifact.read_bytes(COMPARISON).decode()
    assert "| surprisal | the trained compressor | 1,234 | 0.700 | 0.600 | 0.800 |" in page
    assert "| surprisal | word-frequency lookup | 1,234 | 0.600 | 0.500 | 0.550 |" in page
    assert "| random | 0.5 | 0.50 | 30.0 % | 25.0 % |" in page
    assert "−25.0 (p = 0.002) |" in page


def test_comparison_shows_a_ratio_that_was_compressed_and_not_evaluated(store: ArtifactStore, tmp_path: Path) -> None:
    parents = CompareLabelKindsInputs({"a": _compressor(store, "a", 0.8)}, {"a": _compressed(store, "a", 0.4)}, {})
    page = _compare(store, parents, tmp_path / "scratch").read_bytes(COMPARISON).decode()
    assert "| a | 0.5 | 0.50 | 40.0 % | – | – | – | – |" in page


def test_compressor_trained_in_the_run_is_opened_from_its_artifact(store: ArtifactStore) -> None:
    identity = fingerprint("train_compressor", 1, {}, {})
    with begin(store, ArtifactRef("train_compressor", identity)) as out:
        with out.directory("model") as directory:
            shutil.copytree(open_model("latent-compressor").directory, directory, dirs_exist_ok=True)
        out.commit(config={})
    spec = Opener(store).compressor_spec(ArtifactRef("train_compressor", identity))
    assert (Path(spec) / "config.json").is_file()
