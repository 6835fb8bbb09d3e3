"""Which tokens the loss is on and how much they count, against masks and sums done by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from latent_core.config.training import LossWeights
from latent_core.errors import InputError
from latent_core.models.readable import ReadableModel
from latent_core.sft.loss import latent_only, token_weights, weighted_loss

END = 7  # the closing think token
LATENTS = range(10, 20)
# A prompt that ends in an opened think mark (5), two latents, the closing mark, an answer of two tokens.
IDS = [1, 2, 5, 11, 12, END, 3, 4]
LABELS = [-100, -100, -100, 11, 12, END, 3, 4]


def _table(*labels: list[int]) -> pa.Table:
    return pa.table({"input_ids": [IDS] * len(labels), "labels": list(labels)})


def test_latent_only_keeps_every_latent_target_and_no_other() -> None:
    masked = latent_only(_table(LABELS, [-100] * 3 + [19, 3, 10, 3, 4]), LATENTS)
    assert masked["labels"].to_pylist() == [
        [-100, -100, -100, 11, 12, -100, -100, -100],
        [-100, -100, -100, 19, -100, 10, -100, -100],
    ]
    assert masked["input_ids"].to_pylist() == [IDS, IDS]


def test_latent_only_loss_is_that_of_predicting_the_first_latent_to_the_last() -> None:
    """The first latent is predicted from the opened think mark; off by one would train the closing mark instead."""
    import torch

    logits = torch.zeros(1, len(IDS), 20)
    logits[0, 2, 11] = 5.0  # read at the think mark: the first latent
    logits[0, 3, 12] = 5.0  # read at the first latent: the second
    logits[0, 4, 1] = 99.0  # read at the second latent: a closing mark it gets wrong
    labels = torch.tensor(latent_only(_table(LABELS), LATENTS)["labels"].to_pylist())
    loss = weighted_loss(logits, labels, LossWeights(), END)
    expected = -torch.log_softmax(torch.tensor([5.0] + [0.0] * 19), 0)[0]
    assert float(loss) == pytest.approx(float(expected), abs=1e-6)


def test_latent_only_on_a_plain_model_raises() -> None:
    with pytest.raises(InputError, match=r"train\.loss_on: latent_only needs a dual model"):
        latent_only(_table(LABELS), ())


def test_latent_only_without_any_latent_label_raises() -> None:
    with pytest.raises(InputError, match="no example has a latent label"):
        latent_only(_table([-100, -100, -100, 1, 2, END, 3, 4]), LATENTS)


def test_weights_part_a_target_at_its_last_closing_think_token() -> None:
    import torch

    labels = torch.tensor([LABELS, [-100, -100, -100, 11, 12, 13, 14, 15], [-100, END, END, 11, END, 3, -100, -100]])
    found = token_weights(labels, LossWeights(reasoning=0.5, boundary=3, answer=2), END)
    assert found.tolist() == [
        [0, 0, 0, 0.5, 0.5, 3, 2, 2],
        [0, 0, 0, 0.5, 0.5, 0.5, 0.5, 0.5],
        [0, 0.5, 0.5, 0.5, 3, 2, 0, 0],
    ]


@pytest.mark.parametrize("weights", [LossWeights(), LossWeights(reasoning=0, boundary=2, answer=0.5)])
def test_weighted_loss_is_the_weighted_sum_over_the_number_of_targets(weights: LossWeights) -> None:
    import torch

    torch.manual_seed(0)
    logits, labels = torch.randn(2, len(IDS), 20), torch.tensor([LABELS, [-100] * 5 + [12, END, 3]])
    logs = logits.log_softmax(-1)
    by_label = {11: weights.reasoning, 12: weights.reasoning, END: weights.boundary}
    total, count = 0.0, 0
    for row in range(2):
        for place in range(1, len(IDS)):
            label = int(labels[row, place])
            if label != -100:
                total -= float(logs[row, place - 1, label]) * by_label.get(label, weights.answer)
                count += 1
    assert count == 8
    assert float(weighted_loss(logits, labels, weights, END)) == pytest.approx(total / count, rel=1e-5)
    assert float(weighted_loss(logits, labels, weights, END, tokens=32)) == pytest.approx(total / 32, rel=1e-5)


def test_halving_a_weight_leaves_the_gradients_of_the_other_parts() -> None:
    import torch

    def gradient(weights: LossWeights) -> Any:
        logits = torch.linspace(-1, 1, len(IDS) * 20).reshape(1, len(IDS), 20).requires_grad_()
        weighted_loss(logits, torch.tensor([LABELS]), weights, END).backward()
        return logits.grad[0]

    plain, halved = gradient(LossWeights()), gradient(LossWeights(reasoning=0.5))
    assert torch.allclose(halved[2:4], plain[2:4] / 2) and torch.equal(halved[4:], plain[4:])


def test_dual_example_under_latent_only_supervises_its_reasoning(dual: ReadableModel) -> None:
    from latent_core.dual import RemapCounts, remap_row
    from latent_core.sft.mini_corpus import examples

    assert dual.vocabulary is not None
    (row,) = examples(dual.tokenizer, "train", 1, (1,))
    pair = remap_row(row["input_ids"], row["labels"], dual.vocabulary, RemapCounts())
    assert pair is not None
    latents = range(dual.vocabulary.visible_size, dual.vocabulary.visible_size + dual.vocabulary.latent_size)
    (labels,) = latent_only(pa.table({"input_ids": [pair[0]], "labels": [pair[1]]}), latents)["labels"].to_pylist()
    start, end = next(p for p, label in enumerate(labels) if label != -100), pair[0].index(dual.vocabulary.think_end_id)
    first = next(p for p, label in enumerate(pair[1]) if label != -100)
    assert start == first and labels[start:end] == pair[0][start:end]
    assert set(labels[:start] + labels[end:]) == {-100}
