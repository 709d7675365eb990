"""`RayPool`: trainings on the nodes of a Ray cluster.

The driver keeps the queue, tries again what died, and writes all files: nodes share no folder with
it, and have nothing but archpress and Ray.
"""

import logging
import math
import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from archpress.data import ImageData
from archpress.errors import EvaluationError, reason
from archpress.evaluation.evaluator import Pool
from archpress.evaluation.job import Job, described, longest_first
from archpress.evaluation.pool import WORKERS_A_GPU
from archpress.evaluation.ray_task import Order, Report, train_there
from archpress.evaluation.recipe import Recipe
from archpress.evaluation.trial import Trial
from archpress.version import __version__
from archpress.whole_files import write_bytes

AUTO = "auto"
ATTEMPTS = 3  # nodes of a cluster come and go; three times with one job is the job's fault
QUEUED = 2  # tasks a slot: one runs, one waits beside it, so that none is idle and clusters grow
CONNECT_SECONDS = 10.0
LOOK = 1.0  # seconds between two looks for new nodes
TASKS_A_PROCESS = 1000  # by default Ray ends a process on a GPU after one
CURRENT = "ray/ray_current_cluster"  # in the folder of temporary files: Ray's note of an address
HOW = "a cluster needs Ray: pip install 'archpress[ray]'"


def connect(cluster: str) -> Any:  # noqa: ANN401  a module that may be missing
    """Ray, connected to a cluster; the connection lasts as long as this process.

    Args:
        cluster: "auto": the one that this process is connected to, that of RAY_ADDRESS, one that
            runs on this machine, or a new one on this machine; else an address, HOST:PORT.

    Raises:
        EvaluationError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError:
        raise EvaluationError(HOW) from None
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
        try:
            ray.init(_address(cluster), logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise EvaluationError(
                f"cannot connect to the Ray cluster {cluster!r}: {reason(error)}; one with a "
                f"token wants RAY_AUTH_MODE=token and the token here"
            ) from None
    return ray


def _address(cluster: str) -> str | None:
    """What Ray is to connect to; None: what it finds by itself.

    Raises:
        OSError: nobody listens there; Ray itself would try for minutes.
    """
    if cluster != AUTO:
        _knock(cluster)
        return cluster
    if address := os.environ.get("RAY_ADDRESS"):
        _knock(address)
        return None
    try:
        _knock(Path(os.environ.get("RAY_TMPDIR", "/tmp"), CURRENT).read_text().strip())
    except OSError:  # there is no cluster here, or one died and left its address
        return "local"
    return None


def _knock(address: str) -> None:
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


@dataclass(slots=True)
class _Task:
    job: Job
    attempt: int = 1


@dataclass(slots=True)
class _Batch:
    """One run: what waits, what is at the cluster, and files that were sent there.

    Attributes:
        waiting: the longest first.
        flying: by the reference of its report.
        files: references of contents, by path.
    """

    waiting: deque[_Task]
    flying: dict[Any, _Task] = field(default_factory=dict)
    files: dict[Path, Any] = field(default_factory=dict)


class RayPool(Pool):
    """An evaluator that trains on all nodes of a Ray cluster, also on those that come later.

    The images lie once on each node. A job whose process or node dies is tried again, twice at
    most; then it is a failed trial, as for every other reason.

    Args:
        data: to train and validate on.
        recipe: of `evaluate`; jobs for `run` carry their own.
        cluster: as `connect` knows it.
        workers: trainings at once; by default one a core of the cluster, or four a GPU.
        device: "cuda", "cpu", or "auto": CUDA if the cluster has a GPU.
        time_limit: seconds that a trial may take; None: any.
        memory_limit: bytes that a trial may add to its process's address space, on a CPU.

    Raises:
        EvaluationError: Ray is not installed, there is no such cluster or device, or no workers.
    """

    def __init__(
        self,
        data: ImageData,
        recipe: Recipe,
        *,
        cluster: str = AUTO,
        workers: int | None = None,
        device: str = "auto",
        time_limit: float | None = None,
        memory_limit: int | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise EvaluationError(f"a pool needs one worker or more, not {workers}")
        self.data, self.recipe, self.workers = data, recipe, workers
        self.time_limit, self.memory_limit = time_limit, memory_limit
        self._ray = connect(cluster)
        self.device = self._choose(device)
        gpus = 1 / WORKERS_A_GPU if self.device == "cuda" else 0
        calls = TASKS_A_PROCESS if gpus else 0  # any number
        remote = self._ray.remote(max_retries=0, num_cpus=1, num_gpus=gpus, max_calls=calls)
        self._train = remote(train_there)
        self._placed: Any = None
        self._slots, self._looked = 1, -math.inf
        self._running = self._closed = False

    def run(self, jobs: Sequence[Job]) -> Iterator[Trial]:
        """Do jobs, the longest first; trials come in the order in which they end.

        Closing the iterator early, also by Ctrl-C, stops what is still running.

        Raises:
            EvaluationError: another run of this pool has not ended, the pool is closed, or nodes
                cannot train at all, e.g. have no archpress.
        """
        if self._running or self._closed:
            problem = "is at work on another batch" if self._running else "is closed"
            raise EvaluationError(f"the pool {problem}; it cannot run these jobs")
        batch = _Batch(deque(_Task(job) for job in longest_first(jobs, self.data)))
        self._running = True
        try:
            ended = self._hand_out(batch)
            while batch.waiting or batch.flying or ended:
                ended += self._reports(batch)
                ended += self._hand_out(batch)  # before the caller takes its time with the trials
                yield from ended
                ended = []
        finally:
            self._running = False
            for reference in batch.flying:
                with suppress(Exception):  # whatever is wrong with the cluster, it is over
                    self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Let the cluster forget the images; the connection stays for other pools."""
        self._closed, self._placed = True, None

    # --- handing out and taking in ---

    def _hand_out(self, batch: _Batch) -> list[Trial]:
        """Send what fits; the trials of jobs that cannot even be sent."""
        failed = []
        most = self._most() if batch.waiting else 0
        while batch.waiting and len(batch.flying) < most:
            task = batch.waiting.popleft()
            try:
                placed = self._place(task.job, batch)
            except OSError as error:
                failed.append(task.job.failed(self.data.key, described(error)))
                continue
            order = Order(
                task.job,
                self.data.key,
                __version__,
                self.device,
                self.time_limit,
                self.memory_limit,
            )
            batch.flying[self._train.remote(order, placed)] = task
        return failed

    def _most(self) -> int:
        """Tasks at the cluster at once; more when it has grown."""
        if self.workers is not None:
            return self.workers
        if time.monotonic() - self._looked >= LOOK:
            there = self._ray.cluster_resources()
            slots = there.get("CPU", 0)
            if self.device == "cuda":
                slots = min(slots, there.get("GPU", 0) * WORKERS_A_GPU)
            self._slots, self._looked = max(1, int(slots)), time.monotonic()
        return QUEUED * self._slots

    def _place(self, job: Job, batch: _Batch) -> dict[str, Any]:
        """References to what a job needs beside itself."""
        if self._placed is None:
            self._placed = self._ray.put(replace(self.data, test_reader=None))
        placed = {"data": self._placed}
        for name, path in (("teacher", job.teacher_logits), ("start", job.initial_weights)):
            if path is None:
                continue
            if path not in batch.files:
                batch.files[path] = self._ray.put(path.read_bytes())
            placed[name] = batch.files[path]
        return placed

    def _reports(self, batch: _Batch) -> list[Trial]:
        """Wait a moment, or until something ends; the trials that ended."""
        flying = list(batch.flying)
        if not flying:
            return []
        self._ray.wait(flying, num_returns=1, timeout=LOOK)
        ready, _ = self._ray.wait(flying, num_returns=len(flying), timeout=0)
        trials = [self._take(reference, batch) for reference in ready]
        return [trial for trial in trials if trial is not None]

    def _take(self, reference: Any, batch: _Batch) -> Trial | None:  # noqa: ANN401
        """The trial of a task that ended; None where it is to be tried again."""
        task = batch.flying.pop(reference)
        told = self._ray.exceptions
        try:
            report: Report = self._ray.get(reference)
        except told.RayTaskError as error:
            problem = error.cause if isinstance(error.cause, Exception) else error
            if no_use := _no_use(problem):
                raise EvaluationError(no_use) from None
            return self._again(task, batch, described(problem))  # e.g. that node's disk is full
        except (told.RuntimeEnvSetupError, told.TaskUnschedulableError) as error:
            raise EvaluationError(f"the cluster cannot train: {reason(error)}") from None
        except told.RayError as error:  # its process, its node, or what it had written there
            died = f"WorkerDied: it died {task.attempt} times, last: {reason(error)}"
            return self._again(task, batch, died)
        return self._kept(report, task.job)

    def _again(self, task: _Task, batch: _Batch, error: str) -> Trial | None:
        if task.attempt < ATTEMPTS:
            batch.waiting.appendleft(_Task(task.job, task.attempt + 1))
            return None
        return task.job.failed(self.data.key, error)

    def _kept(self, report: Report, job: Job) -> Trial:
        """The trial, its weights written; a failed one where they cannot be."""
        if job.save_weights is not None and report.weights is not None:
            try:
                write_bytes(job.save_weights, report.weights)
            except OSError as error:
                return job.failed(self.data.key, described(error), report.trial.seconds)
        return report.trial

    def _choose(self, device: str) -> str:
        has_gpu = self._ray.cluster_resources().get("GPU", 0) >= 1
        match device.partition(":")[0]:
            case "auto":
                return "cuda" if has_gpu else "cpu"
            case "cpu":
                return "cpu"
            case "cuda" if has_gpu:
                return "cuda"
            case "cuda":
                raise EvaluationError("device 'cuda' was asked for, but the cluster has no GPU")
        raise EvaluationError(f"a cluster trains on cpu, cuda or auto, not on {device!r}")


def _no_use(problem: Exception) -> str | None:
    """What to tell where trying again, or another job, would end the same; else None."""
    if isinstance(problem, EvaluationError):
        return str(problem)
    if isinstance(problem, ImportError) or "failed to import" in reason(problem):
        last = (str(problem).strip().splitlines() or [""])[-1]
        return f"a node cannot import archpress; install the same on all nodes: {last}"
    return None
