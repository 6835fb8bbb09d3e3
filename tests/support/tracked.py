"""MLflow databases for tests: made from one with tables, and read back as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from latent_core.config.runtime import TrackingConfig
from tasks.tracking.mlflow import open_client


def database(tables: Path, folder: Path) -> TrackingConfig:
    folder.mkdir()
    shutil.copyfile(tables, folder / "mlflow.db")
    return TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db", experiment=folder.name)


def fields_of(config: TrackingConfig) -> dict[tuple[str, str], Any]:
    """Everything that an experiment's runs hold, by parent and identity, and with identities for MLflow's ids."""
    client, experiment = open_client(config)
    runs = client.search_runs([experiment], max_results=1000)
    ids = {run.info.run_id: run.data.tags.get("fingerprint", run.data.tags.get("latent.run", "")) for run in runs}

    def named(text: str) -> str:
        for run_id, name in ids.items():
            text = text.replace(run_id, name).replace(f"[{run_id[:8]}]", f"[{name[:8]}]")
        return text

    parents = {run.info.run_id: run.data.tags.get("latent.run", "") for run in runs}
    found = {}
    for run in runs:
        tags = dict(run.data.tags)
        above = parents[tags.pop("mlflow.parentRunId")] if "mlflow.parentRunId" in tags else ""
        histories = {
            name: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
        }
        inputs = [
            (item.dataset.to_dictionary(), [(tag.key, tag.value) for tag in item.tags])
            for item in run.inputs.dataset_inputs
        ]
        info = {name: getattr(run.info, name) for name in ("status", "start_time", "end_time", "user_id", "run_name")}
        folder = Path(client.download_artifacts(run.info.run_id, ""))
        files = {
            str(path.relative_to(folder)): named(path.read_text()).encode()
            for path in folder.rglob("*")
            if path.is_file()
        }
        tags = {name: named(value) for name, value in tags.items()}
        found[above, ids[run.info.run_id]] = (info, run.data.params, histories, tags, inputs, files)
    return found
