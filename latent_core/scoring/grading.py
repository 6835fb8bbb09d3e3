r"""From a completion and its gold answer to a verdict: correct, wrong, unparsed or truncated.

The order is fixed. A completion cut at its length limit is `truncated`, whatever it contains. One without an answer is
`unparsed`. An answer equal to the gold after normalisation is `correct` at once; the rest goes to math-verify in a
worker process. An answer that times out there, crashes it, or is too long to be given to it was not shown to be right
and is `wrong`; `Verdict.detail` tells these apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from latent_core.benchmarks.forms import Grader
from latent_core.benchmarks.registry import grader_of
from latent_core.boxes import boxed_answer, opens_box
from latent_core.errors import InputError
from latent_core.scoring import brackets, choices, compound, normalization, plain, units
from latent_core.scoring.extraction import closing_phrase, extract_answer
from latent_core.scoring.workers import Comparison, shared_pool

FINISH_REASONS = ("stop", "length")

MAX_ANSWER_CHARACTERS = 1000  # the longest MATH answer has about 160; parsing time grows faster than length
MAX_BRACE_DEPTH = 50  # beyond it the parser recurses for seconds
CACHED_VERDICTS = 65_536
CACHED_REFERENCES = 1024  # a question's samples come together and have one gold answer


class Outcome(StrEnum):
    """What a completion is worth."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TRUNCATED = "truncated"


class Detail(StrEnum):
    """How the outcome was reached."""

    EXACT = "exact"  # decided by comparing normalised text, digits or letters
    SYMBOLIC = "symbolic"  # decided by math-verify
    TIMED_OUT = "timed_out"  # math-verify took longer than its limit: wrong
    CRASHED = "crashed"  # math-verify ended its process twice: wrong
    OVERSIZED = "oversized"  # not the gold's text, and too long or too deep for math-verify: wrong
    NO_ANSWER = "no_answer"  # no box and no closing phrase after the reasoning: unparsed
    CUT = "cut"  # stopped by the length limit: truncated


@dataclass(frozen=True)
class Verdict:
    """The outcome, the answer as the completion wrote it (None if there is none), and how it was decided."""

    outcome: Outcome
    answer: str | None
    detail: Detail


class Submission(NamedTuple):
    """One completion to grade; the fields are those of `grade`."""

    completion: str
    gold: str
    benchmark: str
    finish_reason: str = "stop"


def grade(completion: str, gold: str, *, benchmark: str, finish_reason: str = "stop") -> Verdict:
    """Grade one completion.

    Args:
        completion: the model's whole output, with or without a reasoning block.
        gold: the reference answer, or a solution that ends in one (a last line "#### 42", or in a box); a letter for
            multiple-choice benchmarks.
        benchmark: one of the benchmark names, or `file:...`, `reasoning_gym:...`.
        finish_reason: "stop" (the model ended its turn) or "length" (it was cut).

    Raises:
        InputError: (a ValueError) unknown `benchmark` or `finish_reason`, empty `gold`, a `gold` that is no letter.
        InfrastructureError: no grading worker could be started.
    """
    is_choice = grader_of(benchmark) is Grader.LETTER
    if finish_reason not in FINISH_REASONS:
        raise InputError(f"finish_reason must be one of {', '.join(FINISH_REASONS)}, not {finish_reason!r}.")
    gold = reference(gold)
    if not gold:
        raise InputError("gold must not be empty: give the reference answer.")
    if is_choice and choices.choice_letter(gold) is None:
        raise InputError(f"gold must be a choice letter from A to J for benchmark {benchmark!r}, not {gold!r}.")
    if finish_reason == "length":
        return Verdict(Outcome.TRUNCATED, None, Detail.CUT)
    answer = choices.extract_choice(completion) if is_choice else extract_answer(completion)
    if answer is None:
        return Verdict(Outcome.UNPARSED, None, Detail.NO_ANSWER)
    if is_choice:
        equal, detail = choices.choice_letter(answer) == choices.choice_letter(gold), Detail.EXACT
    else:
        equal, detail = compare_answers(answer, gold)
    return Verdict(Outcome.CORRECT if equal else Outcome.WRONG, answer, detail)


def grade_many(submissions: Iterable[Submission]) -> list[Verdict]:
    """Grade completions on all workers of the shared pool; verdicts come in the order given."""
    with ThreadPoolExecutor(max_workers=shared_pool().size, thread_name_prefix="grade") as threads:
        return list(threads.map(_grade_submission, submissions))


@lru_cache(maxsize=CACHED_REFERENCES)
def reference(gold: str) -> str:
    """The answer of a gold text: the line after its last "####", else what its last box holds or what follows its last
    "The answer is:", else the whole of it."""
    if "####" in gold:
        gold = gold.rpartition("####")[2].strip().partition("\n")[0]
    if opens_box(gold):
        return (boxed_answer(gold) or gold).strip()
    return (closing_phrase(gold) or gold).strip()


def compare_answers(answer: str, gold: str) -> tuple[bool, Detail]:
    """Whether a mathematical or text answer equals the gold, and how that was decided."""
    if len(answer) > MAX_ANSWER_CHARACTERS or len(gold) > MAX_ANSWER_CHARACTERS:
        return answer.strip() == gold.strip(), Detail.OVERSIZED
    return _compare_cached(answer, gold)


@lru_cache(maxsize=CACHED_VERDICTS)
def _compare_cached(answer: str, gold: str) -> tuple[bool, Detail]:
    decided = _compare_exactly(answer, gold)
    if decided is not None:
        return decided, Detail.EXACT
    if _brace_depth(answer) > MAX_BRACE_DEPTH:
        return False, Detail.OVERSIZED
    cleaned_gold, cleaned_answer = (
        normalization.without_percent_of_fraction(
            brackets.without_set_of_one(normalization.clean(brackets.united(text)))
        )
        for text in (gold, answer)
    )
    kinds = brackets.enclosure(cleaned_gold), brackets.enclosure(cleaned_answer)
    if None not in kinds and kinds[0] is not kinds[1]:
        return False, Detail.EXACT  # math-verify would compare the members of a set with a pair's
    if brackets.repeats_differ(cleaned_gold, cleaned_answer):
        return False, Detail.EXACT
    if brackets.is_relation(cleaned_gold) and "=" not in cleaned_answer:
        return False, Detail.EXACT  # of `x+y=1` math-verify takes the 1
    comparison = shared_pool().compare(cleaned_gold, cleaned_answer)
    match comparison:
        case Comparison.TIMED_OUT:
            return False, Detail.TIMED_OUT
        case Comparison.CRASHED:
            return False, Detail.CRASHED
    return comparison is Comparison.EQUAL, Detail.SYMBOLIC


def _compare_exactly(answer: str, gold: str) -> bool | None:
    """True or False where text alone decides, None where mathematics must."""
    if answer.isascii() and gold.isascii():  # most answers are bare numbers, and need none of what follows
        numbers = normalization.decimal_key(answer), normalization.decimal_key(gold)
        if None not in numbers:
            return numbers[0] == numbers[1]
    answer, gold = normalization.unwrap_text(answer), normalization.unwrap_text(gold)
    if normalization.has_primed_number(answer) and not (normalization.has_marks(gold) or units.takes_marks(gold)):
        return False  # `7'` is no spelling of 7
    for compare in (units.same_time, compound.same_compound, units.same_measure, _same_cardinal):
        if (decided := compare(answer, gold)) is not None:
            return decided
    if brackets.is_bound(answer) and not brackets.is_bound(gold):
        return False
    answer_based, gold_based = normalization.based_number(answer), normalization.based_number(gold)
    if gold_based is not None:  # math-verify drops the subscript, and the digits alone are another number
        return answer_based == gold_based
    if answer_based is not None and normalization.decimal_key(normalization.clean(gold)) is not None:
        return answer_based.digits == normalization.clean(gold)
    if answer_based is None and normalization.indexed_number(answer):
        return False
    answer_key, gold_key = normalization.exact_key(answer), normalization.exact_key(gold)
    # The second comparison is for lists such as "100, 200", whose tighter spelling looks like a grouped number.
    values = plain.number(answer_key), plain.number(gold_key)
    equal = bool(answer_key) and (answer_key == gold_key or (values[0] is not None and values[0] == values[1]))
    if equal or answer.replace(", ", ",") == gold.replace(", ", ","):
        # A percentage below one is hardly ever asked for: where the gold is 0.5, 0.5% is another number.
        below_one = values[1] is not None and 0 < abs(values[1]) < 1
        return not (below_one and _is_percentage(answer) and not _is_percentage(gold))
    if (words := normalization.text_key(gold)) is not None:
        return normalization.fold_words(answer) == words
    if normalization.decimal_key(gold_key) is not None and normalization.text_key(answer) is not None:
        return False  # "unknown" is no number, and its letters no product
    # "1" and "100%" are equal, so only numbers without a percent sign decide here. math-verify rounds to six places.
    decimals = [normalization.decimal_key(key) is not None for key in (answer_key, gold_key)]
    if all(decimals) and not _is_percentage(answer) and not _is_percentage(gold):
        return False
    return None


def _is_percentage(text: str) -> bool:
    return "%" in text or "percent" in text.casefold()


def _same_cardinal(answer: str, gold: str) -> bool | None:
    """Whether a number in words equals one in digits or words; None where neither is in words."""
    words = [plain.cardinal(normalization.fold_words(text)) for text in (answer, gold)]
    if words[0] is None and words[1] is None:
        return None
    values = [
        plain.number(normalization.clean(text)) if word is None else word
        for text, word in zip((answer, gold), words, strict=True)
    ]
    return None if None in values else values[0] == values[1]


def _brace_depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "})]":
            depth -= 1
    return deepest


def _grade_submission(submission: Submission) -> Verdict:
    return grade(
        submission.completion, submission.gold, benchmark=submission.benchmark, finish_reason=submission.finish_reason
    )
