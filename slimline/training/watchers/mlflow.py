"""MLflow: the server of MLFLOW_TRACKING_URI, without one the database `live/mlflow.db`."""

from __future__ import annotations

import os

import mlflow

from slimline.training import watchers


class Run:
    """A run of the experiment `slimline`, named by its stage."""

    adds = False

    def __init__(self, stage: str, *, goes_on: bool) -> None:
        if "MLFLOW_TRACKING_URI" not in os.environ:
            watchers.FOLDER.mkdir(exist_ok=True)
            mlflow.set_tracking_uri(f"sqlite:///{watchers.FOLDER / 'mlflow.db'}")
        mlflow.set_experiment("slimline")
        mlflow.start_run(run_name=stage, tags={"goes_on": str(goes_on)})

    def add(self, name: str, value: float, step: int) -> None:
        """Take one figure."""
        mlflow.log_metric(name, value, step)

    def end_step(self) -> None:
        """Nothing is left: each figure was sent."""

    def close(self) -> None:
        """End."""
        mlflow.end_run()
