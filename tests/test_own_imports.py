"""Own modules that any Python file imports exist, also in tests that are skipped here for want of a GPU or of vLLM."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("flows", "tasks", "latent_core", "bench", "tests")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_imported_from_own_modules_exist(folder: str) -> None:
    files = [file for file in FILES if file.relative_to(ROOT).parts[0] == folder]
    assert files
    assert [line for file in files for line in _lacking(file)] == []


def _lacking(file: Path) -> Iterator[str]:
    """The imports of own names in a file that lead nowhere, with their lines."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in FOLDERS:
            for alias in node.names:
                if not _exists(node.module, alias.name):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}: {node.module}.{alias.name}"


def _exists(module: str, name: str) -> bool:
    path = ROOT / module.replace(".", "/")
    if (path / name).is_dir() or (path / f"{name}.py").is_file():
        return True
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return source.is_file() and name in _names(ast.parse(source.read_text(encoding="utf-8")))


def _names(tree: ast.Module) -> set[str]:
    """What a module defines, assigns or imports, at any depth."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names
