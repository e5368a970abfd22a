"""One line of figures for every epoch: metrics.jsonl, and MLflow where the plan asks for it."""

import json
import os
import time
from pathlib import Path
from typing import Any

from models.classifier.training.config import Tracking, TrainConfig
from models.classifier.training.training_errors import TrainingError
from models.common.files import write_text

FILE = "metrics.jsonl"


def write(folder: Path, history: list[dict[str, Any]]) -> None:
    """The whole history anew, so that a run taken up again has no line twice."""
    write_text(folder / FILE, "".join(json.dumps(line) + "\n" for line in history))


class Tracker:
    """A run on an MLflow server or in a local store."""

    def __init__(self, tracking: Tracking, config: TrainConfig, run_id: str | None) -> None:
        """`run_id`: the run to go on with. Raises TrainingError without MLflow."""
        try:
            from mlflow import MlflowClient  # noqa: PLC0415  (optional, and slow to import)
            from mlflow.entities import Metric, Param  # noqa: PLC0415
        except ImportError:
            raise TrainingError("tracking.mlflow needs mlflow-skinny: pip install 'melalog[tracking]'") from None
        if "://" not in tracking.mlflow:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow wants to be told that a folder is meant
        self._client, self._param, self._metric = MlflowClient(tracking.mlflow), Param, Metric
        if run_id is not None:
            self.run_id = run_id
            return
        found = self._client.get_experiment_by_name(tracking.experiment)
        experiment = found.experiment_id if found else self._client.create_experiment(tracking.experiment)
        self.run_id = self._client.create_run(experiment).info.run_id
        plan = _flat(config.model_dump(mode="json"))
        self._client.log_batch(self.run_id, params=[self._param(key, str(value)) for key, value in plan.items()])

    def log(self, line: dict[str, Any]) -> None:
        """The figures of one epoch."""
        numbers = {
            key: float(value) for key, value in line.items() if isinstance(value, int | float) and key != "epoch"
        }
        now = int(time.time() * 1000)
        points = [self._metric(key, value, now, line["epoch"]) for key, value in numbers.items()]
        self._client.log_batch(self.run_id, metrics=points)

    def end(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self.run_id)


def _flat(part: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in part.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {prefix + key: value}
    return found
