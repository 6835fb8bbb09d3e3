"""Tiny token classifiers of both families."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.math_texts import math_text


@dataclass(frozen=True)
class Classifiers:
    """Directories of tiny token classifiers, by family; named as llmlingua needs them."""

    wordpiece: Path
    metaspace: Path
    uncased: Path

    def of(self, family: str) -> Path:
        return {"wordpiece": self.wordpiece, "metaspace": self.metaspace, "uncased": self.uncased}[family]


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Classifiers:
    root = tmp_path_factory.mktemp("classifiers")
    corpus = [math_text(seed, 20) for seed in range(30)]
    cased, uncased = root / "bert-base-multilingual-cased", root / "uncased" / "bert-base-multilingual-cased"
    xlmr = root / "xlm-roberta-large"
    _save_bert(cased, corpus, lowercase=False)
    _save_bert(uncased, corpus, lowercase=True)
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    _save_xlmr(xlmr, corpus, 0.5, **small)
    return Classifiers(cased, xlmr, uncased)


@pytest.fixture(scope="session")
def indifferent_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As wide as XLM-R large, with layers and weights such that every word of a text gets nearly one probability."""
    folder = tmp_path_factory.mktemp("indifferent") / "xlm-roberta-large"
    wide = {"hidden_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 16, "intermediate_size": 512}
    _save_xlmr(folder, [math_text(seed, 20) for seed in range(30)], 0.1, **wide)
    return folder


def _save_bert(folder: Path, corpus: list[str], *, lowercase: bool) -> None:
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForTokenClassification, BertTokenizer

    trained = BertWordPieceTokenizer(lowercase=lowercase, strip_accents=False)
    trained.train_from_iterator(corpus, vocab_size=300, show_progress=False)
    tokenizer = BertTokenizer(vocab=trained.get_vocab(), do_lower_case=lowercase, strip_accents=False)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.5,  # spreads the probabilities, so that thresholds separate words
    )
    BertForTokenClassification(config).save_pretrained(folder)


def _save_xlmr(folder: Path, corpus: list[str], initializer_range: float, **shape: int) -> None:
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForTokenClassification, XLMRobertaTokenizer

    tokenizer = XLMRobertaTokenizer(vocab=_unigram_pieces(corpus, 400))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(11)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=initializer_range,
        **shape,
    )
    XLMRobertaForTokenClassification(config).save_pretrained(folder)


def _unigram_pieces(corpus: list[str], size: int) -> list[tuple[str, float]]:
    """The characters and the most frequent substrings of words, with their log-frequency as score.

    Counted here because the library's unigram trainer gives another vocabulary in every process.
    """
    words = Counter(f"▁{word}" for text in corpus for word in text.split())
    counts: Counter[str] = Counter()
    for word, number in words.items():
        for start in range(len(word)):
            for stop in range(start + 1, min(start + 8, len(word)) + 1):
                counts[word[start:stop]] += number
    frequent = sorted(counts, key=lambda piece: (len(piece) > 1, -counts[piece] * len(piece), piece))
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    scored = [(piece, math.log(counts[piece] / counts.total())) for piece in frequent[: size - 5]]
    return [*special, *scored, ("<mask>", 0.0)]
