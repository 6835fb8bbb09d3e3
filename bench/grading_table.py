r"""What the grader says of real gold answers written in other ways: counts of every outcome, and each surprise in full.

    python -m bench.grading_table FILE.jsonl [FILE.jsonl ...]      # rows with `question` or `problem`, and `answer`

Each gold is boxed as it stands, with `\dfrac`, with spaces between its signs, with a unit behind it, with its sign
flipped, cut inside its box, and boxed but stopped at the length limit. A way that does not apply to a gold (no
fraction, words, a unit that is there already) is left out of its count.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.record import add_json_option, save
from latent_core.benchmarks.table import open_table
from latent_core.benchmarks.tables import table_benchmarks
from latent_core.scoring import Outcome, Submission, grade_many
from latent_core.scoring.normalization import clean, decimal_key, text_key

_GROUPED = re.compile(r"\d,(?:\\!)?\s?\d{3}|\{,\}")
_SPACEABLE = re.compile(r"\\(?:text|mbox|mathrm|begin|end)\{[^{}]*\}|\\[a-zA-Z]+|\\[^a-zA-Z]|[-+=,()\[\]]")
_NUMBER = re.compile(r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+|\\frac\{\d+\}\{\d+\})")


class Way(NamedTuple):
    """How a gold is written, and what the verdict must be."""

    name: str
    write: Callable[[str], str | None]  # the whole completion, None where the way does not apply
    expected: Outcome
    finish_reason: str = "stop"


def boxed(answer: str | None) -> str | None:
    return None if answer is None else f"So the result is $\\boxed{{{answer}}}$."


def with_dfrac(gold: str) -> str | None:
    return re.sub(r"\\frac(?![a-zA-Z])", r"\\dfrac", gold) if re.search(r"\\frac(?![a-zA-Z])", gold) else None


def spaced(gold: str) -> str | None:
    """With a space on either side of every sign; macros stay whole, and a grouped number has nothing to space."""
    if text_key(gold) is not None or _GROUPED.search(gold):
        return None
    wide = _SPACEABLE.sub(lambda sign: sign.group() if sign.group().startswith("\\") else f" {sign.group()} ", gold)
    return None if wide == gold else wide


def with_unit(gold: str) -> str | None:
    return f"{gold}\\text{{ units}}" if _NUMBER.fullmatch(gold) else None


def flipped(gold: str) -> str | None:
    r"""The first number or term negated; None for words and for what is its own negative (0, `\pm`, a leading 0)."""
    if text_key(gold) is not None or decimal_key(clean(gold)) == "0" or r"\pm" in gold:
        return None
    opening = re.match(r"(?:\\left)?[(\[]\s*|\\begin\{.matrix\}\s*|(?:\\left)?\\\{\s*|[a-zA-Z]\s*=\s*|\\\$", gold)
    start = opening.end() if opening else 0
    rest = gold[start:].lstrip()
    if re.match(r"0(?![\d.])", rest):
        return None
    return gold[:start] + (rest[1:] if rest.startswith("-") else f"-{rest}")


WAYS = (
    Way("boxed", boxed, Outcome.CORRECT),
    Way("dfrac", lambda gold: boxed(with_dfrac(gold)), Outcome.CORRECT),
    Way("spaced", lambda gold: boxed(spaced(gold)), Outcome.CORRECT),
    Way("unit-suffixed", lambda gold: boxed(with_unit(gold)), Outcome.CORRECT),
    Way("closing phrase", lambda gold: f"The final answer is ${gold}$.", Outcome.CORRECT),
    Way("sign-flipped", lambda gold: boxed(flipped(gold)), Outcome.WRONG),
    Way("cut in its box", lambda gold: f"So the result is $\\boxed{{{gold}", Outcome.UNPARSED),
    Way("truncated", boxed, Outcome.TRUNCATED, "length"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    add_json_option(parser)
    arguments = parser.parse_args()
    results = []
    for path in arguments.files:
        source = open_table(table_benchmarks()["file"], "test", path)
        golds = [problem.gold for problem in source.problems(0, source.count or 0)]
        print(f"\n{path.name}: {len(golds)} golds, {len(set(golds))} different\n")
        print("| way | graded | " + " | ".join(Outcome) + " | as expected |")
        print("|---|---:|" + "---:|" * (len(Outcome) + 1))
        surprises = []
        for way in WAYS:
            written = [(gold, text) for gold in golds if (text := way.write(gold)) is not None]
            verdicts = grade_many(Submission(text, gold, "math", way.finish_reason) for gold, text in written)
            counts = Counter(verdict.outcome for verdict in verdicts)
            cells = [str(counts[outcome]) for outcome in Outcome]
            expected = counts[way.expected]
            share = expected / len(verdicts) if verdicts else 0.0
            results.append({"file": path.name, "way": way.name, "graded": len(verdicts), "as_expected": expected})
            print(f"| {way.name} | {len(verdicts)} | {' | '.join(cells)} | {share:.1%} |")
            surprises += [
                f"{way.name}: {verdict.outcome} ({verdict.detail}): gold {gold!r}, answer {verdict.answer!r}"
                for (gold, _), verdict in zip(written, verdicts, strict=True)
                if verdict.outcome is not way.expected
            ]
        print("\n" + ("\n".join(surprises) if surprises else "no surprises"))
    save(arguments.json, results)


if __name__ == "__main__":
    main()
