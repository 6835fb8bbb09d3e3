"""Texts encoded word by word and decoded byte by byte have the ids and characters that the library gives them whole."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from latent_core.models import tokens
from latent_core.models.family import load_tokenizer
from latent_core.models.source import open_model
from latent_core.models.wordwise import BytewiseDecoder, WordwiseEncoder

WORDS = (
    "the", "The", "apples", "it's", "don't", "'s", "5", "42", "1,234.5", "=", "+", "$x^2$", "\\frac{1}{2}", "end.",
    "(a)", "", " ", "\n", "\n\n", "\t", "\u00a0", "é", "e\u0301", "\u0301", "答案是42。", "٣", "👩‍🔬", "<|im_end|>",
    "<think>", "</think>", "a<|im_end|>", "x" * 90, "\x1c", "\r\n", "--", "…",
)  # fmt: skip
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    r"(?!\S)|\s+"
)  # fmt: skip
QWEN = LLAMA_3.replace("{1,3}", "")


def mini() -> Any:
    return load_tokenizer(open_model("latent-mini").directory)


def split_by(pattern: str, behavior: str = "isolated") -> Any:
    """latent-mini's words under another pre-tokenizer."""
    tokenizer = mini()
    split = pre_tokenizers.Split(Regex(pattern), behavior)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    return tokenizer


def qwen_like() -> Any:
    tokenizer = split_by(QWEN)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def across_spaces() -> Any:
    """A tokenizer whose tokens reach over spaces: no pre-tokenizer cuts them."""
    model = models.BPE(
        vocab={"a": 0, "b": 1, "Ġ": 2, "aĠ": 3, "aĠb": 4, "?": 5}, merges=[("a", "Ġ"), ("aĠ", "b")], unk_token="?"
    )
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def joining_spaces() -> Any:
    """A tokenizer with tokens for several white characters, as those of code models have."""
    white = ["Ġ", "Ċ", "ĉ"]
    pairs = [(left, right) for left in white for right in white]
    pieces = [*pre_tokenizers.ByteLevel.alphabet(), *("".join(pair) for pair in pairs)]
    backend = Tokenizer(models.BPE(vocab={piece: place for place, piece in enumerate(pieces)}, merges=pairs))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def added(**options: bool) -> Any:
    tokenizer = mini()
    tokenizer.add_tokens([AddedToken("apples", **options)])
    return tokenizer


def texts(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    joined = [draw.choice((" ", " ", " ", "")).join(draw.choices(WORDS, k=draw.randint(0, 12))) for _ in range(count)]
    return [*joined, "a b", " a b ", "a  b", "5 \n b", "a   b", "a \n  b", "a \t\n c"]


@pytest.mark.parametrize("make", [mini, lambda: split_by(LLAMA_3), qwen_like, joining_spaces])
def test_known_tokenizer_is_encoded_by_words_with_the_ids_of_whole_texts(make: Callable[[], Any]) -> None:
    tokenizer = make()
    encoder = WordwiseEncoder(tokenizer)
    assert encoder.by_words
    for text in texts(3000):
        whole = tokens.encode(text, tokenizer)
        assert encoder.encode(text) == whole, repr(text)
        assert encoder.count(text) == len(whole)


@pytest.mark.parametrize(
    "make",
    [
        across_spaces,
        lambda: split_by(r"\S+ \S+"),
        lambda: split_by(LLAMA_3, "removed"),
        lambda: added(lstrip=True),
        lambda: added(rstrip=True),
        lambda: added(single_word=True),
    ],
)
def test_other_tokenizer_is_encoded_whole(make: Callable[[], Any]) -> None:
    tokenizer = make()
    encoder = WordwiseEncoder(tokenizer)
    assert not encoder.by_words
    for text in texts(200):
        assert encoder.encode(text) == tokens.encode(text, tokenizer), repr(text)


def test_added_token_with_a_space_is_found_in_its_text() -> None:
    tokenizer = mini()
    tokenizer.add_tokens(["the end."])
    assert WordwiseEncoder(tokenizer).encode("This is the end. So") == tokens.encode("This is the end. So", tokenizer)


def test_more_words_than_are_remembered_keep_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latent_core.models.wordwise.REMEMBERED_WORDS", 3)
    tokenizer = mini()
    encoder = WordwiseEncoder(tokenizer)
    for text in texts(200):
        assert encoder.encode(text) == tokens.encode(text, tokenizer), repr(text)
    assert len(encoder._following) == 3


@pytest.mark.parametrize("make", [mini, across_spaces])
def test_decoded_ids_read_as_the_library_reads_them(make: Callable[[], Any]) -> None:
    tokenizer, draw = make(), random.Random(1)
    decoder = BytewiseDecoder(tokenizer)
    assert decoder.by_bytes
    size = len(tokenizer)
    for _ in range(3000):  # at random: halves of characters, too, and ids that stand for nothing
        ids = tuple(draw.randrange(size + 3) for _ in range(draw.randint(0, 20)))
        assert decoder.decode(ids) == tokens.decode(ids, tokenizer), ids
    for text in texts(500):
        ids = tuple(tokens.encode(text, tokenizer))
        assert decoder.decode(ids) == tokens.decode(ids, tokenizer)
