"""Identities: one spelling per value, refusal of what has none, and golden fingerprints that may never change."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_core.identity import NotCanonicalError, canonical_json, fingerprint

PARENT = "a" * 64


class Level(StrEnum):
    LOW = "low"


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


def _ring() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    return ring


class _OwnIdentity:
    def identity(self) -> dict[str, object]:
        return {"again": self}


NOT_CANONICAL = {
    "nan": float("nan"),
    "inf": float("inf"),
    "set": {1, 2},
    "bytes": b"x",
    "path": Path("x"),
    "path in an enum": Enum("Place", {"HOME": Path("x")}).HOME,  # type: ignore[attr-defined]
    "object": object(),
    "callable": len,
    "class": _OwnIdentity,
    "int key": {1: "x"},
    "surrogate": "\ud800",
    "surrogate key": {"\ud800": 1},
    "numpy integer": np.int64(1),
    "long integer": -(10**5000),
    "holds itself": _ring(),
    "is its own identity": _OwnIdentity(),
}


@pytest.mark.parametrize("value", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_fingerprint_of_value_without_canonical_form_raises_naming_the_path(value: object) -> None:
    with pytest.raises(NotCanonicalError, match=r"^config\.outer\[0\]"):
        fingerprint("s", 1, {"outer": [value]}, {})


def test_fingerprint_in_processes_of_other_hash_seeds_is_equal() -> None:
    code = (
        "from latent_core.identity import fingerprint as f;"
        "print(f('s', 1, {k: {k + 'x': -0.0} for k in {'b', 'a', 'ä', '\U0001f600', '\uffee'}}, {}))"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert len(printed[0].strip()) == 64
    assert printed[0] == printed[1]


def test_fingerprint_of_one_number_in_two_spellings_is_equal() -> None:
    pairs: list[tuple[object, object]] = [(1, 1.0), (0, -0.0), (10**16, 1e16), (int(1e300), 1e300), (Level.LOW, "low")]
    assert all(fingerprint("s", 1, {"x": a}, {}) == fingerprint("s", 1, {"x": b}, {}) for a, b in pairs)


def test_fingerprint_of_values_that_only_look_alike_differs() -> None:
    values: list[object] = [1, True, "1", [1], None, 2**53, 2**53 + 1, 0.1, 0.1 + 2**-56, "\u00e9", "e\u0301", 10**4000]
    assert len({fingerprint("s", 1, {"x": value}, {}) for value in values}) == len(values)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("s", 1, {}, {"model": "latent-mini"}), r"parents\.model"),
        (("s", 1, {}, {"model": f"{PARENT}\n"}), r"parents\.model"),
        (("s", 1, {}, [PARENT]), "parents"),
        (("s", 1, {}, {1: PARENT}), "parents"),
        (("", 1, {}, {}), "stage"),
        ((5, 1, {}, {}), "stage"),
        (("s", True, {}, {}), "version"),
        (("s", 0, {}, {}), "version"),
    ],
)
def test_fingerprint_with_malformed_argument_raises_naming_it(call: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message}"):
        fingerprint(*call)
