"""Fields as people read them, and two sets of parameters compared."""

from __future__ import annotations

from latent_core.config.base import Role
from latent_core.config.differences import ABSENT, differences, shown
from latent_core.config.fields import described
from latent_core.config.tokenskip import TokenSkipConfig


def test_described_fields_say_type_default_meaning_and_role() -> None:
    found = {item.path: item for item in described(TokenSkipConfig)}
    rate = found["train.learning_rate"]
    assert (rate.type, rate.default, rate.role) == ("number above 0", 5e-05, Role.IDENTITY)
    assert found["variants"].type.startswith("list of standard | dual") and found["variants"].default == [
        "standard",
        "dual",
    ]
    assert found["runtime.workers"].role is Role.RUNTIME and "Worker processes" in found["runtime.workers"].doc
    assert found["evaluate.sampling.batch_tokens"].role is Role.RUNTIME
    assert found["warm_start"].type == "section or null" and "warm_start.questions" in found


def test_differences_know_defaults_roles_and_sections_that_are_null() -> None:
    before, after = {"train": {"steps": 5}}, {"train": {"steps": 6}, "warm_start": {}, "runtime": {"workers": 2}}
    found = {item.path: item for item in differences(before, after, TokenSkipConfig)}
    assert list(found) == ["warm_start", "train.steps", "runtime.workers"]
    assert found["warm_start"].before is None and not found["runtime.workers"].changes_results
    assert differences({"model": "latent-mini"}, {}, TokenSkipConfig) == []


def test_differences_of_what_this_release_refuses_are_of_what_is_written() -> None:
    (found,) = differences({"no_such_field": 1}, {"model": "latent-mini"}, TokenSkipConfig)
    assert (found.path, found.before, found.after, found.changes_results) == ("no_such_field", 1, ABSENT, True)
    assert [shown(value) for value in (ABSENT, None, True, [1e-3, 2], {"a": 1})] == [
        *("-", "null", "true", "[0.001, 2]", "{a: 1}"),
    ]
