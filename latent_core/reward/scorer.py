"""The log-probability reward: mean token log P of the gold answer after prompt and reasoning, by teacher forcing.

What is scored is the *reasoning*. A completion is cut after its first end-of-think token; whatever followed it, the
model's own answer included, is thrown away. In its place stands what `prompts.render_target` puts between the end of
thinking and the answer. For the boxed format the model then reads

    {prompt}{reasoning}</think>\\n\\nThe final answer is: $\\boxed{GOLD}$

and GOLD is both the gold answer and the gold answer after one space; the better of the two counts. The text after
`</think>` is tokenised as a whole, as in training, and every token that holds a character of GOLD counts, also one that
holds a neighbouring brace (`{\\`, `}}$`). Natural logarithm.

A dual model is scored as it is sampled: after `</think>` only visible ids without think tokens may follow, so its
probabilities are over those. Latent and visible reasoning are both read as they are.

Scores are ordered and finite: [LOWEST, 0] for a completion that ends its thinking, and MALFORMED, strictly below, for
one that does not or that is empty. A model whose probabilities are not numbers raises; it never becomes a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latent_core.config.prompting import TextFormat
from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.errors import InputError, StageFailed
from latent_core.likelihood import Head, Support, require_own_logits, token_logprobs
from latent_core.loading import SAFE
from latent_core.models.readable import ReadableModel
from latent_core.models.tokens import encode
from latent_core.reward.frame import Variant, answer_frame, spellings
from latent_core.reward.packing import Row, chunked, joined, pack, pack_prompts, shared_prompts
from latent_core.reward.scores import LOWEST, MALFORMED, Score, ScoreRequest, Status

Means = np.ndarray[Any, np.dtype[np.float64]]
# Positions of one forward pass. On a CPU smaller ones read prompts twice and larger ones leave its caches (CPU time a
# completion of the packaged model at 512, 1,024, 2,048: 21.8, 19.9, 18.9 ms); a GPU is idle with less.
CPU_TOKENS, GPU_TOKENS = 2_048, 16_384


class Scorer:
    """The model in `model_dir`, dual or not, in memory; on the first GPU if there is one, else in float32.

    `batch_tokens` bounds the positions of a forward pass, padding included. On a CPU several passes run side by side,
    each on one thread, and a lone one on all. Not for several threads at once. Raises InputError for a model without
    think marks, or whose layers do not all attend to the whole text.
    """

    def __init__(
        self, model_dir: Path, *, text_format: TextFormat = TextFormat.BOXED, batch_tokens: int | None = None
    ) -> None:
        from transformers import AutoModelForCausalLM

        self.readable = ReadableModel.load(model_dir)
        self.frame = answer_frame(self.readable.family, text_format)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = "auto" if self.device == "cuda" else "float32"
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=dtype, attn_implementation="sdpa", local_files_only=True, **SAFE
        )
        self._model.to(self.device).eval()
        require_full_attention(self._model.config)
        require_own_logits(self._model)
        self.vocabulary_size = int(self._model.get_input_embeddings().num_embeddings)
        self.context = int(getattr(self._model.config, "max_position_embeddings", 1 << 30))
        self._batch_tokens = batch_tokens or (GPU_TOKENS if self.device == "cuda" else CPU_TOKENS)
        self._threads = torch.get_num_threads() if self.device == "cpu" else 1
        self._pool = ThreadPoolExecutor(self._threads, "score", initializer=torch.set_num_threads, initargs=(1,))
        vocabulary = self.readable.vocabulary
        self._support, self._phase = Support.plain(self.vocabulary_size), 0
        if vocabulary is not None:
            machine = PhaseMachine(vocabulary, stop_ids=self.readable.family.stop_ids)
            self._support, self._phase = Support.of_machine(machine), int(Phase.ANSWER)
        self._known_variants: dict[str, tuple[Variant, ...]] = {}

    def encode_completion(self, text: str, *, latent: bool) -> tuple[int, ...]:
        """Ids of a completion's text. `latent` reads its thinking as latent ids, for a dual model only (InputError)."""
        ids = encode(text, self.readable.tokenizer)
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
        if row is not None and row.longest > self.context:
            raise InputError(
                f"completion: with prompt and gold {row.longest} tokens, the model reads {self.context}; shorten it"
            )

    def fits(self, request: ScoreRequest) -> bool:
        """Whether the model's context has room for the gold after the reasoning; true where no thinking ends."""
        row = self._row(request)
        return row is None or row.longest <= self.context

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """A score for every request, in order. Raises InputError as `check` does, StageFailed for broken weights."""
        results: dict[int, Score] = {}
        unique: dict[Row, list[int]] = {}  # equal completions are read once
        for index, request in enumerate(requests):
            self.check(request)
            row = self._row(request)
            if row is None:
                status = Status.NO_THINK_END if request.completion_ids else Status.EMPTY
                results[index] = Score(MALFORMED, status)
            else:
                unique.setdefault(row, []).append(index)
        rows = list(unique)
        chunks = [[rows[index] for index in chunk] for chunk in chunked(rows, self._batch_tokens)]
        for chunk, means in zip(chunks, self._all_means(chunks), strict=True):
            for row, of_row in zip(chunk, means, strict=True):
                results |= dict.fromkeys(unique[row], _best(row, of_row))
        return [results[index] for index in range(len(requests))]

    def _row(self, request: ScoreRequest) -> Row | None:
        """None for a completion that does not end its thinking."""
        end = self.readable.family.think_end_id
        if end not in request.completion_ids:
            return None
        thought = request.completion_ids[: request.completion_ids.index(end) + 1]
        variants = self._variants(request.gold.strip())
        shared = min(variant.begin for variant in variants)
        first = variants[0].ids
        shared = next((i for i in range(shared) if any(variant.ids[i] != first[i] for variant in variants)), shared)
        return Row(tuple(request.prompt_ids), (*thought, *first[:shared]), variants, shared)

    def _variants(self, gold: str) -> tuple[Variant, ...]:
        if gold not in self._known_variants:
            if len(self._known_variants) > 10_000:  # bounds the memory of a server; golds repeat within a group
                self._known_variants.clear()
            self._known_variants[gold] = spellings(gold, self.frame, self.readable.tokenizer)
        return self._known_variants[gold]

    def _all_means(self, chunks: Sequence[Sequence[Row]]) -> list[Means]:
        if self._threads == 1 or len(chunks) == 1:
            return [self._means(chunk) for chunk in chunks]
        try:
            return list(self._pool.map(self._means, chunks))
        finally:
            torch.set_num_threads(self._threads)  # the pool's threads set 1 for whatever thread is new after them

    @torch.inference_mode()
    def _means(self, rows: Sequence[Row]) -> Means:
        """Mean log P of each row's variants, shape (rows, variants), in one pass; before it one over shared prompts."""
        texts, which = shared_prompts(rows)
        cache = None
        if len(texts) < len(rows):
            ids, positions, mask = pack_prompts(texts)
            cache = self._read(ids, positions, mask, use_cache=True).past_key_values
            cache.batch_select_indices(torch.tensor(which, device=self.device))
        else:
            rows = [joined(row) for row in rows]
        packed = pack(rows)
        picks = packed.picks
        hidden = self._read(packed.ids, packed.positions, packed.mask, cache=cache).last_hidden_state
        targets = picks.targets.to(self.device)
        phases = torch.full_like(targets, self._phase)
        found = token_logprobs(hidden[picks.rows, picks.columns], Head.of(self._model), targets, self._support, phases)
        if not bool(torch.isfinite(found.log_partition).all()):
            raise StageFailed("model: its logits are not finite; its weights are damaged or its dtype too small")
        chosen = found.values.cpu()
        sums, counts = (torch.zeros((len(rows), len(rows[0].variants)), dtype=torch.float64) for _ in range(2))
        sums.index_put_((picks.rows, picks.spellings), chosen.double(), accumulate=True)
        counts.index_put_((picks.rows, picks.spellings), torch.ones(len(chosen), dtype=torch.float64), accumulate=True)
        return np.asarray((sums / counts).numpy())

    def _read(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor,
        *,
        cache: Any = None,
        use_cache: bool = False,
    ) -> Any:
        """The model's layers without its head."""
        return self._model.base_model(
            input_ids=ids.to(self.device),
            position_ids=positions.to(self.device),
            attention_mask=mask.to(self.device),
            past_key_values=cache,
            use_cache=use_cache or cache is not None,
        )


def require_full_attention(config: Any) -> None:
    """Raise InputError for layers that see less than the whole text: a pass over packed rows brings its own mask."""
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if not getattr(config, "layer_types", None) and getattr(config, "sliding_window", None):
        kinds = {"sliding_attention"}
    if kinds:
        raise InputError(
            f"model: has layers of kind {', '.join(sorted(kinds))}, which the scorer cannot read; choose a model whose "
            "layers all have full attention"
        )


def _best(row: Row, means: Means) -> Score:
    best = int(np.argmax(means))
    variant = row.variants[best]
    value = min(0.0, max(LOWEST, float(means[best])))
    return Score(value, Status.SCORED, variant.text, len(variant.ids) - variant.begin)
