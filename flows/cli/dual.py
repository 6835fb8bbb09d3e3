"""`latent dual`: build a dual-vocabulary model and verify one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

app = typer.Typer(help="Build and verify dual-vocabulary models.", no_args_is_help=True)


@app.command()
def build(
    base: Annotated[str, typer.Argument(help="Base model: packaged name, directory or hub id")],
    out: Annotated[Path, typer.Argument(help="Directory to write; must be absent or empty")],
    mode: Annotated[str, typer.Option(help="full_copy, subset or custom")] = "full_copy",
    pattern: Annotated[str | None, typer.Option(help="subset: regular expression on decoded tokens")] = None,
    ids_file: Annotated[Path | None, typer.Option(help="subset: token ids, a JSON list or one a line")] = None,
    tokens_file: Annotated[Path | None, typer.Option(help="custom: token texts, a JSON list or one a line")] = None,
    embeddings_file: Annotated[
        Path | None, typer.Option(help="custom: rows of the tokens, .npy or .safetensors (tensor embeddings)")
    ] = None,
    cots: Annotated[
        str | None, typer.Option(help="A collect artifact, STAGE/FINGERPRINT: report coverage; with --seen-at-least")
    ] = None,
    seen_at_least: Annotated[
        int | None, typer.Option(min=1, help="subset: tokens that occur this often in the artifact of --cots")
    ] = None,
    store: Annotated[str, typer.Option(help="Where --cots lies")] = ".latent/store",
    think_missing: Annotated[str, typer.Option(help="error, add or clone_eos")] = "error",
    initial: Annotated[str, typer.Option(help="copy, or permuted: rows of other tokens, drawn by --seed")] = "copy",
    seed: int = 0,
) -> None:
    """Write the dual-vocabulary model of a base model and say what was added."""
    from transformers import AutoTokenizer

    from flows.launch.parameters import checked
    from latent_core.config.dual import DualBuildConfig
    from latent_core.dual import build_dual
    from latent_core.dual.files import read_embeddings, read_ids, read_tokens
    from latent_core.errors import InputError
    from latent_core.files import require_file
    from latent_core.loading import NO_CODE
    from latent_core.models.source import open_model
    from latent_core.sft.coverage import count_reasoning_tokens, coverage_of
    from latent_core.sft.coverage import seen_at_least as often_enough

    given = {"ids_file": ids_file, "tokens_file": tokens_file, "embeddings_file": embeddings_file}
    settings = {"mode": mode, "pattern": pattern, "seen_at_least": seen_at_least, "seed": seed}
    settings |= {name: None if path is None else str(path) for name, path in given.items()}
    checked(DualBuildConfig, settings | {"think_missing": think_missing, "initial": initial})
    for name, path in given.items():
        if path is not None:
            require_file(f"--{name.replace('_', '-')}", path)
    if seen_at_least is not None and cots is None:
        raise InputError("--seen-at-least: needs --cots, the artifact whose tokens are counted")
    directory = open_model(base).directory
    subset_ids = read_ids(ids_file) if ids_file else None
    counts = None
    if cots is not None:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, **NO_CODE)
        counts = count_reasoning_tokens(_correct_reasoning(store, cots), tokenizer)
        if seen_at_least is not None:
            subset_ids = often_enough(counts, seen_at_least)
    _check_writable(out)
    report = build_dual(
        directory,
        out,
        mode=mode,
        subset_ids=subset_ids,
        subset_pattern=pattern,
        custom_tokens=read_tokens(tokens_file) if tokens_file else None,
        custom_embeddings=read_embeddings(embeddings_file) if embeddings_file else None,
        think_missing=think_missing,
        initial=initial,
        seed=seed,
    )
    for line in report.lines():
        typer.echo(line)
    if counts is not None:
        typer.echo(coverage_of(counts, report.vocabulary).line())


def _check_writable(out: Path) -> None:
    """Raise InputError, which names the argument, where the directory `out` cannot be made."""
    from latent_core.errors import InputError

    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.absolute().parent):
            pass
    except OSError as error:
        raise InputError(f"OUT: {out} cannot be written ({error}); choose another directory") from error


def _correct_reasoning(store: str, address: str) -> Iterator[str]:
    from flows.cli.artifacts import find_artifact
    from tasks.tables import SAMPLES

    for row in find_artifact(store, address).rows_of(SAMPLES.file, ("reasoning", "verdict")):
        if row["verdict"] == "correct":
            yield row["reasoning"]


@app.command()
def verify(
    directory: Annotated[Path, typer.Argument(help="Directory of a dual model")],
    trained: Annotated[
        bool, typer.Option(help="Latent rows were trained, so they may differ from their sources")
    ] = False,
) -> None:
    """Check every row, the sizes, the think tokens and a constrained generation; exit code 1 if anything is wrong."""
    from latent_core.dual import verify_dual

    report = verify_dual(directory, trained=trained)
    for line in report.lines():
        typer.echo(line)
    if not report.ok:
        raise typer.Exit(1)
