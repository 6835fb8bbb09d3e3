"""Verdicts that plain math-verify gets wrong or never sees: sets and pairs, words, Unicode, times, options, golds."""

from __future__ import annotations

import time

import pytest

from bench.hostile_answers import HEAVY, HOSTILE
from latent_core.errors import InputError
from latent_core.scoring import Outcome, grade
from latent_core.scoring.brackets import united
from latent_core.scoring.plain import cardinal
from latent_core.scoring.workers import shared_pool


def boxed(answer: str, gold: str) -> Outcome:
    return grade(f"So it is $\\boxed{{{answer}}}$.", gold, benchmark="math").outcome


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        # sets, tuples, intervals
        ("1,2,3", r"\{3,2,1\}"),
        (r"\{(1,2),(3,4)\}", "(3,4),(1,2)"),
        ("(1,2)", r"\{(1,2)\}"),
        ("(1,2)", "(x,y)=(1,2)"),
        ("(1,2)", r"\langle 1,2 \rangle"),
        (r"\pm 1", r"\{-1,1\}"),
        (r"\emptyset", r"\varnothing"),
        (r"(-\infty,1)\cup(2,\infty)", r"x<1 \text{ or } x>2"),
        (r"(-\infty,-1]\cup[2,5)", r"x \le -1 or 2 \leq x < 5"),
        ("[0,1)", "0 \u2264 x < 1"),
        (r"(-\infty,\infty)", "\u211d"),
        # matrices
        (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\left[\begin{array}{cc}1&2\\3&4\end{array}\right]"),
        (r"\begin{pmatrix} 1/2 \\ 1 \end{pmatrix}", r"\begin{pmatrix}0.5\\1\end{pmatrix}"),
        # numbers in other clothes
        (r"\frac13", r"0.\overline{3}"),
        (r"\frac16", r"0.1\bar{6}"),
        (r"\frac{1}{2}", "\u00bd"),
        (r"\frac{5}{2}", "2\u00bd"),
        (r"\sqrt{2}", "\u221a2"),
        (r"\frac{\sqrt{3}}{3}", "\u221a3/3"),
        ("x^2", "x\u00b2"),
        (r"2\pi", "2pi"),
        (r"\frac{\pi}{2}", "pi/2"),
        (r"\sqrt{2}", "sqrt2"),
        ("x^2", "x**2"),
        ("300000", "3e5"),
        ("1500", "1.5 x 10^3"),
        ("5", "\uff15"),
        ("5", "\u200b5\ufeff"),
        ("5", r"\,5\,"),
        ("5", r"\bf 5"),
        ("5", r"\approx 5"),
        ("5", r"\pounds 5"),
        ("5", "USD 5"),
        ("1000", r"1\,000"),
        # words
        ("5", r"\text{five}"),
        ("21", "twenty-one"),
        ("1205", "one thousand two hundred and five"),
        ("12", "a dozen"),
        (r"\frac12", "one half"),
        ("0.75", "three quarters"),
        (r"\text{two}", "2"),
        # units, times, percentages
        ("5", r"\text{5 cm}"),
        (r"5\text{ m}", r"\text{500 cm}"),
        ("60 minutes", "1 hour"),
        (r"2:30 \text{ p.m.}", "2:30 PM"),
        (r"2:30 \text{ p.m.}", "14:30"),
        (r"2:30 \text{ p.m.}", "2:30"),
        ("10:30", r"10{:}30"),
        (r"\frac34", "75\\%"),
    ],
)
def test_grade_same_value_in_other_clothes_is_correct(gold: str, answer: str) -> None:
    assert boxed(answer, gold) is Outcome.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("(1,2)", r"\{1,2\}"),
        (r"\{1,2\}", "(1,2)"),
        (r"\{0,1\}", "[0,1]"),
        (r"\{0,1\}", r"x \in (0,1)"),
        (r"\{1,2,3\}", r"\{1,2\}"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "2,1"),
        ("1000", "(1,000)"),
        ("(1,000)", "1000"),
        ("(1,2),(3,4)", "(2,1),(3,4)"),
        (r"(-\infty,1)\cup(2,\infty)", r"x \le 1 \text{ or } x>2"),
        (r"(-\infty,1)\cup(2,\infty)", r"x<1 \text{ or } y>2"),
        (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}"),
        (r"\frac13", r"0.\overline{33}4"),
        (r"\frac13", r"0.3\overline{4}"),
        ("21", "twenty"),
        ("5", "-five"),
        ("6", "one two three"),
        (r"\text{two}", "3"),
        (r"2:30 \text{ p.m.}", "2:30 AM"),
        (r"2:30 \text{ p.m.}", "3:30"),
        (r"12:15 \text{ a.m.}", "12:15 p.m."),
        (r"5\text{ m}", r"\text{5 cm}"),
        (r"\frac{5}{2}", "2\u2153"),
        ("x^2", "x\u00b3"),
        ("2", "\u221a2"),
        ("1500", "1.5 x 10^2"),
    ],
)
def test_grade_near_miss_is_wrong(gold: str, answer: str) -> None:
    assert boxed(answer, gold) is Outcome.WRONG


@pytest.mark.parametrize(
    ("completion", "outcome", "answer"),
    [
        (r"The answer is $\$36$.", "correct", r"\$36"),
        ("The answer would be 36.", "correct", "36"),
        ("The answer is therefore 36.", "correct", "36"),
        ("The answer is 36, not 35.", "correct", "36"),
        ("The answer is 35 and not 36.", "wrong", "35"),
        ('The answer is "36".', "correct", "36"),
        ("**Final Answer**\n36", "correct", "36"),
        ("### Final Answer\n\n36", "correct", "36"),
        ("The answer is -36.", "wrong", "-36"),
        ("<think>4 * 9 = 36</think>\n36", "correct", "36"),
        ("$36", "correct", "36"),
        ("36.", "correct", "36"),
        ("4 * 9 = 36", "unparsed", None),
        ("She has 36", "unparsed", None),
        ("<think>36</think>", "unparsed", None),
        ("The answer is.", "unparsed", None),
        ("", "unparsed", None),
        (r"\boxed{ }", "unparsed", None),
        (r"\boxed{35}, no, \boxed{\text{36 eggs}}", "correct", r"\text{36 eggs}"),
    ],
)
def test_grade_completion_answer_is_found_where_it_is_given(completion: str, outcome: str, answer: str | None) -> None:
    verdict = grade(completion, "36", benchmark="gsm8k")
    assert (verdict.outcome, verdict.answer) == (outcome, answer)


@pytest.mark.parametrize(
    "gold", ["1,042", "#### 1,042", "6 * 7 = 42, and 1000 more.\n#### 1,042", r"so we have $\boxed{1042}$.", "$1042$"]
)
def test_grade_gold_as_its_dataset_writes_it_is_understood(gold: str) -> None:
    assert grade(r"\boxed{1042}", gold, benchmark="gsm8k").outcome is Outcome.CORRECT
    assert grade(r"\boxed{42}", gold, benchmark="gsm8k").outcome is Outcome.WRONG


def test_grade_gold_without_anything_behind_its_mark_is_refused() -> None:
    with pytest.raises(InputError, match="gold"):
        grade(r"\boxed{1}", "a rationale\n#### ", benchmark="gsm8k")


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [
        ("The correct option is B", "correct"),
        ("The correct choice is B, since it rains.", "correct"),
        ("Therefore, option B is correct.", "correct"),
        ("(B) is the correct answer.", "correct"),
        ("So the answer should be B.", "correct"),
        ("I choose B.", "correct"),
        ('The answer is "B".', "correct"),
        ("The answer is letter B", "correct"),
        (r"\boxed{B \text{ (5 cm)}}", "correct"),
        (r"\boxed{\textbf{(B)}\ 5}", "correct"),
        ("A is correct? No. C is wrong too, so B is the right one.", "correct"),
        ("A is the best answer; B is close.", "wrong"),
        ("The answer is C because B is wrong.", "wrong"),
        ("The answer is not B.", "unparsed"),
        ("B is incorrect.", "unparsed"),
        ("B is not correct.", "unparsed"),
        ("The answer is A or B", "unparsed"),
        (r"\boxed{A, B}", "unparsed"),
        (r"\boxed{B \text{ and } C}", "unparsed"),
        ("<think>The answer is B</think>", "unparsed"),
    ],
)
def test_grade_choice_in_prose_needs_one_letter_named_as_the_answer(completion: str, outcome: str) -> None:
    assert grade(completion, "B", benchmark="mmlu").outcome == outcome


def test_cardinal_every_number_written_out_is_read_back() -> None:
    assert cardinal("nine hundred and ninety-nine thousand, nine hundred ninety nine") == 999_999
    assert cardinal("three million") == 3_000_000
    assert [cardinal(text) for text in ("eggs", "five eggs", "hundred", "and", "one two", "")] == [None] * 6


def test_united_and_between_inequalities_is_left_alone() -> None:
    assert united(r"x>1 \text{ and } x<5") == r"x>1 \text{ and } x<5"


@pytest.mark.parametrize("name", HOSTILE)
def test_grade_hostile_answer_is_never_right_nor_slow(name: str) -> None:
    _grade_hostile(HOSTILE[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_grade_answer_of_endless_computation_is_never_right_nor_slow(name: str) -> None:
    _grade_hostile(HEAVY[name])


def _grade_hostile(answer: str) -> None:
    shared_pool().compare("1/2", "0.5")  # a worker is up
    started = time.process_time()
    for completion in (f"\\boxed{{{answer}}}", f"The answer is {answer}"):
        assert grade(completion, "5", benchmark="math").outcome in (Outcome.WRONG, Outcome.UNPARSED)
    assert time.process_time() - started < 1  # its own; the kernel limits the worker's (test_grading_workers)
