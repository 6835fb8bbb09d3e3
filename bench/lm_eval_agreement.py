r"""Question by question: our verdicts against lm-evaluation-harness' own scores of the same model and prompts.

    latent eval --model latent-mini --benchmark word_problems --questions 100 --lm-eval-json out
    python -m bench.lm_eval_agreement out/latent-mini/samples_word_problems_ratio_1_*.jsonl --model latent-mini

Needs lm-eval (`pip install lm-eval`), which is no dependency of the project. The harness gets the prompts that we
render, as a task of local JSON lines, and completes them greedily with its own `hf` model; it scores each completion
with the two filters of its GSM8K task, written for a box: `strict-match` reads the last `\boxed{number}`,
`flexible-extract` the last number of the text. Every question on which one of them and we do not agree is listed with
the reason.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from bench.record import add_json_option, save
from latent_core import prompts
from latent_core.boxes import opens_box
from latent_core.models.family import chat_family, load_tokenizer
from latent_core.models.source import open_model

NUMBER = r"-?[0-9][0-9.,]*"
FILTERS = {"strict-match": rf"\\boxed\{{({NUMBER})\}}", "flexible-extract": rf"({NUMBER})"}


class Pair(NamedTuple):
    """One question: what we wrote and judged, and what the harness did under each filter."""

    question_id: str
    gold: str
    text: str
    answer: str
    right: bool
    theirs: str
    extracted: dict[str, str]
    scored: dict[str, bool]


def task(documents: Path, max_new_tokens: int, stop: str) -> dict[str, Any]:
    """The harness' configuration of the exported questions."""
    return {
        "task": "exported",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(documents)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{prompt}}",
        "doc_to_target": "{{answer}}",
        "num_fewshot": 0,
        "generation_kwargs": {"until": [stop], "do_sample": False, "max_gen_toks": max_new_tokens},
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "regexes_to_ignore": [",", r"\.$"],
            }
        ],
        "filter_list": [
            {
                "name": name,
                "filter": [
                    {"function": "regex", "group_select": -1, "regex_pattern": pattern},
                    {"function": "take_first"},
                ],
            }
            for name, pattern in FILTERS.items()
        ],
    }


def evaluate(model_dir: Path, documents: Path, max_new_tokens: int, stop: str) -> list[dict[str, Any]]:
    """The harness' samples: one a question and filter."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    model = HFLM(pretrained=str(model_dir), dtype="float32", device="cpu", batch_size=32, add_bos_token=False)
    found = simple_evaluate(
        model=model,
        tasks=[task(documents, max_new_tokens, stop)],
        task_manager=TaskManager(include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
    )
    samples: list[dict[str, Any]] = found["samples"]["exported"]
    return samples


def reason(pair: Pair, name: str) -> str:
    """Why we and a filter of the harness disagree, in words."""
    if pair.text != pair.theirs:
        return "the completions differ"
    if pair.answer == "[invalid]":
        cut = "cut in its box" if opens_box(pair.theirs) else "without a box"
        return f"we found no answer ({cut}); its last number is {pair.extracted[name]}"
    if pair.extracted[name] == "[invalid]":
        return f"its pattern reads plain numbers only, our answer is {pair.answer}"
    return f"it read {pair.extracted[name]}, we read {pair.answer}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, help="samples_*.jsonl that `latent eval --lm-eval-json` wrote")
    parser.add_argument("--model", required=True)
    parser.add_argument("--ratio", type=float, default=1.0)
    parser.add_argument("--max-new-tokens", type=int, required=True, help="as in evaluate.sampling.max_new_tokens")
    add_json_option(parser)
    arguments = parser.parse_args()
    ours = [json.loads(line) for line in arguments.samples.read_text(encoding="utf-8").splitlines()]
    model_dir = open_model(arguments.model).directory
    tokenizer = load_tokenizer(model_dir)
    family = chat_family(tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "questions.jsonl"
        rows = [
            {
                "prompt": prompts.render_prompt(sample["doc"]["question"], tokenizer, family, ratio=arguments.ratio),
                "answer": sample["target"],
            }
            for sample in ours
        ]
        documents.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        theirs = evaluate(model_dir, documents, arguments.max_new_tokens, family.end_of_turn)
    pairs = _pairs(ours, theirs, family.think_start if family.thinks else "")
    report(pairs)
    agree = {name: sum(pair.right is pair.scored[name] for pair in pairs) for name in FILTERS}
    save(arguments.json, {"questions": len(pairs), "equal_verdicts": agree})


def _pairs(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], opening: str) -> list[Pair]:
    by_place: dict[int, dict[str, dict[str, Any]]] = {}
    for sample in theirs:
        by_place.setdefault(sample["doc_id"], {})[sample["filter"]] = sample
    pairs = []
    for sample in ours:
        found = by_place[sample["doc_id"]]
        text = next(iter(found.values()))["resps"][0][0]
        pairs.append(
            Pair(
                question_id=sample["doc"]["question_id"],
                gold=sample["target"],
                text=_comparable(sample["resps"][0][0].removeprefix(opening)),
                answer=sample["filtered_resps"][0],
                right=bool(sample["exact_match"] == 1),
                theirs=_comparable(text),
                extracted={name: item["filtered_resps"][0] for name, item in found.items()},
                scored={name: bool(item["exact_match"] == 1) for name, item in found.items()},
            )
        )
    return pairs


def _comparable(text: str) -> str:
    """A completion without think marks, which the harness' decoding leaves out, and without outer space."""
    return re.sub(r"\s+", " ", re.sub(r"</?think>", " ", text)).strip()


def report(pairs: list[Pair]) -> None:
    """Print how often both agree, and every question on which they do not."""
    same = sum(pair.text == pair.theirs for pair in pairs)
    print(
        f"questions {len(pairs)}, equal completions {same}, right by our grader {sum(pair.right for pair in pairs)}\n"
    )
    print("| filter | right | both right | both wrong | only we | only the harness |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in FILTERS:
        counts = Counter((pair.right, pair.scored[name]) for pair in pairs)
        cells = [counts[True, True], counts[False, False], counts[True, False], counts[False, True]]
        right = counts[True, True] + counts[False, True]
        print(f"| {name} | {right} | {' | '.join(map(str, cells))} |")
    for name in FILTERS:
        for pair in pairs:
            if pair.right is not pair.scored[name]:
                print(
                    f"\n{name}, {pair.question_id}: gold {pair.gold}, ours {'right' if pair.right else 'not right'}; ",
                    end="",
                )
                print(f"{reason(pair, name)}\n    ...{pair.theirs[-110:]}")


if __name__ == "__main__":
    main()
