"""Answers of public reports against graders, by the report: each was graded wrongly here or by math-verify."""

from __future__ import annotations

import time

import pytest

from latent_core.scoring import grade

CASES = [  # report or kind, gold, boxed answer or whole completion, verdict
    ("EleutherAI/lm-evaluation-harness#3652", "7", r"\boxed{3}, \boxed{5}, \boxed{7}", "wrong"),
    ("huggingface/Math-Verify#13", r"5 \text{ feet } 6 \text{ inches}", r"5\text{ ft } 6\text{ in}", "correct"),
    ("huggingface/Math-Verify#13", r"2 \text{ hours and } 30 \text{ minutes}",
     r"2 \text{ hours } 30 \text{ minutes}", "correct"),
    ("huggingface/Math-Verify#14", r"\frac{2^{99}-1}{2^{99}}", r"\frac{2^{100}-1}{2^{100}}", "wrong"),
    ("huggingface/Math-Verify#14", r"6.6\times 10^{-34}", r"6.6\times 10^{-31}", "wrong"),
    ("huggingface/Math-Verify#14", r"\frac{1}{2^{55}}", r"\frac{1}{2^{56}}", "wrong"),
    ("huggingface/Math-Verify#14", "2^{-60}", r"2^{-61}", "wrong"),
    ("huggingface/Math-Verify#14", r"1.6\times 10^{-19}", r"9.1\times 10^{-31}", "wrong"),
    ("huggingface/Math-Verify#14", r"3-\frac{1}{3^{100}}", r"3-\frac{2}{3^{100}}", "wrong"),
    ("huggingface/Math-Verify#14", r"1.6\times 10^{-19}", r"-1.6\times 10^{-19}", "wrong"),
    ("huggingface/Math-Verify#14", r"1-\frac{1}{2^{99}}", r"1-\frac{1}{2^{98}}", "wrong"),
    ("huggingface/Math-Verify#14", r"\left(\frac{1}{2}\right)^{100}", r"\left(\frac{1}{2}\right)^{99}", "wrong"),
    ("huggingface/Math-Verify#14", r"1-\frac{1}{2^{99}}", r"1+\frac{1}{2^{99}}", "wrong"),
    ("huggingface/Math-Verify#14", r"\frac{1}{2^{99}}", r"-\frac{1}{2^{99}}", "wrong"),
    ("huggingface/Math-Verify#14", r"2-\frac{1}{2^{2023}}", r"2-\frac{1}{2^{2024}}", "wrong"),
    ("huggingface/Math-Verify#14/PR82", r"1 - \frac{1}{\mathrm{e}}", r"1 - e^{-1}", "correct"),
    ("huggingface/Math-Verify#2", r"\sin^2 x", r"\sin^2(x)", "correct"),
    ("huggingface/Math-Verify#2", r"\sin^2(x)+\cos^2(x)", r"1", "correct"),
    ("huggingface/Math-Verify#2", r"\log^2(x)", r"\log^2 x", "correct"),
    ("huggingface/Math-Verify#2", r"\tan^2(\theta)", r"\frac{\sin^2(\theta)}{\cos^2(\theta)}", "correct"),
    ("huggingface/Math-Verify#2", r"\sin^2(x)", r"1-\cos^2(x)", "correct"),
    ("huggingface/Math-Verify#2", r"\tan^2(y)+1", r"\sec^2(y)", "correct"),
    ("huggingface/Math-Verify#2", r"\tan^2(y)+1", r"1+\tan^2(y)", "correct"),
    ("huggingface/Math-Verify#2", r"2\sin^2 x", r"2\sin^2(x)", "correct"),
    ("huggingface/Math-Verify#34, PR 81", r"4.5\%", r"4 1/2%", "correct"),
    ("huggingface/Math-Verify#34, PR 81", r"\frac{9004}{9}", r"1 000 4/9", "correct"),
    ("huggingface/Math-Verify#34, PR 81", r"\frac{40}{9}\%", r"4 4/9 \%", "correct"),
    ("huggingface/Math-Verify#82", r"2\mathrm{e}", r"e+e", "correct"),
    ("huggingface/open-r1#628", r"$\boxed{3}$ apples and $\boxed{5}$ pears", r"3, 5", "correct"),
    ("units of other scripts", "42", r"42 \text{ 个苹果}", "correct"),
    ("units of other scripts", "42", r"42元", "correct"),
    ("units of other scripts", "42", r"42\text{元}", "correct"),
    ("units of other scripts", "5", r"5厘米", "correct"),
    ("units in several macros", r"20 \mathrm{~m} / \mathrm{s}", r"20 \text{ m/s}", "correct"),
    ("units in several macros", r"30 \mathrm{~km} / \mathrm{h}", r"30", "correct"),
    ("primes", "f'(x)", r"f(x)", "wrong"),
    ("primes", "f'(x)=2x", r"f(x)=2x", "wrong"),
    ("ordinals", "12", r"12^{\text{th}}", "correct"),
    ("compound quantities", r"30^\circ 30'", r"30.5^\circ", "correct"),
    ("binomials", "120", r"{10 \choose 3}", "correct"),
    ("money", "42", r"\text{US\$}42", "correct"),
    ("primes", "x'", r"x", "wrong"),
    ("separators", "1,2", r"1、2", "correct"),
    ("money", "42", r"US\$42", "correct"),
]  # fmt: skip


@pytest.mark.parametrize(("report", "gold", "answer", "verdict"), CASES)
def test_grade_of_a_reported_answer_is_what_the_report_says_is_right(
    report: str, gold: str, answer: str, verdict: str
) -> None:
    completion = answer if r"\boxed" in answer else f"So the result is $\\boxed{{{answer}}}$."
    assert grade(completion, gold, benchmark="file").outcome == verdict


@pytest.mark.parametrize("answer", ["20" + r"\," * 480 + "x!", "20" + r"\text{a} " * 40 + "x!"])
def test_grade_of_an_answer_of_many_gaps_or_units_ends(answer: str) -> None:
    started = time.process_time()
    assert grade(f"\\boxed{{{answer}}}", "20", benchmark="file").outcome == "wrong"
    assert time.process_time() - started < 3
