"""A dual model behind the server of `latent serve`: what clients ask for over HTTP is right, or refused by name.

One server for all tests; it takes a minute or more to start.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from latent_core.dual import Phase, PhaseMachine, build_dual
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.generate.vllm_server import ServedModel, server_command
from latent_core.models.family import load_tokenizer
from latent_core.models.source import open_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed"),
]

SCHEMA = {
    "type": "object",
    "properties": {"apples": {"enum": [3, 4, 7]}, "sure": {"type": "boolean"}},
    "required": ["apples", "sure"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "count", "strict": True, "parameters": SCHEMA}}
QUESTION = (
    "Please reason step by step, and put your final answer within \\boxed{}.\n"
    "Tom has 3 apples and buys 4 more. How many apples does Tom have?"
)
FLAGS = (
    "--structured-outputs-config.disable_any_whitespace",  # a small model loves its newlines
    "true",
    "--enable-auto-tool-choice",
    "--tool-call-parser",
    "hermes",
)
TURN = {"role": "user", "content": QUESTION}


@pytest.fixture(scope="module")
def dual_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "dual"
    build_dual(open_model("latent-mini").directory, directory)
    return directory


def _environment(site: Path) -> dict[str, str]:
    """With our entry point, also where this package is only on the path."""
    if not any(point.name == "latent_dual" for point in entry_points(group="vllm.general_plugins")):
        written = site / "latent_reasoning-0.dist-info"
        written.mkdir(parents=True)
        (written / "METADATA").write_text("Metadata-Version: 2.1\nName: latent-reasoning\nVersion: 0\n")
        (written / "entry_points.txt").write_text(
            "[vllm.general_plugins]\nlatent_dual = latent_core.serving.plugin:register\n"
        )
    root = str(Path(__file__).parents[3])
    return os.environ | {"PYTHONPATH": os.pathsep.join([root, str(site), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture(scope="module")
def client(dual_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = ServedModel("dual", dual_dir, dual_dir)
    command = server_command(model, "127.0.0.1", port, "cpu", FLAGS)
    folder = tmp_path_factory.mktemp("server")
    environment = _environment(folder / "site") | command.environment
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            command.arguments, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=900) as client:
            _wait(client, server, folder / "log")
            yield client
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def _wait(client: httpx.Client, server: subprocess.Popen[Any], log: Path) -> None:
    until = time.monotonic() + 3600
    while time.monotonic() < until:
        assert server.poll() is None, _end_of(log)
        try:
            if client.get("/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(1)
    pytest.fail(f"the server did not start: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-5:])


def _body(**settings: Any) -> dict[str, Any]:
    return {"model": "dual", "messages": [TURN], "temperature": 0, "max_tokens": 400} | settings


def _chat(client: httpx.Client, **settings: Any) -> dict[str, Any]:
    """The first choice. Its ids keep to their phases whatever else is asked."""
    answer = client.post("/v1/chat/completions", json=_body(**settings))
    assert answer.status_code == 200, answer.text
    choice: dict[str, Any] = answer.json()["choices"][0]
    return choice


def _streamed(client: httpx.Client, **settings: Any) -> tuple[str, str]:
    """Reasoning and content, put together."""
    reasoning, content = "", ""
    with client.stream("POST", "/v1/chat/completions", json=_body(stream=True, **settings)) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line.removeprefix("data: "))
                assert "error" not in chunk, chunk
                for choice in chunk["choices"]:
                    reasoning += choice["delta"].get("reasoning") or ""
                    content += choice["delta"].get("content") or ""
    return reasoning, content


@pytest.mark.parametrize(
    "settings",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"name": "count", "schema": SCHEMA}}},
        {"structured_outputs": {"json": SCHEMA}},
        {"structured_outputs": {"json": SCHEMA}, "include_reasoning": False},
        {"structured_outputs": {"json": SCHEMA}, "vllm_xargs": {"dual_vocab": 0}},
    ],
    ids=["response_format", "structured_outputs", "hidden", "off"],
)
def test_schema_holds_in_the_answer_and_reasoning_is_free(
    client: httpx.Client, settings: dict[str, Any], dual_dir: Path
) -> None:
    choice = _chat(client, return_token_ids=True, **settings)
    found = json.loads(choice["message"]["content"])
    assert set(found) == {"apples", "sure"} and found["apples"] in (3, 4, 7)
    assert choice["finish_reason"] == "stop"
    if not settings.get("include_reasoning", True):  # vLLM hides the ids with the reasoning
        assert not choice["message"].get("reasoning")
        return
    assert "apples" in choice["message"]["reasoning"]
    vocabulary = DualVocabulary.load(dual_dir)
    ids = choice["token_ids"]
    assert ids.index(vocabulary.think_end_id) > 20
    if "vllm_xargs" not in settings:
        assert not PhaseMachine(vocabulary).violations([vocabulary.think_start_id], ids).size


def test_reasoning_under_a_schema_is_that_without_it(client: httpx.Client) -> None:
    free, held = _chat(client), _chat(client, structured_outputs={"json": SCHEMA})
    assert free["message"]["reasoning"] == held["message"]["reasoning"]
    assert free["message"]["content"] != held["message"]["content"]


def test_json_object_regex_and_choice_hold_too(client: httpx.Client) -> None:
    begun = _chat(client, response_format={"type": "json_object"})["message"]["content"]
    assert begun.startswith("{")
    assert _chat(client, structured_outputs={"regex": r"yes|no \d"})["message"]["content"][:2] in ("ye", "no")
    assert _chat(client, structured_outputs={"choice": ["red", "blue"]})["message"]["content"] in ("red", "blue")


def test_schema_streams_what_it_gives_at_once(client: httpx.Client) -> None:
    message = _chat(client, structured_outputs={"json": SCHEMA})["message"]
    assert _streamed(client, structured_outputs={"json": SCHEMA}) == (message["reasoning"], message["content"])


def _blank_ids(model_dir: Path) -> list[int]:
    """Tokens of white space alone, of which a small model writes endlessly many where a grammar allows any."""
    tokenizer = load_tokenizer(model_dir)
    return [token for token in range(len(tokenizer)) if tokenizer.decode([token]).isspace()]


def test_required_and_named_tools_are_called_after_reasoning(client: httpx.Client, dual_dir: Path) -> None:
    named = {"type": "function", "function": {"name": "count"}}
    bias = {str(token): -100.0 for token in _blank_ids(dual_dir)}
    for wanted in ("required", named):
        message = _chat(client, tools=[TOOL], tool_choice=wanted, logit_bias=bias)["message"]
        (call,) = message["tool_calls"]
        assert call["function"]["name"] == "count"
        assert json.loads(call["function"]["arguments"])["apples"] in (3, 4, 7)
        assert "apples" in message["reasoning"]


def test_several_choices_each_hold_to_the_schema(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/chat/completions", json=_body(n=3, temperature=1.0, seed=5, structured_outputs={"json": SCHEMA})
    ).json()
    done = [choice for choice in answer["choices"] if choice["finish_reason"] == "stop"]
    assert len(answer["choices"]) == 3 and done
    assert all(json.loads(choice["message"]["content"])["apples"] in (3, 4, 7) for choice in done)


def test_second_turn_is_held_and_a_raw_prompt_without_reasoning_is_held_at_once(client: httpx.Client) -> None:
    turns = [TURN, {"role": "assistant", "content": "The final answer is: $\\boxed{7}$"}, TURN]
    message = _chat(client, messages=turns, structured_outputs={"json": SCHEMA})["message"]
    assert json.loads(message["content"]) and message["reasoning"]
    body = {"model": "dual", "prompt": "apples: ", "temperature": 0, "structured_outputs": {"choice": ["3", "7"]}}
    assert client.post("/v1/completions", json=body).json()["choices"][0]["text"] in ("3", "7")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"structured_outputs": {"json": {"type": "integer", "multipleOf": 5}}}, "xgrammar"),
        ({"structured_outputs": {"json": SCHEMA | {"patternProperties": {"^a": {"type": "string"}}}}}, "xgrammar"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"vllm_xargs": {"dual_vocab": "perhaps"}}, "dual_vocab"),
    ],
    ids=["multipleOf", "patternProperties", "prompt_logprobs", "dual_vocab"],
)
def test_what_cannot_be_had_is_refused_by_name_and_the_server_lives_on(
    client: httpx.Client, settings: dict[str, Any], words: str
) -> None:
    answer = client.post("/v1/chat/completions", json=_body(**settings))
    assert answer.status_code == 400 and words in answer.text.lower(), answer.text
    assert _chat(client, max_tokens=3)["finish_reason"] == "length"


def test_logprobs_are_those_of_the_phase_and_each_token_is_shown_once(client: httpx.Client, dual_dir: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    choice = _chat(client, logprobs=True, top_logprobs=5, return_token_ids=True)
    given = choice["logprobs"]["content"]
    assert len(given) == len(choice["token_ids"])
    for step in given:
        shown = [top["token"] for top in step["top_logprobs"]]
        assert len(set(shown)) == len(shown) and step["token"] == shown[0]
        values = [top["logprob"] for top in step["top_logprobs"]]
        assert all(before >= after for before, after in pairwise(values))
        assert bytes(step["bytes"]).decode(errors="replace") == step["token"]
    tokenizer = AutoTokenizer.from_pretrained(dual_dir)
    prompt = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n<think>\n"
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
    model = AutoModelForCausalLM.from_pretrained(dual_dir, dtype=torch.float32)
    ids = choice["token_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([prompt_ids + ids])).logits[0, len(prompt_ids) - 1 : -1]
    machine = PhaseMachine(DualVocabulary.load(dual_dir))
    phase = Phase.THINK
    for token, step, row in zip(ids, given, logits, strict=True):
        allowed = torch.from_numpy(machine.allowed[phase].copy())
        expected = row.masked_fill(~allowed, float("-inf")).log_softmax(-1)[token]
        assert step["logprob"] == pytest.approx(float(expected), abs=2e-3)
        phase = machine.advance(phase, token)


def test_log_probabilities_are_the_samplers_for_our_own_engine(client: httpx.Client, dual_dir: Path) -> None:
    from latent_core.config.sampling import LogprobsOf, OpenAiConfig, SamplingConfig
    from latent_core.errors import InputError
    from latent_core.generate.engine import Request
    from latent_core.generate.openai_engine import OpenAiEngine

    options = OpenAiConfig(served_model="dual", base_url=f"{str(client.base_url).rstrip('/')}/v1")
    sampling = SamplingConfig(engine="openai", openai=options, temperature=1.0, max_new_tokens=8, logprobs=True)
    request = Request((DualVocabulary.load(dual_dir).think_start_id,), 1)
    of_sampler = sampling.model_copy(update={"logprobs_of": LogprobsOf.SAMPLER})
    engine = OpenAiEngine(dual_dir, options)
    assert engine.generate([request], of_sampler)[0].logprobs is not None
    with pytest.raises(InputError, match="logprobs_of: is model"):
        engine.generate([request], sampling)
