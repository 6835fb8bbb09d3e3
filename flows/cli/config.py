"""`latent config`: the parameters of a flow as a run would have them, and all that there are."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.running import ConfigFile, Overrides

app = typer.Typer(help="Show a flow's parameters: as resolved, or all with defaults and meaning.", no_args_is_help=True)
Flow = Annotated[str, typer.Argument(metavar="FLOW", help="As in `latent run`")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output")]


@app.command()
def show(
    flow: Flow,
    config: ConfigFile = None,
    overrides: Overrides = [],  # noqa: B006  (typer copies it)
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from the defaults")] = False,
) -> None:
    """Print the parameters that `latent run FLOW` would have with this file and these overrides, as YAML."""
    import yaml

    from flows.launch.parameters import load
    from flows.launch.registry import parameters_of
    from latent_core.config.fields import without_defaults

    resolved = load(parameters_of(flow), config, overrides)
    values = without_defaults(resolved) if changed else resolved.model_dump(mode="json")
    typer.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None), nl=False)


@app.command()
def defaults(
    flow: Flow,
    section: Annotated[str | None, typer.Argument(help="Only this section or field, such as train")] = None,
    as_json: AsJson = False,
) -> None:
    """List every parameter of a flow: type, default, meaning, and whether a change computes anything again."""
    from dataclasses import asdict

    from rich.markup import escape
    from rich.table import Table

    from flows.cli.tables import console, print_json
    from flows.launch.registry import parameters_of
    from latent_core.config.base import Role
    from latent_core.config.differences import shown
    from latent_core.config.fields import described
    from latent_core.errors import InputError

    fields = list(described(parameters_of(flow)))
    if section is not None:
        fields = [item for item in fields if item.path == section or item.path.startswith(f"{section}.")]
        if not fields:
            raise InputError(f"section: {flow} has no parameter {section!r}; `latent config defaults {flow}` lists all")
    if as_json:
        print_json([asdict(item) | {"role": item.role and item.role.value} for item in fields])
        return
    table = Table("parameter", "type", "default", "meaning", title=f"parameters of {flow}", title_justify="left")
    for item in fields:
        default = (
            "required" if item.is_required else "" if item.is_section and item.default else shown(item.default, 40)
        )
        doc = f"{item.doc} (changes no result)" if item.role is Role.RUNTIME and not item.is_section else item.doc
        style = "bold" if item.is_section else None
        table.add_row(item.path, escape(item.type), escape(default), escape(doc.strip()), style=style)
    console().print(table)
