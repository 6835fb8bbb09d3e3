"""What a user is told when the hub does not give something: once, in a line, without addresses."""

from __future__ import annotations

import huggingface_hub
import pytest
from huggingface_hub import errors
from huggingface_hub.utils import httpx

from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from latent_core.errors import InputError
from latent_core.models.source import open_model

ADDRESS = "https://huggingface.co/api/datasets/openai/gsm8k"
REQUEST = httpx.Request("GET", ADDRESS)


def _answer(kind: type[errors.HfHubHTTPError], status: int) -> Exception:
    message = f"{status} Client Error. (Request ID: Root=1)\n\nNot found for url: {ADDRESS}.\nPlease make sure …"
    return kind(message, response=httpx.Response(status, request=REQUEST))


FAILURES = [
    (errors.OfflineModeIsEnabled(f"Cannot reach {ADDRESS}: offline mode is enabled."), "HF_HUB_OFFLINE is set"),
    (httpx.ConnectError("[Errno -2] Name or service not known"), "does not answer: .*Name or service not known"),
    (httpx.ReadTimeout("timed out"), "does not answer: timed out"),
    (_answer(errors.RepositoryNotFoundError, 404), "no such repository"),
    (_answer(errors.GatedRepoError, 403), "its owner has to allow it"),
    (_answer(errors.HfHubHTTPError, 503), "the hub answers 503"),
    (ConnectionError(f"Couldn't reach 'openai/gsm8k' at {ADDRESS}\nTry again"), r"Couldn't reach 'openai/gsm8k'\)"),
    (ValueError("Unknown split"), "Unknown split"),
]


@pytest.mark.parametrize(("failure", "why"), FAILURES)
def test_benchmark_that_the_hub_does_not_give_is_one_line_without_an_address(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, why: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", fail)
    with pytest.raises(InputError, match=rf"^benchmark: openai/gsm8k cannot be read from the hub \(.*{why}") as told:
        open_split(BenchmarkConfig(name="gsm8k"), "test")
    assert "http" not in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(("failure", "why"), FAILURES)
def test_model_that_the_hub_does_not_give_is_one_line_that_names_its_parameter(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, why: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise errors.LocalEntryNotFoundError(f"Cannot find a snapshot; see {ADDRESS}.") from failure

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    if isinstance(failure, ConnectionError | ValueError) and not isinstance(failure, errors.OfflineModeIsEnabled):
        why = "Cannot find a snapshot"
    with pytest.raises(InputError, match=rf"^compress\.model: 'owner/name' is not in .*\(.*{why}") as told:
        open_model("owner/name", "compress.model")
    assert "http" not in str(told.value) and "\n" not in str(told.value)
