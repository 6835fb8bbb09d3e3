"""What `latent eval` does: the flow `reevaluate`, a look at contamination before it, other tools' files after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import typer

from flows.parts.questions import questions_there
from latent_core.benchmarks.contamination import find_contamination, training_stream
from latent_core.benchmarks.registry import open_split
from latent_core.config.reevaluate import ReevaluateConfig
from latent_core.evaluation.lm_eval import write_lm_eval
from latent_core.report.names import condition_name
from latent_core.store import Artifact
from tasks.evaluations import stored_evaluations
from tasks.tables import SAMPLES


def evaluate(settings: Sequence[str], check_contamination: bool, lm_eval_json: Path | None) -> None:
    """Evaluate with `settings` (section.field=value) of the flow, and print its table."""
    from flows.launch.execute import execute
    from flows.launch.parameters import load

    config = load(ReevaluateConfig, None, settings)
    if check_contamination:
        typer.echo(contamination_line(config))
    report = execute("reevaluate", None, settings, [])
    if lm_eval_json is not None:
        typer.echo(f"lm-eval results: {export(config, report, lm_eval_json)}")


def contamination_line(config: ReevaluateConfig) -> str:
    """The evaluated test questions compared with the benchmark's whole training split, in a sentence."""
    benchmark, evaluate, _ = config.settled()
    test = open_split(benchmark, "test").problems(0, questions_there(benchmark, "evaluate", evaluate.questions))
    return find_contamination(test, training_stream(open_split(benchmark, "train"))).line()


def export(config: ReevaluateConfig, report: Artifact, directory: Path) -> Path:
    """Write a report's evaluations in lm-evaluation-harness' layout; returns the results file."""
    benchmark, asked, _ = config.settled()
    sampling = asked.sampling
    return write_lm_eval(
        directory,
        {
            f"{benchmark.name} {condition_name(condition)}": SAMPLES.rows(evaluation)
            for condition, evaluation in stored_evaluations(report).items()
        },
        model=config.model,
        benchmark=benchmark.name,
        settings={
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_gen_toks": sampling.max_new_tokens,
            "samples": sampling.samples,
        },
        now=datetime.now(),
    )
