"""The numbers of a finished flow as a results file.

These are the table of the main job, arms over seeds (`compare`, `length`), or agents (`rl`).

    latent run compare -c deployments/compare.yaml
    python -m bench.flow_results compare_arms/FINGERPRINT --flow compare -c deployments/compare.yaml --json FILE

The file holds the report's numbers, the fingerprints behind them, and how long every stage took. Date, commit and
versions are those of the run, not of this command.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.record import add_json_option, measured
from latent_core.errors import InputError
from latent_core.store import Artifact, ArtifactStore
from latent_core.store.garbage import reachable
from latent_core.store.manifest import Manifest

RESULTS, TABLE = "results.json", "results.csv"


def flow_results(report: Artifact, store: ArtifactStore) -> dict[str, Any]:
    """What the report measured, as plain JSON; `seconds`: wall time of the stages behind it, by stage.

    Raises InputError for an artifact that is no report with numbers.
    """
    numbers = _numbers(report)
    seconds: dict[str, float] = defaultdict(float)
    for manifest in _behind(report, store):
        seconds[manifest.ref.stage] += manifest.record["seconds"]
    return {"report": str(report.ref), **numbers, "seconds": {name: round(spent) for name, spent in seconds.items()}}


def _numbers(report: Artifact) -> dict[str, Any]:
    files = {file.path for file in report.manifest.content.files}
    if RESULTS in files:
        found: dict[str, Any] = json.loads(report.read_bytes(RESULTS))
        return found
    if TABLE in files:
        rows = csv.DictReader(report.read_bytes(TABLE).decode().splitlines())
        return {"rows": [{name: _value(text) for name, text in row.items()} for row in rows]}
    raise InputError(f"{report.ref}: has no {RESULTS} or {TABLE}; name the report of a flow")


def _value(text: str) -> float | str | None:
    """A cell of CSV: a number, None where it is empty, else its text."""
    try:
        return float(text) if text else None
    except ValueError:
        return text


def ran(report: Artifact) -> dict[str, Any]:
    """When and with which code the report was computed."""
    record = report.manifest.record
    environment = dict(record["environment"])
    return {
        "date": datetime.fromtimestamp(record["started"], UTC).strftime("%Y-%m-%d"),
        "commit": environment.pop("commit"),
        "versions": {name: value for name, value in environment.items() if name != "machine"},
    }


def _behind(report: Artifact, store: ArtifactStore) -> Iterator[Manifest]:
    """Manifests of the report, its parents and theirs; what no stage made, such as a model of the user, is left out."""
    manifests = {ref: found for ref, found in store.committed() if isinstance(found, Manifest)}
    return (manifests[ref] for ref in reachable(manifests, [report.ref]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", help="stage/fingerprint; the fingerprint may be shortened")
    parser.add_argument("--store", default=".latent/store")
    parser.add_argument("--flow", required=True, help="what made the report")
    parser.add_argument("-c", "--config", required=True, type=Path, help="its parameters")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="what was set besides")
    add_json_option(parser)
    arguments = parser.parse_args()
    store = ArtifactStore(arguments.store)
    report = store.require(store.find(arguments.report))
    results = flow_results(report, store)
    run = ["latent", "run", arguments.flow, "-c", str(arguments.config)]
    run += [word for setting in arguments.set for word in ("--set", setting)]
    record = measured() | ran(report) | {"run": shlex.join(run)}
    text = json.dumps({"measured": record, "results": results}, indent=1, ensure_ascii=False)
    if arguments.json is None:
        print(text)
    else:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
