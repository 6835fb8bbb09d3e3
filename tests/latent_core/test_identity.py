"""Identities: one spelling per value, refusal of what has none, and golden fingerprints that may never change."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_core.identity import NotCanonicalError, canonical_json, fingerprint, hash_file, hash_tree

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


class _Holds:
    def __init__(self, value: object) -> None:
        self.value = value

    def identity(self) -> dict[str, object]:
        return {"value": self.value}


def _nested(wrap: Callable[[object], object], times: int) -> object:
    value: object = None
    for _ in range(times):
        value = wrap(value)
    return value


# An object counts twice: it and the mapping that is its identity.
LEVELS: dict[str, tuple[Callable[[object], object], int]] = {
    "list": (lambda value: [value], 100),
    "mapping": (lambda value: {"a": value}, 100),
    "object": (_Holds, 50),
}


@pytest.mark.parametrize(("wrap", "deepest"), LEVELS.values(), ids=LEVELS)
def test_canonical_json_ends_at_a_hundred_levels_of_each_kind(wrap: Callable[[object], object], deepest: int) -> None:
    assert "null" in canonical_json(_nested(wrap, deepest))
    with pytest.raises(NotCanonicalError, match=r"nested deeper than 100 levels") as refused:
        canonical_json(_nested(wrap, deepest + 1))
    assert len(str(refused.value)) < 150


def test_canonical_json_ends_at_integers_of_4300_digits() -> None:
    longest = 10**4300 - 1
    assert canonical_json([longest, -longest]) == f"[{longest},-{longest}]"
    for value in (longest + 1, -longest - 1):
        with pytest.raises(NotCanonicalError, match="more than 4,300 digits"):
            canonical_json(value)


def test_hash_of_a_file_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_file(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_hash_of_a_directory_covers_contents_and_relative_names_whatever_the_order(tmp_path: Path) -> None:
    names = []
    for place in ("a/x", "b/x", "b/y"):
        name = tmp_path / place
        name.parent.mkdir(exist_ok=True)
        name.write_text("one" if place == "b/y" else "two")
        names.append(name)
    whole = hash_tree(tmp_path, names)
    assert whole == "e11aff66c5d8dc31936d438c0297ab71e3b3a29adb9a777b8d2e7255660745d4"
    assert hash_tree(tmp_path, reversed(names)) == whole
    assert len({whole, *(hash_tree(tmp_path, names[:2] if skipped else names[1:]) for skipped in (0, 1))}) == 3
    names[0].write_text("three")
    assert hash_tree(tmp_path, names) != whole
