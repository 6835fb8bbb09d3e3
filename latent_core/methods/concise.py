"""What self-training for concise reasoning selects (arXiv 2502.20122): exemplars, and the shortest correct samples."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latent_core import prompts
from latent_core.config.concise import PrepareSelectedConfig, SelectExemplarsConfig
from latent_core.config.prompting import TextFormat
from latent_core.errors import InputError
from latent_core.exemplars import Exemplar
from latent_core.models.readable import ReadableModel
from latent_core.sft.examples import Prompt, fits, tokenised_example

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
Length = Callable[[str], int]  # tokens of a text in the target model

# A last line that only states the answer: the target states it anyway, and would then say it twice.
_ANSWER_LINE = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?:the )?(?:final )?answer(?: is\b|:).*|\$*\\boxed\{.*\}\$*\.?", re.IGNORECASE
)


def selected_schema() -> pa.Schema:
    """Columns of a selected sample; `tokens` are those of its reasoning, `source` the role of its collection."""
    import pyarrow as pa

    return pa.schema(
        [
            ("question_id", pa.string()),
            ("sample_index", pa.int32()),
            ("source", pa.string()),
            ("question", pa.string()),
            ("gold", pa.string()),
            ("reasoning", pa.string()),
            ("tokens", pa.int32()),
        ]
    )


def rationale(reasoning: str) -> str:
    """Reasoning without a last line that only states the answer."""
    before, _, last = reasoning.strip().rpartition("\n")
    return before.strip() if before.strip() and _ANSWER_LINE.fullmatch(last.strip()) else reasoning.strip()


def shortest_correct(
    collections: Mapping[str, Iterable[Row]], keep: int, length: Length, accounting: Counter[str]
) -> list[dict[str, Any]]:
    """The `keep` shortest different correct samples of every question, over all collections, by their source.

    Questions come in the order of their first correct sample, a question's samples by length; of equal ones the earlier
    collection and the lower sample index win. `accounting` counts every row: kept, duplicate, longer, empty, or the
    verdict for which it was left out. Texts that differ in white space alone are duplicates.
    """
    best: dict[str, dict[str, dict[str, Any]]] = {}  # question id -> text without extra space -> sample
    for source, rows in collections.items():
        for row in rows:
            if row["verdict"] != "correct":
                accounting[row["verdict"]] += 1
                continue
            text = rationale(row["reasoning"] or "")
            if not text:
                accounting["empty"] += 1
                continue
            found = best.setdefault(row["question_id"], {})
            key = " ".join(text.split())
            if key in found:
                accounting["duplicate"] += 1
                continue
            found[key] = {name: row[name] for name in ("question_id", "sample_index", "question", "gold")} | {
                "source": source,
                "reasoning": text,
                "tokens": length(text),
            }
            if len(found) > keep:  # the sort is stable, so the latest of the longest goes
                ordered = sorted(found, key=lambda name: found[name]["tokens"])
                del found[ordered[-1]]
                accounting["longer"] += 1
    selected = [sample for found in best.values() for sample in sorted(found.values(), key=lambda item: item["tokens"])]
    accounting["kept"] += len(selected)
    return selected


def select_exemplars(
    samples: Iterable[Row], config: SelectExemplarsConfig, length: Length, accounting: Counter[str]
) -> list[dict[str, Any]]:
    """The shortest correct sample of each of `count` questions, shortest first.

    `accounting` counts every sample: kept, too_long, not_among_shortest, or as `shortest_correct` does.
    """
    shortest = shortest_correct({"samples": samples}, 1, length, accounting)
    accounting["kept"] = 0
    fitting = [sample for sample in shortest if sample["tokens"] <= config.max_tokens]
    accounting["too_long"] += len(shortest) - len(fitting)
    chosen = sorted(fitting, key=lambda sample: sample["tokens"])[: config.count]
    accounting["not_among_shortest"] += len(fitting) - len(chosen)
    accounting["kept"] += len(chosen)
    return chosen


def draw_exemplars(
    exemplars: Sequence[Row], question_id: str, question: str, per_prompt: int, seed: int
) -> list[Exemplar]:
    """The worked examples of one question: seeded by its id, in random order, never the question itself.

    Raises InputError when fewer than `per_prompt` are left.
    """
    others = [row for row in exemplars if row["question_id"] != question_id and row["question"] != question]
    if len(others) < per_prompt:
        raise InputError(
            f"few_shot.per_prompt: {per_prompt} worked examples are needed, but only {len(others)} questions were "
            "solved within few_shot.exemplars.max_tokens; collect more questions or lower it"
        )
    drawn = random.Random(f"exemplars/{seed}/{question_id}").sample(others, per_prompt)
    return [Exemplar(row["question"], row["reasoning"], row["gold"]) for row in drawn]


def selected_examples(
    selected: Iterable[Row],
    model: ReadableModel,
    config: PrepareSelectedConfig,
    text_format: TextFormat,
    accounting: Counter[str],
) -> Iterator[dict[str, Any]]:
    """Training examples of selected samples in a format; `accounting` counts each as kept or too_long."""
    for sample in selected:
        example = tokenised_example(
            sample,
            Prompt.of(model, sample["question"], text_format=text_format),
            prompts.render_target(sample["reasoning"], sample["gold"], model.family, text_format),
            model,
            validation_share=config.validation_share,
            seed=config.seed,
        )
        if fits(example, config.max_length, accounting):
            yield example
