"""`Tracking`: listens to a run of `compress`, and logs its trials and its result."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from archpress.compression.run_folder import known_plan
from archpress.errors import EvaluationError
from archpress.evaluation import Trial
from archpress.paths import typed_path
from archpress.report.record import NetRecord, ResultRecord, read_result
from archpress.search import Objective
from archpress.tracking.courier import Courier, Parcel
from archpress.tracking.ledger import flat
from archpress.tracking.mlflow_sink import MlflowSink
from archpress.tracking.sink import How, Outcome, Sink
from archpress.tracking.tensorboard_sink import TensorBoardSink

SINKS: dict[str, Callable[[], Sink]] = {"tensorboard": TensorBoardSink, "mlflow": MlflowSink}
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")  # in names of numbers


class Tracking:
    """Logs a run of `compress` to TensorBoard, to MLflow, or to a sink of one's own.

    Each trial is a step: accuracy, parameters, macs, round, how many failed, the best so far that
    keeps the limits. `finish` adds the numbers of the result. What fails is told once and tried
    again, and never stops the run; a run that goes on logs only what is new.

    Args:
        run: folder of the run.
        to: names, "tensorboard" or "mlflow", or sinks.
        warn: is told what fails; by default standard error.

    Raises:
        EvaluationError: there is no such sink, or what it needs is not installed.
    """

    def __init__(
        self,
        run: Path | str,
        to: Sequence[str | Sink],
        *,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._run = typed_path(run)
        self._sinks = _sinks(list(dict.fromkeys(to)))
        self._warn = warn or _to_stderr
        self._couriers: list[Courier] = []
        self._heard: set[str] = set()
        self._failed = 0
        self._done: list[Trial] = []
        self._objective: Objective | None = None
        self._best: Trial | None = None

    def __enter__(self) -> Self:
        plan = self._plan
        self._couriers = [Courier(sink, self._run, plan, self._warn) for sink in self._sinks]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        how: How = "finished" if error is None else "stopped" if stopped else "failed"
        for courier in self._couriers:
            courier.close(how)

    def stage(self, name: str, total: int) -> None:
        """Not logged."""

    def advance(self, done: int, note: str = "") -> None:
        """Not logged."""

    def say(self, text: str) -> None:
        """Not logged."""

    def trial(self, trial: Trial, objective: Objective | None) -> None:
        """Log a trial, unless it was logged before."""
        key = trial.architecture.key
        if key in self._heard:
            return
        self._heard.add(key)
        self._failed += not trial.done
        self._judge(trial, objective)
        parcel = Parcel(key, dict(self._values(trial)), _seconds(trial.created))
        for courier in self._couriers:
            courier.send(parcel)

    def finish(self, report: Path | None = None) -> None:
        """Log what came of the run: its folder has the result.

        Args:
            report: of the run, as `write_report` gives it.

        Raises:
            StoreError: there is no result.
        """
        result = read_result(self._run)
        files = [report] if report else []
        settings = flat({"recipe": result.recipes})
        outcome = Outcome(dict(_of_result(result)), settings, result.sentence, files)
        for courier in self._couriers:
            courier.finish(outcome)

    def _judge(self, trial: Trial, objective: Objective | None) -> None:
        """Find the best so far; all are judged anew where what is better has changed."""
        if trial.done:
            self._done.append(trial)
        if objective is None:
            return
        is_same = objective is self._objective
        self._objective = objective
        new = [one for one in (trial,) if one.done] if is_same else self._done
        kept = [one for one in new if objective.feasible(one.architecture, one.accuracy or 0.0)]
        before = [self._best] if is_same and self._best else []
        self._best = objective.best([*before, *kept])

    def _plan(self) -> dict[str, str]:
        return flat(known_plan(self._run))

    def _values(self, trial: Trial) -> Iterator[tuple[str, float]]:
        net = trial.architecture
        yield "trial/parameters", net.parameters
        yield "trial/macs", net.macs
        yield "trial/round", trial.round
        yield "trial/seconds", trial.seconds
        if trial.predicted is not None:
            yield "trial/predicted", trial.predicted
        if trial.accuracy is not None:
            yield "trial/accuracy", trial.accuracy
            yield f"accuracy/{UNSAFE.sub('_', trial.origin or 'unknown')}", trial.accuracy
        yield "failed", self._failed
        if self._best is not None:
            yield "best/accuracy", self._best.accuracy or 0.0
            yield "best/parameters", self._best.architecture.parameters


def _sinks(named: Sequence[str | Sink]) -> list[Sink]:
    for one in named:
        if isinstance(one, str) and one not in SINKS:
            raise EvaluationError(f"there is no logging to {one!r}; there is {', '.join(SINKS)}")
    return [SINKS[one]() if isinstance(one, str) else one for one in named]


def _of_result(result: ResultRecord) -> Iterator[tuple[str, float]]:
    nets = {
        "source": result.source,
        "compressed": result.compressed,
        "reference": result.reference,
    }
    for role, net in nets.items():
        if net is not None:
            yield from ((f"{role}/{name}", value) for name, value in _of_net(net))
    yield "met", result.met
    if result.compression is not None:
        yield "compression", result.compression
    yield "seconds", sum(result.seconds.values())


def _of_net(net: NetRecord) -> Iterator[tuple[str, float]]:
    yield "parameters", net.parameters
    yield "macs", net.macs
    yield "peak_memory", net.peak_memory
    if net.latency is not None:
        yield "latency_ms", 1e3 * net.latency.median_seconds
    for name in ("validation_accuracy", "test_accuracy"):
        if spread := getattr(net, name):
            yield name, spread.mean


def _seconds(created: str) -> float:
    return datetime.fromisoformat(created).timestamp()


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"archpress: {text}\n")
