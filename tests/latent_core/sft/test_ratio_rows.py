"""The rows of ratio tokens learn beside an adapter, in the head too where it is a table of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from latent_core.config.prepare import PrepareConfig
from latent_core.config.ratio_form import RatioForm, RatioTokensConfig
from latent_core.config.training import LatentRows, TrainConfig
from latent_core.dual import build_dual
from latent_core.models.ratio_token_build import add_ratio_tokens
from latent_core.models.ratio_tokens import RatioTokens
from latent_core.models.readable import ReadableModel
from latent_core.sft.examples import tokenskip_examples
from latent_core.sft.trainer import train
from tests.latent_core.dual.conftest import MakeBase
from tests.support.training_runs import SETTINGS, weights


def _table(directory: Path) -> pa.Table:
    """Examples at ratio 1 and 0.5 for the model in a directory."""
    from collections import Counter

    config = PrepareConfig(ratios=(1.0, 0.5), policy="all_ratios", validation_share=0.0)
    key = [{"question_id": f"q{index}", "sample_index": 0} for index in range(4)]
    whole = [
        row | {"question": "7 + 12?", "gold": "19", "reasoning": "7 + 12 = 19", "verdict": "correct"} for row in key
    ]
    small = [row | {"ratio": 0.5, "text": "12 19", "achieved_ratio": 0.5} for row in key]
    rows = list(tokenskip_examples(whole, small, ReadableModel.load(directory), config, Counter(), Counter()))
    return pa.Table.from_pylist([{name: list(row[name]) for name in ("input_ids", "labels")} for row in rows])


def _trained(directory: Path, out: Path, **settings: Any) -> dict[str, Any]:
    vocabulary = ReadableModel.load(directory).vocabulary
    latents = range(vocabulary.visible_size, vocabulary.size) if vocabulary else ()
    config = TrainConfig(**{**SETTINGS, "steps": 3, "eval_every": 3, **settings})
    train(
        directory, _table(directory), None, config, out_dir=out / "out", checkpoint_dir=out / "ck", latent_ids=latents
    )
    assert RatioTokens.find(out / "out" / "model") == RatioTokens.find(directory)
    return weights(out / "out" / "model")


def _moved(before: Any, after: Any) -> set[int]:
    return set(torch.nonzero((before != after).any(dim=1)).flatten().tolist())


@pytest.mark.parametrize("form", ["token", "echo"])
@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_rows_of_ratio_tokens_and_no_others_learn_beside_an_adapter(
    kind: str, form: RatioForm, make_base: MakeBase, tmp_path: Path
) -> None:
    found = add_ratio_tokens(make_base(kind), tmp_path / "told", RatioTokensConfig(form=form, ratios=(0.5,)))
    before, after = weights(tmp_path / "told"), _trained(tmp_path / "told", tmp_path)
    seen = set(found.ids)  # auto is asked for by no example here
    rows = _moved(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    if kind == "qwen3":  # the head is the same table: every row that learns has a gradient as an output
        assert rows == set(found.all_ids)
        return
    assert rows == seen
    head = _moved(before["lm_head.weight"], after["lm_head.weight"])
    assert head == (set(found.all_ids) if form == "echo" else set())


@pytest.mark.parametrize("latents", LatentRows)
def test_rows_of_ratio_tokens_learn_in_a_dual_model_whether_its_latent_rows_do_or_not(
    latents: LatentRows, make_base: MakeBase, tmp_path: Path
) -> None:
    found = add_ratio_tokens(
        make_base("qwen3"), tmp_path / "told", RatioTokensConfig(form=RatioForm.ECHO, ratios=(0.5,))
    )
    vocabulary = build_dual(tmp_path / "told", tmp_path / "dual").vocabulary
    before, after = weights(tmp_path / "dual"), _trained(tmp_path / "dual", tmp_path, latent_rows=latents)
    rows = _moved(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    visible = {row for row in rows if row < vocabulary.visible_size}
    assert visible == set(found.all_ids)
    assert (rows > visible) == (latents is LatentRows.TRAINABLE)
