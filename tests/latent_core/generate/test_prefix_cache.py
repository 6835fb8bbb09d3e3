"""Kept key-value states: the completions of reading prompts anew, from fewer positions, in bounded memory."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Phi3Config, Phi3ForCausalLM

from latent_core.config.sampling import SamplingConfig
from latent_core.dual import build_dual
from latent_core.generate import prefix_cache
from latent_core.generate.batch_cache import batch_cache
from latent_core.generate.engine import Generation, Request, item_seed
from latent_core.generate.prefix_cache import PrefixCache, can_go_on
from latent_core.generate.transformers_engine import TransformersEngine
from latent_core.models.source import open_model

SAMPLED = SamplingConfig(max_new_tokens=24, temperature=1.0, logprobs=True)
PROMPTS = [tuple(range(5, 5 + length)) for length in (30, 41, 52)]
SAID = tuple(range(60, 80))


@pytest.fixture(scope="module")
def mini() -> Path:
    return open_model("latent-mini").directory


@pytest.fixture
def engine(mini: Path) -> TransformersEngine:
    return TransformersEngine(mini)


class _Read:
    """Notes how many positions every pass of the model reads that is not a step of one token."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.positions: list[tuple[int, int]] = []
        forward = model.forward

        @functools.wraps(forward)  # `generate` and `can_go_on` look at its parameters
        def counted(*args: Any, **kwargs: Any) -> Any:
            rows, positions = kwargs["input_ids"].shape
            if positions > 1:
                self.positions.append((rows, positions))
            return forward(*args, **kwargs)

        monkeypatch.setattr(model, "forward", counted)


def _played(
    engine: TransformersEngine, turns: int = 3, samples: int = 3, sampling: SamplingConfig = SAMPLED
) -> list[Generation]:
    """Dialogues, whose outputs are followed by what somebody says, of another length for each."""
    ids = [prompt for prompt in PROMPTS for _ in range(samples)]
    found = []
    for turn in range(turns):
        requests = [Request(row, item_seed(3, str(turn), place)) for place, row in enumerate(ids)]
        outputs = engine.generate(requests, sampling)
        found += outputs
        ids = [
            (*row, *output.token_ids, *SAID[: 5 + place])
            for place, (row, output) in enumerate(zip(ids, outputs, strict=True))
        ]
    return found


def _same(found: Sequence[Generation], wanted: Sequence[Generation]) -> None:
    assert [one.token_ids for one in found] == [one.token_ids for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("dual", [False, True], ids=["plain", "dual"])
@pytest.mark.parametrize("most_tokens", [10_000, 400, 60, 0])
def test_dialogues_are_those_of_reading_everything_anew(
    mini: Path, tmp_path: Path, dual: bool, most_tokens: int
) -> None:
    if dual:
        build_dual(mini, tmp_path / "dual")
    engine = TransformersEngine(tmp_path / "dual" if dual else mini)
    wanted = _played(engine)
    with engine.remembering(most_tokens):
        _same(_played(engine), wanted)


def test_small_batches_go_on_from_each_others_states(engine: TransformersEngine) -> None:
    few = SAMPLED.model_copy(update={"batch_tokens": 300})
    wanted = _played(engine, sampling=few)
    with engine.remembering(10_000):
        _same(_played(engine, sampling=few), wanted)


def test_prompt_is_read_once_for_its_samples_and_a_turn_reads_what_is_new(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = _Read(engine.model, monkeypatch)
    with engine.remembering(10_000):
        _played(engine, turns=2)
    opening, turn = read.positions
    assert opening == (3, max(map(len, PROMPTS)) - 1)
    assert turn == (9, 5 + 8)  # the last id of each output, and what was said but its last id


def test_prompt_of_which_nothing_is_kept_does_not_make_the_others_read_as_much(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [tuple(range(first, first + 200)) for first in range(5, 21)]
    requests = [Request(prompt, seed=row) for row, prompt in enumerate(prompts)]
    with engine.remembering(10_000):
        outputs = engine.generate(requests, SAMPLED)
        said = [
            (*prompt, *output.token_ids, *SAID[: 5 + row])
            for row, (prompt, output) in enumerate(zip(prompts, outputs, strict=True))
        ]
        unknown = tuple(range(500, 800))
        turn = [Request(prompt, seed=row) for row, prompt in enumerate([*said, unknown])]
        read = _Read(engine.model, monkeypatch)
        found = engine.generate(turn, SAMPLED)
    needed = sum(5 + row for row in range(16)) + len(unknown) - 1
    assert needed <= sum(rows * positions for rows, positions in read.positions) <= 2 * needed
    _same(found, engine.generate(turn, SAMPLED))


def test_padding_has_no_position_beyond_the_context(mini: Path) -> None:
    """Learned positions are rows of a table: reading one that it lacks is an error."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 1024, "n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2}
    config = GPT2Config(**sizes, initializer_range=0.2, bos_token_id=1, eos_token_id=2)
    engine = TransformersEngine.around(GPT2LMHeadModel(config).eval(), mini)
    short, long = tuple(range(5, 65)), tuple(range(100, 200))
    opening = [Request(short, seed=1)]

    def played() -> list[Generation]:
        (output,) = engine.generate(opening, SAMPLED)
        turn = [Request((*short, *output.token_ids, *SAID), seed=2), Request(long, seed=3)]
        return [output, *engine.generate(turn, SAMPLED)]

    wanted = played()
    with engine.remembering(10_000):
        assert engine._prefixes is not None
        _same(played(), wanted)


def test_states_are_forgotten_when_the_block_ends(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine.remembering(10_000):
        _played(engine, turns=1)
    with torch.no_grad():
        engine.model.get_output_embeddings().weight.mul_(0.5)
        engine.model.model.layers[0].mlp.down_proj.weight.mul_(1.5)
    wanted = _played(engine, turns=2)
    read = _Read(engine.model, monkeypatch)
    with engine.remembering(10_000):
        _same(_played(engine, turns=2), wanted)
    assert read.positions[0] == (3, max(map(len, PROMPTS)) - 1)


def test_states_are_forgotten_when_the_block_fails(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="stopped"), engine.remembering(10_000):
        raise RuntimeError("stopped")
    read = _Read(engine.model, monkeypatch)
    _played(engine, turns=1)
    assert read.positions == [(9, max(map(len, PROMPTS)))]


def test_states_are_kept_while_there_is_room_and_take_the_place_of_what_they_go_on_from(
    engine: TransformersEngine,
) -> None:
    kept = PrefixCache(most_tokens=25)
    cache = batch_cache(engine.model, 16)
    assert cache is not None
    with torch.inference_mode():
        engine.model(input_ids=torch.arange(16)[None], past_key_values=cache, use_cache=True)
    for begin, end in ((1, 9), (2, 10), (3, 11), (4, 12), (2, 11), (2, 11), (40, 41)):
        kept.keep(tuple(range(begin, end)), cache, 0, 0)
    assert [(ids[0], len(ids)) for ids in kept._kept] == [(1, 8), (3, 8), (2, 9)]


def test_what_finds_no_room_is_not_copied(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []
    cut = prefix_cache._cut

    def counted(cache: Any, row: int, start: int, stop: int) -> Any:
        copied.append(stop - start)
        return cut(cache, row, start, stop)

    monkeypatch.setattr(prefix_cache, "_cut", counted)
    with engine.remembering(0):
        _played(engine, turns=1)
    assert copied == [len(prompt) - 1 for prompt in reversed(PROMPTS)]  # for the members of its group


def test_prompts_of_one_token_have_nothing_to_keep(engine: TransformersEngine) -> None:
    requests = [Request((5,), seed=1), Request((6,), seed=2)]
    wanted = engine.generate(requests, SAMPLED)
    with engine.remembering(100):
        _same(engine.generate(requests, SAMPLED), wanted)
        mixed = [*requests, Request(PROMPTS[0], seed=3)]
        _same(engine.generate(mixed, SAMPLED)[:2], wanted)


@pytest.mark.parametrize("lacks", ["positions", "cache"])
def test_model_that_cannot_go_on_reads_everything_anew(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    forward = engine.model.forward
    if lacks == "positions":
        monkeypatch.setattr(engine.model, "forward", lambda *args, **kwargs: forward(*args, **kwargs))
    else:
        monkeypatch.setattr(prefix_cache, "batch_cache", lambda *_: None)
    assert not can_go_on(engine.model)
    wanted = _played(engine)
    with engine.remembering(10_000):
        _same(_played(engine), wanted)


def test_model_with_windows_cannot_go_on(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_go_on(engine.model)
    monkeypatch.setattr(engine.model.config, "sliding_window", 8)
    monkeypatch.setattr(engine.model.config, "layer_types", ["sliding_attention", *["full_attention"] * 4])
    assert not can_go_on(engine.model)


def test_model_with_dynamic_scaling_cannot_go_on(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_go_on(engine.model)
    monkeypatch.setitem(engine.model.config.rope_parameters, "rope_type", "dynamic")
    assert not can_go_on(engine.model)


def test_model_whose_rotation_depends_on_the_length_cannot_go_on(mini: Path) -> None:
    torch.manual_seed(0)
    rope = {"rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * 16, "long_factor": [4.0] * 16}
    lengths = {"max_position_embeddings": 256, "original_max_position_embeddings": 64}
    sizes = {"vocab_size": 1024, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    config = Phi3Config(
        **sizes, **lengths, rope_parameters=rope, num_attention_heads=2, initializer_range=0.3, pad_token_id=0
    )
    engine = TransformersEngine.around(Phi3ForCausalLM(config).eval(), mini)
    assert not can_go_on(engine.model)
    wanted = _played(engine)
    with engine.remembering(10_000):
        _same(_played(engine), wanted)
