"""Where an answer is looked for, and where it is not."""

from __future__ import annotations

import time

import pytest

from latent_core.boxes import boxed_answer
from latent_core.scoring.extraction import extract_answer, split_reasoning


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"so \boxed{5}.", "5"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} and then \boxed{\sqrt{2}}", r"\sqrt{2}"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{\{1,2)}", r"\{1,2)"),
        (r"\fbox{7}", "7"),
        (r"\boxed 5", "5"),
        (r"$\boxed -12.$", "-12"),
        (r"\boxed  {8}", "8"),
        (r"\boxed{x = \boxed{3}}", r"x = \boxed{3}"),
        (r"\boxed{4} goes into \boxed{}", "4"),
        (r"\\boxed{6}", "6"),
        (r"\boxed{\begin{pmatrix} 1 \\{2} \end{pmatrix}}", r"\begin{pmatrix} 1 \\{2} \end{pmatrix}"),
        (r"\boxed{5", None),
        (r"\boxed{5} no, \boxed{6", None),
        (r"\boxed{5 so \boxed{6}", "6"),
        (r"write \boxed please", None),
        ("no box", None),
    ],
)
def test_boxed_answer_text_gives_balanced_content(text: str, content: str | None) -> None:
    assert boxed_answer(text) == content


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{3}, \boxed{5}, \boxed{7}", "3, 5, 7"),
        (r"$\boxed{3}$ apples and $\boxed{5}$ pears", "3, 5"),
        (r"\boxed{3} hens, \boxed{4} cows and \boxed{5} pigs", "3, 4, 5"),
        (r"$x = \boxed{3}$ and $y = \boxed{5}$", "3, 5"),
        (r"\boxed{3}; \boxed{5}", "3, 5"),
        ("- \\boxed{3}\n- \\boxed{5}", "3, 5"),
        ("\\boxed{5}\n\\boxed{5}", "5"),
        (r"\boxed{3} and \boxed{3}", "3, 3"),
        (r"\boxed{3}, no, \boxed{5}", "5"),
        (r"\boxed{3} ... wait, \boxed{5}", "5"),
        (r"\boxed{3} is wrong, \boxed{5}", "5"),
        (r"\boxed{3}, so \boxed{5}", "5"),
        (r"\boxed{3} and \boxed{5}. Wait: \boxed{7}", "7"),
        (r"\boxed{1}, no: \boxed{3}, \boxed{5}", "3, 5"),
        (r"\boxed{3} and \boxed{5", None),
        ("So we reason. " * 20 + r"\boxed{3}, \boxed{5}", "3, 5"),
        (r"\boxed{3}," + " " * 79 + r"\boxed{5}", "3, 5"),
        (r"\boxed{3}," + " " * 80 + r"\boxed{5}", "5"),
    ],
)
def test_boxed_answer_several_boxes_are_one_unless_words_correct_them(text: str, content: str | None) -> None:
    assert boxed_answer(text) == content


@pytest.mark.parametrize("gap", [" ", " $", "\n", "\\, ", "a ", " and ", ", ", "} ", "\\text{"])
def test_boxed_answer_of_many_boxes_and_long_gaps_is_found_in_linear_time(gap: str) -> None:
    started = time.process_time()
    boxed_answer((r"\boxed{5}" + (gap * 80)[:79]) * 2000 + r"\boxed{6}")
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("completion", "parts"),
    [
        ("<think>a</think>b", ("a", "b")),
        ("a</think>b", ("a", "b")),
        ("<think>a</think>b</think>c", ("a</think>b", "c")),
        ("plain", ("", "plain")),
        ("<think>never ends", ("never ends", "")),
        ("a</think>b<think>c", ("a\nb\nc", "")),
        ("", ("", "")),
    ],
)
def test_split_reasoning_tags_cut_at_last_close(completion: str, parts: tuple[str, str]) -> None:
    assert split_reasoning(completion) == parts


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("The final answer is: $18$", "18"),
        ("The answer is 18 because 9 + 9 is 18.", "18"),
        ("The answer is 3.5. It was easy.", "3.5"),
        ("**Answer:** 18", "18"),
        ("The answer is **18** eggs.", "18 eggs"),
        ("9 + 9 = 18\n#### 18\n", "18"),
        ("#### Step 2", None),
        ("So.\n\n## Final Answer\n18 eggs", "18 eggs"),
        ("9 + 9 = 18", None),
        (r"The answer is \boxed{18", None),
        (r"<think>\boxed{18}</think>Done.", None),
        (r"<think>\boxed{18}", None),
        (r"Put it in \boxed{}. The answer is 18.", "18"),
    ],
)
def test_extract_answer_without_box_takes_phrases_but_never_the_last_number(
    completion: str, answer: str | None
) -> None:
    assert extract_answer(completion) == answer


@pytest.mark.parametrize(
    "unit",
    [
        "\\boxed{",
        "{",
        "}",
        "\\",
        "answer: ",
        "answer is\n\n\n",
        "#",
        "<think>",
        "</think>",
        " ",
        "\\boxed   ",
        "####1 ",
    ],
)
def test_extract_answer_hostile_repetition_is_linear(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    extract_answer(text)
    extract_answer("answer:" + text + "x")
    assert time.process_time() - started < 2


@pytest.mark.parametrize("text", ["## Final answer\n42", "So 40 + 2.\n\n**Answer**\n\n42\n"])
def test_answer_below_a_heading_is_found(text: str) -> None:
    assert extract_answer(text) == "42"


def test_number_is_an_answer_of_its_own_in_fewer_than_200_characters() -> None:
    assert (extract_answer(f"{'4':>199}"), extract_answer(f"{'4':>200}")) == ("4", None)
