"""How sure the base model is of the answer after a chain of thought: the score that the quality filter goes by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from latent_core import prompts
from latent_core.config.quality import QualityConfig, QualityReduction, QualitySpan
from latent_core.dual.remap import IGNORED
from latent_core.errors import StageFailed
from latent_core.loading import SAFE
from latent_core.models.readable import ReadableModel
from latent_core.sft.phase_loss import machine_of

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
Key = tuple[str, int, float]  # question id, sample index, ratio


class SpannedIds(NamedTuple):
    """Token ids of a prompt and its target, and which of them are scored: `start` to `stop` (exclusive)."""

    ids: list[int]
    start: int
    stop: int


def quality_schema() -> pa.Schema:
    """Columns of a scored text; `score` is in nats, `tokens` how many of them were scored."""
    import pyarrow as pa

    return pa.schema(
        [
            ("question_id", pa.string()),
            ("sample_index", pa.int32()),
            ("ratio", pa.float64()),
            ("score", pa.float64()),
            ("tokens", pa.int32()),
        ]
    )


def spanned(question: str, reasoning: str, gold: str, model: ReadableModel, span: QualitySpan) -> SpannedIds:
    """The ids that the base model reads after the plain question, and the span of the answer to score."""
    render = partial(prompts.render_prompt, tokenizer=model.tokenizer, family=model.family)
    target = prompts.render_target(reasoning, gold, model.family)
    answer = prompts.render_answer(gold)
    sentence = target.rindex(answer)
    box = sentence + answer.index("\\boxed{")
    match span:
        case QualitySpan.ANSWER:
            first, last = box + len("\\boxed{"), box + len("\\boxed{") + len(gold)
        case QualitySpan.BOXED:
            first, last = box, box + len(f"\\boxed{{{gold}}}")
        case QualitySpan.AFTER_THINK:
            first, last = sentence, len(target)
    prompt_ids = model.encode_around(render, question).tolist()
    encoded = model.tokenizer(target, add_special_tokens=False, return_offsets_mapping=True)
    inside = [index for index, (start, stop) in enumerate(encoded["offset_mapping"]) if start < last and stop > first]
    offset = len(prompt_ids)
    return SpannedIds(prompt_ids + list(encoded["input_ids"]), offset + inside[0], offset + inside[-1] + 1)


class QualityScorer:
    """The base model, read by teacher forcing in batches of similar length; a dual one under its phases."""

    def __init__(self, model_dir: Path, config: QualityConfig) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        from latent_core.likelihood import Head, Support, require_own_logits

        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        name = config.dtype if config.dtype != "auto" else "bfloat16" if self._device == "cuda" else "float32"
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=getattr(torch, name), local_files_only=True, **SAFE
        )
        self._model.to(self._device).eval()
        require_own_logits(self._model)
        self._head = Head.of(self._model)
        self._machine = machine_of(model_dir)
        self._support = Support.plain(self._head.size) if self._machine is None else Support.of_machine(self._machine)
        self._config = config

    def scores(self, items: Sequence[SpannedIds]) -> list[float]:
        """One score per item, in order: mean or sum of the log-probabilities of its span, in nats.

        Raises StageFailed for broken weights, whose scores would rank nothing.
        """
        order = sorted(range(len(items)), key=lambda index: -len(items[index].ids))
        found: dict[int, float] = {}
        batch: list[int] = []
        for index in order:
            if batch and (len(batch) + 1) * len(items[batch[0]].ids) > self._config.batch_tokens:
                found |= self._score(batch, items)
                batch = []
            batch.append(index)
        if batch:
            found |= self._score(batch, items)
        return [found[index] for index in range(len(items))]

    def _score(self, batch: Sequence[int], items: Sequence[SpannedIds]) -> dict[int, float]:
        import torch

        from latent_core.likelihood import phases_after, token_logprobs
        from latent_core.likelihood.hidden_states import hidden_states

        width = len(items[batch[0]].ids)
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        mask, targets = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
        for row, index in enumerate(batch):
            item = items[index]
            ids[row, : len(item.ids)] = torch.tensor(item.ids)
            mask[row, : len(item.ids)] = 1
            targets[row, item.start : item.stop] = ids[row, item.start : item.stop]
        ids, targets = ids.to(self._device), targets.to(self._device)
        phases = None if self._machine is None else phases_after(ids, self._machine)[:, :-1]
        with torch.inference_mode():
            hidden = hidden_states(self._model, input_ids=ids, attention_mask=mask.to(self._device), use_cache=False)
            found = token_logprobs(hidden[:, :-1], self._head, targets[:, 1:], self._support, phases)
        if not bool(torch.isfinite(found.log_partition).all()):
            raise StageFailed("model: its logits are not finite; its weights are damaged or its dtype too small")
        sums = found.values.double().sum(1).tolist()
        mean = self._config.reduction is QualityReduction.MEAN
        return {
            index: total / (items[index].stop - items[index].start) if mean else total
            for index, total in zip(batch, sums, strict=True)
        }


def texts_to_score(samples: Iterable[Row], compressed: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Every text that may become an example: each compressed sample at ratio 1.0, then at its ratios.

    The latter with all columns of `compressed`, which are in the order of the samples.
    """
    by_key = groupby(compressed, key=lambda row: (row["question_id"], row["sample_index"]))
    current = next(by_key, None)
    for sample in samples:
        key = (sample["question_id"], sample["sample_index"])
        if current is None or current[0] != key:
            continue
        shared = {name: sample[name] for name in ("question_id", "sample_index", "question", "gold")}
        yield shared | {"ratio": 1.0, "text": sample["reasoning"]}
        for row in current[1]:
            if row["ratio"] != 1.0:
                yield {**shared, **row}
        current = next(by_key, None)


def best_share(scored: Iterable[Row], share: float) -> set[Key]:
    """The texts that are kept: of each question and ratio the best `share`, at least one; of equals the earlier.

    `scored` has a question's rows together.
    """
    kept: set[Key] = set()
    for question_id, group in groupby(scored, key=lambda row: str(row["question_id"])):
        by_ratio: dict[float, list[tuple[float, int]]] = {}
        for row in group:
            by_ratio.setdefault(row["ratio"], []).append((-row["score"], row["sample_index"]))
        for ratio, ranked in by_ratio.items():
            count = max(1, math.ceil(share * len(ranked) - 1e-9))
            kept |= {(question_id, index, ratio) for _, index in sorted(ranked)[:count]}
    return kept


def quality_report(scores: Mapping[float, Sequence[float]]) -> list[dict[str, float]]:
    """Per ratio: texts, mean, and the quartiles of the score, for the manifest."""
    import numpy as np

    report = []
    for ratio in sorted(scores, reverse=True):
        low, median, high = np.quantile(scores[ratio], [0.25, 0.5, 0.75])
        report.append(
            {
                "ratio": ratio,
                "texts": len(scores[ratio]),
                "mean": float(np.mean(scores[ratio])),
                "lower_quartile": float(low),
                "median": float(median),
                "upper_quartile": float(high),
            }
        )
    return report
