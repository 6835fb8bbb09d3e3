"""The wheel, built from what the Dockerfile copies and installed in an empty environment, away from any checkout.

The environment's only packages of its own are those of the wheel. What the wheel needs lies in the folder of the
environment that runs the tests, which is made visible without what links to this checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from flows.launch.parameters import load
from flows.launch.plan import plan
from flows.launch.registry import find_flow
from latent_core.store import ArtifactStore
from tests.support.dockerfile import ROOT, stages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FOLDERS = ("latent_core", "tasks", "flows")
SMALL = {  # the demo with a few questions and steps
    "variants": ["standard"],
    "ratios": [0.5],
    "collect.questions": 12,
    "collect.shard_questions": 6,
    "train.steps": 2,
    "train.eval_every": 2,
    "evaluate.questions": 4,
    "evaluate.baselines": [],
    "runtime.workers": 1,
}


def _run(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in `folder` as a user does who has no checkout and no settings of this process."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "OUT")}
    kept = {name: value for name, value in kept.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    kept |= {"HOME": str(folder.parent), "COLUMNS": "200"}
    return subprocess.run(list(map(str, words)), cwd=folder, env=kept, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built in a folder that holds what the Dockerfile's stage `wheel` copies, and no more."""
    folder = tmp_path_factory.mktemp("build")
    for sources, target in stages()["wheel"].copied():
        for source in sources:
            to = folder / target / source if target == "./" else folder / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, to)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "wheels")
    done = _run(sys.executable, "-m", "pip", "wheel", *options, ".", folder=folder)
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "wheels").iterdir()
    return found


@pytest.fixture(scope="module")
def latent(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `latent` of an environment with the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    options = ("--python", python, "install", "--no-deps", "--no-index")
    done = _run(sys.executable, "-m", "pip", *options, wheel, folder=folder)
    assert done.returncode == 0, done.stderr
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # a folder named in a .pth file is searched, but .pth files in it, such as the checkout's link, are not read
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    code = "import flows, latent_core, tasks; print(*(m.__path__[0] for m in (flows, latent_core, tasks)), sep='\\n')"
    places = _run(python, "-c", code, folder=folder)
    assert places.stdout.splitlines() == [str(packages / name) for name in ("flows", "latent_core", "tasks")]
    return python.with_name("latent")


def test_wheel_holds_every_file_of_the_packages_and_the_parameter_files(wheel: Path) -> None:
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS]
    names = set(subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines())
    wanted = {name for name in names if (ROOT / name).is_file()}
    wanted |= {f"flows/deployments/{file.name}" for file in (ROOT / "deployments").glob("*.yaml")}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(FOLDERS)}
    assert packed == wanted
    assert "latent_core/models/embedded/latent_mini/model.safetensors" in packed


def test_latent_demo_of_the_wheel_plans_what_the_checkout_plans_in_a_folder_without_one(
    latent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _run(latent, "--help", folder=tmp_path)
    assert shown.returncode == 0 and "Usage: latent" in shown.stdout, shown.stderr
    assert _run(latent, "--version", folder=tmp_path).stdout == "latent-reasoning 0.1.0\n"
    planned = _run(latent, "demo", "--dry-run", folder=tmp_path)
    assert planned.returncode == 0, planned.stderr
    entry = find_flow("tokenskip-math")
    monkeypatch.chdir(tmp_path)
    lines = plan(entry, load(entry.config, ROOT / "deployments" / "smoke.yaml"))[0].lines
    assert lines and all(line.ref.fingerprint[:12] in planned.stdout for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_latent_demo_of_the_wheel_runs_the_main_job_into_the_current_folder(latent: Path, tmp_path: Path) -> None:
    settings = [f"--set={name}={value}" for name, value in SMALL.items()]
    done = _run(latent, "demo", *settings, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    stages_made = {ref.stage for ref in ArtifactStore(str(tmp_path / ".latent" / "store")).list()}
    assert {"collect_shard", "compress", "train", "evaluate", "report"} <= stages_made
