"""Token classifiers with random weights in the shapes of real encoders: time depends on the shape, not the weights.

Tokenizers are trained on the texts at hand, so that words split about as often as under a real vocabulary of 8,000.

The weights must still tell words apart. Drawn too wide (0.05 at 24 x 1,024) the layers average the positions until
every word of a text has the same probability up to 1e-7, less than float noise, and which words stay is then chance.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from latent_core.compress.words import TokenFamily

_VOCABULARY = 8_000
_POSITIONS = 512
# llmlingua chooses its code by the folder's name.
_FOLDERS = {TokenFamily.WORDPIECE: "bert-base-multilingual-cased", TokenFamily.METASPACE: "xlm-roberta-large"}


class Shape(NamedTuple):
    """An encoder's size."""

    name: str
    family: TokenFamily
    layers: int
    hidden: int
    heads: int
    feed_forward: int

    def flops(self, rows: int, width: int) -> float:
        """Floating-point operations of one forward pass over `rows` x `width` positions; embeddings cost none.

        Per layer and position: 2 x 4 h^2 for the four projections, 2 x 2 h f for the feed-forward, and 2 x 2 n h for
        attention scores and their sum (Kaplan et al., arXiv 2001.08361, table 1, with its constants written out).
        """
        position = 8 * self.hidden**2 + 4 * self.hidden * self.feed_forward + 4 * width * self.hidden
        return float(self.layers * position * rows * width)


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("minilm", TokenFamily.WORDPIECE, 6, 384, 12, 1_536),
        Shape("minilm-xlmr", TokenFamily.METASPACE, 6, 384, 12, 1_536),
        Shape("bert-base", TokenFamily.WORDPIECE, 12, 768, 12, 3_072),
        Shape("xlmr-large", TokenFamily.METASPACE, 24, 1_024, 16, 4_096),
    )
}


def save_encoder(shape: Shape, texts: Sequence[str], root: Path) -> Path:
    """Write a random classifier of `shape` and its tokenizer to a folder below `root`, and return the folder."""
    import torch
    from transformers import (
        BertConfig,
        BertForTokenClassification,
        XLMRobertaConfig,
        XLMRobertaForTokenClassification,
    )

    folder = root / shape.name / _FOLDERS[shape.family]
    tokenizer = _wordpiece(texts) if shape.family is TokenFamily.WORDPIECE else _metaspace(texts)
    tokenizer.save_pretrained(folder)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.feed_forward,
    }
    torch.manual_seed(7)
    model: Any
    if shape.family is TokenFamily.WORDPIECE:
        model = BertForTokenClassification(BertConfig(**sizes, max_position_embeddings=_POSITIONS))
    else:
        config = XLMRobertaConfig(**sizes, max_position_embeddings=_POSITIONS + 2, type_vocab_size=1)
        model = XLMRobertaForTokenClassification(config)
    # The last layer norm gives features of variance 1, so this gives logits of about that variance, as a trained head.
    torch.nn.init.normal_(model.classifier.weight, std=shape.hidden**-0.5)
    model.save_pretrained(folder)
    return folder


def _wordpiece(texts: Sequence[str]) -> Any:
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizer

    trained = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    trained.train_from_iterator(texts, vocab_size=_VOCABULARY, show_progress=False)
    return BertTokenizer(vocab=trained.get_vocab(), do_lower_case=False, strip_accents=False)


def _metaspace(texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import XLMRobertaTokenizer

    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    unigram.train_from_iterator(texts, trainer)
    pieces = [(piece, score) for piece, score in json.loads(unigram.to_str())["model"]["vocab"]]
    return XLMRobertaTokenizer(vocab=[*pieces, ("<mask>", 0.0)])
