"""The logits processor inside transformers' generate, and against a scan of all ids."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from latent_core.dual import DualVocabulary, Phase, PhaseMachine, build_dual
from latent_core.dual.transformers_constraint import DualLogitsProcessor

VOCABULARY = DualVocabulary(10, (1, 2, 3, 4, 5), think_start_id=8, think_end_id=9, eos_ids=(0,))
MACHINE = PhaseMachine(VOCABULARY)


def scanned(ids: torch.Tensor) -> list[Phase]:
    return [MACHINE.phase_of_prompt(row) for row in ids]


@pytest.mark.parametrize("seed", range(20))
def test_phases_under_reordering_and_new_calls_equal_a_full_scan(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    processor = DualLogitsProcessor(MACHINE)
    for _ in range(4):
        rows = int(torch.randint(1, 7, (1,), generator=random))
        # Few distinct ids, so that rows share tails while their histories differ.
        ids = torch.randint(6, 10, (rows, int(torch.randint(1, 5, (1,), generator=random))), generator=random)
        for _ in range(40):
            assert processor.phases(ids).tolist() == scanned(ids)
            if torch.rand(1, generator=random) < 0.4:
                ids = ids[torch.randint(0, rows, (rows,), generator=random)]
            event = torch.rand(rows, generator=random) < 0.08
            newest = torch.where(event, torch.randint(8, 10, (rows,), generator=random), 6)
            ids = torch.cat([ids, newest[:, None]], dim=1)


def test_phases_reorder_behind_equal_tails_keeps_each_history() -> None:
    processor = DualLogitsProcessor(MACHINE)
    ids = torch.tensor([[8, 2, 9], [2, 2, 2]])
    for _ in range(30):
        processor.phases(ids)
        ids = torch.cat([ids, torch.full((2, 1), 7)], dim=1)
    assert processor.phases(ids[[1, 0]]).tolist() == [Phase.START, Phase.ANSWER]


def test_phases_step_does_not_read_old_ids() -> None:
    processor = DualLogitsProcessor(MACHINE)
    reads: list[torch.Size] = []
    original = processor._read
    processor._read = lambda ids: (reads.append(ids.shape), original(ids))[1]  # type: ignore[method-assign]
    ids = torch.full((3, 5), 2)
    for _ in range(50):
        processor.phases(ids)
        ids = torch.cat([ids, torch.full((3, 1), 4)], dim=1)
    assert reads == [torch.Size([3, 5])]


def test_phases_new_prompt_one_longer_than_the_last_sequence_is_read_anew() -> None:
    processor = DualLogitsProcessor(MACHINE)
    processor.phases(torch.tensor([[8, 2, 2, 3]]))
    assert processor.phases(torch.tensor([[1, 2, 9, 2, 3]])).tolist() == [Phase.ANSWER]


def test_phases_new_prompt_ending_like_the_last_one_is_read_anew() -> None:
    processor = DualLogitsProcessor(MACHINE)
    processor.phases(torch.tensor([[2, 2]]))
    assert processor.phases(torch.tensor([[9, 2, 2, 4]])).tolist() == [Phase.ANSWER]


def test_call_end_bias_and_switch_apply_per_row() -> None:
    processor = DualLogitsProcessor(PhaseMachine(VOCABULARY, end_bias=2.5), dual_rows=[True, False])
    scores = torch.zeros(4, VOCABULARY.size)
    output = processor(torch.tensor([[8], [8], [8], [8]]), scores)
    assert output[:, 9].tolist() == [2.5, 2.5, 0.0, 0.0]
    assert output[2:, :10].eq(0).all() and output[2:, 10:].isinf().all()
    assert scores.eq(0).all()  # generate may hand the same tensor on as raw logits


def test_call_wrong_width_or_switch_raises() -> None:
    with pytest.raises(ValueError, match="dual_vocab"):
        DualLogitsProcessor(MACHINE)(torch.tensor([[1]]), torch.zeros(1, 12))
    with pytest.raises(ValueError, match="dual_rows"):
        DualLogitsProcessor(MACHINE, dual_rows=[True, True])(torch.ones(3, 1, dtype=torch.long), torch.zeros(3, 15))


@pytest.fixture
def model_and_vocabulary(make_base, tmp_path: Path):
    # Untied: a random tied model repeats its last token for ever and would never close a thought.
    vocabulary = build_dual(make_base("llama"), tmp_path / "dual").vocabulary
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "dual").eval()
    return model, vocabulary, AutoTokenizer.from_pretrained(tmp_path / "dual")


def padded(rows: list[list[int]], pad: int) -> dict[str, torch.Tensor]:
    longest = max(map(len, rows))
    return {
        "input_ids": torch.tensor([[pad] * (longest - len(row)) + row for row in rows]),
        "attention_mask": torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows]),
    }


MODES = {
    "greedy": {"do_sample": False},
    "sampled": {"do_sample": True, "temperature": 1.5},
    "samples of a prompt": {"do_sample": True, "num_return_sequences": 3},
    "beams": {"do_sample": False, "num_beams": 4, "num_return_sequences": 2},
    "sampled beams": {"do_sample": True, "num_beams": 4},
}


@pytest.mark.parametrize("mode", MODES)
def test_generate_mixed_padded_batch_has_no_violation(model_and_vocabulary, mode: str) -> None:
    model, vocabulary, tokenizer = model_and_vocabulary
    start, end, eos = vocabulary.think_start_id, vocabulary.think_end_id, vocabulary.eos_ids[0]
    texts = [tokenizer.encode(text) for text in ("7 + 12", "Two and three make five", "日本", "x", "grey café", "x")]
    prompts = [
        [*text, *tail] for text, tail in zip(texts, [[start], [], [start, 40, end], [start], [], []], strict=True)
    ]
    on = [True, True, True, False, True, False]
    # Biased towards the closing token, so that all phases are seen in few tokens.
    machine = PhaseMachine(vocabulary, end_bias=3.0)
    processor = DualLogitsProcessor(machine, dual_rows=on)
    torch.manual_seed(0)
    seen: set[Phase] = set()
    thoughts_closed = 0
    for _ in range(2):  # the same processor serves a second call
        batch = padded(prompts, tokenizer.pad_token_id)
        output = model.generate(**batch, max_new_tokens=40, logits_processor=[processor], **MODES[mode])
        each = len(output) // len(prompts)
        for row, ids in enumerate(output[:, batch["input_ids"].shape[1] :].tolist()):
            prompt, dual = prompts[row // each], on[row // each]
            ids = ids[: ids.index(eos) + 1] if eos in ids else ids
            begin = machine.phase_of_prompt(prompt) if dual else Phase.PLAIN
            assert machine.violations(prompt, ids, start=begin).size == 0
            seen.add(begin)
            thoughts_closed += begin is Phase.THINK and end in ids
        prompts = prompts[::-1]
        processor.dual_rows = tuple(on := on[::-1])
    assert seen == set(Phase) and thoughts_closed > 0


def test_generate_padding_does_not_change_a_row(model_and_vocabulary) -> None:
    model, vocabulary, tokenizer = model_and_vocabulary
    prompts = [[*tokenizer.encode(text), vocabulary.think_start_id] for text in ("x", "Two and three make five")]
    processor = DualLogitsProcessor(PhaseMachine(vocabulary))
    options = {"max_new_tokens": 20, "do_sample": False, "logits_processor": [processor]}
    batch = padded(prompts, tokenizer.pad_token_id)
    together = model.generate(**batch, **options)[:, batch["input_ids"].shape[1] :]
    for row, prompt in enumerate(prompts):
        alone = model.generate(**padded([prompt], tokenizer.pad_token_id), **options)[0, len(prompt) :]
        assert together[row, : len(alone)].tolist() == alone.tolist()
