"""Spans in any script: characters stay whole, and words are found where no spaces divide them."""

from __future__ import annotations

import re
from collections import Counter
from unicodedata import normalize

import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from latent_core.compress import (
    MultiRatioCompressor,
    RandomCompressor,
    ScoringOptions,
    TruncateCompressor,
    open_compressor,
    select,
)
from latent_core.compress.spans import UNIT, is_number, is_operator, join_spans, spaced_out, split_units

SENTENCES = {
    "Chinese": "汤姆有3个苹果,又买了4个。他现在一共有多少个苹果？",
    "Japanese": "田中さんはりんごを三個買いました。",
    "Thai": "ทอมมีแอปเปิ้ลและซื้อเพิ่มอีก",
    "Lao": "ທອມມີໝາກໂປມສາມໜ່ວຍ",
    "Khmer": "ថូមមានផ្លែប៉ោមហើយទិញទៀត",
    "Burmese": "တွမ်တွင်ပန်းသီးလုံးရှိသည်",
    "Javanese, which has no dictionary": "ꦲꦏꦱꦫꦗꦮꦏꦭꦶꦪꦤ꧀ꦱꦸꦤ꧀ꦢ",
}
SPACED = {
    "Hindi": "टॉम के पास 3 सेब हैं और क्षत्रिय",
    "Arabic": "قال الطالبُ إنّ الجوابَ ٧",
    "Korean": "한국어 문장입니다",
    "Vietnamese": normalize("NFD", "Tôi có ba quả táo"),  # letters and their marks apart
    "emoji": "👨‍👩‍👧‍👦 🇫🇷 👍🏽 ❤️‍🔥 3️⃣",
}


def _clusters(text: str) -> list[str]:
    return regex.findall(r"\X", text)


def _edges(text: str) -> set[int]:
    return {0, *(match.end() for match in regex.finditer(r"\X", text))}


def _units(text: str) -> list[str]:
    return [text[start:end] for start, end in split_units(text).tolist()]


_letters = st.sampled_from(sorted({sign for text in (*SENTENCES.values(), *SPACED.values()) for sign in text}))
_mixed = st.lists(
    st.one_of(
        st.sampled_from([*SENTENCES.values(), *SPACED.values(), "x² = \\frac{1}{2}", "1,234.5", "\\", "\r\n", " "]),
        st.text(_letters, max_size=6),
        st.text(max_size=6),
    ),
    max_size=6,
).map("".join)


@given(_mixed)
@example("\\\r\n")
@example(" \u0301 \u200d")
@example("a\u0600٣٤")
def test_units_tile_the_text_and_never_end_inside_a_cluster(text: str) -> None:
    spans = split_units(text).tolist()
    places = [place for span in spans for place in span]
    assert places == sorted(places) and all(start < end for start, end in spans)
    assert set(places) <= _edges(text)
    seen = np.zeros(len(text), dtype=np.bool_)
    for start, end in spans:
        assert not seen[start:end].any()
        seen[start:end] = True
    assert all(sign.isspace() for sign, inside in zip(text, seen, strict=True) if not inside)


@given(_mixed, st.randoms(use_true_random=False))
def test_what_is_kept_consists_of_the_texts_own_characters(text: str, draw: object) -> None:
    spans = [(start, end) for start, end in split_units(text).tolist()]
    kept = [place for place in range(len(spans)) if draw.random() < 0.5]  # type: ignore[attr-defined]
    rest = join_spans(text, spans, kept)
    units = Counter(cluster for place in kept for cluster in _clusters(text[slice(*spans[place])]))
    assert Counter("".join(rest.split())) == Counter("".join("".join(units.elements()).split()))


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=40))
@example("Soit x ≤ 3, d’où l'été à Zürich × 4.")
@example("Пусть число равно 5, тогда Ελληνικά.")
def test_units_of_spaced_text_without_marks_are_what_they_always_were(text: str) -> None:
    if "\\\r\n" not in text:  # the one cluster of two characters among these
        assert split_units(text).tolist() == [list(match.span()) for match in re.finditer(UNIT, text)]


@pytest.mark.parametrize("script", SENTENCES)
def test_sentence_of_a_script_without_spaces_is_several_words(script: str) -> None:
    units = _units(SENTENCES[script])
    assert len(units) >= 4 and "".join(units) == SENTENCES[script]


def test_words_are_those_of_a_dictionary() -> None:
    assert _units("汤姆有3个iPhone手机。") == ["汤姆", "有", "3", "个", "iPhone", "手机", "。"]
    assert _units("コーヒーを飲む") == ["コーヒー", "を", "飲む"]
    assert _units("ทอมมีแอปเปิ้ล ๔๕ ผล") == ["ทอม", "มี", "แอป", "เปิ้ล", "๔๕", "ผล"]
    assert _units("ပန်းသီး") == ["ပန်းသီး"]  # its visarga is a cluster of its own, and no word


@pytest.mark.parametrize("script", SPACED)
def test_words_of_a_spaced_script_stay_whole(script: str) -> None:
    assert _units(SPACED[script]) == SPACED[script].split()


def test_flags_without_spaces_are_one_unit_each() -> None:
    assert _units("🇫🇷🇩🇪👍🏽") == ["🇫🇷", "🇩🇪", "👍🏽"]


def test_dropped_words_leave_no_space_in_a_script_without_spaces_and_one_elsewhere() -> None:
    text = "汤姆有3个苹果"
    spans = [(start, end) for start, end in split_units(text).tolist()]
    assert join_spans(text, spans, [0, 2, 4]) == "汤姆3苹果"
    hindi = "नहीं+हैं"
    spans = [(start, end) for start, end in split_units(hindi).tolist()]
    assert join_spans(hindi, spans, [0, 2]) == "नहीं हैं"  # its last sign is a mark, and they are two words


def test_marks_do_not_hide_numbers_and_operators() -> None:
    assert is_number("3️⃣") and is_operator("=\u0338") and not is_number("é") and not is_operator("é")


@pytest.fixture(scope="module")
def packaged() -> MultiRatioCompressor:
    compressor = open_compressor("latent-compressor", ScoringOptions(spans=True))
    assert isinstance(compressor, MultiRatioCompressor)
    return compressor


@pytest.mark.parametrize("script", [script for script in SENTENCES if "no dictionary" not in script])
def test_packaged_compressor_shortens_a_sentence_without_spaces(packaged: MultiRatioCompressor, script: str) -> None:
    text = SENTENCES[script]
    scored = packaged.score_words([text])[0]
    lengths = [len(select(scored, ratio).text) for ratio in (0.3, 0.5, 0.8)]
    assert 0 < lengths[0] <= lengths[1] <= lengths[2] < len(text)
    assert not Counter(_clusters(select(scored, 0.5).text)) - Counter(_clusters(text))


@pytest.mark.parametrize("family", ["wordpiece", "metaspace", "uncased"])
@pytest.mark.parametrize("script", [*SENTENCES, *SPACED])
def test_spans_scored_by_any_encoder_tile_the_text(classifiers, family: str, script: str) -> None:
    text = (SENTENCES | SPACED)[script]
    compressor = MultiRatioCompressor(classifiers.of(family), ScoringOptions(spans=True))
    (chunk,) = compressor.score_words([text])[0].chunks
    assert chunk.spans is not None and chunk.spans.tolist() == split_units(text).tolist()


@pytest.mark.parametrize("compressor", [RandomCompressor(1), TruncateCompressor()])
@pytest.mark.parametrize("script", SENTENCES)
def test_baselines_shorten_a_sentence_without_spaces(
    compressor: RandomCompressor | TruncateCompressor, script: str
) -> None:
    text = SENTENCES[script]
    small = compressor.compress([text], [0.5])[0][0.5].text
    assert 0 < len(small) < len(text) and not Counter(_clusters(small)) - Counter(_clusters(text))


@given(_mixed)
def test_places_in_a_text_with_spaces_put_in_are_places_in_the_source(text: str) -> None:
    spelt = spaced_out(text, split_units(text))
    tokens = [match.span() for match in re.finditer(r"\S", spelt.text)]
    source = [match.span() for match in re.finditer(r"\S", text)]
    assert spelt.places(tokens).tolist() == [list(span) for span in source]
