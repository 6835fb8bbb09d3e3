"""Self-training: which samples are shown and trained on, that none is lost uncounted, and what examples say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from latent_core.config.concise import PrepareSelectedConfig, SelectExemplarsConfig
from latent_core.config.prompting import TextFormat
from latent_core.errors import InputError
from latent_core.methods.concise import draw_exemplars, rationale, select_exemplars, selected_examples, shortest_correct
from latent_core.models.readable import ReadableModel


def _words(text: str) -> int:
    return len(text.split())


def _sample(question: int, reasoning: str, verdict: str = "correct", sample: int = 0) -> dict[str, Any]:
    return {
        "question_id": f"q{question}",
        "sample_index": sample,
        "question": f"What is {question} + 1?",
        "gold": str(question + 1),
        "reasoning": reasoning,
        "verdict": verdict,
    }


def _texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["reasoning"] for row in rows]


def test_shortest_correct_sample_of_each_question_is_taken_from_all_collections() -> None:
    zero_shot = [
        _sample(1, "one two three four"),
        _sample(1, "wrong", "wrong", 1),
        _sample(2, "one two", sample=0),
        _sample(3, "cut", "truncated"),
    ]
    few_shot = [_sample(1, "one two"), _sample(2, "one two three"), _sample(3, "odd", "unparsed")]
    accounting: Counter[str] = Counter()
    rows = shortest_correct({"samples": zero_shot, "few_shot": few_shot}, 1, _words, accounting)
    assert [(row["question_id"], row["source"], row["tokens"]) for row in rows] == [
        ("q1", "few_shot", 2),
        ("q2", "samples", 2),
    ]
    assert accounting == {"wrong": 1, "truncated": 1, "unparsed": 1, "longer": 2, "kept": 2}
    assert accounting.total() == len(zero_shot) + len(few_shot)


def test_distillation_keeps_the_four_shortest_different_correct_of_sixteen() -> None:
    samples = [_sample(1, "step " * (16 - index), sample=index) for index in range(14)]
    samples += [_sample(1, "step  step\nstep", sample=14), _sample(1, "no", "wrong", 15)]
    accounting: Counter[str] = Counter()
    rows = shortest_correct({"samples": samples}, 4, _words, accounting)
    assert [row["tokens"] for row in rows] == [3, 4, 5, 6]
    assert accounting == {"kept": 4, "longer": 10, "duplicate": 1, "wrong": 1}


def test_samples_that_differ_in_the_answer_sentence_alone_are_duplicates() -> None:
    samples = [_sample(1, "1 + 1 = 2\nThe answer is 2."), _sample(1, "1 + 1 = 2\nSo the answer is: 2", sample=1)]
    accounting: Counter[str] = Counter()
    assert _texts(shortest_correct({"samples": samples}, 4, _words, accounting)) == ["1 + 1 = 2"]
    assert accounting["duplicate"] == 1


def test_rationale_that_is_only_an_answer_stays() -> None:
    assert rationale("The answer is 2") == "The answer is 2"


def test_exemplars_are_the_shortest_within_the_cap_and_all_samples_are_counted() -> None:
    samples = [_sample(index, "word " * (index + 1)) for index in range(8)] + [_sample(9, "bad", "wrong")]
    samples.append(_sample(0, "word word word", sample=1))
    accounting: Counter[str] = Counter()
    chosen = select_exemplars(samples, SelectExemplarsConfig(count=3, max_tokens=5), _words, accounting)
    assert [row["question_id"] for row in chosen] == ["q0", "q1", "q2"]
    assert accounting == {"kept": 3, "not_among_shortest": 2, "too_long": 3, "wrong": 1, "longer": 1}
    assert accounting.total() == len(samples)


def test_drawn_exemplars_never_hold_the_question_and_are_repeatable() -> None:
    exemplars = [_sample(index, f"reason {index}") for index in range(6)]
    for index in range(6):
        shown = draw_exemplars(exemplars, f"q{index}", f"What is {index} + 1?", 4, seed=1)
        assert shown == draw_exemplars(exemplars, f"q{index}", f"What is {index} + 1?", 4, seed=1)
        assert len({shot.question for shot in shown}) == 4
        assert f"What is {index} + 1?" not in {shot.question for shot in shown}
    sets = {tuple(draw_exemplars(exemplars, f"x{index}", "new", 4, seed=1)) for index in range(10)}
    assert len(sets) > 3


def test_too_few_exemplars_raise_with_the_field_to_change() -> None:
    with pytest.raises(InputError, match=r"few_shot\.per_prompt: 2 .* only 1 .*max_tokens"):
        draw_exemplars([_sample(1, "a"), _sample(2, "b")], "q1", "What is 1 + 1?", 2, seed=0)


@pytest.mark.parametrize(
    ("text_format", "target"),
    [
        (TextFormat.XML, "1 + 1 = 2\n</think>\n<answer>2</answer><|im_end|>"),
        (TextFormat.RAW_TEXT, " 1 + 1 = 2\nThe answer is 2<|im_end|>"),
        (TextFormat.BOXED, "1 + 1 = 2\n\n</think>\n\nThe final answer is: $\\boxed{2}$<|im_end|>"),
    ],
)
def test_examples_are_written_in_the_format_and_supervise_the_target(
    text_format: TextFormat, target: str, plain: ReadableModel
) -> None:
    accounting: Counter[str] = Counter()
    config = PrepareSelectedConfig(validation_share=0)
    (row,) = selected_examples([_sample(1, "1 + 1 = 2")], plain, config, text_format, accounting)
    assert row["target"] == target == plain.decode([label for label in row["labels"] if label != -100])
    assert plain.decode(row["input_ids"]) == row["prompt"] + target
    assert row["prompt"].endswith("What is 1 + 1?") == (text_format is TextFormat.RAW_TEXT)


def test_example_over_the_length_limit_is_counted(plain: ReadableModel) -> None:
    accounting: Counter[str] = Counter()
    config = PrepareSelectedConfig(max_length=8)
    assert list(selected_examples([_sample(1, "a")], plain, config, TextFormat.XML, accounting)) == []
    assert accounting == {"too_long": 1}
