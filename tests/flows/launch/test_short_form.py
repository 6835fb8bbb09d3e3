"""The short form is a parameter file and what differs from it, read as the command line reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flows.launch.parameters import load
from flows.launch.registry import find_flow
from flows.launch.short_form import FOLDER, PRESETS, settled, short_flow
from latent_core.errors import InputError


def test_short_form_stands_for_the_file_with_the_overrides() -> None:
    overrides = ["train.learning_rate=2e-3", "seeds=[1, 2]"]
    entry = find_flow("tokenskip-math")
    found = settled(entry, "smoke", overrides)
    assert found == load(entry.config, FOLDER / "smoke.yaml", overrides)
    assert found.train.learning_rate == 2e-3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learning_rat=1", r"^train\.learning_rat: unknown key; did you mean 'learning_rate'"),
        ("train.learning_rate", r"^overrides: 'train\.learning_rate' must look like section\.field=value"),
    ],
)
def test_wrong_override_is_named_as_the_form_names_it(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        settled(find_flow("tokenskip-math"), "smoke", [override])


def test_form_has_three_fields_of_which_the_first_offers_the_files_of_the_flow() -> None:
    flow = short_flow("rl")
    fields = flow.parameters.properties
    assert flow.name == "rl" and list(fields) == ["preset", "overrides", "force"]
    assert fields["preset"]["enum"] == list(PRESETS["rl"])
    assert all(field["description"] for field in fields.values())


@pytest.mark.usefixtures("prefect_server")
def test_short_flow_runs_the_flow_with_the_parameters_that_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.context import FlowRunContext

    entry, ran = find_flow("direct"), []

    def execute(config: Any, force: Any) -> dict[str, str]:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        ran.append((config, list(force), context.flow_run.name))
        return {}

    monkeypatch.setattr("flows.launch.short_form.find_flow", lambda name: replace(entry, execute=execute))
    short_flow("direct")("direct", ["train.seed=3"], ["train"])
    wanted = load(entry.config, FOLDER / "direct.yaml", ["train.seed=3"])
    assert ran == [(wanted, ["train"], "direct direct: train.seed=3")]
