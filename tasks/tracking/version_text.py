"""What the model registry says of a version besides where it is: how it was made, and how its run evaluated it."""

from __future__ import annotations

from typing import NamedTuple

from latent_core.report.names import condition_name
from latent_core.store import ArtifactRef, ArtifactStore
from tasks.tracking.curves import condition_of, evaluations
from tasks.tracking.description import describe
from tasks.tracking.journal import Journal
from tasks.tracking.parameters import taken_name

_SETTINGS = ("learning_rate", "steps", "batch_size", "seed")  # of training, as far as the stage has them


class VersionText(NamedTuple):
    """The description, as Markdown, and each evaluation's accuracy as a tag."""

    description: str
    tags: dict[str, str]


def version_text(journal: Journal, ref: ArtifactRef, variant: str, store: ArtifactStore) -> VersionText:
    """What the run that registers a model knows of it."""
    made = store.get(ref.stage, ref.fingerprint)
    identity = {} if made is None else made.manifest.content.identity
    settings = ", ".join(f"{name} {identity[name]}" for name in _SETTINGS if name in identity)
    base = journal.config.get("model")
    origin = f" of {base}" if base else ""
    lines = [f"{variant}{origin}, made by the flow {journal.flow}" + (f": {settings}." if settings else ".")]
    rows, tags = [], {}
    for entry, manifest in evaluations(journal, store):
        content, condition = manifest.content, condition_of(entry, manifest)
        model = content.parents.get("model")
        if condition is None or model is None or model.fingerprint != ref.fingerprint:
            continue
        benchmark = describe(manifest, entry, journal).parameters.get("benchmark", "")
        accuracy, tokens = content.metrics["accuracy"], content.metrics["tokens"]["value"]
        value, low, high = (100 * accuracy[name] for name in ("value", "low", "high"))
        name = condition_name(condition)
        rows.append(f"| {name} | {benchmark} | {value:.1f} % ({low:.1f} to {high:.1f}) | {tokens:.1f} |")
        tags[taken_name(f"accuracy/{name} {benchmark}".strip())] = f"{accuracy['value']:.4f}"
    if rows:
        lines += ["", "| condition | benchmark | accuracy (95 %) | tokens |", "|---|---|---|---|", *rows]
    lines += [
        "",
        f"Its files are in the store at `{ref.key}`; `latent eval --model models:/NAME/VERSION` finds them, and "
        "`latent export models:/NAME/VERSION DIR` writes them as a folder that transformers and vLLM load.",
    ]
    return VersionText("\n".join(lines), tags)
