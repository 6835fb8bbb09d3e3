"""What `latent compare` prints: two evaluations of the same questions, paired."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from flows.cli.artifacts import find_artifact
from latent_core.evaluation.statistics import Estimate
from latent_core.evaluation.summary import compare_scores
from tasks.evaluations import scores_of, summary_of


def show(before: str, after: str, store: str, as_json: bool) -> None:
    """Print the paired comparison of the evaluation at `after` with the one at `before`."""
    first, second = find_artifact(store, before), find_artifact(store, after)
    paired = compare_scores(scores_of(first), scores_of(second))
    if as_json:
        typer.echo(json.dumps(asdict(paired)))
        return
    one, two = summary_of(first), summary_of(second)
    typer.echo(f"questions   {paired.questions}")
    typer.echo(
        f"accuracy    {one.accuracy.value:.1%} -> {two.accuracy.value:.1%}, difference {_points(paired.accuracy)}, "
        f"p = {paired.p_value:.2g} ({'bootstrap' if paired.mcnemar_p is None else 'McNemar'})"
    )
    typer.echo(
        f"reasoning   {one.reasoning_tokens:.1f} -> {two.reasoning_tokens:.1f} tokens{_ratio(paired.reasoning_ratio)}"
    )
    ratio = _ratio(paired.achieved_ratio)
    typer.echo(f"total       {one.tokens.value:.1f} -> {two.tokens.value:.1f} tokens with the answer{ratio}")
    if paired.logprob is not None and one.logprob and two.logprob and one.logprob.mean and two.logprob.mean:
        value, low, high = paired.logprob.difference
        typer.echo(
            f"log-prob    {one.logprob.mean.value:.2f} -> {two.logprob.mean.value:.2f} nats a token of the gold, "
            f"difference {value:+.2f} (95 % {low:+.2f} to {high:+.2f}), p = {paired.logprob.bootstrap_p:.2g} "
            f"(bootstrap, on the {paired.logprob.questions} questions whose reasoning ends in both)"
        )


def _points(difference: Estimate) -> str:
    return f"{100 * difference.value:+.1f} points (95 % {100 * difference.low:+.1f} to {100 * difference.high:+.1f})"


def _ratio(ratio: Estimate | None) -> str:
    return "" if ratio is None else f", ratio {ratio.value:.2f} (95 % {ratio.low:.2f} to {ratio.high:.2f})"
