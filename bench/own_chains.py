"""A made-up table of chains of thought, in the shape and with the dirt of OpenR1-Math, and the memory of reading it.

    python -m bench.own_chains make rows.jsonl --rows 10000
    python -m bench.own_chains memory --rows 10000 200000

`make` writes the table as JSONL, and prints what reading it must count. `memory` reads
tables of several sizes, each in a process of its own, into a store as the stage `read_chains` does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.memory import PeakMemory
from bench.record import add_json_option, save
from latent_core.benchmarks.word_problems import generate_problem
from latent_core.config.chains import ChainsConfig
from latent_core.store import ArtifactStore
from latent_core.think_marks import WRITTEN_PAIRS
from tasks.chains import ReadChains, ReadChainsInputs, read_chains
from tasks.inputs import ChainsInput
from tasks.stage import Workplace
from tasks.workers.compute import perform

Row = dict[str, Any]
HUGE = 1_100_000  # characters of a text over the limit
_APART = 7_000_000  # where the questions begin in the generator's training split: no run collects so far


class Made:
    """One row with its problem, and what reading must count of it."""

    def __init__(self, index: int) -> None:
        problem = generate_problem("train", _APART + index, difficulty=1 + index % 3)
        self.index, self.gold = index, str(problem.answer)
        self.question = f"Exercise {index}. {problem.question}"  # some problems come twice among 200,000
        self.solution = problem.solution
        self.row: Row = {
            "problem": self.question,
            "solution": self.solution,
            "answer": self.gold,
            "problem_type": "Algebra",
            "source": "made_up",
            "uuid": f"made-{index}",
            "generations": [self.thought()],
            "is_reasoning_complete": [True],
            "correctness_math_verify": [True],
        }
        self.counts = Counter(kept=1)
        self.lines = 1

    def thought(self, answer: str | None = None, more: str = "", pair: tuple[str, str] = WRITTEN_PAIRS[0]) -> str:
        box = self.gold if answer is None else answer
        return f"{pair[0]}\n{self.solution}{more}\n{pair[1]}\n\nThe answer is $\\boxed{{{box}}}$."


def _several(made: Made) -> None:
    wrong = made.thought("999999", " Wait, that is 999999.")
    made.row["generations"] = [made.thought(), made.thought(more=" So it is."), wrong, made.thought()[:60]]
    made.counts = Counter(kept=4)


def _chat(made: Made) -> None:
    made.row["problem"] = [
        {"role": "system", "content": "Answer well."},
        {"role": "user", "content": [{"type": "text", "text": made.question}]},
    ]


def _other_marks(made: Made) -> None:
    pair = WRITTEN_PAIRS[made.index // 20 % len(WRITTEN_PAIRS)]
    made.row["generations"] = [made.thought(pair=pair)]


def _no_marks(made: Made) -> None:
    made.row["generations"] = [f"{made.solution} So the answer is {made.gold}.<|im_end|>"]


def _wrong(made: Made) -> None:
    made.row["generations"] = [made.thought("31337")]


def _unclosed(made: Made) -> None:
    made.row["generations"] = [f"<think>\n{made.solution} Wait, let me check"]


def _boxed_gold(made: Made) -> None:
    made.row["answer"] = f"Thus $\\boxed{{{made.gold}}}$."


def _no_answer(made: Made) -> None:
    made.row["answer"] = (None, "", "  ")[made.index // 20 % 3]
    made.counts = Counter(no_answer=1)


def _nulls(made: Made) -> None:
    field, reason = (("problem", "no_question"), ("generations", "no_chain"), ("uuid", "kept"))[made.index // 20 % 3]
    made.row[field] = None
    made.counts = Counter({reason: 1})


def _null_among(made: Made) -> None:
    made.row["generations"] = [None, made.thought()]
    made.counts = Counter(kept=1, no_chain=1)


def _huge(made: Made) -> None:
    if made.index % 200 == 13:  # some, since a file of them alone would take gigabytes
        made.row["generations"] = [made.thought(more=" x" * (HUGE // 2))]
        made.counts = Counter(too_large=1)


def _id_of_another(made: Made) -> None:
    if made.index >= 100:
        made.row["uuid"] = "made-0"
        made.counts = Counter(duplicate_id=1)


_CLEAN: Callable[[Made], None] = lambda made: None  # noqa: E731
DIRT: tuple[Callable[[Made], None], ...] = (
    _CLEAN, _several, _chat, _other_marks, _no_marks, _wrong, _unclosed, _boxed_gold, _no_answer, _nulls,
    _null_among, _CLEAN, _CLEAN, _huge, _id_of_another, _CLEAN, _several, _CLEAN, _CLEAN, _CLEAN,
)  # fmt: skip
"""What is wrong with a row, by its number modulo 20; every 20th is a repetition instead, of one hundred rows before."""


def made_rows(rows: int) -> Iterator[tuple[str, Counter[str]]]:
    """Lines of JSON, and what reading each must count."""
    for index in range(rows):
        if index % 20 == 19 and index >= 100:
            again = Made(index - 102)  # a clean one
            if index % 40 == 19:
                yield json.dumps(again.row), Counter(duplicate=1)
                continue
            again.row["generations"] = [again.thought(more=f" I say it again in row {index}.")]
            yield json.dumps(again.row), Counter(kept=1)
            continue
        made = Made(index)
        DIRT[index % 20](made)
        yield json.dumps(made.row), made.counts


def make(file: Path, rows: int) -> Counter[str]:
    """Write the table, with a broken line in its middle; returns what reading it must count."""
    expected: Counter[str] = Counter()
    with file.open("w", encoding="utf-8") as handle:
        for number, (line, counts) in enumerate(made_rows(rows)):
            if number == rows // 2:
                line, counts = line[: len(line) // 2], Counter(broken_line=1)
            handle.write(f"{line}\n")
            expected.update(counts)
    return expected


def read(file: Path, store: Path, shard_rows: int) -> dict[str, Any]:
    """Memory and seconds of reading a table in this process, from hashing it to the committed artifact."""
    memory, began = PeakMemory(), time.monotonic()
    with memory:
        found, source = ChainsInput.find(f"file:{file}", ChainsConfig(shard_rows=shard_rows))
        config = ReadChains(columns=source.columns, rows=source.rows, shard_rows=shard_rows)
        workplace = Workplace(ArtifactStore(str(store)), store / "scratch", lambda *_: None)
        artifact = perform(read_chains.call(config, ReadChainsInputs(found)), workplace)
    return {
        "rows": source.rows,
        "file_mib": file.stat().st_size >> 20,
        "accounting": dict(artifact.manifest.content.accounting),
        "seconds": round(time.monotonic() - began, 1),
        "mib_beyond_start": memory.beyond_start >> 20,
        "mib_peak": memory.peak >> 20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("file", type=Path)
    making.add_argument("--rows", type=int, default=10_000)
    measuring = commands.add_parser("memory")
    measuring.add_argument("--rows", type=int, nargs="+", default=[10_000, 200_000])
    measuring.add_argument("--shard-rows", type=int, default=ChainsConfig().shard_rows)
    measuring.add_argument("--folder", type=Path, help="where tables and stores are made; a temporary folder if unset")
    measuring.add_argument("--read", type=Path, help="read this table in this process, and print the numbers only")
    add_json_option(measuring)
    options = parser.parse_args()
    if options.command == "make":
        print(json.dumps(make(options.file, options.rows), sort_keys=True))
    elif options.read is not None:
        with tempfile.TemporaryDirectory(dir=options.folder) as store:
            print(json.dumps(read(options.read, Path(store), options.shard_rows)))
    else:
        save(options.json, list(_measured(options)))


def _measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            file = Path(folder) / "rows.jsonl"
            expected = make(file, rows)
            command = [sys.executable, "-m", "bench.own_chains", "memory", "--read", str(file)]
            command += ["--folder", folder, "--shard-rows", str(options.shard_rows)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        if found["accounting"] != expected:
            raise SystemExit(f"counted {found['accounting']}, expected {dict(expected)}")
        print(json.dumps(found), flush=True)
        yield found


if __name__ == "__main__":
    main()
