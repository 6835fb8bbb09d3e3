"""Against the plain computation: full logits, -inf where the constraint forbids, log_softmax, in double precision."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.dual.transformers_constraint import DualLogitsProcessor
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.likelihood import Head, Support, phases_after, projection, token_logprobs

WIDTH, IGNORED = 6, -100


class Case(NamedTuple):
    """A dual vocabulary or a plain size, a head in parts, and a batch."""

    machine: PhaseMachine | None
    size: int
    parts: tuple[int, ...]
    bias: bool
    soft_cap: float | None
    temperature: float
    rows: int
    length: int
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    visible = draw(st.integers(5, 40))
    machine = None
    size = visible
    if draw(st.booleans()):
        sources = draw(st.lists(st.integers(0, visible - 1), unique=True, max_size=30))
        think = draw(st.lists(st.integers(0, visible - 1), unique=True, min_size=2, max_size=2))
        ends = draw(st.lists(st.integers(0, visible - 1), max_size=2))
        vocabulary = DualVocabulary(visible, tuple(sources), think[0], think[1], eos_ids=tuple(ends))
        bias = draw(st.sampled_from([0.0, 1.5, -4.0]))
        machine = PhaseMachine(vocabulary, draw(st.booleans()), end_bias=bias, stop_ids=tuple(ends[:1]))
        size = vocabulary.size
    cuts = sorted(draw(st.sets(st.integers(1, size - 1), max_size=3)))
    parts = tuple(int(rows) for rows in np.diff([0, *cuts, size]))
    return Case(
        machine,
        size,
        parts,
        draw(st.booleans()),
        draw(st.sampled_from([None, 2.0])),
        draw(st.sampled_from([1.0, 0.7])),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 12)),
        draw(st.integers(0, 2**16)),
    )


class Batch(NamedTuple):
    """Tensors of a case; `targets` are the ids that follow, some ignored, some that their phase forbids."""

    hidden: torch.Tensor
    parts: list[torch.Tensor]
    bias: torch.Tensor | None
    ids: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor

    @property
    def tensors(self) -> list[torch.Tensor]:
        return [self.hidden, *self.parts] + ([] if self.bias is None else [self.bias])


def batch_of(case: Case, dtype: torch.dtype = torch.float32) -> Batch:
    random = torch.Generator().manual_seed(case.seed)
    hidden = torch.randn(case.rows, case.length, WIDTH, generator=random)
    parts = [torch.randn(rows, WIDTH, generator=random) for rows in case.parts]
    bias = torch.randn(case.size, generator=random) if case.bias else None
    ids = torch.randint(0, case.size, (case.rows, case.length + 1), generator=random)
    if case.machine is not None:  # think marks come often, so that all phases do
        marks = torch.tensor(case.machine.vocabulary.think_ids)
        often = torch.rand(ids.shape, generator=random) < 0.3
        ids = torch.where(often, marks[torch.randint(0, 2, ids.shape, generator=random)], ids)
    ignored = torch.rand(case.rows, case.length, generator=random) < 0.2
    weights = torch.rand(case.rows, case.length, generator=random)
    targets = torch.where(ignored, IGNORED, ids[:, 1:])
    tensors = [tensor if tensor is None else tensor.to(dtype).requires_grad_() for tensor in (hidden, *parts, bias)]
    return Batch(tensors[0], tensors[1:-1], tensors[-1], ids, targets, weights)  # type: ignore[arg-type]


def plain_logprobs(case: Case, batch: Batch) -> torch.Tensor:
    """The plain computation; masks and biases come from the sampler's own logits processor, position by position."""
    logits = batch.hidden.double() @ torch.cat(batch.parts).double().t()
    if batch.bias is not None:
        logits = logits + batch.bias.double()
    if case.soft_cap is not None:
        logits = case.soft_cap * torch.tanh(logits / case.soft_cap)
    if case.machine is not None:
        processor = DualLogitsProcessor(case.machine)
        zeros = torch.zeros(case.rows, case.size)
        scores = torch.stack([processor(batch.ids[:, : place + 1], zeros) for place in range(case.length)], dim=1)
        logits = (logits + scores.clamp(min=-1e9)).masked_fill(scores.isneginf(), -torch.inf)
    chosen = (logits / case.temperature).log_softmax(-1).gather(2, batch.targets.clamp(min=0)[:, :, None])[:, :, 0]
    return chosen.masked_fill(batch.targets == IGNORED, 0.0)


def exact_logprobs(case: Case, batch: Batch, **options: Any) -> Any:
    support = Support.plain(case.size) if case.machine is None else Support.of_machine(case.machine)
    phases = None if case.machine is None else phases_after(batch.ids, case.machine)[:, :-1]
    head = Head(tuple(batch.parts), batch.bias, soft_cap=case.soft_cap)
    return token_logprobs(batch.hidden, head, batch.targets, support, phases, temperature=case.temperature, **options)


def gradients(case: Case, batch: Batch, logprobs: torch.Tensor) -> list[torch.Tensor]:
    """Of the weighted sum of what has a probability, by hidden states, parts and bias."""
    total = torch.where(logprobs.isneginf(), 0.0, logprobs * batch.weights.to(logprobs.dtype)).sum()
    return list(torch.autograd.grad(total, batch.tensors))


@given(case=cases(), block=st.sampled_from([(3, 2), (7, 5), (4096, 512)]))
@settings(max_examples=150, deadline=None)
def test_values_and_gradients_equal_the_plain_computation_for_any_layout(case: Case, block: tuple[int, int]) -> None:
    batch = batch_of(case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projection, "_CPU_BLOCK", block)
        found = exact_logprobs(case, batch).values
        expected = plain_logprobs(case, batch)
        torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
        pairs = zip(gradients(case, batch, found), gradients(case, batch, expected), strict=True)
        for one, other in pairs:
            torch.testing.assert_close(one, other, atol=1e-5 * max(1.0, other.abs().max().item()), rtol=0)


def dual_case(**changes: Any) -> Case:
    machine = PhaseMachine(DualVocabulary(20, tuple(range(15)), 18, 19, eos_ids=(0,)))
    return Case(machine, 35, (20, 15), False, None, 1.0, 2, 40, 0)._replace(**changes)


@pytest.mark.parametrize("case", [dual_case(), dual_case(machine=None)], ids=["dual", "plain"])
def test_weights_in_bfloat16_give_what_they_give_in_double_precision(case: Case) -> None:
    batch = batch_of(case, torch.bfloat16)
    found, expected = exact_logprobs(case, batch).values, plain_logprobs(case, batch)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
    pairs = zip(gradients(case, batch, found), gradients(case, batch, expected), strict=True)
    for one, other in pairs:  # both are rounded to bfloat16 once, at the end
        torch.testing.assert_close(one.float(), other.float(), atol=1e-5, rtol=2**-7)


def test_gradients_of_a_tied_head_are_the_sum_of_both_uses() -> None:
    case = dual_case()
    batch = batch_of(case._replace(parts=(35,)))
    (table,) = batch.parts
    found = exact_logprobs(case, batch._replace(hidden=table[batch.ids[:, :-1]])).values
    expected = plain_logprobs(case, batch._replace(hidden=table[batch.ids[:, :-1]]))
    for one, other in zip(*(torch.autograd.grad(_finite(total), table) for total in (found, expected)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def _finite(logprobs: torch.Tensor) -> torch.Tensor:
    return torch.where(logprobs.isneginf(), 0.0, logprobs).sum()


def test_log_partition_and_entropies_are_those_of_the_allowed_ids() -> None:
    case = dual_case(temperature=0.7)
    batch = batch_of(case)
    found = exact_logprobs(case, batch, with_entropies=True)
    assert case.machine is not None
    allowed = torch.from_numpy(case.machine.allowed.copy())[phases_after(batch.ids, case.machine)[:, :-1]]
    logits = (batch.hidden.double() @ torch.cat(batch.parts).double().t()) / 0.7
    logits = logits.masked_fill(~allowed, -torch.inf)
    logs = logits.log_softmax(-1)
    entropies = -(logs.exp() * logs.masked_fill(~allowed, 0.0)).sum(-1)
    counted = batch.targets != IGNORED
    torch.testing.assert_close(found.entropies.double()[counted], entropies[counted], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.log_partition.double()[counted], logits.logsumexp(-1)[counted], atol=1e-5, rtol=0)
    assert not found.entropies[~counted].any() and not found.log_partition[~counted].any()


def test_forbidden_token_has_no_probability_and_forbidden_rows_no_gradient() -> None:
    machine = PhaseMachine(DualVocabulary(20, tuple(range(15)), 18, 19, eos_ids=(0,)))
    hidden = torch.ones(1, 3, WIDTH)
    weight = torch.randn(35, WIDTH, generator=torch.Generator().manual_seed(0)).requires_grad_()
    phases = torch.tensor([[Phase.THINK, Phase.THINK, Phase.THINK]])
    found = token_logprobs(hidden, Head((weight,)), torch.tensor([[19, 5, 25]]), Support.of_machine(machine), phases)
    assert found.values.isneginf().tolist() == [[False, True, False]]
    found.values[0, [0, 2]].sum().backward()
    assert weight.grad is not None
    reached = weight.grad.abs().sum(1) > 0
    assert reached.nonzero()[:, 0].tolist() == [19, *range(21, 35)]  # `</think>`, and latents but that of the end (20)


def test_batch_without_any_target_is_zero_and_still_differentiable() -> None:
    case = dual_case()
    batch = batch_of(case)
    found = exact_logprobs(case, batch._replace(targets=torch.full_like(batch.targets, IGNORED)))
    assert not found.values.any()
    for gradient in torch.autograd.grad(found.values.sum(), batch.tensors):
        assert gradient.shape.numel() and not gradient.any()


def test_no_tensor_is_as_large_as_tokens_times_vocabulary() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor) and not made._is_view():
                self.numbers = max(self.numbers, made.numel())
            return made

    size, tokens = 6000, 1500
    batch = batch_of(Case(None, size, (size,), False, None, 1.0, 1, tokens, 0))
    with Largest() as largest:
        found = token_logprobs(batch.hidden, Head(tuple(batch.parts)), batch.targets, Support.plain(size))
        found.values.sum().backward()
    assert largest.numbers == 4096 * 512 < tokens * size / 4


def test_head_of_another_size_than_the_vocabulary_raises() -> None:
    with pytest.raises(InputError, match="the model scores 7 ids, the vocabulary has 9"):
        token_logprobs(torch.zeros(1, 1, 2), Head((torch.zeros(7, 2),)), torch.zeros(1, 1).long(), Support.plain(9))


def test_phases_of_packed_texts_do_not_reach_into_the_next() -> None:
    machine = PhaseMachine(DualVocabulary(20, tuple(range(15)), 18, 19, eos_ids=(0,)))
    ids = torch.tensor([[18, 3, 19, 4, 5, 18, 3, 7, 8]])
    starts = torch.tensor([[True, False, False, False, True, False, False, True, False]])
    expected = [1, 1, 2, 2, 0, 1, 1, 0, 0]
    assert phases_after(ids, machine, starts).tolist() == [expected]
    assert phases_after(ids, machine).tolist() == [[1, 1, 2, 2, 2, 1, 1, 1, 1]]
