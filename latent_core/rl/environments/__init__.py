"""Environments that agents act in, over one turn or several."""

from latent_core.rl.environments.held_out import held_out_seeds
from latent_core.rl.environments.protocol import Environment, EnvironmentFailed, EnvironmentSpec, Info
from latent_core.rl.environments.registry import environment_names, find_environment, open_environment

__all__ = [
    "Environment",
    "EnvironmentFailed",
    "EnvironmentSpec",
    "Info",
    "environment_names",
    "find_environment",
    "held_out_seeds",
    "open_environment",
]
