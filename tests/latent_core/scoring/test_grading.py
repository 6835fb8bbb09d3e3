"""Verdicts on answers of every kind, and what the grader refuses."""

from __future__ import annotations

import time

import pytest

from latent_core.scoring import Detail, Outcome, Submission, grade, grade_many
from latent_core.scoring.normalization import clean
from latent_core.scoring.workers import shared_pool

GOLDS = [
    "7", "-50", "58,500", r"\$32,\!348", "0.15", ".35625", r"90^\circ", r"50\%", r"\frac{14}{3}", r"\frac65",
    r"-\frac{\pi}{6}", r"\dfrac{17}{50}", r"\pi", r"12\pi", r"\sqrt{53}", r"70 \sqrt{2}", r"11 \sqrt{5} + 11",
    r"3 \pm 2 \sqrt{2}", "6 - 5i", "p - q", "x^3+3x-6", "2k+2", "x=5", "y = -2x", "5x - 7y + 11z + 4 = 0", "1,-2",
    "3, 5, 7", "(-2,1)", "(3,4]", r"(2,\infty)", r"(-\infty, 2) \cup (3, \infty)", r"x \in [-2,7]",
    r"\{1\pm\sqrt{5},-2\}", r"\left( 3, \frac{\pi}{2} \right)", r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}",
    "4210_{5}", r"864 \mbox{ inches}^2", r"\frac{270}7\text{ degrees}", r"\text{Evelyn}", r"\text{even}",
    r"\text{(C)}", r"\cot x", "2^{10}",
]  # fmt: skip


@pytest.mark.parametrize("gold", GOLDS)
def test_grade_gold_in_a_box_is_correct(gold: str) -> None:
    assert grade(f"So it is $\\boxed{{{gold}}}$.", gold, benchmark="math").outcome is Outcome.CORRECT


@pytest.mark.parametrize("gold", GOLDS)
def test_grade_cut_completion_is_truncated_even_with_the_gold(gold: str) -> None:
    verdict = grade(f"\\boxed{{{gold}}}", gold, benchmark="math", finish_reason="length")
    assert (verdict.outcome, verdict.answer) == (Outcome.TRUNCATED, None)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\frac{1}{2}", "1/2"),
        (r"\frac{1}{2}", "0.5"),
        (r"\frac{5}{2}", "2 1/2"),
        (r"\frac{5}{2}", r"2\frac{1}{2}"),
        (r"-\frac{1}{2}", r"\frac{-1}{2}"),
        ("1000", "1{,}000"),
        ("1000", "1,000.00"),
        ("7000000", r"7 \text{ million}"),
        ("-7", "\u22127"),
        ("18", "18 dollars per day"),
        ("18", r"\$18"),
        ("9.8", r"9.8 \text{ m/s}^2"),
        ("0.5", "50\\%"),
        ("1", "100\\%"),
        ("1,-2", r"-2 \text{ and } 1"),
        ("1,-2", "x = 1 or x = -2"),
        ("100, 200", "100,200"),
        ("[-2,7]", r"-2 \le x \le 7"),
        ("x=5", "5"),
        ("-2x", "y=-2x"),
        ("11(1+t)", "11t+11"),
        ("4210_{5}", "4210_5"),
        (r"\text{east}", "East"),
        (r"\text{(C)}", "C"),
        ("5 cm", "5"),
        ("5", r"5\text{ cm}"),
        (r"5 \text{ m}", r"500 \text{ cm}"),
        (r"864 \mbox{ inches}^2", r"864\text{ square inches}"),
        (r"864 \mbox{ inches}^2", "864"),
        (r"9.8 \text{ m/s}", r"9.8\text{ meters per second}"),
        (r"\$0.05", "5 cents"),
        ("12", "12cm"),
        (r"5\text{ apples}", r"5 \text{ pieces}"),
        ("18000000", "18 million dollars"),
        ("18000000", r"\$18\text{ million dollars}"),
        ("18 million dollars", r"\$18{,}000{,}000"),
        (r"11,\! 111,\! 111,\! 100", "11111111100"),
        ("4343_6", r"4343_{\text{six}}"),
        ("204_5", r"204 \text{ base } 5"),
        ("4210", "4210_5"),
        ("2A_{16}", "2a_{16}"),
        ("50", "50\\%"),
        ("50\\%", "50 percent"),
        ("1.5", "150\\%"),
        (r"3\tfrac12", "3.5"),
        (r"3\!:\!45\text{ p.m.}", "3:45 PM"),
        ("yes", "Yes"),
        (r"\text{June 20}", "June 20"),
        (r"\begin{pmatrix} 1 \\ -2 \end{pmatrix}", r"\begin{bmatrix} 1 \\ -2 \end{bmatrix}"),
    ],
)
def test_grade_equal_spelling_is_correct(gold: str, answer: str) -> None:
    assert grade(f"\\boxed{{{answer}}}", gold, benchmark="math500").outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("7", "-7"),
        (r"\frac{14}{3}", r"-\frac{14}{3}"),
        ("6 - 5i", "6 + 5i"),
        ("p - q", "p + q"),
        ("(-2,1)", "(2,1)"),
        ("(-2,1)", "(1,-2)"),
        ("(3,4]", "(3,4)"),
        ("1,-2", "1"),
        ("10", "5, 10"),
        ("7", "5 or 7"),
        ("7", r"\text{about } 5 \text{ and } 7"),
        (r"\frac{21}{2}", "2 1/2"),
        ("12", r"12 \text{ million}"),
        ("5", "5x"),
        ("4210_{5}", "4210_6"),
        ("x=5", "y=5"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 & 2 \end{pmatrix}"),
        (r"\frac{1}{3}", "0.33"),
        (r"\text{east}", "seat"),
        ("east", "seat"),
        (r"\text{(C)}", "(B)"),
        ("5 cm", "5 m"),
        (r"5 \text{ cm}", r"5\text{ m}"),
        ("5 hours", "5 minutes"),
        (r"5 \text{ m}", r"50 \text{ cm}"),
        (r"864 \mbox{ inches}^2", r"864\text{ feet}^2"),
        (r"8\text{ m}^2", r"8\text{ m}^3"),
        (r"9.8 \text{ m/s}", r"9.8\text{ km/h}"),
        (r"90^\circ", r"90 \text{ radians}"),
        ("4343_6", "4343"),
        ("4210", "555_5"),
        ("18000000", "18 billion dollars"),
        ("0.5", "5\\%"),
        (r"3\tfrac12", r"\frac32"),
        ("no", "on"),
        ("1", "10\\%"),
        ("7", "1" * 900),
    ],
)
def test_grade_other_answer_is_wrong(gold: str, answer: str) -> None:
    assert grade(f"\\boxed{{{answer}}}", gold, benchmark="math").outcome is Outcome.WRONG


def test_clean_matrix_keeps_its_line_breaks() -> None:
    matrix = r"\begin{pmatrix} 1 \\ -2 \\ 3 \end{pmatrix}"
    assert clean(matrix) == matrix


def test_grade_no_answer_is_unparsed() -> None:
    verdict = grade("9 + 9 = 18", "18", benchmark="gsm8k")
    assert (verdict.outcome, verdict.answer, verdict.detail) == (Outcome.UNPARSED, None, Detail.NO_ANSWER)
    assert grade(r"<think> \boxed{18}", "18", benchmark="gsm8k").outcome is Outcome.UNPARSED


def test_grade_box_in_reasoning_only_the_answer_counts() -> None:
    verdict = grade(r"<think>\boxed{17}</think>The answer is \boxed{18}", "18", benchmark="gsm8k")
    assert (verdict.outcome, verdict.answer) == (Outcome.CORRECT, "18")


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [
        ("The answer is B", "correct"),
        ("(B)", "correct"),
        ("B.", "correct"),
        ("B. Paris", "correct"),
        (r"\boxed{\text{B}}", "correct"),
        (r"The answer is $\boxed{\textbf{(B)}}$.", "correct"),
        ("The correct answer is (B) Paris.", "correct"),
        ("It rains.\nAnswer: **B**", "correct"),
        ("It rains.\n\n**B**", "correct"),
        (r"\boxed{C}", "wrong"),
        ("The answer is A.", "wrong"),
        ("The answer is A dog.", "unparsed"),
        ("A good question.", "unparsed"),
        (r"\boxed{Paris}", "unparsed"),
    ],
)
def test_grade_multiple_choice_reads_the_letter(completion: str, outcome: str) -> None:
    assert grade(completion, "B", benchmark="mmlu").outcome == outcome


@pytest.mark.parametrize("benchmark", ["file", "file:mine.jsonl", "reasoning_gym:basic_arithmetic", "word_problems"])
def test_grade_own_benchmarks_use_mathematics(benchmark: str) -> None:
    assert grade(r"\boxed{\frac{2}{4}}", "1/2", benchmark=benchmark).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"benchmark": "math501"}, "benchmark"),
        ({"finish_reason": "abort"}, "finish_reason"),
        ({"gold": " "}, "gold"),
        ({"benchmark": "mmlu", "gold": "2"}, "gold"),
    ],
)
def test_grade_bad_parameter_raises_naming_the_field(change: dict[str, str], field: str) -> None:
    arguments = {"gold": "5", "benchmark": "math", "finish_reason": "stop"} | change
    with pytest.raises(ValueError, match=field):
        grade(
            r"\boxed{5}", arguments["gold"], benchmark=arguments["benchmark"], finish_reason=arguments["finish_reason"]
        )


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ("{" * 10_000 + "5" + "}" * 10_000, Detail.OVERSIZED),
        ("\\boxed{" * 10_000 + "5" + "}" * 10_000, Detail.OVERSIZED),
        ("7" * 100_000, Detail.OVERSIZED),
        ("(" * 400, Detail.OVERSIZED),
        ("9^{9^{9^{9}}}", Detail.TIMED_OUT),
        ("\x00\ud800", Detail.SYMBOLIC),
    ],
)
def test_grade_hostile_answer_is_wrong_in_time(answer: str, detail: Detail) -> None:
    shared_pool().compare("1/2", "0.5")  # a worker is up
    started = time.monotonic()
    verdict = grade(f"\\boxed{{{answer}}}", "5", benchmark="math")
    assert (verdict.outcome, verdict.detail) == (Outcome.WRONG, detail)
    assert time.monotonic() - started < 50  # 2 s of CPU time, which on a starved machine take longer


def test_grade_many_submissions_keep_their_order() -> None:
    submissions = [Submission(f"\\boxed{{{n}/7}}", f"\\frac{{{n + n % 2}}}{{7}}", "math") for n in range(1, 21)]
    submissions.append(Submission("cut", "1", "gsm8k", "length"))
    outcomes = [verdict.outcome.value for verdict in grade_many(submissions)]
    assert outcomes == ["wrong", "correct"] * 10 + ["truncated"]
