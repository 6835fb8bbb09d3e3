"""`latent compress`: show a text's compressions, or train the token classifier that makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from flows.cli.running import ConfigFile, DryRun, Force, Overrides, run_or_plan
from latent_core.config.compress import Unit

_TEXT = "text"


class _TextUnlessNamed(TyperGroup):
    """`latent compress FILE` is `latent compress text FILE`; a file with a command's name is written ./train."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `text` before arguments that do not begin with a command or ask for this group's help."""
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = [_TEXT, *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    cls=_TextUnlessNamed,
    help="Compress a text, or train a compressor. FILE or options of `text` may stand here without its name.",
)


@app.command(_TEXT)
def compress(
    file: Annotated[Path | None, typer.Argument(help="Text file to compress; - is standard input")] = None,
    text: Annotated[str | None, typer.Option(help="Text to compress")] = None,
    ratio: Annotated[list[float], typer.Option(help="Share of the words to keep; may be repeated")] = [0.5],  # noqa: B006
    model: Annotated[str, typer.Option(help="Token classifier: packaged, directory or hub id")] = "latent-compressor",
    unit: Annotated[Unit, typer.Option(help="What is kept or dropped as a whole")] = Unit.WORD,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output")] = False,
) -> None:
    """Compress a text at one or more ratios and show what was dropped."""
    from flows.cli.compression import show

    show(file, text, ratio, model, as_json, unit)


@app.command()
def train(
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006
    dry_run: DryRun = False,
    force: Force = [],  # noqa: B006
) -> None:
    """Label words with a causal language model and train a token classifier on them: the flow `compressor`.

    Its card and metrics tell F1 and AUC on held-out words, beside a word-frequency lookup and a random choice.
    """
    run_or_plan("compressor", config, overrides, force, dry_run)
