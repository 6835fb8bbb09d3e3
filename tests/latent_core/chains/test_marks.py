"""Where reasoning ends in texts of different families."""

from __future__ import annotations

import time

import pytest

from latent_core.chains.marks import Parts, parted
from latent_core.think_marks import WRITTEN_PAIRS


@pytest.mark.parametrize(("opening", "closing"), WRITTEN_PAIRS)
def test_marks_of_every_family_are_taken_off_and_the_words_are_what_follows(opening: str, closing: str) -> None:
    assert parted(f"{opening}\n3 + 4 = 7\n{closing}\n\n\\boxed{{7}}") == Parts("3 + 4 = 7", "\\boxed{7}")
    assert parted(f"3 + 4 = 7\n{closing}\n\\boxed{{7}}") == Parts("3 + 4 = 7", "\\boxed{7}")
    assert parted(f"{opening}\n3 + 4 = 7, wait") == Parts("3 + 4 = 7, wait", "", is_closed=False)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("3 + 4 = 7. The answer is 7.<|im_end|>\n", Parts(None, "3 + 4 = 7. The answer is 7.")),
        ("<think>a</think>so<think>b</think> c</s><|endoftext|>", Parts("aso" + "b", "c")),
        ("<thinking>a</thinking>c <think>", Parts("a", "c <think>")),
        ("<think>a</think>b<think>c", Parts("abc", "", is_closed=False)),
        ("<think>a</think><answer> 7 </answer>", Parts("a", "The final answer is: $\\boxed{7}$")),
        ("<think>a</think><answer>It is \\boxed{7}.</answer>", Parts("a", "It is \\boxed{7}.")),
        (
            "<think>a</think><answer>6</answer> or <answer>7</answer> <answer>",
            Parts("a", "<answer>6</answer> or The final answer is: $\\boxed{7}$ <answer>"),
        ),
        (
            "<|begin_of_thought|>a<|end_of_thought|>\n\n<|begin_of_solution|>\\boxed{7}<|end_of_solution|>",
            Parts("a", "\\boxed{7}"),
        ),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>\\boxed{7}<|return|>",
            Parts("a", "\\boxed{7}"),
        ),
    ],
)
def test_what_is_around_the_words_is_no_part_of_them(text: str, parts: Parts) -> None:
    assert parted(text) == parts


@pytest.mark.parametrize("repeated", ["<answer>" * 6000, "</s>" * 150_000, "<|im_end|> \n" * 60_000])
def test_text_that_repeats_a_mark_without_end_takes_no_longer_than_its_length(repeated: str) -> None:
    began = time.process_time()
    assert parted(f"<think>a</think>{repeated}").reasoning == "a"
    assert time.process_time() - began < 3
