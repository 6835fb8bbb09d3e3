"""The compressor as its user meets it: odd texts, odd arguments, wrong directories, batches, spans."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import pytest

from latent_core.compress import MultiRatioCompressor, ScoringOptions, SelectionOptions, WordLength, select
from latent_core.compress.corpus import score_schema, scored_samples
from latent_core.compress.encoder import TokenClassifier
from latent_core.errors import InputError
from latent_core.store.columns import table_of_rows

LONG_AND_FOREIGN = (
    "\\[ \\sum_{k=1}^{n} \\frac{k}{2} = \\dfrac{n(n+1)}{4}, \\quad \\sqrt{x}\\! \\] " * 60,
    "Сумма равна 12. Ответ: 42",
    "المجموع هو ١٢٫٥ والجواب ٤٢",
    "योग बारह है 👩‍🔬🧮",
    "答案是42。" * 300,
    "?!… " * 700,
)


@pytest.mark.parametrize("spans", [False, True])
@pytest.mark.parametrize(
    "text", ["", " \n ", "...", "?!", "中文的句子", "x" * 700, "∞", "Ünïcödé çà", "\\frac{1}{2}", *LONG_AND_FOREIGN]
)
def test_compress_odd_text_never_fails_and_is_whole_at_one(classifiers, text, spans):
    for family in ("wordpiece", "metaspace"):
        compressor = MultiRatioCompressor(classifiers.of(family), ScoringOptions(spans=spans))
        result = compressor.compress([text], [0.1, 1.0])[0]
        assert result[1.0].text == text
        assert result[0.1].encoder_tokens_after <= result[0.1].encoder_tokens_before


@pytest.mark.parametrize("ratio", [0, -0.1, 1.01, float("nan"), float("inf"), "0.5", None, 1j])
def test_compress_ratio_outside_unit_interval_is_refused(classifiers, ratio):
    with pytest.raises(InputError, match="ratio: must lie in"):
        MultiRatioCompressor(classifiers.wordpiece).compress(["a"], [0.5, ratio])


def test_compress_keys_are_the_ratios_as_given(classifiers, make_math_text):
    compressor, texts = MultiRatioCompressor(classifiers.wordpiece), [make_math_text(1, 3), ""]
    plain = compressor.compress(texts, [0.9, 0.5, 1])
    given = [np.float64(0.9), np.float64(0.5), np.float64(1)]
    for ratios in (given, np.asarray(given), tuple(given), (ratio for ratio in given)):
        found = compressor.compress(texts, ratios)
        assert [list(each) for each in found] == [[0.9, 0.5, 1]] * 2
        assert [[each.text for each in row.values()] for row in found] == [
            [each.text for each in row.values()] for row in plain
        ]
    assert compressor.compress(texts, []) == [{}, {}] and compressor.compress([], [0.5]) == []
    assert list(compressor.compress(texts, [0.5, 0.5, 1e-9])[0]) == [0.5, 1e-9]


@pytest.mark.parametrize("ratios", ["0.5", 0.5, None])
def test_compress_ratios_that_are_no_list_are_refused(classifiers, ratios):
    with pytest.raises(InputError, match="ratios: must be a list"):
        MultiRatioCompressor(classifiers.wordpiece).compress(["a"], ratios)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("abc", "must be a list of texts, got a str"),
        (b"abc", "must be a list of texts, got a bytes"),
        (None, "must be a list of texts"),
        (["a", None], "number 1 is a NoneType"),
        ([["a"]], "number 0 is a list"),
        (["a", "b\ud800"], "number 1 is not valid Unicode"),
    ],
)
def test_compress_what_is_no_list_of_texts_is_refused(classifiers, texts, message):
    compressor = MultiRatioCompressor(classifiers.wordpiece)
    for use in (compressor.score_words, lambda given: compressor.compress(given, [0.5])):
        with pytest.raises(InputError, match=f"texts: {message}"):
            use(texts)


def test_compress_fifty_thousand_words_costs_no_more_in_spans(classifiers):
    text = "We know that 3 of the 12 children can't swim. " * 5_000
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for spans in 2 * (False, True):  # the faster of two, since other work on the machine slows one down
        compressor = MultiRatioCompressor(classifiers.metaspace, ScoringOptions(spans=spans))
        started = time.process_time()
        result = compressor.compress([text], [0.5, 1.0])[0]
        seconds[spans].append(time.process_time() - started)
        assert result[1.0].text == text and 0 < len(result[0.5].text) < len(text)
    assert min(seconds[True]) < 2.5 * min(
        seconds[False]
    )  # it was 4.4 when the tokens were listed again for every window


def test_score_words_does_not_depend_on_the_batch(classifiers, make_math_text):
    texts = [make_math_text(seed, 3 + seed) for seed in range(12)]
    together = MultiRatioCompressor(classifiers.wordpiece).score_words(texts)
    alone = MultiRatioCompressor(classifiers.wordpiece, batch_tokens=1).score_words(texts)
    for left, right in zip(together, alone, strict=True):
        for a, b in zip(left.chunks, right.chunks, strict=True):
            assert a.words == b.words
            np.testing.assert_allclose(a.keep_probability, b.keep_probability, atol=1e-5)


def test_compress_runs_the_encoder_once_for_all_ratios(classifiers, make_math_text):
    compressor = MultiRatioCompressor(classifiers.wordpiece)
    calls = []
    compressor._encoder.model.register_forward_pre_hook(lambda *_: calls.append(1))
    texts = [make_math_text(seed, 2) for seed in range(5)]
    compressor.compress(texts, [0.5])
    once = len(calls)
    compressor.compress(texts, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert len(calls) == 2 * once > 0


@pytest.mark.parametrize("spans", [False, True])
@pytest.mark.parametrize("family", ["wordpiece", "metaspace"])
def test_scored_text_survives_parquet_columns_and_selects_the_same(classifiers, make_math_text, family, spans):
    options = ScoringOptions(force_reserve_digit=True, spans=spans)
    texts = [make_math_text(3, 50), make_math_text(4, 2), ""]
    all_scored = MultiRatioCompressor(classifiers.of(family), options).score_words(texts)
    identity = {"question_id": "q", "sample_index": 0, "gold": "1"}
    batches = table_of_rows([identity | scored.to_row() for scored in all_scored], score_schema()).to_batches()
    parts = [part for batch in batches for part in (batch.slice(0, 1), batch.slice(1))]  # views that begin further on
    restored = [sample.scored for sample in scored_samples(parts)]
    for scored, again in zip(all_scored, restored, strict=True):
        assert again.text == scored.text
        assert again.family == scored.family
        assert (
            [chunk.wide for chunk in again.chunks]
            == [chunk.wide for chunk in scored.chunks]
            == [True] * len(scored.chunks)
        )
        for ratio in (0.1, 0.33, 0.5, 0.9):
            assert select(again, ratio) == select(scored, ratio)


def test_spans_of_long_text_cover_every_unit_once(classifiers, make_math_text):
    text = make_math_text(9, 120)
    scored = MultiRatioCompressor(classifiers.metaspace, ScoringOptions(spans=True)).score_words([text])[0]
    assert len(scored.chunks) > 2
    spans = np.concatenate([chunk.spans for chunk in scored.chunks]).tolist()
    assert "".join(text[start:end] for start, end in spans) == "".join(text.split())
    assert all(chunk.keep_probability.min() > 0 for chunk in scored.chunks)


def test_spans_of_text_without_sentence_ends_lose_no_unit(classifiers):
    text = "apples " * 1_200
    scored = MultiRatioCompressor(classifiers.wordpiece, ScoringOptions(spans=True)).score_words([text])[0]
    assert sum(len(chunk.words) for chunk in scored.chunks) == 1_200
    assert scored.chunks[-1].keep_probability[-1] > 0


def test_spans_keep_case_newlines_decimals_and_commands(classifiers):
    text = "First, Ann PAYS $99.3\nfor \\dfrac{1}{2} of 1,000.5 Apples.\n\nThat is all."
    compressor = MultiRatioCompressor(classifiers.uncased, ScoringOptions(spans=True))
    options = SelectionOptions(keep_numbers=True, keep_operators=True, keep_latex_commands=True)
    kept = compressor.compress([text], [0.1], options)[0][0.1].text
    assert "$99.3\n" in kept
    assert "\\dfrac{1}{2}" in kept
    assert "1,000.5" in kept
    assert len(kept) < len(text)


def test_force_options_hold_for_spans(classifiers):
    options = ScoringOptions(spans=True, force_reserve_digit=True, force_tokens=("apples",))
    kept = MultiRatioCompressor(classifiers.wordpiece, options).compress(
        ["Ann has 12.5 kilos of apples and Bob has 7 of the pears"], [0.2]
    )[0][0.2]
    assert kept.text == "12.5 apples 7"


def test_keep_rules_without_spans_are_refused(classifiers):
    with pytest.raises(InputError, match="spans=True"):
        MultiRatioCompressor(classifiers.wordpiece).compress(["1 + 1"], [0.5], SelectionOptions(keep_numbers=True))


def test_golds_of_another_number_than_texts_are_refused(classifiers):
    with pytest.raises(InputError, match="golds: 2 answers for 1 texts"):
        MultiRatioCompressor(classifiers.wordpiece).compress(["1"], [0.5], golds=["1", "2"])


def test_loading_leaves_the_random_state_alone(classifiers):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    MultiRatioCompressor(classifiers.wordpiece, ScoringOptions(force_tokens=("several tokens",)))
    assert torch.equal(torch.rand(3), expected)


def test_encoder_is_in_float32_on_a_gpu_too(classifiers, monkeypatch):
    import torch
    from transformers import PreTrainedModel

    monkeypatch.setattr(PreTrainedModel, "to", lambda model, *_: model)  # there is no GPU to go to
    assert TokenClassifier(classifiers.wordpiece, "cuda").model.dtype is torch.float32


def test_rows_of_placeholders_are_drawn_on_the_cpu_whatever_the_device(classifiers, monkeypatch):
    from transformers import PreTrainedModel

    steps = []
    resize = PreTrainedModel.resize_token_embeddings
    monkeypatch.setattr(PreTrainedModel, "to", lambda model, device: steps.append(str(device)) or model)
    monkeypatch.setattr(
        PreTrainedModel,
        "resize_token_embeddings",
        lambda model, size: steps.append("drawn") or resize(model, size),
    )
    TokenClassifier(classifiers.wordpiece, "cuda").add_placeholders(["[NEW0]"])
    assert steps == ["cuda", "cpu", "drawn", "cuda"]


def test_model_dir_missing_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"model_dir: .* holds no config.json"):
        MultiRatioCompressor(tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["BertForMaskedLM"]}, "not a token classifier"),
        ({"architectures": None}, "not a token classifier"),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, "has 3 labels"),
    ],
)
def test_model_dir_of_another_kind_is_refused(classifiers, tmp_path, change, message):
    folder = tmp_path / "changed"
    shutil.copytree(classifiers.wordpiece, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(InputError, match=message):
        MultiRatioCompressor(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", r"config\.json is not JSON"),
        ("config.json", "[]", r"config\.json holds no object"),
        ("model.safetensors", None, "cannot be loaded"),
        ("model.safetensors", "cut short", "cannot be loaded"),
        ("tokenizer.json", None, "holds no tokenizer"),
        ("config.json", '{"architectures": ["XForTokenClassification"], "model_type": "none"}', "cannot be loaded"),
    ],
)
def test_model_dir_that_is_damaged_is_refused(classifiers, tmp_path, name, content, message):
    folder = tmp_path / "damaged"
    shutil.copytree(classifiers.wordpiece, folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(InputError, match=message):
        MultiRatioCompressor(folder)


def test_model_dir_without_head_weights_is_refused(classifiers, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "headless"
    shutil.copytree(classifiers.wordpiece, folder)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if not name.startswith("classifier")},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(InputError, match=r"lacks weights for classifier\.bias"):
        MultiRatioCompressor(folder)


def test_model_that_computes_no_numbers_is_refused(classifiers, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "broken"
    shutil.copytree(classifiers.wordpiece, folder)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] *= float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="computes no numbers"):
        MultiRatioCompressor(folder).compress(["one two three"], [0.5])


def test_cl100k_without_its_file_is_refused(classifiers, monkeypatch, tmp_path):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    with pytest.raises(InputError, match="word_length: cl100k needs TIKTOKEN_CACHE_DIR"):
        MultiRatioCompressor(classifiers.wordpiece, word_length=WordLength.CL100K)
