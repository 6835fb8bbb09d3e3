"""The layout and the codec."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latent_core.dual import DualVocabulary
from latent_core.errors import InputError


@st.composite
def vocabularies(draw: st.DrawFn) -> DualVocabulary:
    visible = draw(st.integers(4, 60))
    start, end, eos = draw(st.permutations(range(visible)))[:3]
    rest = [token for token in range(visible) if token not in (start, end, eos)]
    mode = draw(st.sampled_from(["full_copy", "subset", "custom"]))
    if mode == "full_copy":
        sources = rest
    elif mode == "subset":
        sources = draw(st.lists(st.sampled_from(rest), unique=True))
    else:
        mirrored = draw(st.lists(st.sampled_from(rest), unique=True))
        sources = draw(st.permutations(mirrored + [-1] * draw(st.integers(0, 6))))
    texts = tuple(f"t{index}" for index in range(len(sources))) if mode == "custom" else ()
    return DualVocabulary(visible, tuple(sources), start, end, (eos,), mode, texts)


@given(vocabularies())
def test_codec_every_mirrored_id_round_trips(vocabulary: DualVocabulary) -> None:
    every = np.arange(vocabulary.size)
    mirrored = every[vocabulary.has_mirror(every) & ~vocabulary.is_latent(every)]
    assert sorted(mirrored) == sorted(source for source in vocabulary.source_ids if source >= 0)
    latents = vocabulary.to_latent(mirrored)
    assert vocabulary.is_latent(latents).all()
    assert (vocabulary.to_visible(latents) == mirrored).all()
    assert (vocabulary.to_latent(latents) == latents).all()
    for latent in latents:
        assert vocabulary.source_ids[latent - vocabulary.visible_size] == vocabulary.to_visible([latent])[0]
    without = every[~vocabulary.has_mirror(every)]
    assert (vocabulary.to_latent(without) == without).all()


@given(vocabularies())
def test_vocabulary_saved_and_loaded_is_equal(vocabulary: DualVocabulary) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        vocabulary.save(directory)
        assert DualVocabulary.load(directory) == vocabulary


SUBSET = DualVocabulary(10, (7, 3, 5), think_start_id=8, think_end_id=9, eos_ids=(0,), mode="subset")


@pytest.mark.parametrize("make", [list, tuple, np.asarray, torch.tensor, lambda ids: np.asarray(ids, np.int32)])
def test_codec_any_sequence_type_gives_int64_arrays(make: object) -> None:
    ids = make([3, 4, 5, 12])  # type: ignore[operator]
    latent, visible = SUBSET.to_latent(ids), SUBSET.to_visible(ids)
    assert latent.dtype == visible.dtype == np.int64 and SUBSET.is_latent(ids).dtype == np.bool_
    assert latent.tolist() == [11, 4, 12, 12]
    assert visible.tolist() == [3, 4, 5, 5]
    assert SUBSET.is_latent(ids).tolist() == [False, False, False, True]


def test_codec_keeps_shape_and_empty_input() -> None:
    assert SUBSET.to_latent([[3, 5], [7, 0]]).tolist() == [[11, 12], [10, 0]]
    assert SUBSET.to_latent([]).shape == (0,) and SUBSET.to_latent([]).dtype == np.int64


@pytest.mark.parametrize("ids", [[-1], [13], [1.5], [True]])
@pytest.mark.parametrize("method", ["to_latent", "to_visible", "is_latent", "has_mirror"])
def test_codec_bad_ids_raise_value_error(ids: list[int], method: str) -> None:
    with pytest.raises(ValueError):
        getattr(SUBSET, method)(ids)


def test_to_visible_custom_latent_without_source_raises() -> None:
    vocabulary = DualVocabulary(10, (-1, 4), 8, 9, mode="custom", custom_tokens=("a b", "c"))
    assert vocabulary.to_visible([11]).tolist() == [4]
    with pytest.raises(ValueError, match="latent id 10"):
        vocabulary.to_visible([11, 10])


@pytest.mark.parametrize(
    "changed",
    [
        {"source_ids": (3, 3)},
        {"source_ids": (10,)},
        {"source_ids": (1.5,)},
        {"source_ids": ("a",)},
        {"source_ids": (2**70,)},
        {"think_end_id": 8},
        {"think_start_id": 10},
        {"think_start_id": 1.5},
        {"think_start_id": None},
        {"visible_size": 10.5},
        {"eos_ids": 3},
    ],
)
def test_vocabulary_contradictory_layout_raises(changed: dict[str, object]) -> None:
    fields = {"visible_size": 10, "source_ids": (1,), "think_start_id": 8, "think_end_id": 9, **changed}
    with pytest.raises(ValueError):
        DualVocabulary(**fields)  # type: ignore[arg-type]


def test_vocabulary_of_numpy_integers_and_lists_is_the_same_and_saves(tmp_path: Path) -> None:
    numbers = np.asarray([7, 3, 5, 8, 9, 10, 0])
    made = DualVocabulary(numbers[5], list(numbers[:3]), numbers[3], numbers[4], numbers[6:], mode="subset")  # type: ignore[arg-type]
    made.save(tmp_path)
    assert made == SUBSET == DualVocabulary.load(tmp_path)
    assert hash(made) == hash(SUBSET)


@pytest.mark.parametrize(
    "ids",
    [[[7], [3, 5]], torch.tensor([7.0], dtype=torch.bfloat16), [True], [7.0], ["7"], "7", [None], None, {7}, [2**70]],
    ids=str,
)
def test_codec_what_is_no_rectangle_of_integers_raises_value_error(ids: object) -> None:
    with pytest.raises(InputError, match="integers"):
        SUBSET.to_latent(ids)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"visible_size": "10"},
        {"visible_size": 10.7},
        {"visible_size": None},
        {"latent_size": 2},
        {"source_runs": None},
        {"source_runs": "abc"},
        {"source_runs": [7, 3]},
        {"source_runs": [[7, 1, 3]]},
        {"source_runs": [[0, 10**12]]},
        {"source_runs": [[-1, 10**12]]},
        {"source_runs": [[7, 5], [3, -2]]},
        {"think_end_id": "9"},
        {"think_end_id": 99},
        {"eos_ids": [0.5]},
        {"eos_ids": None},
        {"custom_tokens": "abc"},
        {"custom_tokens": None},
        {"latents_trained": "false"},
        {"mode": "bogus"},
    ],
    ids=str,
)
def test_load_damaged_field_raises_naming_the_file(tmp_path: Path, changed: dict[str, object]) -> None:
    SUBSET.save(tmp_path)
    path = tmp_path / "dual_vocab.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(InputError, match=r"dual_vocab\.json"):
        DualVocabulary.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[]", b"[" * 100_000, b'{"version": 1'], ids=repr)
def test_load_damaged_file_raises_naming_it(tmp_path: Path, content: bytes) -> None:
    SUBSET.save(tmp_path)
    (tmp_path / "dual_vocab.json").write_bytes(content)
    with pytest.raises(InputError, match=r"dual_vocab\.json"):
        DualVocabulary.load(tmp_path)


def test_load_config_whose_vocabulary_is_no_object_raises(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"dual_vocab": "x"}))
    with pytest.raises(InputError, match=r"config\.json"):
        DualVocabulary.load(tmp_path)


def test_load_config_json_alone_finds_the_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 13}))
    SUBSET.save(tmp_path)
    (tmp_path / "dual_vocab.json").unlink()
    assert DualVocabulary.load(tmp_path) == SUBSET
    assert json.loads((tmp_path / "config.json").read_text())["vocab_size"] == 13


def test_load_unknown_version_or_nothing_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dual_vocab\.json"):
        DualVocabulary.load(tmp_path)
    SUBSET.save(tmp_path)
    path = tmp_path / "dual_vocab.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 7'))
    with pytest.raises(ValueError, match="version is 7"):
        DualVocabulary.load(tmp_path)


def test_load_reference_meta_full_copy_and_subset(tmp_path: Path) -> None:
    meta = {"original_vocab_size": 10, "latent_vocab_size": 10, "think_start_id": 8, "think_end_id": 9}
    (tmp_path / "dual_vocab_meta.json").write_text(json.dumps({**meta, "mode": "full_copy", "eos_token_id": 0}))
    full = DualVocabulary.load(tmp_path)
    assert full.to_latent([4]).tolist() == [14] and full.eos_ids == (0,)
    subset = {**meta, "latent_vocab_size": 2, "mode": "subset", "latent_to_visible": {"10": 7, "11": 2}}
    (tmp_path / "dual_vocab_meta.json").write_text(json.dumps(subset))
    assert DualVocabulary.load(tmp_path).source_ids == (7, 2)
    del subset["latent_to_visible"]
    (tmp_path / "dual_vocab_meta.json").write_text(json.dumps(subset))
    with pytest.raises(ValueError, match="source_ids"):
        DualVocabulary.load(tmp_path)
    (tmp_path / "dual_vocab_meta.json").write_text(json.dumps({**meta, "original_vocab_size": "ten"}))
    with pytest.raises(InputError, match="dual_vocab_meta"):
        DualVocabulary.load(tmp_path)
