"""The phase machine as a logits processor of vLLM's V1 sampler (CPU, and CUDA with VLLM_USE_V2_MODEL_RUNNER=0).

    LLM(model, logits_processors=["latent_core.serving.constraint:DualConstraint"])
    SamplingParams(..., extra_args={"dual_vocab": False})  # latent_core.serving.batch says what a request may say

The vocabulary comes from the model's `config.json` (key `dual_vocab`), else from its directory; a model without one is
left alone. Name the class in `logits_processors`: vLLM hands output ids to processors found through an entry point only
while its scheduling is synchronous. vLLM itself refuses custom processors together with speculative decoding.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from vllm.v1.sample.logits_processor.interface import BatchUpdate, LogitsProcessor, MoveDirectionality

from latent_core.dual.storage import CONFIG_KEY, FILE_NAME, REFERENCE_FILE_NAME
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.models.family import open_family
from latent_core.serving.batch import BatchConstraint, ConstraintTables, RequestOptions, engine_defaults
from latent_core.serving.grammar import check_request, check_server

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig

PROCESSOR = f"{__name__}:DualConstraint"
"""What `logits_processors` takes."""


class DualConstraint(LogitsProcessor):  # type: ignore[misc]  # vllm is untyped here
    """Masks what the phase of each request forbids."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self._batch: BatchConstraint | None = None
        vocabulary = vocabulary_of(vllm_config.model_config)
        if vocabulary is None:
            return
        if not vllm_config.model_config.logits_processors:
            raise InputError(f"logits_processors: name {PROCESSOR} there; an entry point alone gets no output ids")
        check_server(vllm_config)
        self._defaults = engine_defaults(vllm_config.additional_config)
        stop_ids = stop_ids_of(vllm_config.model_config)
        self._batch = BatchConstraint(ConstraintTables(vocabulary, device, stop_ids))

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Raises `InputError`, a `ValueError`, which an API server answers with HTTP 400."""
        RequestOptions().updated(sampling_params.extra_args)
        check_request(sampling_params)

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        if self._batch is None or batch_update is None:
            return
        for index in batch_update.removed:
            self._batch.remove(index)
        for index, params, prompt, output in batch_update.added:
            self._batch.add(index, self._defaults.updated(params.extra_args), prompt or (), output)
        for source, target, direction in batch_update.moved:
            if direction == MoveDirectionality.SWAP:
                self._batch.swap(source, target)
            else:
                self._batch.move(source, target)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        return logits if self._batch is None else self._batch.apply(logits)


def stop_ids_of(model_config: Any) -> tuple[int, ...]:
    """The ids that end a completion of vLLM's model; none for one that is no local directory."""
    directory = Path(model_config.model)
    return open_family(directory)[1].stop_ids if directory.is_dir() else ()


def vocabulary_of(model_config: Any) -> DualVocabulary | None:
    """The dual vocabulary of vLLM's model, None for a plain one. Raises `InputError` when it is damaged."""
    stored = getattr(model_config.hf_config, CONFIG_KEY, None)
    if stored is not None:
        return DualVocabulary.from_json(stored, f"config.json: {CONFIG_KEY}")
    directory = Path(model_config.model)
    has_file = any((directory / name).is_file() for name in (FILE_NAME, REFERENCE_FILE_NAME))
    return DualVocabulary.load(directory) if has_file else None
