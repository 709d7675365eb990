"""`MlflowSink`: a run of MLflow, where MLflow itself is told to keep runs."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from archpress.errors import EvaluationError
from archpress.tracking.sink import Entry, How, LoggedRun, Outcome
from archpress.version import __version__

EXPERIMENT = "archpress"  # unless MLFLOW_EXPERIMENT_NAME says otherwise
LONGEST = 500  # characters of a setting that every server takes
QUICKER = {  # unless the user says otherwise; the first is read by the import
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # it is tried again anyway, and told sooner
}
PARAMETERS_AT_ONCE = 100  # in a request
ENDED: dict[How, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class MlflowSink:
    """Metrics a step, settings as parameters, the report as an artifact.

    `MLFLOW_TRACKING_URI` says where runs are kept, as everywhere in MLflow. The server knows how
    many trials it has (the metric "trials"), so that none comes twice where its answer was lost.

    Raises:
        EvaluationError: mlflow is not installed.
    """

    name = "mlflow"

    def __init__(self) -> None:
        if find_spec("mlflow") is None:
            raise EvaluationError(
                "logging to mlflow needs mlflow-skinny: pip install 'archpress[mlflow]'"
            )
        self._client: Any = None
        self._run_id = ""

    @property
    def where(self) -> str:
        """The tracking URI."""
        for name, value in QUICKER.items():
            os.environ.setdefault(name, value)
        import mlflow

        return str(mlflow.get_tracking_uri())

    def begin(self, run: Path, place: LoggedRun | None, settings: Mapping[str, str]) -> LoggedRun:
        """Open the run, or make one."""
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # tables that it makes
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._client = client = MlflowClient()
        if place is not None:
            found = client.get_run(place.name)
            client.update_run(place.name, status="RUNNING")
            self._run_id = place.name
            return LoggedRun(place.name, int(found.data.metrics.get("trials", 0)))
        tags = {"archpress.version": __version__, "archpress.folder": str(run.absolute())}
        made = client.create_run(self._experiment(), run_name=run.absolute().name, tags=tags)
        self._run_id = str(made.info.run_id)
        self._settings(settings)
        return LoggedRun(self._run_id, 0)

    def log(self, entries: Sequence[Entry]) -> None:
        """All of them in one request, which is taken whole or not at all."""
        from mlflow.entities import Metric

        metrics = [
            Metric(name, float(value), round(1000 * entry.when), entry.step)
            for entry in entries
            for name, value in entry.values.items()
        ]
        self._client.log_batch(self._run_id, metrics=metrics)

    def finish(self, step: int, outcome: Outcome) -> None:
        """Numbers of the result at the last step, recipes, files."""
        values = {f"result/{name}": value for name, value in outcome.values.items()}
        self.log([Entry(step, values, time.time())])
        for path in outcome.files:
            self._client.log_artifact(self._run_id, str(path))
        self._client.set_tag(self._run_id, "mlflow.note.content", outcome.sentence)
        self._settings(outcome.settings)

    def end(self, how: How) -> None:
        """Say how."""
        self._client.set_terminated(self._run_id, ENDED[how])

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _settings(self, settings: Mapping[str, str]) -> None:
        """As parameters, which MLflow never changes; what a run has otherwise by now, as tags."""
        from mlflow.entities import Param

        known = self._client.get_run(self._run_id).data.params
        told = [
            Param(name, value[:LONGEST]) for name, value in settings.items() if name not in known
        ]
        for name, value in settings.items():
            if known.get(name, value[:LONGEST]) != value[:LONGEST]:
                self._client.set_tag(self._run_id, name, value[:LONGEST])
        for start in range(0, len(told), PARAMETERS_AT_ONCE):
            self._client.log_batch(self._run_id, params=told[start : start + PARAMETERS_AT_ONCE])
