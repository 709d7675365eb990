"""`ProcessPool`: trainings in long-lived worker processes of one thread each.

Workers are programs of their own (`worker`), not forks or spawns of the caller's: a script needs no
`__main__` guard, and threads or locks of the caller are not copied. Each costs two seconds to start
(the import of torch) and then serves many jobs.
"""

import pickle
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import IO, Any

from archpress.data import ImageData
from archpress.errors import EvaluationError
from archpress.evaluation.device import choose_device, cores
from archpress.evaluation.evaluator import Pool
from archpress.evaluation.job import Job, longest_first
from archpress.evaluation.recipe import Recipe
from archpress.evaluation.trial import Trial
from archpress.python_process import python_command, python_environment

QUICK = 0.05  # seconds of a trial; who is so fast is sent the next job ahead, so as not to wait
ATTEMPTS = 2  # a worker may die by somebody else's fault; twice with one job is the job's
WORKERS_A_GPU = 4  # small nets leave a GPU idle between kernels; more workers only cost memory


@dataclass(slots=True)
class _Task:
    job: Job
    attempt: int = 1
    started: float = 0.0  # monotonic seconds, of this attempt


@dataclass(eq=False, slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: "Connection[Any, Any]"
    errors: IO[bytes]  # what the process wrote to its standard error
    ready: bool = False
    task: _Task | None = None
    following: _Task | None = None  # was sent too
    is_quick: bool = False  # its last trial was

    def stop(self) -> None:
        """End the process at once; it holds nothing that is worth a goodbye."""
        self.connection.close()
        self.process.kill()
        self.process.wait()
        self.errors.close()

    def epitaph(self) -> str:
        """How the process ended, in words; it has closed its end of the connection."""
        code = self.process.wait()
        how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
        self.errors.seek(0)
        written = self.errors.read().decode(errors="replace").strip().splitlines()
        return how + (f", {written[-1]}" if written else "")


class ProcessPool(Pool):
    """An evaluator that trains in several processes at once.

    A job that takes too long, needs too much memory, kills its worker or fails in any other way
    becomes a failed trial ("TimeLimit", "OutOfMemory", "WorkerDied", ...); the others go on.
    Workers start when there is something to train, and end with the pool or with this process.

    Args:
        data: to train and validate on; sent once to each worker.
        recipe: of `evaluate`; jobs for `run` carry their own.
        workers: processes; by default one a core, or four on a CUDA device.
        device: as `choose_device` knows it.
        time_limit: seconds that a trial may take; None: any.
        memory_limit: bytes that a trial may add to its worker's address space, on a CPU.

    Raises:
        EvaluationError: no such device, no workers, or a limit that cannot be kept here.
    """

    def __init__(
        self,
        data: ImageData,
        recipe: Recipe,
        *,
        workers: int | None = None,
        device: str = "auto",
        time_limit: float | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.data, self.recipe, self.device = data, recipe, choose_device(device)
        self.workers = default_workers(self.device) if workers is None else workers
        self.time_limit, self.memory_limit = time_limit, memory_limit
        if self.workers < 1:
            raise EvaluationError(f"a pool needs one worker or more, not {self.workers}")
        if memory_limit is not None and not sys.platform.startswith("linux"):
            raise EvaluationError("memory_limit works on Linux only; leave it out here")
        self._live: list[_Worker] = []
        self._data_file: IO[bytes] | None = None
        self._running = False
        self._finalizer = weakref.finalize(self, _stop_all, self._live)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process numbers of the workers that live now."""
        return tuple(worker.process.pid for worker in self._live)

    def run(self, jobs: Sequence[Job]) -> Iterator[Trial]:
        """Do jobs, the longest first; trials come in the order in which they end.

        Closing the iterator early, also by Ctrl-C, stops what is still running.

        Raises:
            EvaluationError: another run of this pool has not ended, the pool is closed, or a worker
                cannot start.
        """
        if self._running or not self._finalizer.alive:
            problem = "is at work on another batch" if self._running else "is closed"
            raise EvaluationError(f"the pool {problem}; it cannot run these jobs")
        waiting = deque(_Task(job) for job in longest_first(jobs, self.data))
        self._running = True
        try:
            self._hand_out(waiting)
            while any(worker.task for worker in self._live) or waiting:
                ended = self._reports(waiting)
                self._hand_out(waiting)  # before the caller takes its time with the trials
                yield from ended
        finally:
            self._running = False
            for worker in list(self._live):
                if worker.task is not None:
                    self._remove(worker)

    def close(self) -> None:
        """Stop the workers."""
        self._finalizer()
        if self._data_file is not None:
            self._data_file.close()
            self._data_file = None

    # --- handing out and taking in ---

    def _hand_out(self, waiting: deque[_Task]) -> None:
        busy = sum(worker.task is not None for worker in self._live)
        while len(self._live) < min(self.workers, busy + len(waiting)):
            self._live.append(self._start())
        for worker in self._live:
            if waiting and worker.ready and worker.task is None:
                worker.task = _sent(waiting.popleft(), worker)
            if waiting and worker.is_quick and worker.task and worker.following is None:
                worker.following = _sent(waiting.popleft(), worker)

    def _reports(self, waiting: deque[_Task]) -> list[Trial]:
        """Wait until something happens; the trials that ended by it."""
        spoke = wait([worker.connection for worker in self._live], self._patience())
        trials = []
        for worker in list(self._live):
            if worker.connection in spoke:
                trial = self._message(worker, waiting)
            else:
                trial = self._overdue(worker, waiting)
            if trial is not None:
                trials.append(trial)
        return trials

    def _patience(self) -> float | None:
        """Seconds until the first time limit passes."""
        started = [worker.task.started for worker in self._live if worker.task]
        if self.time_limit is None or not started:
            return None
        return max(0.0, min(started) + self.time_limit - time.monotonic())

    def _message(self, worker: _Worker, waiting: deque[_Task]) -> Trial | None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._death(worker, waiting)
        if not worker.ready:
            worker.ready = True
            return None
        assert isinstance(message, Trial)
        if worker.task is not None:
            worker.is_quick = time.monotonic() - worker.task.started < QUICK
        worker.task, worker.following = worker.following, None
        if worker.task is not None:
            worker.task.started = time.monotonic()
        return message

    def _death(self, worker: _Worker, waiting: deque[_Task]) -> Trial | None:
        task, epitaph = worker.task, worker.epitaph()
        self._remove(worker, waiting)
        if not worker.ready:
            raise EvaluationError(f"a worker process could not start: {epitaph}")
        if task is None:
            return None
        if task.attempt < ATTEMPTS:
            waiting.appendleft(_Task(task.job, task.attempt + 1))
            return None
        error = f"WorkerDied: its process ended {task.attempt} times, last by {epitaph}"
        return task.job.failed(self.data.key, error, time.monotonic() - task.started)

    def _overdue(self, worker: _Worker, waiting: deque[_Task]) -> Trial | None:
        if self.time_limit is None or worker.task is None:
            return None
        seconds = time.monotonic() - worker.task.started
        if seconds < self.time_limit:
            return None
        job = worker.task.job
        self._remove(worker, waiting)
        error = f"TimeLimit: stopped after {seconds:.1f} of {self.time_limit:g} seconds"
        return job.failed(self.data.key, error, seconds)

    # --- processes ---

    def _start(self) -> _Worker:
        data = self._shared_data()
        here, there = Pipe()
        errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the worker
        limit = [] if self.memory_limit is None else [f"--memory-limit={self.memory_limit}"]
        process = subprocess.Popen(
            python_command(
                "archpress.evaluation.worker",
                f"--control={there.fileno()}",
                f"--data={data}",
                f"--device={self.device}",
                *limit,
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=(there.fileno(), data),
            env=python_environment(),
        )
        there.close()
        return _Worker(process, here, errors)

    def _shared_data(self) -> int:
        """Descriptor of a file with the pickled data; it has no name, so nothing is left over."""
        if self._data_file is None:
            file = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`
            pickle.dump(replace(self.data, test_reader=None), file)
            file.flush()
            self._data_file = file
        return self._data_file.fileno()

    def _remove(self, worker: _Worker, waiting: deque[_Task] | None = None) -> None:
        """End a worker; what it had not begun waits again."""
        if waiting is not None and worker.following is not None:
            waiting.appendleft(worker.following)
        self._live.remove(worker)
        worker.stop()


def _sent(task: _Task, worker: _Worker) -> _Task:
    task.started = time.monotonic()
    with suppress(OSError):  # it died; `_reports` finds its end of file
        worker.connection.send(task.job)
    return task


def default_workers(device: str) -> int:
    """One a core; on a GPU a few."""
    if device == "cpu":
        return cores()
    return WORKERS_A_GPU if device.startswith("cuda") else 1


def _stop_all(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().stop()
