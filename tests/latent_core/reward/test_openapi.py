"""What the scorer's OpenAPI page promises, tried with generated requests, lawful and not."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from latent_core.reward.scorer import Scorer
from latent_core.reward.server import create_app

# Not checked: that whatever the schema allows is accepted. A token id that this model does not have, or a prompt given
# in two forms, is refused with 422, and JSON Schema cannot say so.
NOT_CHECKED = [positive_data_acceptance]


@pytest.fixture(scope="module")
def api(scorer: Scorer) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(scorer, "mini"))


@schemathesis.pytest.from_fixture("api").parametrize()
@settings(
    max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)  # the same requests on every run: a failure here is this commit's
def test_api_answers_generated_requests_as_it_documents(case: Any) -> None:
    case.call_and_validate(excluded_checks=NOT_CHECKED)
