"""Trains a token classifier of our own, a few million parameters from scratch, that the compressor can load.

Its WordPiece tokenizer is cased and cuts words at the units of `spans`, so that "99.3" and "\\frac" are words even for
code that rebuilds text from tokens; within a number every digit is a token.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latent_core.compress.chunks import CHUNK_SPECIAL_TOKENS
from latent_core.compress.compressor import MultiRatioCompressor, ScoringOptions
from latent_core.compress.spans import UNIT, spaced_out
from latent_core.compressor_training.agreement import Agreement, agreement
from latent_core.compressor_training.labels import LabelledText
from latent_core.errors import InputError

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WINDOW = 512
_IGNORED = -100  # transformers' label of a token without a loss
_BYTES_PER_WEIGHT = 2  # bfloat16
_VISIBLE_ASCII = [chr(code) for code in range(33, 127)]


@dataclass(frozen=True)
class TrainingSettings:
    """Shape of the encoder and its optimisation. The defaults give 5.4 M weights, 10.9 MB in bfloat16."""

    vocabulary: int = 8_000
    layers: int = 4
    hidden: int = 256
    heads: int = 4
    feed_forward: int = 1_024
    dropout: float = 0.1
    epochs: float = 3.0
    batch_size: int = 16
    learning_rate: float = 5e-4
    warmup_share: float = 0.1
    seed: int = 42
    max_bytes: int = 12 * 2**20


@dataclass(frozen=True)
class TrainingReport:
    """Agreement with the labels of the held-out words, of the model and of what needs no model.

    `random` draws uniformly; `word_lookup` predicts the share of the same word's training occurrences that were kept.
    """

    model: Agreement
    random: Agreement
    word_lookup: Agreement
    train_texts: int
    held_out_texts: int
    held_out_words: int
    parameters: int
    bytes: int
    seconds: float


def train_token_classifier(
    rows: Sequence[LabelledText],
    out_dir: str | os.PathLike[str],
    *,
    held_out: Sequence[LabelledText],
    settings: TrainingSettings = TrainingSettings(),
    checkpoints: str | os.PathLike[str] | None = None,
) -> TrainingReport:
    """Train on `rows`, save model, tokenizer and `training_report.json` in `out_dir`, and measure on `held_out`.

    With `checkpoints`, a state is saved there every epoch and an interrupted training goes on from the last one.
    Raises InputError for no rows, no held-out words, a text in both, or a shape whose weights exceed `max_bytes`.
    """
    _check_rows(rows, held_out)
    started = time.monotonic()
    import torch
    from transformers import BertConfig, BertForTokenClassification, DataCollatorForTokenClassification, Trainer
    from transformers import TrainingArguments as Arguments
    from transformers.trainer_utils import get_last_checkpoint

    tokenizer = train_tokenizer([spaced_out(row.text, row.spans).text for row in rows], settings.vocabulary)
    torch.manual_seed(settings.seed)
    model = BertForTokenClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=settings.feed_forward,
            hidden_dropout_prob=settings.dropout,
            attention_probs_dropout_prob=settings.dropout,
            max_position_embeddings=_WINDOW,
            type_vocab_size=1,
            id2label={0: "drop", 1: "keep"},
            label2id={"drop": 0, "keep": 1},
        )
    )
    parameters = sum(weight.numel() for weight in model.parameters())
    if parameters * _BYTES_PER_WEIGHT > settings.max_bytes:
        raise InputError(
            f"max_bytes: {parameters:,} weights take {parameters * _BYTES_PER_WEIGHT:,} bytes, over the limit of "
            f"{settings.max_bytes:,}; lower hidden, layers or vocabulary"
        )
    examples = [example for row in rows for example in _examples(tokenizer, row)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(checkpoints) if checkpoints is not None else Path(scratch)
        steps = -(-len(examples) // settings.batch_size) * settings.epochs
        arguments = Arguments(
            output_dir=str(folder),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=int(settings.warmup_share * steps),
            lr_scheduler_type="linear",
            weight_decay=0.01,
            seed=settings.seed,
            train_sampling_strategy="group_by_length",
            save_strategy="no" if checkpoints is None else "epoch",
            save_total_limit=1,
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            dataloader_pin_memory=False,
        )
        if arguments.n_gpu > 1:
            arguments._n_gpu = 1  # of several devices transformers would make one batch of as many times the size
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=examples,
            data_collator=DataCollatorForTokenClassification(tokenizer, label_pad_token_id=_IGNORED),
        )
        last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
        trainer.train(resume_from_checkpoint=last)
    target = Path(out_dir)
    model.to(device="cpu", dtype=torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
    report = _report(rows, held_out, target, settings.seed, parameters, time.monotonic() - started)
    (target / "training_report.json").write_text(json.dumps(_plain(report), indent=2) + "\n", encoding="utf-8")
    return report


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """A cased WordPiece tokenizer (transformers' fast kind) of at most `vocabulary` pieces.

    Digits are pieces of their own and every visible ASCII character is known in both positions.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    units = pre_tokenizers.Split(Regex(UNIT), behavior="removed", invert=True)
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    # While pieces are learned digits stand alone, so that no piece of two digits can form.
    learner.pre_tokenizer = pre_tokenizers.Sequence([units, pre_tokenizers.Digits(individual_digits=True)])
    always = [*_VISIBLE_ASCII, *(f"##{character}" for character in _VISIBLE_ASCII)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(vocabulary - len(always), len(_SPECIAL_TOKENS)),
        special_tokens=list(_SPECIAL_TOKENS),
        limit_alphabet=300,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learned = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    pieces = dict.fromkeys([*(piece for piece, _ in learned), *always])
    ids = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    tokenizer.pre_tokenizer = units
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=_WINDOW,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
    )


def _check_rows(rows: Sequence[LabelledText], held_out: Sequence[LabelledText]) -> None:
    if not any(len(row.labels) for row in rows):
        raise InputError("rows: no labelled word to train on")
    if not any(len(row.labels) for row in held_out):
        raise InputError("held_out: no labelled word to measure on")
    shared = {row.text for row in rows} & {row.text for row in held_out}
    if shared:
        raise InputError(f"held_out: {len(shared)} of its texts are also trained on; remove them from one side")


def _examples(tokenizer: Any, row: LabelledText) -> list[dict[str, list[int]]]:
    """Windows of one text; a token's label is that of the unit it begins in, or ignored outside every unit."""
    read = spaced_out(row.text, row.spans)  # as the compressor will read it
    encoding = tokenizer(read.text, add_special_tokens=False, return_offsets_mapping=True)
    starts = read.places(encoding["offset_mapping"])[:, 0]
    unit = np.searchsorted(row.spans[:, 1], starts, side="right")
    labels = np.full(len(starts), _IGNORED, dtype=np.int64)
    inside = unit < len(row.spans)
    inside[inside] = starts[inside] >= row.spans[unit[inside], 0]
    labels[inside] = row.labels[unit[inside]]
    size = _WINDOW - CHUNK_SPECIAL_TOKENS
    windows = []
    for start in range(0, len(starts), size):
        ids = [tokenizer.cls_token_id, *encoding["input_ids"][start : start + size], tokenizer.sep_token_id]
        targets = [_IGNORED, *labels[start : start + size].tolist(), _IGNORED]
        windows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": targets})
    return windows


def _report(
    rows: Sequence[LabelledText],
    held_out: Sequence[LabelledText],
    folder: Path,
    seed: int,
    parameters: int,
    seconds: float,
) -> TrainingReport:
    labels = np.concatenate([row.labels for row in held_out])
    compressor = MultiRatioCompressor(folder, ScoringOptions(spans=True))
    scored = compressor.score_words([row.text for row in held_out])
    chunks = [chunk for text in scored for chunk in text.chunks]
    words = [word for chunk in chunks for word in chunk.words]
    if len(words) != len(labels):
        raise InputError(f"held_out: its spans have {len(labels)} labels for {len(words)} units; cut with split_units")
    learned = agreement(np.concatenate([chunk.keep_probability for chunk in chunks]), labels)
    drawn = agreement(np.random.default_rng(seed).random(len(labels)), labels)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return TrainingReport(
        learned,
        drawn,
        agreement(_word_lookup(rows, words), labels),
        len(rows),
        len(held_out),
        len(labels),
        parameters,
        size,
        round(seconds, 1),
    )


def _word_lookup(rows: Sequence[LabelledText], words: Sequence[str]) -> NDArray[np.float64]:
    """Share of each word's training occurrences that were kept; the share of all words for one never seen."""
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        for (start, end), label in zip(row.spans.tolist(), row.labels.tolist(), strict=True):
            seen[row.text[start:end].lower()].append(label)
    overall = float(np.mean([label for labels in seen.values() for label in labels]))
    share = {word: float(np.mean(labels)) for word, labels in seen.items()}
    return np.asarray([share.get(word.lower(), overall) for word in words])


def _plain(report: TrainingReport) -> dict[str, Any]:
    return {name: value._asdict() if isinstance(value, Agreement) else value for name, value in asdict(report).items()}
