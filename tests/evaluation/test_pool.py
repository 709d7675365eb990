"""What a pool survives. Faults are real: killed processes, limits that are too small."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from archpress.architecture import Layer, chain
from archpress.architecture.network import build, load_weights
from archpress.data import ImageData, Split
from archpress.errors import EvaluationError
from archpress.evaluation import (
    Candidate,
    Job,
    Normalisation,
    ProcessPool,
    Recipe,
    accuracy_of,
    choose_device,
    teacher_logits_of,
    train,
)
from archpress.python_process import PACKAGE_ROOT

ENDLESS = 10**6  # epochs


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def children_of(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_nothing_starts_before_there_is_something_to_train(data, brief, candidates):
    with ProcessPool(data, brief, workers=2, device="cpu") as pool:
        assert list(pool.run([])) == []
        pool.evaluate(candidates, seed=0)
        assert pool.pids == ()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"workers": 0}, "needs one worker or more"),
        ({"device": "tpu"}, "no device is called 'tpu'"),
    ],
)
def test_a_pool_that_cannot_work_is_refused(data, brief, arguments, problem):
    with pytest.raises(EvaluationError, match=problem):
        ProcessPool(data, brief, **arguments)


def test_a_closed_pool_refuses_jobs(data, brief, candidates):
    pool = ProcessPool(data, brief, device="cpu")
    pool.close()
    pool.close()
    with pytest.raises(EvaluationError, match="is closed"):
        list(pool.evaluate(candidates, seed=0))


def test_a_device_that_is_not_here_is_refused():
    if not torch.cuda.is_available():
        with pytest.raises(EvaluationError, match="no CUDA device"):
            choose_device("cuda")
        assert choose_device("auto") == "cpu"
    assert choose_device("cpu") == "cpu"
    for name in ("cpu:foo", "cpu:0", "auto:3", "cuda:one", "cuda:"):
        with pytest.raises(EvaluationError, match="no device is called"):
            choose_device(name)


@pytest.mark.slow
def test_final_trainings_keep_weights_and_distil(pool, data, net, brief, tmp_path):
    teacher = train(net, data, replace(brief, epochs=4), seed=0).network
    np.save(tmp_path / "logits.npy", teacher_logits_of(teacher, data, brief).numpy())
    distil = replace(brief, distillation=0.5, flip=True)
    jobs = [
        Job(Candidate(net), brief, 3, save_weights=tmp_path / "plain.safetensors"),
        Job(Candidate(net), distil, 3, teacher_logits=tmp_path / "logits.npy"),
        Job(Candidate(net), distil, 3, teacher_logits=tmp_path / "none.npy"),
        Job(Candidate(net), brief, 3, save_weights=tmp_path / "no folder" / "w.safetensors"),
    ]
    trials = list(pool.run(jobs))
    assert [trial.done for trial in trials] == [True, True, False, False]
    assert "none.npy" in trials[2].error
    network = build(net)
    weights = load_file(tmp_path / "plain.safetensors")
    load_weights(network, weights, where="plain.safetensors")
    normalisation = Normalisation.of(data, brief)
    assert accuracy_of(network, data.validation, normalisation) == trials[0].accuracy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logits.npy", "plain.safetensors"]


@pytest.mark.slow
def test_time_memory_and_numbers_that_run_away_are_failed_trials(data, net, brief):
    wide = chain((1, 8, 8), Layer("linear", channels=2**19), Layer("linear", channels=4))
    jobs = {
        "done": Job(Candidate(net), brief, 0),
        "TimeLimit": Job(Candidate(net), replace(brief, epochs=ENDLESS, evaluate_every=0), 0),
        "OutOfMemory": Job(Candidate(wide), brief, 0),
        "Diverged": Job(
            Candidate(chain((1, 8, 8), Layer("linear", channels=4))),
            replace(brief, optimizer="sgd", learning_rate=1e38, clip=None),
            0,
        ),
    }
    pool = ProcessPool(
        data, brief, workers=2, device="cpu", time_limit=3.0, memory_limit=128 * 2**20
    )
    with pool:
        trials = list(pool.run(list(jobs.values())))
        again = list(pool.run([jobs["done"]]))
    found = {(t.error or "done").partition(":")[0]: t.architecture for t in trials}
    assert found == {name: job.candidate.architecture for name, job in jobs.items()}
    assert [trial.done for trial in again] == [True]


@pytest.mark.slow
def test_a_job_survives_one_death_of_its_worker_but_not_two_and_the_pool_goes_on(data, net, brief):
    long = Job(Candidate(net), replace(brief, epochs=ENDLESS, evaluate_every=0), 0)
    killed = []
    with ProcessPool(data, brief, workers=1, device="cpu") as pool:
        short = Job(Candidate(net), brief, 0)
        list(pool.run([short]))
        os.kill(pool.pids[0], signal.SIGKILL)  # in idleness; the job goes to a new worker
        assert [trial.done for trial in pool.run([short])] == [True]
        first = pool.pids[0]

        def kill_twice():
            before = cpu_seconds(first)
            wait_until(lambda: cpu_seconds(first) > before + 0.3)
            os.kill(first, signal.SIGKILL)
            killed.append(first)
            wait_until(lambda: pool.pids and pool.pids[0] != first and pool._live[0].task)
            killed.append(pool.pids[0])
            os.kill(pool.pids[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_twice)
        killer.start()
        trials = list(pool.run([long, short]))
        killer.join()
    assert [trial.done for trial in trials] == [False, True]
    assert trials[0].error == ("WorkerDied: its process ended 2 times, last by signal 9 (SIGKILL)")
    assert len(set(killed)) == 2


@pytest.mark.slow
def test_jobs_that_end_at_once_are_all_done_though_a_worker_dies_among_them(data, brief):
    wrong = Candidate(chain((3, 8, 8), Layer("linear", channels=4)))  # refused at once
    seeds: list[int] = []
    with ProcessPool(data, brief, workers=2, device="cpu") as pool:
        for trial in pool.run([Job(wrong, brief, seed) for seed in range(200)]):
            assert "the architecture reads images of 3x8x8" in trial.error
            seeds.append(trial.seed)
            if len(seeds) == 60:
                busy = next(one for one in pool._live if one.following)
                os.kill(busy.process.pid, signal.SIGKILL)
    assert sorted(seeds) == list(range(200))


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN if {in_background} else signal.default_int_handler)
sys.path.insert(0, {root!r})
import torch
from archpress.architecture import named
from archpress.data import ImageData, Split
from archpress.evaluation import Candidate, Job, ProcessPool, Recipe
split = Split(torch.zeros(64, 1, 28, 28, dtype=torch.uint8), torch.arange(64) % 10)
data = ImageData.of("blank", split, split, tuple("0123456789"))
pool = ProcessPool(data, Recipe("endless", epochs=10**6), workers=1, device="cpu")
list(pool.run([Job(Candidate(named("tiny")), Recipe("short", epochs=1), 0)]))
print("started", flush=True)
list(pool.evaluate([Candidate(named("plain6"))], seed=0))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "in_background"),
    [(signal.SIGKILL, False), (signal.SIGINT, False), (signal.SIGTERM, True)],
)
def test_a_worker_in_mid_training_ends_with_a_parent_that_is_killed_or_interrupted(
    how, in_background, tmp_path
):
    """The parent is a plain script without a `__main__` guard, in another folder.

    In the background of a shell's script a parent is made to ignore SIGINT, and goes on.
    """
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(PACKAGE_ROOT), in_background=in_background))
    with subprocess.Popen(
        [sys.executable, str(script)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as parent:
        assert parent.stdout.readline() == b"started\n"
        (worker,) = children_of(parent.pid)
        before = cpu_seconds(worker)
        assert wait_until(lambda: cpu_seconds(worker) > before + 0.3)  # it trains
        if in_background:
            os.killpg(parent.pid, signal.SIGINT)
            before = cpu_seconds(worker)
            assert wait_until(lambda: cpu_seconds(worker) > before + 0.3)
        os.killpg(parent.pid, how) if how == signal.SIGINT else parent.send_signal(how)
        assert wait_until(lambda: not alive(worker))
        assert parent.wait(10) != 0


def test_a_worker_that_cannot_start_is_an_error_with_its_last_words(data, brief, net, monkeypatch):
    monkeypatch.setattr("archpress.evaluation.pool.sys.executable", "/bin/false")
    with (
        ProcessPool(data, brief, workers=1, device="cpu") as pool,
        pytest.raises(EvaluationError, match="could not start: exit code 1"),
    ):
        list(pool.evaluate([Candidate(net)], seed=0))


class OwnRecipe(Recipe):
    """Of this file, which workers do not know."""


def test_a_job_that_a_worker_cannot_read_is_a_failed_trial(data, brief, net):
    with ProcessPool(data, brief, workers=1, device="cpu") as pool:
        (trial,) = pool.run([Job(Candidate(net), OwnRecipe("own", epochs=1), 0)])
    assert not trial.done
    assert "WorkerDied: its process ended 2 times, last by exit code 1" in trial.error


def test_data_whose_test_split_cannot_be_pickled_reach_the_workers(data, brief):
    def read_test() -> Split:
        return data.validation

    local = ImageData.of(
        "local", data.train, data.validation, data.class_names, test_reader=read_test
    )
    with ProcessPool(local, brief, workers=1, device="cpu") as pool:
        assert pool._shared_data() > 0


def test_a_second_batch_has_to_wait_for_the_first(data, brief, net, monkeypatch):
    with ProcessPool(data, brief, workers=1, device="cpu") as pool:
        monkeypatch.setattr(pool, "_running", True)
        with pytest.raises(EvaluationError, match="at work on another batch"):
            list(pool.evaluate([Candidate(net)], seed=0))
