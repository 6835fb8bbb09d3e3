"""Identities: one spelling per value, refusal of what has none, and golden fingerprints that may never change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_core.identity import NotCanonicalError, canonical_json, fingerprint

PARENT = "a" * 64
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_fingerprint_of_fixed_configuration_is_golden() -> None:
    config = {"ratio": 0.5, "seed": 42, "name": "größe", "nested": {"b": [1, 2.0, None], "a": True}}
    assert fingerprint("collect", 3, config, {"model": PARENT}) == (
        "69ecec5209e2065feb8d8b237d89134d0deec308fe492248b3539224b0c1f6c8"
    )


@given(json_values)
def test_canonical_json_of_reordered_mapping_is_equal(value: object) -> None:
    assert canonical_json({"a": value, "b": 1}) == canonical_json({"b": 1.0, "a": value})


def test_canonical_json_of_tuple_equals_list() -> None:
    assert canonical_json((1, "x")) == canonical_json([1, "x"]) == '[1,"x"]'


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), {1, 2}, b"x", Path("x"), object(), len, {1: "x"}, "\ud800"],
    ids=["nan", "inf", "set", "bytes", "path", "object", "callable", "int key", "surrogate"],
)
def test_canonical_json_of_value_without_canonical_form_raises_naming_the_path(value: object) -> None:
    with pytest.raises(NotCanonicalError, match=r"config\.outer"):
        canonical_json({"outer": value})


def test_fingerprint_with_anything_changed_differs() -> None:
    base = fingerprint("s", 1, {"x": 1}, {"p": PARENT})
    others = [
        fingerprint("t", 1, {"x": 1}, {"p": PARENT}),
        fingerprint("s", 2, {"x": 1}, {"p": PARENT}),
        fingerprint("s", 1, {"x": 2}, {"p": PARENT}),
        fingerprint("s", 1, {"x": 1}, {"q": PARENT}),
        fingerprint("s", 1, {"x": 1}, {"p": "b" * 64}),
        fingerprint("s", 1, {"x": True}, {"p": PARENT}),
    ]
    assert len({base, *others}) == 7


def test_fingerprint_with_malformed_parent_raises() -> None:
    with pytest.raises(ValueError, match=r"parents\.model"):
        fingerprint("s", 1, {}, {"model": "latent-mini"})
