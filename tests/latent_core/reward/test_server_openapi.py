"""What the scorer's OpenAPI page promises, tried with generated requests, lawful and not."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from latent_core.reward.scorer import Scorer
from latent_core.reward.server import create_app

# Not checked: that whatever the schema allows is accepted. A token id that this model does not have, or a prompt given
# in two forms, is refused with 422, and JSON Schema cannot say so.
NOT_CHECKED = [positive_data_acceptance]


@pytest.fixture(scope="module")
def api(scorer: Scorer) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(scorer, "mini"))


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/score"), ("POST", "/score_batch"), ("GET", "/health"), ("GET", "/metrics")]
)
def test_api_answers_generated_requests_as_it_documents(api: Any, method: str, path: str) -> None:
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE] if method == "POST" else [GenerationMode.POSITIVE]
    for mode in modes:

        @settings(
            max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )  # the same requests on every run: a failure here is this commit's
        @given(api[path][method].as_strategy(generation_mode=mode))
        def answers(case: Any) -> None:
            case.call_and_validate(excluded_checks=NOT_CHECKED)

        answers()
