"""Rows for training out of flat buffers, and batches of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from latent_core.sft.token_rows import PaddedCollator, TokenRows

ROWS = [([5, 6, 7], [-100, 6, 7]), ([8], [8]), ([9, 1, 2, 3, 4], [-100, -100, 2, 3, 4]), ([2, 2], [-100, 2])]


def _table() -> pa.Table:
    """The rows above in two chunks, the second of which starts inside a buffer."""
    schema = pa.schema([("input_ids", pa.list_(pa.int32())), ("labels", pa.list_(pa.int32()))])
    batch = pa.RecordBatch.from_pylist([{"input_ids": ids, "labels": labels} for ids, labels in ROWS], schema)
    return pa.Table.from_batches([batch.slice(0, 1), batch.slice(1)])


def test_token_rows_are_the_rows_of_the_table_and_a_blank_one_at_the_end() -> None:
    rows = TokenRows(_table())
    assert len(rows) == len(ROWS) + 1
    for index, (ids, labels) in enumerate(ROWS):
        assert rows[index]["input_ids"].tolist() == ids and rows[index]["labels"].tolist() == labels
        assert rows[index]["input_ids"].dtype == np.int64
    assert rows[len(ROWS)]["input_ids"].tolist() == [5] and rows[len(ROWS)]["labels"].tolist() == [-100]


def test_padded_collator_makes_the_batch_that_trl_makes() -> None:
    examples = [{"input_ids": ids, "labels": labels} for ids, labels in ROWS]
    expected = DataCollatorForLanguageModeling(3)(examples)
    rows = TokenRows(_table())
    for batch in (PaddedCollator(3)(examples), PaddedCollator(3)([rows[index] for index in range(4)])):
        assert batch.keys() == expected.keys()
        assert all(torch.equal(batch[name], expected[name]) for name in expected)
        assert all(batch[name].dtype == expected[name].dtype for name in expected)
