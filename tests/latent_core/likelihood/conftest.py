"""Tiny bases on disk, tied and untied."""

from tests.latent_core.dual.conftest import make_base as make_base
