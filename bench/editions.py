"""What a small model makes of short instructions and of words that do not matter: editions of latent-mini side by side.

    git worktree add ../first 1ee3508   # the last commit with the first edition
    python -m bench.editions --model first=../first/latent_core/models/embedded/latent_mini --model second=latent-mini

Every model solves the same test problems of either edition of the generator: asked plainly, under the project's
`concise` and `chain_of_draft` prompts, and with every kind of noise. Greedy decoding. Accuracy has Wilson intervals;
the differences to the plain question are paired over questions (exact McNemar test).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.record import add_json_option, save
from latent_core.benchmarks.noise import KINDS
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.config.prompting import Prompting
from latent_core.config.sampling import SamplingConfig
from latent_core.evaluation.summary import Summary, compare_scores
from latent_core.store import Artifact, ArtifactStore
from tasks.evaluate import EvaluateCondition, EvaluateInputs, evaluate
from tasks.evaluations import scores_of, summary_of
from tasks.inputs import ModelInput, ProblemsInput
from tasks.stage import Workplace
from tasks.workers.compute import perform
from tasks.workers.engines import close_engine

PROMPTINGS = (Prompting.CONCISE, Prompting.CHAIN_OF_DRAFT)


def asked(questions: int) -> Iterator[tuple[str, EvaluateCondition]]:
    """The conditions by name; the plain question is the first."""

    def condition(**fields: Any) -> EvaluateCondition:
        sampling = SamplingConfig(max_new_tokens=320, batch_tokens=65_536)
        return EvaluateCondition(sampling=sampling, questions=questions, ratio=1.0, **fields)

    yield "plain", condition()
    for prompting in PROMPTINGS:
        yield prompting.value, condition(prompting=prompting)
    for kind in KINDS:
        yield kind, condition(noise=kind)


def measured(model: str, generator: int, questions: int, folder: Path) -> list[dict[str, Any]]:
    """One row a condition: accuracy, its interval, reasoning tokens, the difference to the plain question in points."""
    benchmark = BenchmarkConfig.model_validate({"difficulties": (1, 2, 3), "generator": generator})
    inputs = EvaluateInputs(ModelInput.find(model), ProblemsInput.find(benchmark, "test"))
    store = ArtifactStore(str(folder / "store"))
    rows: list[dict[str, Any]] = []
    plain: Artifact | None = None
    for name, condition in asked(questions):
        call = evaluate.call(condition, inputs)
        artifact = perform(call, Workplace(store, folder / call.ref.key, lambda *_: None))
        plain = plain or artifact
        rows.append(row(name, summary_of(artifact), artifact, plain))
    close_engine()
    return rows


def row(name: str, summary: Summary, artifact: Artifact, plain: Artifact) -> dict[str, Any]:
    """What one condition found, beside the plain question."""
    found = {
        "condition": name,
        "accuracy": summary.accuracy.value,
        "interval": [summary.accuracy.low, summary.accuracy.high],
        "reasoning_tokens": summary.reasoning_tokens,
        "truncated": summary.truncated_rate,
    }
    if artifact is not plain:
        against = compare_scores(scores_of(plain), scores_of(artifact))
        found |= {
            "against_plain": against.accuracy.value,
            "against_plain_interval": [against.accuracy.low, against.accuracy.high],
            "p": against.mcnemar_p,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, metavar="NAME=MODEL", help="a name and a model")
    parser.add_argument("--generator", type=int, action="append", choices=(1, 2), help="editions of the problems")
    parser.add_argument("--questions", type=int, default=300)
    add_json_option(parser)
    arguments = parser.parse_args()
    print("| model | edition of the problems | condition | accuracy | reasoning tokens | against plain |")
    print("|---|---:|---|---:|---:|---:|")
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name, _, model in (one.partition("=") for one in arguments.model):
        for generator in arguments.generator or (1, 2):
            with tempfile.TemporaryDirectory(prefix="latent-editions-") as folder:
                rows = measured(model, generator, arguments.questions, Path(folder))
            results.setdefault(name, {})[str(generator)] = rows
            save(arguments.json, results)
            for found in rows:
                against = f"{100 * found['against_plain']:+.1f}" if "against_plain" in found else "–"
                print(
                    f"| {name} | {generator} | {found['condition']} | {found['accuracy']:.1%} "
                    f"| {found['reasoning_tokens']:.0f} | {against} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
