"""Work-pool templates are whole: every placeholder is a variable, every variable is used, the script is valid shell."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

POOLS = Path(__file__).parents[2] / "deployments" / "work_pools"


def test_kubernetes_template_uses_exactly_its_variables() -> None:
    template = json.loads((POOLS / "kubernetes.json").read_text())
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])
    assert set(template["variables"]["required"]) <= used


def test_kubernetes_template_is_a_job_that_prefect_never_restarts() -> None:
    manifest = json.loads((POOLS / "kubernetes.json").read_text())["job_configuration"]["job_manifest"]
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
    assert manifest["spec"]["backoffLimit"] == 0
    assert manifest["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_slurm_script_is_valid_shell() -> None:
    assert subprocess.run(["bash", "-n", POOLS / "slurm.sbatch"]).returncode == 0
