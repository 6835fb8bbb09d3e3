"""A field's role decides whether it is part of its stage's fingerprint; a field without one is refused."""

from __future__ import annotations

from typing import Annotated

import pytest

from latent_core.config.base import IDENTITY, OMITTED_AT_DEFAULT, RUNTIME, WIRING, StageConfig
from latent_core.config.collect import CollectConfig
from latent_core.config.sampling import CollectSamplingConfig, LogprobsOf, SamplingConfig
from latent_core.identity import fingerprint


class Example(StageConfig):
    result: Annotated[int, IDENTITY] = 1
    parent: Annotated[int, WIRING] = 1
    speed: Annotated[int, RUNTIME] = 1
    added: Annotated[int, IDENTITY, OMITTED_AT_DEFAULT] = 1


def test_identity_of_a_section_holds_its_identity_fields_and_leaves_out_newer_ones_at_their_defaults() -> None:
    assert Example().identity() == {"result": 1}
    assert Example(result=2, parent=2, speed=2, added=2).identity() == {"result": 2, "added": 2}


def test_field_without_role_raises_at_class_definition() -> None:
    with pytest.raises(TypeError, match=r"Bad\.field: .* IDENTITY, WIRING or RUNTIME"):

        class Bad(StageConfig):
            field: int = 1


def test_field_with_two_roles_raises_at_class_definition() -> None:
    with pytest.raises(TypeError, match=r"Torn\.field"):

        class Torn(StageConfig):
            field: Annotated[int, IDENTITY, RUNTIME] = 1


def test_field_that_enters_no_fingerprint_cannot_be_omitted_from_it() -> None:
    with pytest.raises(TypeError, match=r"Idle\.field: only an IDENTITY field"):

        class Idle(StageConfig):
            field: Annotated[int, WIRING, OMITTED_AT_DEFAULT] = 1


def test_runtime_field_does_not_change_the_fingerprint() -> None:
    slow, fast = SamplingConfig(batch_tokens=100), SamplingConfig(batch_tokens=9999)
    assert fingerprint("s", 1, slow, {}) == fingerprint("s", 1, fast, {})


def test_logprobs_of_is_in_the_fingerprint_once_it_is_not_the_models_and_needs_logprobs() -> None:
    kept = SamplingConfig(logprobs=True)
    of_model = SamplingConfig(logprobs=True, logprobs_of=LogprobsOf.MODEL)
    of_sampler = SamplingConfig(logprobs=True, logprobs_of=LogprobsOf.SAMPLER)
    assert kept.identity() == of_model.identity() and "logprobs_of" not in kept.identity()
    assert fingerprint("s", 1, kept, {}) != fingerprint("s", 1, of_sampler, {})
    with pytest.raises(ValueError, match=r"logprobs_of: .* set logprobs: true"):
        SamplingConfig(logprobs_of=LogprobsOf.SAMPLER)


def test_identity_field_in_nested_section_changes_the_fingerprint() -> None:
    one = CollectConfig(sampling=CollectSamplingConfig(seed=1))
    two = CollectConfig(sampling=CollectSamplingConfig(seed=2))
    assert fingerprint("s", 1, one, {}) != fingerprint("s", 1, two, {})
