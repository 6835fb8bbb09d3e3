"""The documentation's form: links, anchors, paths and fields that exist, pages that say whom they are for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from pydantic import BaseModel

from flows.cli.main import FLOWS
from flows.launch.parameters import checked
from flows.launch.registry import find_flow
from latent_core.benchmarks.registry import open_split
from latent_core.config.benchmark import BenchmarkConfig
from tests.support.pages import ROOT, all_blocks, pages, prose

README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r'\[([^\]\[]*)\]\(([^)\s]+)(?: "([^"]+)")?\)')
INLINE = re.compile(r"`([^`\n]+)`")
FOLDERS = ("flows", "tasks", "latent_core", "tests", "bench", "deployments", "requirements", "docs")


def _ids(paths: list[Path] | tuple[Path, ...]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def _anchors(page: Path) -> set[str]:
    """What GitHub makes of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=_ids(pages()))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for _, target, _ in LINK.findall(prose(page)):
        if "://" in target:
            continue
        name, _, anchor = unquote(target).partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{target}: no such file"
        assert not anchor or anchor in _anchors(file), f"{target}: no such heading"


@pytest.mark.parametrize("page", [README, *DOCS], ids=_ids([README, *DOCS]))
def test_paths_that_a_page_names_exist(page: Path) -> None:
    for code in INLINE.findall(prose(page)):
        if re.fullmatch(rf"(?:{'|'.join(FOLDERS)})/[a-z_\d./-]*", code):
            assert (ROOT / code).exists(), f"{code}: no such file"
        if module := re.fullmatch(
            r"(?:python -m )?((?:bench|tests\.support|latent_core|tasks|flows)(?:\.[a-z_\d]+)+)", code
        ):
            path = ROOT / module[1].replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").exists(), f"{code}: no such module"


def _fields(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield above + name
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _fields(kind, f"{above}{name}.")


def test_parameters_that_a_page_names_exist() -> None:
    known = {path for flow in FLOWS for path in _fields(find_flow(flow).config)}
    sections = {path.partition(".")[0] for path in known if "." in path}
    named = {
        code.partition("=")[0].partition(":")[0] for page in (README, *DOCS) for code in INLINE.findall(prose(page))
    }
    wanted = {name for name in named if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name) and name.split(".")[0] in sections}
    assert len(wanted) > 30 and not wanted - known


@pytest.mark.parametrize("page", DOCS, ids=_ids(DOCS))
def test_page_opens_with_whom_it_is_for(page: Path) -> None:
    title, first, *_ = page.read_text(encoding="utf-8").split("\n\n")
    assert title.startswith("# ") and first.startswith("For anyone "), first


def test_every_page_of_the_documentation_is_linked_from_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    linked = {target.partition("#")[0] for _, target, _ in LINK.findall(text)}
    assert {f"docs/{page.name}" for page in DOCS} <= linked


@pytest.mark.parametrize("block", all_blocks("yaml", "json"), ids=lambda block: block.place)
def test_parameter_or_problem_block_is_valid(block: Any, tmp_path: Path) -> None:
    if block.language == "json":
        file = tmp_path / block.note.removeprefix("file: ")
        file.write_text(block.text, encoding="utf-8")
        source = open_split(BenchmarkConfig(name=f"file:{file}"), "test")
        assert source.count == len(block.text.splitlines())
        return
    values = yaml.safe_load(block.text)
    assert isinstance(values, dict)
    if block.note.startswith("parameters: "):
        checked(find_flow(block.note.removeprefix("parameters: ")).config, values)


def _quoted_numbers() -> list[tuple[str, str, str]]:
    return [
        (shown, target, where)
        for page in DOCS
        for shown, target, where in LINK.findall(page.read_text(encoding="utf-8"))
        if target.startswith("../bench/results/")
    ]


@pytest.mark.parametrize(("shown", "target", "where"), _quoted_numbers())
def test_quoted_number_is_that_of_the_results_file(shown: str, target: str, where: str) -> None:
    value: Any = json.loads((ROOT / "docs" / target).read_text(encoding="utf-8"))
    for step in where.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    value = median(value) if isinstance(value, list) else value
    digits = len(shown.partition(".")[2])
    assert abs(float(shown.replace(",", "")) - value) <= 0.5000001 * 10**-digits


@pytest.mark.parametrize("file", sorted((ROOT / "bench" / "results").glob("*.json")), ids=lambda file: file.name)
def test_results_file_says_on_which_machine_and_how_it_was_measured(file: Path) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    for record in content if isinstance(content, list) else [content]:
        measured = record["measured"]
        assert {"command", "date", "commit", "machine", "versions"} <= set(measured)
        assert {"processor", "cores", "memory_gib", "gpus", "load"} <= set(measured["machine"])
        module = measured["command"].split()[2]
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists() or module == "bench.chaos"
