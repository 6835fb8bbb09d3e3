"""Ratio tokens: rows of their own beside weights that stay as they are, in a plain model and in a dual one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latent_core.config.ratio_form import RatioForm, RatioTokensConfig
from latent_core.dual import DualVocabulary, build_dual, verify_dual
from latent_core.dual.tensor_rows import find_tables
from latent_core.errors import InputError
from latent_core.models.family import open_family
from latent_core.models.ratio_token_build import add_ratio_tokens
from latent_core.models.ratio_tokens import FILE_NAME, RatioTokens, token_text
from latent_core.models.source import open_model
from tests.latent_core.dual.conftest import MakeBase
from tests.latent_core.dual.conftest import make_base as make_base
from tests.support.training_runs import weights

ECHO = RatioTokensConfig(form=RatioForm.ECHO, ratios=(0.5, 0.3))


@pytest.mark.parametrize(("ratio", "text"), [(1.0, "100"), (0.5, "50"), (0.3, "30"), (0.125, "12.5"), ("auto", "auto")])
def test_token_of_a_ratio_is_written_in_percent(ratio: Any, text: str) -> None:
    assert token_text(ratio) == f"<|ratio_{text}|>"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("qwen3", {"padding": 0}),
        ("qwen3", {"padding": 2}),  # some tokens on rows of padding, some beyond
        ("qwen3", {"padding": 9, "dtype": torch.bfloat16}),
        ("llama", {"padding": 1, "shard": "20KB"}),
    ],
)
def test_new_rows_lie_near_the_mean_and_every_other_weight_is_what_it_was(
    kind: str, options: dict[str, Any], make_base: MakeBase, tmp_path: Path
) -> None:
    base, out = make_base(kind, **options), tmp_path / "out"
    found = add_ratio_tokens(base, out, ECHO)
    tokenizer, family = open_family(out)
    assert family.ratio_tokens == found == RatioTokens.find(out)
    assert found.ratios == (1.0, 0.5, 0.3) and found.echoes and len(found.all_ids) == 4
    assert [tokenizer.encode(text, add_special_tokens=False) for text in found.texts] == [[i] for i in found.all_ids]
    assert tokenizer.decode(found.all_ids, skip_special_tokens=True) == ""  # they are special
    before, after = weights(base), weights(out)
    assert before.keys() == after.keys()
    first = found.all_ids[0]
    assert first == max(open_family(base)[0].get_vocab().values()) + 1
    for name, old in before.items():
        new = after[name]
        if name.endswith(("embed_tokens.weight", "lm_head.weight")):
            assert len(new) == max(len(old), first + 4)
            assert torch.equal(new[:first], old[:first]) and torch.equal(new[first + 4 :], old[first + 4 :])
            added, real = new[first : first + 4].float(), old[:first].float()
            distance = (added - real.mean(0)) / real.std(0, correction=0)
            assert distance.abs().max() < 0.06 and len(added.unique(dim=0)) == 4
        else:
            assert torch.equal(new, old)
    config = json.loads((out / "config.json").read_text())
    assert config["vocab_size"] == find_tables(out).embedding.rows


def test_tokens_of_a_seed_are_the_same_and_those_of_another_differ(make_base: MakeBase, tmp_path: Path) -> None:
    base = make_base("qwen3")
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        add_ratio_tokens(base, tmp_path / name, ECHO.model_copy(update={"seed": seed}))
    one, again, other = (weights(tmp_path / name)["model.embed_tokens.weight"] for name in ("one", "again", "other"))
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_dual_model_has_the_tokens_among_its_visible_ids_without_mirrors(
    kind: str, make_base: MakeBase, tmp_path: Path
) -> None:
    base = make_base(kind, padding=0)
    plain = build_dual(base, tmp_path / "plain dual").vocabulary
    found = add_ratio_tokens(base, tmp_path / "told", ECHO)
    told = build_dual(tmp_path / "told", tmp_path / "dual").vocabulary
    assert told.visible_size == plain.visible_size + len(found.all_ids)
    assert told.latent_size == plain.latent_size and told.source_ids == plain.source_ids
    assert not np.isin(found.all_ids, told.sources).any() and max(found.all_ids) < told.visible_size
    assert verify_dual(tmp_path / "dual").ok
    assert open_family(tmp_path / "dual")[1].ratio_tokens == found
    assert DualVocabulary.load(tmp_path / "dual") == told


def test_model_that_cannot_get_tokens_is_refused_by_its_reason(make_base: MakeBase, tmp_path: Path) -> None:
    base = make_base("qwen3")
    add_ratio_tokens(base, tmp_path / "told", ECHO)
    with pytest.raises(InputError, match="has ratio tokens already"):
        add_ratio_tokens(tmp_path / "told", tmp_path / "twice", ECHO)
    build_dual(base, tmp_path / "dual")
    with pytest.raises(InputError, match="is a dual model; add ratio tokens to its base"):
        add_ratio_tokens(tmp_path / "dual", tmp_path / "out", ECHO)
    with pytest.raises(InputError, match=r"has no config\.json"):
        add_ratio_tokens(tmp_path / "nowhere", tmp_path / "out", ECHO)
    shutil.copytree(tmp_path / "told", tmp_path / "spelled")
    (tmp_path / "spelled" / FILE_NAME).unlink()
    with pytest.raises(InputError, match=r"its tokenizer has '<\|ratio_100\|>' already"):
        add_ratio_tokens(tmp_path / "spelled", tmp_path / "out", ECHO)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda stored: stored | {"version": 2}, "has version 2, not 1"),
        (lambda stored: stored | {"form": "morse"}, "is damaged"),
        (lambda stored: {key: stored[key] for key in stored if key != "tokens"}, "is damaged"),
        (lambda stored: stored | {"auto_id": None}, "auto has one where the model echoes"),
        (lambda stored: stored | {"tokens": stored["tokens"][::-1], "auto_id": 3}, "restore both files"),
        (lambda stored: stored | {"tokens": [*stored["tokens"], stored["tokens"][0]]}, "an id of its own"),
    ],
)
def test_file_of_tokens_that_does_not_fit_is_named(
    damage: Any, message: str, make_base: MakeBase, tmp_path: Path
) -> None:
    add_ratio_tokens(make_base("qwen3"), tmp_path / "told", ECHO)
    path = tmp_path / "told" / FILE_NAME
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=message):
        open_family(tmp_path / "told")


def test_packaged_model_is_told_ratios_by_the_suffix() -> None:
    assert open_family(open_model("latent-mini").directory)[1].ratio_tokens is None
