"""`latent`: run and plan flows, look after artifacts, build dual models, compress text."""

from __future__ import annotations

import json
import os
import sys
import traceback
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import artifacts, compress, config, dual, track
from flows.cli.running import ConfigFile, DryRun, Force, Overrides, run_or_plan
from flows.launch.ending import ENDING
from latent_core.errors import InputError, LatentError, StageFailed

app = typer.Typer(
    help="Train language models to reason in fewer tokens, or in latent ones.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},  # of every command below too
)
app.add_typer(artifacts.app, name="artifacts")
app.add_typer(compress.app, name="compress")
app.add_typer(config.app, name="config")
app.add_typer(dual.app, name="dual")
app.add_typer(track.app, name="track")

FLOWS = (
    *("tokenskip-math", "direct", "concise", "grpo", "rl", "length", "reevaluate"),
    *("mini", "compressor", "label-kinds", "compare"),
)
FlowName = Annotated[str, typer.Argument(metavar="FLOW", help=", ".join(FLOWS), autocompletion=lambda: list(FLOWS))]


def _show_version(wanted: bool) -> None:
    """Print the package's version, and in a checkout the commit: "+" where files differ from it."""
    if not wanted:
        return
    from importlib.metadata import version

    from tasks.environment import code_version

    package = f"latent-reasoning {version('latent-reasoning')}"
    commit = code_version()
    typer.echo(package if commit == package else f"{package} (commit {commit})")
    raise typer.Exit


@app.callback()
def latent(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit")
    ] = False,
) -> None:
    """Train language models to reason in fewer tokens, or in latent ones."""


@app.command()
def run(
    flow: FlowName,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006  (typer copies it)
    dry_run: DryRun = False,
    force: Force = [],  # noqa: B006
) -> None:
    """Run a flow: only what the store lacks is computed, so the same command also resumes."""
    run_or_plan(flow, config, overrides, force, dry_run)


@app.command()
def demo(
    overrides: Overrides = [],  # noqa: B006
    dry_run: DryRun = False,
    force: Force = [],  # noqa: B006
) -> None:
    """Run the whole main job on the embedded model, in minutes: the packaged deployments/smoke.yaml."""
    from flows.launch.short_form import FOLDER

    run_or_plan("tokenskip-math", FOLDER / "smoke.yaml", overrides, force, dry_run)


@app.command()
def plan(flow: FlowName, config: ConfigFile = None, overrides: Overrides = []) -> None:  # noqa: B006
    """Show each stage of a flow, its fingerprint, and whether the store has it; writes nothing."""
    from flows.launch.plan import show_plan

    show_plan(flow, config, overrides, [])


@app.command()
def sweep(
    flow: FlowName,
    over: Annotated[list[str], typer.Option(help="section.field=value,value; may be repeated: all combinations")],
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Also write all results to this .csv or .json file")] = None,
    dry_run: DryRun = False,
) -> None:
    """Run a flow over all combinations of some parameters' values; what points share is computed once."""
    from flows.cli.sweep import sweep as run_over

    run_over(flow, config, overrides, over, out, dry_run)


@app.command("eval")
def evaluate(
    model: Annotated[
        str,
        typer.Option(
            help="Packaged name, directory (plain, dual or adapter), hub id, train/FINGERPRINT, or models:/NAME@ALIAS"
        ),
    ],
    benchmark: Annotated[str, typer.Option(help="Name of the benchmark, or file:PATH")] = "word_problems",
    ratio: Annotated[
        list[str], typer.Option(help="Condition; may be repeated. auto: a model that names its ratio chooses it")
    ] = ["1.0"],  # noqa: B006
    questions: Annotated[int, typer.Option(help="How many problems of the test split")] = 500,
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    overrides: Overrides = [],  # noqa: B006
    check_contamination: Annotated[
        bool, typer.Option("--check-contamination", help="Say how many test questions the training split also holds")
    ] = False,
    lm_eval_json: Annotated[
        Path | None, typer.Option(help="Also write results and samples as lm-evaluation-harness does, to this folder")
    ] = None,
) -> None:
    """Evaluate a model at one or more ratios and print the table."""
    from flows.cli.evaluation import evaluate

    numbers = [word for word in ratio if word != "auto"]
    settings = [f"model={_quoted(model)}", f"benchmark.name={_quoted(benchmark)}"]
    settings += [f"evaluate.ratios=[{', '.join(numbers or ['1.0'])}]", f"evaluate.auto_ratio={numbers != ratio}"]
    settings += [f"evaluate.questions={questions}", f"store={_quoted(store)}"]
    settings += ["evaluate.sampling={}", "evaluate.metrics=[]", *overrides]
    evaluate(settings, check_contamination, lm_eval_json)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Registered model; all without it")] = None,
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    uri: track.TrackingUri = None,
) -> None:
    """List the versions of registered models: aliases, date, settings, and accuracy with its interval."""
    from flows.cli.models import list_models

    list_models(name, artifacts.open_store(store), track.tracking_at(uri))


@app.command()
def compare(
    before: Annotated[str, typer.Argument(help="evaluate/FINGERPRINT, or a run (id, last, last~1) or report")],
    after: Annotated[str, typer.Argument(help="What to compare with it, on the same questions")],
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output")] = False,
) -> None:
    """Compare two evaluations, or all of two runs, question by question: accuracy, McNemar's test, tokens."""
    from flows.cli.comparison import show

    show(before, after, artifacts.open_store(store), as_json)


@app.command()
def runs(
    flow: Annotated[str | None, typer.Argument(metavar="[FLOW]", help="Only runs of this flow")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first")] = 20,
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output")] = False,
) -> None:
    """List what was run when: what was new about it, what became of it, its report and accuracies."""
    from flows.cli.runs import list_runs

    list_runs(artifacts.open_store(store), flow, limit, as_json)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="Run (id, last, last~1), stage/fingerprint, or YAML file")],
    after: Annotated[str, typer.Argument(metavar="B", help="What to compare with it")],
    flow: Annotated[str | None, typer.Option(help="The flow of two files, to fill in its defaults")] = None,
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output")] = False,
) -> None:
    """Say why two runs, artifacts or parameter files differ, down to the first cause."""
    from flows.cli.diff import show_difference

    show_difference(before, after, artifacts.open_store(store), flow, as_json)


@app.command("open")
def open_(
    what: Annotated[str, typer.Argument(metavar="RUN|ARTIFACT", help="Run (id, last, last~1) or stage/fingerprint")],
    only_print: Annotated[bool, typer.Option("--print", help="Only say where it is")] = False,
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
) -> None:
    """Open the report of a run, or the page or folder of an artifact, in the browser; or print where it is."""
    from flows.cli.opening import open_page

    open_page(what, artifacts.open_store(store), only_print)


@app.command("export")
def export_(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="train/FINGERPRINT or another artifact, models:/NAME@ALIAS, a run with one model, or a packaged name",
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; must be absent or empty")],
    adapter: Annotated[
        bool, typer.Option("--adapter/--merged", help="The LoRA adapter alone, or the whole model with it merged in")
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option("--format", help="Of a data set: datasets (Parquet, the default) or jsonl; both have a card"),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="What the card says, an identifier of the Hub; else the base's")
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="Also push it to this repository, owner/name; needs HF_HUB_OFFLINE=0")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Everybody may see a repository that --push makes; else its owner alone")
    ] = False,
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    uri: track.TrackingUri = None,
) -> None:
    """Write a model, or the tables of an artifact, with a card to a folder that stock libraries load."""
    from flows.cli.export import export

    export(
        what,
        target,
        store,
        track.tracking_at(uri),
        adapter=adapter,
        kind=kind,
        licence=licence,
        push=push,
        public=public,
    )


@app.command()
def scorer(
    model: Annotated[
        str,
        typer.Option(help="As in eval: packaged name, directory, hub id, train/FINGERPRINT, or models:/NAME@ALIAS"),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; the server has no authentication")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8009,
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    thinking: Annotated[
        str, typer.Option(help="Whether the model thinks: auto (as its chat template has it), on or off")
    ] = "auto",
) -> None:
    """Serve the log-probability reward: how sure a model is of the gold answer after a chain of thought."""
    from flows.cli.scorer import serve_scorer

    serve_scorer(model, store, thinking, host, port)


@app.command()
def serve(
    model: Annotated[
        str,
        typer.Argument(
            help="As in eval: packaged name, directory (plain, dual or adapter), hub id, train/FINGERPRINT, or "
            "models:/NAME@ALIAS"
        ),
    ],
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- FLAGS]", help="Flags of vLLM's own; they stand for ours where both name one"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; the server has no authentication")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    name: Annotated[
        str | None, typer.Option(help="What requests call the model; without it MODEL, of a path the last part")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda: what the flags are for")] = "auto",
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    thinking: Annotated[
        str, typer.Option(help="Whether the model thinks: auto (as its chat template has it), on or off")
    ] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the command")] = False,
) -> None:
    """Serve a model through vLLM's OpenAI-compatible server, with the flags that it needs."""
    from flows.cli.serve import serve_model

    serve_model(model, flags or [], host, port, name, device, store, thinking, dry_run)


@app.command()
def envs() -> None:
    """List the environments that agents are trained in: turns, and whether a best return is known."""
    from flows.cli.play import list_environments

    list_environments()


@app.command()
def play(
    environment: Annotated[str, typer.Argument(metavar="ENV", help="As `latent envs` lists them, or NAME:ARGUMENT")],
    model: Annotated[str, typer.Option(help="As in eval")] = "latent-mini",
    seed: Annotated[int, typer.Option(min=0, help="Which instance to play")] = 0,
    temperature: Annotated[float, typer.Option(min=0, max=5, help="0 is greedy")] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of a turn")] = 512,
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
) -> None:
    """Let a model play one episode of an environment, and show it turn by turn."""
    from flows.cli.play import play_one

    play_one(environment, model, store, seed, temperature, max_new_tokens)


@app.command("demo-ui")
def demo_ui(
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    compressor: Annotated[str, typer.Option(help="Token classifier or baseline")] = "latent-compressor",
    model: Annotated[str, typer.Option(help="Whose tokens are counted, and who plays; as in eval")] = "latent-mini",
    host: Annotated[str, typer.Option(help="Address to listen on; the page has no login")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    share: Annotated[
        bool, typer.Option("--share", help="Also open a public link through gradio.live; anyone can use it")
    ] = False,
    uri: track.TrackingUri = None,
) -> None:
    """Open the demo page: compression at any ratio, why rates differ, samples, models answering side by side."""
    from flows.cli.demo_ui import serve

    serve(store, compressor, model, host, port, share, track.tracking_at(uri))


@app.command()
def view(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Run as `latent runs` lists it, or a report or evaluation; several are seen together"
        ),
    ],
    store: artifacts.StoreRoot = artifacts.DEFAULT_STORE,
    host: Annotated[str, typer.Option(help="Address to listen on; the page has no login")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7861,
) -> None:
    """Open a page of a run's samples: what was wrong, cut or disagreed on, and why; two models side by side."""
    from flows.cli.view import view

    view(words, store, host, port)


def _quoted(text: str) -> str:
    """A word as YAML writes it, whatever signs it holds."""
    return json.dumps(text, ensure_ascii=False)


def main() -> None:
    """Entry point: one clear line for what a user can mend, a traceback for what only we can.

    Exit codes: 0: done. 1: the run failed, or a check found a problem. 2: invalid input, so the same command will fail
    again. 128 and the signal's number: it was told to end (see `flows.launch.ending`).
    """
    if os.environ["HF_HUB_OFFLINE"] == "1":  # the bars that are left tell of loading weights, which takes no time
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a table must not be lost for a sign that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        with ENDING.handled():
            app()
    except LatentError as error:
        from latent_core.store import DamagedError

        if error.__cause__ is not None and isinstance(error, StageFailed):
            traceback.print_exception(error.__cause__)
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2 if isinstance(error, InputError) and not isinstance(error, DamagedError) else 1)
    except OSError as error:
        if error.errno is None:  # not the system's: a library's own
            raise
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)
