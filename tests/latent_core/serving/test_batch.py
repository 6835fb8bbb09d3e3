"""The serving constraint without any engine: random batches and slots against a scan of all ids, and bad options."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from latent_core.dual import DualVocabulary, Phase, PhaseMachine
from latent_core.errors import InputError
from latent_core.serving.batch import (
    UNKNOWN,
    BatchConstraint,
    ConstraintTables,
    RequestOptions,
    SlotConstraint,
    engine_defaults,
)

VOCABULARY = DualVocabulary(10, (1, 2, 3, 4, 5), think_start_id=8, think_end_id=9, eos_ids=(0,))
TABLES = ConstraintTables(VOCABULARY, "cpu")
CHOICES = [
    RequestOptions(),
    RequestOptions(dual=False),
    RequestOptions(eos_in_think=True),
    RequestOptions(end_bias=2.5),
]


@dataclass
class Request:
    """What an engine knows of a request."""

    options: RequestOptions
    prompt: list[int]
    output: list[int] = field(default_factory=list)

    def expected(self) -> torch.Tensor:
        """Its row of masked zero logits, from a scan of all ids."""
        machine = PhaseMachine(VOCABULARY, eos_in_think=self.options.eos_in_think)
        phase = machine.phase_of_prompt(self.prompt + self.output) if self.options.dual else Phase.PLAIN
        row = torch.zeros(VOCABULARY.size)
        if phase is Phase.THINK:
            row[VOCABULARY.think_end_id] = self.options.end_bias
        row[torch.from_numpy(~machine.allowed[phase])] = float("-inf")
        return row


def new_request(random: np.random.Generator) -> Request:
    ids = random.integers(6, 10, size=random.integers(1, 5)).tolist()
    output = random.integers(6, 10, size=random.integers(0, 4)).tolist()  # not empty after a preemption
    return Request(CHOICES[random.integers(len(CHOICES))], ids, output)


def next_token(random: np.random.Generator) -> int:
    return int(random.choice([2, 11, 8, 9], p=[0.4, 0.4, 0.1, 0.1]))


@pytest.mark.parametrize("seed", range(15))
def test_batch_rows_that_come_go_move_and_swap_equal_a_scan(seed: int) -> None:
    random = np.random.default_rng(seed)
    constraint, rows = BatchConstraint(TABLES), {}
    for _ in range(60):
        for index in list(rows):
            if random.random() < 0.1:
                constraint.remove(index)
                del rows[index]
        while random.random() < 0.4 or not rows:
            index = int(random.integers(6))  # may replace a row, as vLLM does
            rows[index] = new_request(random)
            constraint.add(index, rows[index].options, rows[index].prompt, rows[index].output)
        if random.random() < 0.3:
            one, other = random.permutation(7)[:2].tolist()
            if random.random() < 0.5 and one in rows:
                constraint.move(one, other)
                rows[other] = rows.pop(one)
            else:
                constraint.swap(one, other)
                first, second = rows.pop(one, None), rows.pop(other, None)
                rows |= {other: first} if first else {}
                rows |= {one: second} if second else {}
        masked = constraint.apply(torch.zeros(max(rows) + 1, VOCABULARY.size))
        for index, request in rows.items():
            assert torch.equal(masked[index], request.expected()), index
            request.output.append(next_token(random))


def test_token_that_is_not_known_yet_is_read_once_it_is() -> None:
    request = Request(RequestOptions(), [8], [2, UNKNOWN])
    constraint = BatchConstraint(TABLES)
    constraint.add(0, request.options, request.prompt, request.output)
    constraint.apply(torch.zeros(1, VOCABULARY.size))
    request.output[-1] = 9
    assert torch.equal(constraint.apply(torch.zeros(1, VOCABULARY.size))[0], request.expected())
    assert request.expected()[2] == 0  # a visible id: the answer has begun


def test_output_that_shrank_is_read_again() -> None:
    request = Request(RequestOptions(), [8], [11, 9, 2])
    constraint = BatchConstraint(TABLES)
    constraint.add(0, request.options, request.prompt, request.output)
    constraint.apply(torch.zeros(1, VOCABULARY.size))
    del request.output[1:]
    assert torch.equal(constraint.apply(torch.zeros(1, VOCABULARY.size))[0], request.expected())
    assert request.expected()[2] == float("-inf")


def test_mask_rows_are_computed_only_for_a_changed_phase_or_batch() -> None:
    requests = [Request(RequestOptions(), [8], []), Request(RequestOptions(), [8], [])]
    constraint = BatchConstraint(TABLES)
    for index, request in enumerate(requests):
        constraint.add(index, request.options, request.prompt, request.output)
    for step in range(50):
        constraint.apply(torch.zeros(2, VOCABULARY.size))
        requests[0].output.append(11)
        requests[1].output.append(9 if step == 20 else 11)
    assert constraint.rebuilt == 2 + 1  # the batch, then the row whose reasoning ended
    constraint.remove(1)
    constraint.apply(torch.zeros(1, VOCABULARY.size))
    assert constraint.rebuilt == 3 + 1


@pytest.mark.parametrize("seed", range(15))
def test_slots_that_are_recycled_prefilled_in_chunks_and_resumed_equal_a_scan(seed: int) -> None:
    random = np.random.default_rng(seed)
    constraint = SlotConstraint(TABLES, 6, "cpu")
    committed = torch.zeros(6, 400, dtype=torch.int32)
    requests: dict[int, Request] = {}
    for _ in range(60):
        slot = int(random.integers(6))
        if random.random() < 0.3 or not requests:
            requests[slot] = new_request(random)
            constraint.add(slot, requests[slot].options)
            tokens = requests[slot].prompt + requests[slot].output
            committed[slot, : len(tokens)] = torch.tensor(tokens)
        constraint.flush()
        slots = random.permutation(sorted(requests))[: random.integers(1, len(requests) + 1)]
        tokens_of = [requests[slot].prompt + requests[slot].output for slot in slots]
        masked = constraint.apply(
            torch.zeros(len(slots), VOCABULARY.size),
            slots=torch.from_numpy(slots),
            slots_on_host=slots,
            fed=torch.tensor([tokens[-1] for tokens in tokens_of]),
            lengths=np.array([len(tokens) for tokens in tokens_of]),
            committed=committed,
        )
        for row, slot in enumerate(slots):
            assert torch.equal(masked[row], requests[slot].expected())
            # A resumed request or a chunk of a prompt brings several tokens at once; a slot may also stand still.
            for token in [next_token(random) for _ in range(random.choice([0, 1, 1, 1, 3]))]:
                requests[slot].output.append(token)
                committed[slot, len(requests[slot].prompt + requests[slot].output) - 1] = token


def test_slot_with_draft_rows_raises() -> None:
    constraint = SlotConstraint(TABLES, 2, "cpu")
    with pytest.raises(InputError, match="speculative"):
        constraint.apply(
            torch.zeros(2, VOCABULARY.size),
            slots=torch.zeros(2, dtype=torch.long),
            slots_on_host=np.zeros(1, dtype=np.int64),
            fed=torch.zeros(2),
            lengths=np.ones(1, dtype=np.int64),
            committed=torch.zeros(2, 4),
        )


def test_logits_of_another_model_raise() -> None:
    constraint = BatchConstraint(TABLES)
    constraint.add(0, RequestOptions(), [8], [])
    with pytest.raises(InputError, match="scores 14 ids"):
        constraint.apply(torch.zeros(1, 14))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"dual_vocab": "yes"}, "extra_args.dual_vocab"),
        ({"dual_vocab": 2}, "extra_args.dual_vocab"),
        ({"eos_in_think": None}, "extra_args.eos_in_think"),
        ({"end_bias": True}, "extra_args.end_bias"),
        ({"end_bias": float("nan")}, "extra_args.end_bias"),
    ],
)
def test_option_of_a_wrong_type_names_the_field(given: dict[str, object], field: str) -> None:
    with pytest.raises(InputError, match=field):
        RequestOptions().updated(given)


def test_request_overrides_the_engine_and_ignores_foreign_keys() -> None:
    engine = engine_defaults({"dual_vocab": {"end_bias": 1, "eos_in_think": True}, "other": 1})
    assert engine == RequestOptions(True, True, 1.0)
    assert engine.updated({"dual_vocab": 0, "end_bias": 0, "kv": object()}) == RequestOptions(False, True, 0.0)
    assert engine.updated(None) == engine


@pytest.mark.parametrize("section", [{"bias": 1}, [1], {"end_bias": "x"}])
def test_bad_engine_defaults_raise(section: object) -> None:
    with pytest.raises(InputError, match=r"additional_config\.dual_vocab"):
        engine_defaults({"dual_vocab": section})
