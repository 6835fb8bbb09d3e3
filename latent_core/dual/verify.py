"""Checking a dual model directory: tables against the vocabulary, the tokenizer, and a constrained generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latent_core.dual.constraint import PhaseMachine
from latent_core.dual.initial import FILE_NAME as INITIAL_FILE
from latent_core.dual.initial import row_ids_of
from latent_core.dual.storage import CONFIG_KEY, NO_SOURCE, read_json
from latent_core.dual.tensor_rows import Table, find_tables
from latent_core.dual.vocabulary import DualVocabulary, Ids
from latent_core.errors import InputError
from latent_core.loading import NO_CODE, SAFE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BLOCK_ROWS = 4096
DEFAULT_PROMPTS = ("What is 2 + 3?", "Name a colour.")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class VerifyReport:
    """The outcome of `verify_dual`."""

    directory: Path
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.passed for check in self.checks)

    def lines(self) -> list[str]:
        """The report to print: one line a check, the verdict last."""
        shown = [f"{'ok  ' if check.passed else 'FAIL'} {check.name}: {check.detail}" for check in self.checks]
        failed = sum(not check.passed for check in self.checks)
        verdict = f"{failed} of {len(self.checks)} checks failed" if failed else "verified"
        return [*shown, f"{self.directory}: {verdict}"]


def verify_dual(
    directory: str | Path,
    *,
    trained: bool = False,
    prompts: Sequence[str] = DEFAULT_PROMPTS,
    new_tokens: int = 32,
) -> VerifyReport:
    """Check every row and the tokenizer, then generate `new_tokens` tokens a prompt (0: no generation).

    Latent rows must equal their sources bit for bit unless `trained`, or the vocabulary's own `latents_trained`, says
    that they have moved; latents that were built permuted, the rows that `dual_initial.json` names. Each prompt is run
    twice, left as it is and with its think phase opened.
    Raises `InputError` when `directory` holds no dual vocabulary or no readable weights.
    """
    where = Path(directory)
    vocabulary = DualVocabulary.load(where)
    config = read_json(where / "config.json")
    tables = find_tables(where)
    stored = config.get(CONFIG_KEY)
    same = stored is not None and DualVocabulary.from_json(stored, "config.json") == vocabulary
    detail = "config.json and dual_vocab.json agree" if same else "config.json lacks dual_vocab, or has another"
    checks = [Check("config", same, detail)]
    sizes = {"vocab_size": config.get("vocab_size"), **{table.name: table.rows for table in tables.all()}}
    wrong = {name: size for name, size in sizes.items() if size != vocabulary.size}
    total = f"{vocabulary.visible_size} + {vocabulary.latent_size} = {vocabulary.size}"
    checks.append(Check("sizes", not wrong, f"V + L = {total}" + (f", but {wrong}" if wrong else "")))
    row_ids, is_permuted = row_ids_of(where, vocabulary), (where / INITIAL_FILE).is_file()
    if is_permuted:
        own = int((row_ids[row_ids != NO_SOURCE] == vocabulary.sources[row_ids != NO_SOURCE]).sum())
        checks.append(Check("initial", own == 0, f"permuted: {own} latents start as their own source"))
    words = "the row of another token (permuted)" if is_permuted else "their source"
    for table in tables.all():
        if table.rows == vocabulary.size:
            checks += _check_rows(table, vocabulary, row_ids, words, trained=trained or vocabulary.latents_trained)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(where, **NO_CODE)
    checks += _check_tokenizer(tokenizer, vocabulary)
    # A generation needs a model that loads; after a wrong size it would only repeat the failure as a crash.
    if new_tokens > 0 and not wrong:
        checks.append(_check_generation(where, tokenizer, vocabulary, prompts, new_tokens))
    return VerifyReport(where, tuple(checks))


def _check_rows(table: Table, vocabulary: DualVocabulary, row_ids: Ids, words: str, *, trained: bool) -> list[Check]:
    """Every row finite; every mirror equal, by bytes, to the row of `row_ids` (shape (L,), -1: none) it started as."""
    broken = 0
    for block in table.blocks():
        broken += int((~np.isfinite(table.to_float(block))).any(axis=1).sum())
    mirrors = np.flatnonzero(row_ids != NO_SOURCE)
    different = 0
    for first in range(0, mirrors.size, _BLOCK_ROWS):
        part = mirrors[first : first + _BLOCK_ROWS]
        latent, source = table.gather(part + vocabulary.visible_size), table.gather(row_ids[part])
        different += int((latent != source).any(axis=1).sum())
    detail = f"{mirrors.size - different} of {mirrors.size} latents equal {words}"
    return [
        Check(f"{table.name} finite", broken == 0, f"{table.rows} rows, {broken} with NaN or infinity"),
        Check(f"{table.name} mirrors", trained or different == 0, detail + (" (trained)" if trained else "")),
    ]


def _check_tokenizer(tokenizer: PreTrainedTokenizerBase, vocabulary: DualVocabulary) -> list[Check]:
    highest = max(tokenizer.get_vocab().values())
    visible = Check("tokenizer", highest < vocabulary.visible_size, f"highest id {highest}, no text spells a latent")
    problems: list[str] = []
    special = {token for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    special |= set(tokenizer.all_special_ids)
    for token in vocabulary.think_ids:
        text = tokenizer.convert_ids_to_tokens(token)
        if text is None or tokenizer.encode(text, add_special_tokens=False) != [token]:
            problems.append(f"{text!r} is not the single token {token}")
        elif token in special:
            problems.append(f"{text!r} is special: decoding would drop it")
    names = ", ".join(str(tokenizer.convert_ids_to_tokens(token)) for token in vocabulary.think_ids)
    return [visible, Check("think tokens", not problems, "; ".join(problems) or f"{names}: single tokens, not special")]


def _check_generation(
    directory: Path,
    tokenizer: PreTrainedTokenizerBase,
    vocabulary: DualVocabulary,
    prompts: Sequence[str],
    new_tokens: int,
) -> Check:
    import torch
    from transformers import AutoModelForCausalLM

    from latent_core.dual.transformers_constraint import DualLogitsProcessor

    if not prompts:
        raise InputError("prompts is empty: give at least one, or set new_tokens to 0")
    model = AutoModelForCausalLM.from_pretrained(directory, dtype="auto", **SAFE).eval()
    machine = PhaseMachine(vocabulary)
    rows = [ids for text in prompts for ids in _both_ways(tokenizer.encode(text), vocabulary)]
    longest, pad = max(map(len, rows)), vocabulary.eos_ids[0] if vocabulary.eos_ids else 0
    input_ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    output = model.generate(
        input_ids,
        attention_mask=mask,
        max_new_tokens=new_tokens,
        do_sample=False,
        eos_token_id=list(vocabulary.eos_ids) or None,
        pad_token_id=pad,
        logits_processor=[DualLogitsProcessor(machine)],
    )[:, longest:].tolist()
    completions = [_until_end(row, vocabulary) for row in output]
    found = sum(machine.violations(row, ids).size for row, ids in zip(rows, completions, strict=True))
    tokens = sum(map(len, completions))
    latents = sum(int(vocabulary.is_latent(ids).sum()) for ids in completions)
    return Check("generation", found == 0, f"{found} violations in {tokens} tokens, {latents} of them latent")


def _both_ways(prompt: list[int], vocabulary: DualVocabulary) -> list[list[int]]:
    return [prompt, [*prompt, vocabulary.think_start_id]]


def _until_end(ids: list[int], vocabulary: DualVocabulary) -> list[int]:
    """Ids up to and with the first end-of-sequence token; what follows is padding."""
    ends = [index for index, token in enumerate(ids) if token in vocabulary.eos_ids]
    return ids[: ends[0] + 1] if ends else ids
