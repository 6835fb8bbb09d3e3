"""Conditions and the roles that they have in reports: written once, read back, and never changed."""

from __future__ import annotations

from itertools import product

import pytest

from latent_core.config.evaluate import Baseline
from latent_core.config.prompting import Prompting
from latent_core.errors import InputError
from latent_core.evaluation.condition import Condition, Kind, by_role, condition_of, role_ending, role_of
from latent_core.report.names import condition_name, full_name, label, short_name

# Roles enter fingerprints: none of these is ever edited.
ROLES = {
    "evaluation/base/untrained": Condition("base", Kind.UNTRAINED, 1.0),
    "evaluation/base/concise": Condition("base", Kind.CONCISE),
    "evaluation/base/chain of draft": Condition("base", Kind.CHAIN_OF_DRAFT),
    "evaluation/base/sketch of thought": Condition("base", Kind.SKETCH_OF_THOUGHT),
    "evaluation/base/reduce 0.5": Condition("base", Kind.REDUCE, 0.5),
    "evaluation/base/truncate 0.7": Condition("base", Kind.TRUNCATE, 0.7),
    "evaluation/dual/ratio 0.5": Condition("dual", Kind.RATIO, 0.5),
    "evaluation/dual/ratio 1": Condition("dual", Kind.RATIO, 1.0),
    "evaluation/dual_frozen/ratio 0.125": Condition("dual_frozen", Kind.RATIO, 0.125),
    "evaluation/dual-seed1/ratio 1": Condition("dual", Kind.RATIO, 1.0, seed=1),
    "evaluation/standard-seed0/ratio 1e-05": Condition("standard", Kind.RATIO, 1e-05, seed=0),
    "evaluation/policy/start 1": Condition("policy", Kind.START, 1.0),
    "evaluation/policy/grpo 0.5": Condition("policy", Kind.GRPO, 0.5),
    "evaluation/direct/trained": Condition("direct", Kind.TRAINED),
    "evaluation/dual-seed1/own reasoning 0.5": Condition("dual", Kind.OWN_REASONING, 0.5, seed=1),
    "evaluation/dual-seed1/empty reasoning 0.5": Condition("dual", Kind.EMPTY_REASONING, 0.5, seed=1),
    "evaluation/dual_permuted/random reasoning 1": Condition("dual_permuted", Kind.RANDOM_REASONING, 1.0),
    "evaluation/standard_rows/swapped reasoning 0.3": Condition("standard_rows", Kind.SWAPPED_REASONING, 0.3),
    "evaluation/dual/auto ratio": Condition("dual", Kind.AUTO),
    "evaluation/standard-seed2/auto ratio": Condition("standard", Kind.AUTO, seed=2),
    "evaluation/policy/auto start": Condition("policy", Kind.AUTO_START),
    "evaluation/policy/auto grpo": Condition("policy", Kind.AUTO_GRPO),
}


@pytest.mark.parametrize("role", ROLES)
def test_role_of_a_condition_is_what_fingerprints_hold(role: str) -> None:
    assert role_of(ROLES[role]) == role
    assert condition_of(role) == ROLES[role]


def _conditions() -> list[Condition]:
    ratios = sorted({round(number / 1000, 3) for number in range(1, 1001)} | {1 / 64, 0.333333, 0.999999, 1.5e-07})
    models = [
        ("base", None),
        ("dual", 0),
        ("random_drop", 12),
        ("my-seedling", None),
        ("a-seed", 3),
        ("x-seed01", None),
    ]
    found = []
    for (model, seed), kind in product(models, Kind):
        if kind is Kind.UNTRAINED:
            found.append(Condition(model, kind, 1.0, seed))
        else:
            found += [Condition(model, kind, ratio, seed) for ratio in (ratios if kind.takes_ratio else [None])]
    return found


def test_every_condition_of_six_digits_is_read_back_from_its_role() -> None:
    conditions = _conditions()
    assert [condition_of(role_of(condition)) for condition in conditions] == conditions
    assert len(by_role(dict.fromkeys(conditions))) == len(set(conditions)) == len(conditions)


@pytest.mark.parametrize("role", ["collect", "train/dual", "contamination", "prepare/standard"])
def test_role_of_another_stage_is_no_condition(role: str) -> None:
    assert condition_of(role) is None


@pytest.mark.parametrize("ending", ["ratio", "ratio half", "concise 0.5", "prompt-only 0.5", "trained 1", ""])
def test_role_of_an_unknown_condition_is_named(ending: str) -> None:
    with pytest.raises(InputError, match=f"evaluation/base/{ending}: this release knows no such condition"):
        condition_of(f"evaluation/base/{ending}")


@pytest.mark.parametrize("name", ["dual-seed1", "a/b"])
def test_model_whose_role_would_be_read_as_another_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"model: '{name}'"):
        role_of(Condition(name, Kind.RATIO, 0.5))


@pytest.mark.parametrize(
    ("kind", "ratio"),
    [(Kind.RATIO, None), (Kind.TRUNCATE, None), (Kind.UNTRAINED, None), (Kind.UNTRAINED, 0.5), (Kind.CONCISE, 1.0)],
)
def test_condition_with_a_ratio_that_its_kind_does_not_take_is_refused(kind: Kind, ratio: float | None) -> None:
    with pytest.raises(InputError, match=f"ratio: the condition '{kind.value}' takes"):
        Condition("base", kind, ratio)


def test_evaluations_of_two_ratios_that_are_written_alike_are_never_one() -> None:
    two = {Condition("dual", Kind.RATIO, ratio): ratio for ratio in (0.3, 0.30000001)}
    assert len(two) == 2
    with pytest.raises(InputError, match=r"0\.30000001 is another condition's ratio to six digits"):
        by_role(two)
    assert by_role({Condition("dual", Kind.RATIO, 0.30001): 1, Condition("dual", Kind.RATIO, 0.3): 2}) == {
        "evaluation/dual/ratio 0.30001": 1,
        "evaluation/dual/ratio 0.3": 2,
    }


def test_end_of_a_role_names_the_condition_without_its_model() -> None:
    assert role_ending(Condition("model", Kind.RATIO, 0.5, seed=2)) == "ratio 0.5"
    assert role_ending(Condition("base", Kind.UNTRAINED, 1.0)) == "untrained"


def test_every_prompting_and_baseline_is_a_kind() -> None:
    """Flows find the kind by the member's name."""
    assert {Kind[prompting.name].takes_ratio == prompting.takes_ratio for prompting in Prompting} == {True}
    assert [Kind[baseline.name].value for baseline in Baseline] == [
        "reduce", "concise", "chain of draft", "sketch of thought", "truncate",
    ]  # fmt: skip


def test_condition_is_written_for_people_with_and_without_its_model() -> None:
    seeded, plain = Condition("dual", Kind.RATIO, 0.5, seed=1), Condition("base", Kind.UNTRAINED, 1.0)
    assert [condition_name(seeded), full_name(seeded), short_name(seeded), label(seeded)] == [
        "ratio 0.5", "dual-seed1, ratio 0.5", "0.5", "dual-seed1 0.5",
    ]  # fmt: skip
    assert [condition_name(plain), full_name(plain), short_name(plain), label(plain)] == [
        "untrained", "base, untrained", "untrained", "base",
    ]  # fmt: skip
    conditions = [
        Condition("base", Kind.REDUCE, 0.5),
        Condition("base", Kind.TRUNCATE, 0.5),
        Condition("base", Kind.CONCISE),
        Condition("direct", Kind.TRAINED),
        Condition("policy", Kind.START, 1.0),
        Condition("dual", Kind.SWAPPED_REASONING, 0.5),
    ]
    assert [*map(label, conditions)] == [
        "base reduce 0.5", "base 0.5", "base concise", "direct", "policy start 1", "dual swapped reasoning 0.5",
    ]  # fmt: skip
