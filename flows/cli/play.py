"""What `latent envs` and `latent play` show: the environments, and one episode of one of them."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from latent_core.config.sampling import SamplingConfig
from latent_core.generate.vllm_engine import context_of
from latent_core.models.readable import ReadableModel
from latent_core.rl.environments import EnvironmentSpec, environment_names, find_environment
from latent_core.rl.play.episodes import SEPARATOR, Episode, Player, Turn, Watcher, instruction_of
from latent_core.store import ArtifactStore
from tasks.tracking.models import model_directory


def list_environments() -> None:
    """A table of the environments that open by their name alone."""
    table = Table("environment", "version", "turns", "best return known")
    for name in environment_names():
        spec = find_environment(name)
        table.add_row(name, str(spec.version), str(spec.max_turns), "no" if spec.optimum is None else "yes")
    Console().print(table)


def play_one(environment: str, model: str, store: str, seed: int, temperature: float, max_new_tokens: int) -> None:
    """Play the instance `seed` and print it. Raises InputError for an environment or a model that cannot be found."""
    spec = find_environment(environment)
    directory = model_directory(model, ArtifactStore(store))
    sampling = SamplingConfig(temperature=temperature, max_new_tokens=max_new_tokens)
    (group,) = _player(directory, spec, sampling).play([seed], samples=1, step=0).groups
    if group is None:
        typer.echo("the environment gave no answer: the episode was aborted, and is worth nothing")
        raise typer.Exit(1)
    typer.echo(_summary(group[0], spec))


def _player(directory: Path, spec: EnvironmentSpec, sampling: SamplingConfig) -> Player:
    from latent_core.generate.transformers_engine import TransformersEngine
    from latent_core.rl.play.dialogue import Dialogue

    readable = ReadableModel.load(directory)
    dialogue = Dialogue(readable, instruction_of(spec))
    engine = TransformersEngine(directory)
    return Player(readable, engine, sampling, spec, dialogue, context_of(directory), watcher=_Printed(spec, readable))


class _Printed(Watcher):
    """Prints an episode as it goes on."""

    def __init__(self, spec: EnvironmentSpec, model: ReadableModel) -> None:
        self._spec = spec
        self._model = model
        self._turns = 0

    def begins(self, seed: int, sample: int, observation: str) -> None:
        typer.echo(f"{self._spec.name}, instance {seed}\n{self._spec.instruction}\n\n{observation}")

    def takes(self, seed: int, sample: int, turn: Turn, observation: str | None) -> None:
        self._turns += 1
        ids = turn.output.token_ids
        latent = self._model.latent_count(ids)
        of_them = f", {latent} of them latent" if latent else ""
        typer.echo(f"\n--- turn {self._turns}: {len(ids)} tokens{of_them}\n{self._model.decode(ids)}")
        if observation is None:
            typer.echo(f"--- wrong format, no step taken; reward {turn.reward:g}")
        else:
            acted = "" if self._spec.takes_text else f"{f' {SEPARATOR} '.join(turn.actions)}; "  # else it stands above
            typer.echo(f"--- {acted}reward {turn.reward:g}\n{observation}")


def _summary(episode: Episode, spec: EnvironmentSpec) -> str:
    best = "" if spec.optimum is None else f", the best possible is {spec.optimum(episode.seed):g}"
    return f"\n{episode.end} after {len(episode.turns)} turns; return {episode.total:g}{best}"
