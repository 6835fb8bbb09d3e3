"""What a grader reads into an answer that is not there: parts for the whole, units, lists as sets, index for base."""

from __future__ import annotations

import time

import pytest

from latent_core.scoring import Outcome, grade
from latent_core.scoring.normalization import based_number


def boxed(answer: str, gold: str) -> Outcome:
    return grade(f"So it is $\\boxed{{{answer}}}$.", gold, benchmark="math").outcome


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        # a part of the answer is not the answer
        (r"\frac{1}{2}", r"\sqrt{\frac{1}{2}, 3}"),
        (r"\frac{1}{2}, -\frac{7}{4}", r"\sqrt{\frac{1}{2}, -\frac{7}{4}}"),
        (r"\frac{1}{2}, -\frac{7}{4}", r"\frac{\frac{1}{2}, -\frac{7}{4}}{2}"),
        (r"\frac{270}7\text{ degrees}", r"\{\frac{270}7\text{ degrees},99\}"),
        ("5", r"5\text{, 6}"),
        ("5", r"5\text{ if } n>2"),
        ("5", r"5\text{ or more}"),
        ("5", "5 or less"),
        # letters that are no units
        ("2ab", "2"),
        ("5t", "5"),
        ("3s", "3"),
        # words that change the number
        ("2", r"2\text{ dozen}"),
        ("5", r"5\text{ tenths}"),
        ("5", "5 squared"),
        ("5", r"5\text{ factorial}"),
        ("a", "1"),
        ("1", "A"),
        # a value that is only the right-hand side
        ("x+y=1", "1"),
        ("5x - 7y + 11z + 4 = 0", "0"),
        # lists count their members
        ("1,1", "1"),
        ("1", "1,1"),
        ("1,1,2", "1,2"),
        ("1,1,2", "1,2,2"),
        # digits behind the sixth, and percentages below one
        ("0.1234567", "0.1234568"),
        ("10.5", "10.49999999"),
        ("0.5", r"0.5\%"),
        (r"\frac{3}{5}", r"\frac{3}{5}\%"),
        # times, indices, letters in order
        (r"3 \text{ p.m.}", r"3 \text{ AM}"),
        ("7", "7_1"),
        ("ABCD", "DCBA"),
        ("IV", "VI"),
        ("7", "2(5)"),
        ("1+2i", "1-2i"),
        ("5", "(1+i)^{10000}"),
        ("(1,i)", "(i,1)"),
    ],
)
def test_grade_answer_that_reads_like_the_gold_is_wrong(gold: str, answer: str) -> None:
    assert boxed(answer, gold) is Outcome.WRONG


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("24", "2 dozen"),
        ("10", "(2)(5)"),
        ("2ab", "2ba"),
        ("1,2", "2,1"),
        ("x=3", "3"),
        ("f(x)=2x", "2x"),
        ("1,1,2", "2,1,1"),
        (r"3\text{ PM}", "3:00 PM"),
        ("5:30", "5:30 PM"),
        ("2516_8", "(2516)_8"),
        ("TRUE", "true"),
        (r"33\frac13\%", r"33\frac{1}{3}"),
        (r"33\frac13\%", r"\frac13"),
        (r"\frac12\%", "0.005"),
        ("5:6", r"5\text{ to }6"),
        ("5<x<7", "7>x>5"),
        (r"[5,7)", r"7 > x \ge 5"),
        ("5", "5 = x"),
        ("5", "10 - 5 = 5 eggs"),
        (r"\{1,2\}", r"\lbrace 2,1 \rbrace"),
        (r"\frac{1-i}{2}", r"\frac{1}{1+i}"),
        (r"\frac{1}{2}+\frac{\sqrt{3}}{2}i", r"e^{i\pi/3}"),
        ("5", r"\large 5"),
        ("5", r"\underline{5}"),
        ("5", r"\textcolor{red}{5}"),
        ("5", r"\[5\]"),
        ("5", "**5**"),
        ("(1,2)", r"\bigl(1,2\bigr)"),
        ("36", "\u00a536"),
        ("60", "60\u00ba"),
        ("15", "\u0661\u0665"),  # Arabic digits
    ],
)
def test_grade_answer_spelt_unlike_the_gold_is_correct(gold: str, answer: str) -> None:
    assert boxed(answer, gold) is Outcome.CORRECT


@pytest.mark.parametrize(
    ("completion", "outcome", "answer"),
    [
        ("The answer is 6. No: the answer is 5.", "correct", "5"),
        ("The answer is 5. No: the answer is 6.", "wrong", "6"),
        ("The answer is $5$ or $6$.", "wrong", "$5$ or $6$"),
        ("The answer is $5$, $6$.", "wrong", "$5$, $6$"),
        (r"The answer is \(5\) and \(6\).", "wrong", r"\(5\) and \(6\)"),
        ("The answer is $5$, because $6$ is not.", "correct", "5"),
        ("The answer is $5, not $6.", "correct", "$5"),
        ("The answer isn't 5.", "unparsed", None),
        ("The answer is not 5.", "unparsed", None),
        ("The answer is `5`.", "correct", "5"),
        ("2 + 3 = 5 #### 5", "correct", "5"),
    ],
)
def test_grade_prose_gives_its_last_whole_answer(completion: str, outcome: str, answer: str | None) -> None:
    verdict = grade(completion, "5", benchmark="gsm8k")
    assert (verdict.outcome, verdict.answer) == (outcome, answer)


@pytest.mark.parametrize(
    "completion", ["The answer is A? No, the answer is B.", "The answer is `B`", "Answer: B - Paris"]
)
def test_grade_choice_in_prose_is_the_last_letter_named(completion: str) -> None:
    assert grade(completion, "B", benchmark="mmlu").outcome is Outcome.CORRECT


@pytest.mark.parametrize("gold", ["x\n#### 5\nThe answer is: 5", "2 + 3 = 5.\nThe answer is: 5", "The answer is 5."])
def test_grade_gold_with_a_closing_sentence_is_its_answer(gold: str) -> None:
    assert grade(r"\boxed{5}", gold, benchmark="metamathqa").outcome is Outcome.CORRECT
    assert grade(r"\boxed{7}", gold, benchmark="metamathqa").outcome is Outcome.WRONG


def test_grade_box_of_much_space_before_its_answer_is_read_in_linear_time() -> None:
    started = time.process_time()
    assert boxed(" " * 200_000 + "5.", "5") is Outcome.CORRECT
    assert time.process_time() - started < 2


def test_based_number_digits_above_its_base_are_none() -> None:
    assert based_number("129_8") is None
    assert based_number("127_8") == ("127", "8")
    assert based_number("7_{37}") is None
