"""What `latent compare` prints: two evaluations of the same questions, paired."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from flows.cli.artifacts import find_artifact
from latent_core.evaluation.regression import p_value_of
from latent_core.evaluation.scores import Scores, read_scores
from latent_core.evaluation.statistics import Estimate
from latent_core.evaluation.summary import compare_scores, summarise_scores
from tasks.tables import SAMPLES


def show(before: str, after: str, store: str, as_json: bool) -> None:
    """Print the paired comparison of the evaluation at `after` with the one at `before`."""
    first, second = _scores(store, before), _scores(store, after)
    paired = compare_scores(first, second)
    if as_json:
        typer.echo(json.dumps(asdict(paired)))
        return
    one, two = summarise_scores(first), summarise_scores(second)
    typer.echo(f"questions   {paired.questions}")
    typer.echo(
        f"accuracy    {one.accuracy.value:.1%} -> {two.accuracy.value:.1%}, difference {_points(paired.accuracy)}, "
        f"p = {p_value_of(paired):.2g} ({'bootstrap' if paired.mcnemar_p is None else 'McNemar'})"
    )
    typer.echo(f"tokens      {one.tokens.value:.1f} -> {two.tokens.value:.1f}{_ratio(paired.achieved_ratio)}")
    typer.echo(f"reasoning   {one.reasoning_tokens:.1f} -> {two.reasoning_tokens:.1f}{_ratio(paired.reasoning_ratio)}")
    if paired.logprob is not None and one.logprob and two.logprob and one.logprob.mean and two.logprob.mean:
        value, low, high = paired.logprob.difference
        typer.echo(
            f"log-prob    {one.logprob.mean.value:.2f} -> {two.logprob.mean.value:.2f} nats a token of the gold, "
            f"difference {value:+.2f} (95 % {low:+.2f} to {high:+.2f}), p = {paired.logprob.bootstrap_p:.2g} "
            f"(bootstrap, on the {paired.logprob.questions} questions whose reasoning ends in both)"
        )


def _scores(store: str, address: str) -> Scores:
    return read_scores(find_artifact(store, address).rows_of(SAMPLES.file))


def _points(difference: Estimate) -> str:
    return f"{100 * difference.value:+.1f} points (95 % {100 * difference.low:+.1f} to {100 * difference.high:+.1f})"


def _ratio(ratio: Estimate | None) -> str:
    return "" if ratio is None else f", ratio {ratio.value:.2f} (95 % {ratio.low:.2f} to {ratio.high:.2f})"
