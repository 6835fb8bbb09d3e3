"""MLflow's own measuring of the machine, while a run lasts: processors, memory, disk, network and GPUs."""

from __future__ import annotations

import logging
from typing import Any


def start_monitor(uri: str, run_id: str, *, resumed: bool) -> Any:
    """Begin to measure this machine into a run; ends by itself when the run is closed or the server is away."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
    monitor = SystemMetricsMonitor(run_id, resume_logging=resumed, tracking_uri=uri)
    monitor.start()
    return monitor
