"""The log-probability reward: mean token log P of the gold answer after prompt and reasoning, by teacher forcing.

What is scored is the *reasoning*. A completion is cut after its first end-of-think token; whatever followed it, the
model's own answer included, is thrown away. In its place stands what `prompts.render_target` puts between the end of
thinking and the answer. For the boxed format the model then reads

    {prompt}{reasoning}</think>\\n\\nThe final answer is: $\\boxed{GOLD}$

and GOLD is both the gold answer and the gold answer after one space; the better of the two counts. The text after
`</think>` is tokenised as a whole, as in training, and every token that holds a character of GOLD counts, also one that
holds a neighbouring brace (`{\\`, `}}$`). Natural logarithm.

A dual model is asked as it is sampled: after `</think>` only visible ids without think tokens may follow, so its
probabilities are over those. Latent and visible reasoning are both read as they are.

Scores are ordered and finite: [LOWEST, 0] for a completion that ends its thinking, and MALFORMED, strictly below, for
one that does not or that is empty. A model whose probabilities are not numbers raises; it never becomes a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latent_core import prompts
from latent_core.compress.causal import length_batches
from latent_core.config.tokenskip import TextFormat
from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.errors import InputError, StageFailed
from latent_core.generate.completions import ReadableModel
from latent_core.loading import SAFE
from latent_core.models.family import ChatFamily
from latent_core.reward.scores import LOWEST, MALFORMED, Score, ScoreRequest, Status

_SLOT = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for the answer while the target is taken apart


@dataclass(frozen=True)
class AnswerFrame:
    """The text around an answer in a target: from the end of thinking to the answer, and after it within the turn."""

    before: str
    after: str


def answer_frame(family: ChatFamily, text_format: TextFormat = TextFormat.BOXED) -> AnswerFrame:
    """Taken from `prompts.render_target`. Raises InputError for a model or a format without an end of thinking."""
    if family.think_end is None or text_format is TextFormat.RAW_TEXT:
        raise InputError("model: a scorer needs a model with think marks and a format that uses them (boxed or xml)")
    target = prompts.render_target("", _SLOT, family, text_format).removesuffix(family.end_of_turn)
    before, _, after = target.partition(family.think_end)[2].partition(_SLOT)
    return AnswerFrame(before, after)


@dataclass(frozen=True)
class _Variant:
    """A spelling of the gold: ids from the end of thinking to its last token, and where its own tokens begin."""

    text: str
    ids: tuple[int, ...]
    begin: int


@dataclass(frozen=True)
class _Row:
    """One completion ready to be scored: what all spellings of the gold have in common, and the spellings."""

    prefix: tuple[int, ...]
    variants: tuple[_Variant, ...]
    shared: int  # leading ids of each variant that are in `prefix`


class Scorer:
    """The model in `model_dir`, dual or not, in memory; on the first GPU if there is one, else in float32.

    `batch_tokens` bounds the positions of a batch, padding included. Not for several threads at once.
    """

    def __init__(
        self, model_dir: Path, *, text_format: TextFormat = TextFormat.BOXED, batch_tokens: int = 16_384
    ) -> None:
        from transformers import AutoModelForCausalLM

        self.readable = ReadableModel.load(model_dir)
        self.frame = answer_frame(self.readable.family, text_format)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = "auto" if self.device == "cuda" else "float32"
        self._model: Any = AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype, local_files_only=True, **SAFE)
        self._model.to(self.device).eval()
        self.vocabulary_size = int(self._model.get_input_embeddings().num_embeddings)
        self.context = int(getattr(self._model.config, "max_position_embeddings", 1 << 30))
        self._batch_tokens = batch_tokens
        vocabulary = self.readable.vocabulary
        self._forbidden = None
        if vocabulary is not None:
            self._forbidden = PhaseMachine(vocabulary).forbidden_on(self.device)[Phase.ANSWER]
        self._known_variants: dict[str, tuple[_Variant, ...]] = {}

    def encode_completion(self, text: str, *, latent: bool) -> tuple[int, ...]:
        """Ids of a completion's text. `latent` reads its thinking as latent ids, for a dual model only (InputError)."""
        ids = prompts.encode(text, self.readable.tokenizer)
        if not latent:
            return tuple(ids)
        if self.readable.vocabulary is None:
            raise InputError("latent: this model has no latent tokens; leave it out")
        end = self.readable.family.think_end_id
        stop = ids.index(end) if end in ids else len(ids)
        return (*self.readable.vocabulary.to_latent(ids[:stop]).tolist(), *ids[stop:])

    def check(self, request: ScoreRequest) -> None:
        """Raise InputError, naming the field, for ids the model does not have, an empty prompt or gold, or no room."""
        if not request.gold.strip():
            raise InputError("gold: is empty; give the answer to score")
        if not request.prompt_ids:
            raise InputError("prompt: is empty; give the text or the ids that the model continued")
        for name, ids in (("prompt_token_ids", request.prompt_ids), ("completion_token_ids", request.completion_ids)):
            wrong = next((token for token in ids if not 0 <= token < self.vocabulary_size), None)
            if wrong is not None:
                raise InputError(f"{name}: {wrong} is not in [0, {self.vocabulary_size}); check which model sampled it")
        row = self._row(request)
        if row is not None:
            longest = len(row.prefix) - row.shared + max(len(variant.ids) for variant in row.variants)
            if longest > self.context:
                raise InputError(
                    f"completion: with prompt and gold {longest} tokens, the model reads {self.context}; shorten it"
                )

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """A score for every request, in order. Raises InputError as `check` does, StageFailed for broken weights."""
        for request in requests:
            self.check(request)
        results: dict[int, Score] = {}
        rows: list[tuple[int, _Row]] = []
        for index, request in enumerate(requests):
            row = self._row(request)
            if row is None:
                status = Status.NO_THINK_END if request.completion_ids else Status.EMPTY
                results[index] = Score(MALFORMED, status)
            else:
                rows.append((index, row))
        for batch in length_batches([len(row.prefix) for _, row in rows], self._batch_tokens):
            chosen = [rows[position] for position in batch]
            for (index, row), means in zip(chosen, self._means([row for _, row in chosen]), strict=True):
                results[index] = _best(row, means)
        return [results[index] for index in range(len(requests))]

    def _row(self, request: ScoreRequest) -> _Row | None:
        """None for a completion that does not end its thinking."""
        end = self.readable.family.think_end_id
        if end not in request.completion_ids:
            return None
        thought = request.completion_ids[: request.completion_ids.index(end) + 1]
        variants = self._variants(request.gold.strip())
        shared = min(variant.begin for variant in variants)
        first = variants[0].ids
        shared = next((i for i in range(shared) if any(variant.ids[i] != first[i] for variant in variants)), shared)
        return _Row((*request.prompt_ids, *thought, *first[:shared]), variants, shared)

    def _variants(self, gold: str) -> tuple[_Variant, ...]:
        if gold not in self._known_variants:
            if len(self._known_variants) > 10_000:  # bounds the memory of a server; golds repeat within a group
                self._known_variants.clear()
            self._known_variants[gold] = tuple(self._variant(text) for text in (gold, f" {gold}"))
        return self._known_variants[gold]

    def _variant(self, text: str) -> _Variant:
        start, stop = len(self.frame.before), len(self.frame.before) + len(text)
        encoding = self.readable.tokenizer(
            f"{self.frame.before}{text}{self.frame.after}", add_special_tokens=False, return_offsets_mapping=True
        )
        offsets = encoding["offset_mapping"]
        begin = next(i for i, (_, end) in enumerate(offsets) if end > start)
        last = max(i for i, (first, _) in enumerate(offsets) if first < stop)
        return _Variant(text, tuple(encoding["input_ids"][: last + 1]), begin)

    @torch.inference_mode()
    def _means(self, rows: Sequence[_Row]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Mean log P of each row's variants, shape (rows, variants).

        The prefix is read once for both. Its last token is read with the variants: its logits predict their first.
        """
        count = len(rows[0].variants)
        heads = [row.prefix[:-1] for row in rows]
        tails = [(row.prefix[-1], *variant.ids[row.shared :]) for row in rows for variant in row.variants]
        width, tail_width = max(map(len, heads)), max(map(len, tails))
        head_ids = torch.zeros((len(rows), width), dtype=torch.long)
        head_mask = torch.zeros((len(rows), width), dtype=torch.long)
        for line, head in enumerate(heads):  # left padding: every variant then begins in the same column
            head_ids[line, width - len(head) :] = torch.tensor(head, dtype=torch.long)
            head_mask[line, width - len(head) :] = 1
        tail_ids = torch.zeros((len(tails), tail_width), dtype=torch.long)
        tail_mask = torch.zeros((len(tails), tail_width), dtype=torch.long)
        counted = torch.zeros((len(tails), tail_width - 1), dtype=torch.bool)
        for line, tail in enumerate(tails):
            row = rows[line // count]
            begin = row.variants[line % count].begin - row.shared
            tail_ids[line, : len(tail)] = torch.tensor(tail)
            tail_mask[line, : len(tail)] = 1
            counted[line, begin : len(tail) - 1] = True
        cache = self._read(head_ids, head_mask)
        cache.batch_repeat_interleave(count)
        lengths = head_mask.sum(dim=1).repeat_interleave(count)
        mask = torch.cat([head_mask.repeat_interleave(count, dim=0), tail_mask], dim=1)
        logits = self._model(
            input_ids=tail_ids[:, :-1].to(self.device),
            attention_mask=mask[:, :-1].to(self.device),
            position_ids=(lengths[:, None] + torch.arange(tail_width - 1)).to(self.device),
            past_key_values=cache,
            use_cache=True,
        ).logits.float()
        if not bool(torch.isfinite(logits[tail_mask[:, :-1].bool()]).all()):
            raise StageFailed("model: its logits are not finite; its weights are damaged or its dtype too small")
        if self._forbidden is not None:
            logits = logits.masked_fill(self._forbidden, float("-inf"))
        chosen = torch.log_softmax(logits, dim=-1).gather(2, tail_ids[:, 1:, None].to(self.device))[:, :, 0].cpu()
        sums = torch.where(counted, chosen, 0.0).double().sum(dim=1)
        return np.asarray((sums / counted.sum(dim=1)).reshape(len(rows), count).numpy())

    def _read(self, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        """The keys and values of padded prefixes, shape (rows, width); no row is empty: each has a `</think>`."""
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        return self._model(
            input_ids=ids.to(self.device),
            attention_mask=mask.to(self.device),
            position_ids=positions.to(self.device),
            use_cache=True,
            logits_to_keep=1,
        ).past_key_values


def _best(row: _Row, means: np.ndarray[Any, np.dtype[np.float64]]) -> Score:
    best = int(np.argmax(means))
    variant = row.variants[best]
    value = min(0.0, max(LOWEST, float(means[best])))
    return Score(value, Status.SCORED, variant.text, len(variant.ids) - variant.begin)
