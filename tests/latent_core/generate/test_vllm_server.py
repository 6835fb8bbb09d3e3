"""The command that serves a model: which flags a plain, a dual and a LoRA model get, made without vLLM."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from latent_core import prompts
from latent_core.dual import build_dual
from latent_core.errors import InputError
from latent_core.generate.vllm_engine import ENVIRONMENT
from latent_core.generate.vllm_server import ServedModel, ServerCommand, server_command
from latent_core.models.family import SETTINGS_FILE, load_tokenizer, open_family
from latent_core.models.source import open_model
from tests.support import conversations as written

PLAIN = open_model("latent-mini").directory


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LATENT_CACHE", str(tmp_path / "cache"))
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def dual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "dual"
    build_dual(PLAIN, directory)
    return directory


def _command(directory: Path, device: Any = "cpu", extra: tuple[str, ...] = ()) -> ServerCommand:
    return server_command(ServedModel("m", directory, directory), "127.0.0.1", 8000, device, extra)


def _flags(command: ServerCommand) -> dict[str, str | None]:
    """Each flag and its value, None for a switch."""
    found: dict[str, str | None] = {}
    for word in command.arguments[3:]:
        if word.startswith("--"):
            found[word] = None
        else:
            found[list(found)[-1]] = word
    return found


def test_dual_model_is_served_with_constraint_tokenizer_parser_and_processed_logprobs(dual_dir: Path) -> None:
    command = _command(dual_dir)
    assert command.arguments[:3] == (sys.executable, "-m", "vllm.entrypoints.openai.api_server")
    flags = _flags(command)
    assert flags["--model"] == str(dual_dir) and flags["--served-model-name"] == "m"
    assert flags["--logits-processors"] == "latent_core.serving.constraint:DualConstraint"
    assert (flags["--tokenizer-mode"], flags["--reasoning-parser"]) == ("dual", "dual")
    assert flags["--logprobs-mode"] == "processed_logprobs"
    assert flags["--structured-outputs-config.backend"] == "xgrammar"
    assert flags["--generation-config"] == "vllm"
    assert "--chat-template" not in flags  # the tokenizer mode brings it


@pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
def test_constraint_that_the_command_names_is_the_processor() -> None:
    from latent_core.serving.constraint import PROCESSOR
    from latent_core.serving.plugin import CONSTRAINT

    assert CONSTRAINT == PROCESSOR


@pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
def test_vllm_knows_every_flag_and_takes_its_value(dual_dir: Path, tmp_path: Path) -> None:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = make_arg_parser(FlexibleArgumentParser())

    def parsed(model: ServedModel, device: Any) -> Any:
        return parser.parse_args(list(server_command(model, "127.0.0.1", 8123, device).arguments[3:]))

    dual, plain = ServedModel("m", dual_dir, dual_dir), ServedModel("m", PLAIN, PLAIN)
    adapter = replace(plain, adapter_dir=_adapter(tmp_path / "odd=name, too"), base_name="base")
    settings = parsed(dual, "cuda")
    assert settings.max_model_len == -1  # vLLM's word for: what fits
    assert settings.structured_outputs_config.backend == "xgrammar" and settings.logprobs_mode == "processed_logprobs"
    settings = parsed(adapter, "cpu")
    assert settings.lora_modules[0].path == str(adapter.adapter_dir) and settings.enable_chunked_prefill is False
    assert Path(settings.chat_template).is_file() and settings.port == 8123


def test_plain_thinking_model_is_started_inside_its_reasoning_as_in_training() -> None:
    flags = _flags(_command(PLAIN))
    assert flags["--reasoning-parser"] == "deepseek_r1" and "--logits-processors" not in flags
    tokenizer, family = open_family(PLAIN)
    prompt = prompts.render_prompt("What is x?", tokenizer, family)
    turns = [{"role": "system", "content": prompts.SYSTEM}]
    turns.append({"role": "user", "content": f"{prompts.INSTRUCTION}\nWhat is x?"})
    template = Path(str(flags["--chat-template"])).read_text(encoding="utf-8")
    assert (
        tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=True)
        == prompt
    )
    assert prompt.endswith("<think>\n")


@pytest.mark.parametrize("name", ["QWEN3", "QWEN35_OFF"])
def test_hybrid_model_thinks_and_a_request_can_switch_it_off(tmp_path: Path, name: str) -> None:
    directory = written.model_dir_of(tmp_path / "hybrid", written.tokenizer_of(getattr(written, name)))
    (directory / SETTINGS_FILE).write_text('{"thinking": "on"}', encoding="utf-8")
    flags = _flags(_command(directory))
    options = json.loads(flags.get("--default-chat-template-kwargs") or "{}")
    assert options == dict(open_family(directory)[1].options)
    tokenizer = load_tokenizer(directory)
    file = flags.get("--chat-template")
    template = tokenizer.chat_template if file is None else Path(file).read_text(encoding="utf-8")
    turns = [{"role": "user", "content": "What is x?"}]

    def prompt(**options: bool) -> str:
        return str(
            tokenizer.apply_chat_template(
                turns, chat_template=template, tokenize=False, add_generation_prompt=True, **options
            )
        )

    assert prompt(**options).endswith("<think>\n") and prompt(**options).count("<think>") == 1
    assert prompt(enable_thinking=False).endswith("</think>\n\n")


def test_model_that_does_not_think_gets_no_template_and_no_parser(tmp_path: Path) -> None:
    directory = written.model_dir_of(tmp_path / "plain", written.tokenizer_of(written.CHATML))
    assert {"--chat-template", "--reasoning-parser", "--default-chat-template-kwargs"}.isdisjoint(
        _flags(_command(directory))
    )


def _adapter(directory: Path, **settings: Any) -> Path:
    directory.mkdir()
    config = {"base_model_name_or_path": str(PLAIN), "r": 12} | settings
    (directory / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory


def test_adapter_is_served_beside_its_base_under_the_name_asked_for(tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "my=adapter, odd")
    model = ServedModel("m", PLAIN, PLAIN, adapter, "base")
    flags = _flags(server_command(model, "127.0.0.1", 8000, "cpu"))
    assert flags["--model"] == str(PLAIN) and flags["--served-model-name"] == "base"
    assert "--enable-lora" in flags and flags["--max-lora-rank"] == "16"
    assert json.loads(str(flags["--lora-modules"])) == {"name": "m", "path": str(adapter)}


def test_cpu_and_gpu_get_flags_and_environment_of_their_own(dual_dir: Path) -> None:
    cpu, cuda = _command(dual_dir), _command(dual_dir, "cuda")
    assert _flags(cpu)["--dtype"] == "float32" and _flags(cpu)["--max-model-len"] == "1024"
    assert "--no-enable-chunked-prefill" in _flags(cpu) and cpu.environment["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert "--dtype" not in _flags(cuda) and _flags(cuda)["--max-model-len"] == "auto"
    assert cuda.environment["VLLM_USE_V2_MODEL_RUNNER"] == "0" and "VLLM_CPU_KVCACHE_SPACE" not in cuda.environment
    assert "VLLM_USE_V2_MODEL_RUNNER" not in _command(PLAIN, "cuda").environment
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in cpu.environment  # of an engine within a worker


def test_variables_that_the_user_set_are_left_alone(dual_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    command = _command(dual_dir)
    assert "VLLM_CPU_KVCACHE_SPACE" not in command.environment and "VLLM_CPU_KVCACHE_SPACE" not in command.line()


@pytest.mark.parametrize("flag", ["--max-model-len", "--max_model_len", "--max-model-len=2048"])
def test_users_flag_stands_for_ours(dual_dir: Path, flag: str) -> None:
    extra = (flag,) if "=" in flag else (flag, "2048")
    words = _command(dual_dir, extra=(*extra, "--enable-chunked-prefill")).arguments
    assert sum("max" in word and "len" in word for word in words) == 1 and words[-1] == "--enable-chunked-prefill"
    assert "1024" not in words and "--no-enable-chunked-prefill" not in words


def test_users_section_stands_for_our_setting_in_it(dual_dir: Path) -> None:
    flags = _flags(_command(dual_dir, extra=("--structured-outputs-config", "{}")))
    assert "--structured-outputs-config.backend" not in flags
    beside = _flags(_command(dual_dir, extra=("--structured-outputs-config.disable_any_whitespace", "true")))
    assert beside["--structured-outputs-config.backend"] == "xgrammar"


def test_word_that_is_no_flag_is_refused(dual_dir: Path) -> None:
    with pytest.raises(InputError, match=r"'2048' is no flag.*after --"):
        _command(dual_dir, extra=("2048",))


def test_users_processors_do_not_take_the_place_of_a_dual_models_constraint(dual_dir: Path) -> None:
    for extra in (("--logits-processors", "mine:Processor"), ("--logits_processors=mine:Processor",)):
        with pytest.raises(InputError, match=r"--logits-processors: .*name latent_core\.serving\.constraint"):
            _command(dual_dir, extra=extra)
    both = ("--logits-processors", "mine:Processor", "latent_core.serving.constraint:DualConstraint")
    assert _command(dual_dir, extra=both).arguments[-3:] == both
    assert _command(PLAIN, extra=both[:2]).arguments[-2:] == both[:2]


def test_line_hides_keys_that_the_command_has() -> None:
    command = _command(PLAIN, extra=("--api-key", "first", "second", "--hf_token=third", "--seed", "7"))
    assert command.line().endswith("--api-key '***' '***' '--hf_token=***' --seed 7")
    assert {"first", "second", "--hf_token=third"} <= set(command.arguments)


def test_line_is_what_a_shell_takes_for_the_same_command(tmp_path: Path) -> None:
    command = replace(_command(PLAIN, extra=("--seed", "a b'c")), environment={"X": "1 2"})
    words = shlex.split(command.line())
    assert words == ["X=1 2", *command.arguments]


def test_turn_end_that_vllm_does_not_stop_at_is_told(tmp_path: Path) -> None:
    tokenizer = written.tokenizer_of(written.CHATML)
    known = written.model_dir_of(tmp_path / "known", tokenizer)
    assert not _command(known).notes
    other = next(token for token in tokenizer.all_special_tokens if token != "<|im_end|>")
    tokenizer.eos_token = other
    unknown = written.model_dir_of(tmp_path / "unknown", tokenizer)
    assert any("<|im_end|>" in note and "generation_config.json" in note for note in _command(unknown).notes)
