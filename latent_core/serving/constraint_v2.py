"""The phase machine as a logits processor of vLLM's Model Runner V2, CUDA's default since 0.32. NOT YET RUN ON A GPU.

    LLM(model, logits_processors=["latent_core.serving.constraint_v2:DualConstraintV2"])

Written against the abstract classes of vLLM 0.32.0 and tested on a CPU with tensors in their shape; the interface is
young, so another minor version is refused rather than guessed at. `VLLM_USE_V2_MODEL_RUNNER=0` with
`latent_core.serving.constraint` is the way that has been run, on CPU. See `latent_core.serving.batch` for the options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcessor, LogitsProcRequestState

from latent_core.errors import InputError
from latent_core.serving.batch import ConstraintTables, RequestOptions, SlotConstraint, engine_defaults
from latent_core.serving.constraint import stop_ids_of, vocabulary_of
from latent_core.serving.grammar import check_request, check_server

if TYPE_CHECKING:
    import torch
    from vllm import SamplingParams
    from vllm.config import VllmConfig

WRITTEN_FOR = "0.32"
"""The minor version of vLLM whose V2 interface this module knows."""
PROCESSOR = f"{__name__}:DualConstraintV2"


class DualConstraintV2(LogitsProcessor):  # type: ignore[misc]  # vllm is untyped here
    """Masks what the phase of each request forbids."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        from vllm import __version__

        if not __version__.startswith(f"{WRITTEN_FOR}."):
            raise InputError(f"vllm is {__version__}, {__name__} knows {WRITTEN_FOR}: set VLLM_USE_V2_MODEL_RUNNER=0")
        self._slots: SlotConstraint | None = None
        vocabulary = vocabulary_of(vllm_config.model_config)
        if vocabulary is None:
            return
        if vllm_config.speculative_config is not None:
            raise InputError("speculative_config: the dual vocabulary's constraint does not support it; leave it out")
        check_server(vllm_config)
        self._defaults = engine_defaults(vllm_config.additional_config)
        self._tokens: Any = req_states.all_token_ids
        tables = ConstraintTables(vocabulary, req_states.device, stop_ids_of(vllm_config.model_config))
        self._slots = SlotConstraint(tables, req_states.max_num_reqs, req_states.device)

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Raises `InputError`, a `ValueError`, which an API server answers with HTTP 400."""
        RequestOptions().updated(sampling_params.extra_args)
        check_request(sampling_params)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        if self._slots is None:
            return False
        self._slots.add(req_idx, self._defaults.updated(sampling_params.extra_args))
        return True

    def apply_staged_writes(self) -> None:
        if self._slots is not None:
            self._slots.flush()

    def apply(self, logits: torch.Tensor, ctx: LogitsContext) -> torch.Tensor:
        if self._slots is None:
            return logits
        return self._slots.apply(
            logits,
            slots=ctx.expanded_idx_mapping.long(),
            slots_on_host=ctx.idx_mapping_np,
            fed=ctx.input_ids,
            lengths=ctx.seq_lens_upper_bound_np,
            committed=self._tokens.gpu,
        )
