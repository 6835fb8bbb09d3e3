"""What `latent compare` prints: two evaluations, or all of two runs that were made under the same condition, paired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import typer
from rich.markup import escape
from rich.table import Table

from flows.cli.listing import REPORTS, named
from flows.cli.tables import console, date, print_json
from latent_core.errors import InputError
from latent_core.evaluation.regression import Judgement, judge
from latent_core.evaluation.statistics import Estimate
from latent_core.evaluation.summary import compare_scores
from latent_core.report.names import full_name
from latent_core.store import Artifact, ArtifactRef, ArtifactStore, DamagedError, Manifest
from latent_core.store.causes import uses_of
from tasks.evaluations import scores_of, stored_evaluations, summary_of
from tasks.run.history import named_result


def show(before: str, after: str, store: ArtifactStore, as_json: bool) -> None:
    """Print the paired comparison of `after` with `before`: two evaluations, or two runs or reports.

    Raises InputError for an evaluation beside a run, and for runs that share no condition.
    """
    lacking = "has no report to compare"
    first, second = (store.require(named_result(store, word, lacking)) for word in (before, after))
    is_whole = [artifact.ref.stage in REPORTS for artifact in (first, second)]
    if is_whole[0] != is_whole[1]:
        raise InputError(f"{before}, {after}: one is a whole run, the other an evaluation; name two of a kind")
    if is_whole[0]:
        _show_runs(first, second, as_json)
    else:
        _show_pair(first, second, as_json)


def _show_pair(first: Artifact, second: Artifact, as_json: bool) -> None:
    paired = compare_scores(scores_of(first), scores_of(second))
    titles = _titles(first.store, [first, second])
    if as_json:
        what = {"before": _described(first, titles), "after": _described(second, titles)}
        print_json(asdict(paired) | {name: asdict(one) for name, one in what.items()})
        return
    one, two = summary_of(first), summary_of(second)
    typer.echo(f"before      {_described(first, titles).line()}")
    typer.echo(f"after       {_described(second, titles).line()}")
    typer.echo(f"questions   {paired.questions}")
    typer.echo(
        f"accuracy    {one.accuracy.value:.1%} -> {two.accuracy.value:.1%}, difference {_points(paired.accuracy)}, "
        f"p = {paired.p_value:.2g} ({'Student' if paired.mcnemar_p is None else 'McNemar'})"
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


@dataclass(frozen=True)
class Compared:
    """What an evaluation is, for whoever reads a comparison of it; `names` are what reports call it."""

    artifact: str
    names: tuple[str, ...]
    benchmark: str
    made: str

    def line(self) -> str:
        where = f" on {self.benchmark}" if self.benchmark else ""
        return f"{'; '.join(self.names) or 'in no report'}{where}, {self.artifact}, {self.made}"


def _titles(store: ArtifactStore, evaluations: list[Artifact]) -> dict[str, tuple[str, ...]]:
    """By fingerprint, what reports of this store call an evaluation. Raises DamagedError for a damaged report."""
    wanted = {artifact.ref.fingerprint for artifact in evaluations}
    reports: list[Manifest] = []
    for _, item in (found for stage in REPORTS for found in store.committed(stage)):
        if isinstance(item, DamagedError):
            raise item
        reports.append(item)
    uses = uses_of(reports)
    return {one: tuple(sorted({named(role) for _, role in uses.get(one, ())})) for one in wanted}


def _described(evaluation: Artifact, titles: dict[str, tuple[str, ...]]) -> Compared:
    record = evaluation.manifest.record
    benchmark = record.get("benchmarks", {}).get("problems", {}).get("name", "")
    return Compared(str(evaluation.ref), titles[evaluation.ref.fingerprint], benchmark, date(record.get("started")))


@dataclass(frozen=True)
class Pairs:
    """The conditions of two runs: those compared, those that are one artifact in both, and those that cannot be."""

    judged: list[Judgement]
    refs: dict[str, tuple[ArtifactRef, ArtifactRef]]
    same: list[str]
    left_out: list[str]


def _paired(first: Artifact, second: Artifact) -> Pairs:
    one, other = stored_evaluations(first), stored_evaluations(second)
    pairs, refs, same, left_out = {}, {}, [], []
    for condition in dict.fromkeys([*one, *other]):
        name = full_name(condition)
        if condition not in one or condition not in other:
            left_out.append(f"{name} (only {'after' if condition not in one else 'before'})")
        elif one[condition].ref == other[condition].ref:
            same.append(name)
        else:
            scores = scores_of(one[condition]), scores_of(other[condition])
            if set(scores[0].question_ids) != set(scores[1].question_ids):
                left_out.append(f"{name} (other questions)")
                continue
            pairs[name], refs[name] = scores, (one[condition].ref, other[condition].ref)
    return Pairs(judge(pairs), refs, same, left_out)


def _show_runs(first: Artifact, second: Artifact, as_json: bool) -> None:
    found = _paired(first, second)
    if not found.judged and not found.same:
        raise InputError(f"{first.ref} and {second.ref} share no condition on the same questions")
    if as_json:
        print_json(
            {
                "before": first.ref.key,
                "after": second.ref.key,
                "conditions": [
                    asdict(item) | {"artifacts": [ref.key for ref in found.refs[item.condition]]}
                    for item in found.judged
                ],
                "same": found.same,
                "left_out": found.left_out,
            }
        )
        return
    for word, report in (("before", first), ("after", second)):
        title = report.manifest.content.identity.get("title", "")
        typer.echo(f"{word:<7} {report.ref} {title}, {date(report.manifest.record.get('started'))}")
    table = Table("condition", "questions", "before", "after", "difference (95 %)", "p", "beyond noise")
    for row in _rows(found.judged):
        table.add_row(*row)
    if found.judged:
        console().print(table)
        typer.echo(f"beyond noise: at 5 % for all {len(found.judged)} conditions together (Holm's correction)")
    if found.same:
        typer.echo(f"the same artifact in both: {', '.join(found.same)}")
    if found.left_out:
        typer.echo(f"left out: {', '.join(found.left_out)}")


def _rows(judged: list[Judgement]) -> Iterator[list[str]]:
    for item in judged:
        comparison = item.comparison
        yield [
            escape(item.condition),
            str(comparison.questions),
            f"{item.before:.1%}",
            f"{item.after:.1%}",
            _points(comparison.accuracy),
            f"{item.p_value:.2g}",
            ("fell" if item.fell else "rose") if item.differs else "no",
        ]


def _points(difference: Estimate) -> str:
    return f"{100 * difference.value:+.1f} points (95 % {100 * difference.low:+.1f} to {100 * difference.high:+.1f})"


def _ratio(ratio: Estimate | None) -> str:
    return "" if ratio is None else f", ratio {ratio.value:.2f} (95 % {ratio.low:.2f} to {ratio.high:.2f})"
