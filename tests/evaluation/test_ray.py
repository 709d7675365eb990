"""Trainings on a Ray cluster: several nodes on this machine, some of which die."""

import os
import signal
import subprocess
import sys
import threading
import time
import types
from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import save_file

from archpress.architecture import Layer, chain
from archpress.architecture.network import build
from archpress.cli import main
from archpress.errors import EvaluationError
from archpress.evaluation import (
    Averaged,
    Candidate,
    Inheriting,
    Job,
    RayPool,
    ray_pool,
    teacher_logits_of,
    train,
)
from archpress.store import Store, evaluate_once

ENDLESS = 10**6  # epochs
WHY = "needs pip install 'archpress[ray]'"
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


def with_width(width):
    return chain(
        (1, 8, 8), Layer("conv", 3, width, 1, 1), Layer("relu"), Layer("linear", channels=4)
    )


def by_net(trials):
    return {t.architecture.key: (dict(t.metrics), t.curve, t.error) for t in trials}


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


# --- without Ray ---


def test_without_ray_one_sentence_tells_how_to_install_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    command = ["compress", "tiny", "--data", "digits", "--max-parameters", "3000"]
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--run", str(tmp_path / "r"), "--cluster", "auto"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"archpress: {ray_pool.HOW}\n"
    assert not (tmp_path / "r").exists()


# --- the same trials ---


@pytest.mark.slow
def test_a_cluster_gives_the_very_trials_of_the_local_pool(pool, cluster, data, brief, candidates):
    with RayPool(data, brief, cluster=cluster.address) as there:
        assert by_net(there.evaluate(candidates, seed=5)) == by_net(
            pool.evaluate(candidates, seed=5)
        )
        mean = by_net(Averaged(there, 2).evaluate(candidates[:2], seed=3))
        assert mean == by_net(Averaged(pool, 2).evaluate(candidates[:2], seed=3))
        source = candidates[0].architecture
        state = build(source).state_dict()
        sliced = [Inheriting(one, source, state, "of a test") for one in (there, pool)]
        first, second = (by_net(one.evaluate(candidates[1:2], seed=0)) for one in sliced)
        assert first == second


@pytest.mark.slow
def test_files_come_and_go_with_the_job_and_are_the_very_same(
    pool, cluster, data, net, brief, tmp_path
):
    """Nodes share no folder with the driver: logits and first weights are sent, weights return."""
    teacher = train(net, data, replace(brief, epochs=4), seed=0).network
    np.save(tmp_path / "logits.npy", teacher_logits_of(teacher, data, brief).numpy())
    save_file(build(net).state_dict(), tmp_path / "start.safetensors")
    distil = replace(brief, distillation=0.5)
    inherited = replace(brief, start="of a test")

    def jobs(folder):
        folder.mkdir()
        return [
            Job(Candidate(net), brief, 3, folder / "plain"),
            Job(Candidate(net), distil, 3, folder / "taught", tmp_path / "logits.npy"),
            Job(
                Candidate(net),
                inherited,
                3,
                folder / "begun",
                initial_weights=tmp_path / "start.safetensors",
            ),
            Job(Candidate(net), distil, 4, folder / "never", tmp_path / "none.npy"),
            Job(Candidate(net), brief, 4, folder / "no folder" / "nothing"),
        ]

    with RayPool(data, brief, cluster=cluster.address) as there:
        far = {(t.recipe, t.seed): t for t in there.run(jobs(tmp_path / "far"))}
    near = {(t.recipe, t.seed): t for t in pool.run(jobs(tmp_path / "near"))}
    assert far.keys() == near.keys()
    for key, trial in near.items():
        assert (far[key].done, far[key].metrics) == (trial.done, trial.metrics)
    assert "none.npy" in far[distil.key, 4].error
    names = sorted(path.name for path in (tmp_path / "near").iterdir())
    assert names == ["begun", "plain", "taught"]
    for name in names:
        assert (tmp_path / "far" / name).read_bytes() == (tmp_path / "near" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "far").iterdir()) == names


@pytest.mark.slow
def test_time_and_memory_are_limited_as_in_the_local_pool(cluster, data, net, brief):
    wide = chain((1, 8, 8), Layer("linear", channels=2**19), Layer("linear", channels=4))
    jobs = [
        Job(Candidate(net), brief, 0),
        Job(Candidate(net), replace(brief, epochs=ENDLESS, evaluate_every=0), 0),
        Job(Candidate(wide), brief, 0),
    ]
    limits = {"time_limit": 3.0, "memory_limit": 128 * 2**20}
    with RayPool(data, brief, cluster=cluster.address, **limits) as pool:
        trials = list(pool.run(jobs))
        again = list(pool.run(jobs[:1]))
    found = {(t.error or "done").partition(":")[0]: t.architecture for t in trials}
    assert found == {"done": net, "TimeLimit": net, "OutOfMemory": wide}
    assert [trial.done for trial in again] == [True]


# --- faults ---


@pytest.mark.slow
def test_a_node_that_dies_costs_only_what_was_running_there(cluster, data, brief, tmp_path):
    """All trials are there at the end, each once, with the results they would have had."""
    import ray

    lost = cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    recipe = replace(brief, epochs=60)
    candidates = [Candidate(with_width(width)) for width in range(2, 20)]
    pool = RayPool(data, recipe, cluster=cluster.address)
    with pool, Store(tmp_path / "trials.db") as store:
        outcomes = evaluate_once(pool, store, candidates, seed=0)
        found = [next(outcomes) for _ in range(3)]
        cluster.remove_node(lost, allow_graceful=False)
        found += outcomes
        assert len(found) == len({one.trial.architecture.key for one in found}) == 18
        assert [one.trial.error for one in found] == [None] * 18
        assert store.count() == 18
        again = by_net(pool.evaluate(candidates[:3], seed=0))
        assert again.items() <= by_net(store.trials()).items()
    wait_until(lambda: ray.cluster_resources()["CPU"] == 2)


@pytest.mark.slow
def test_a_node_that_comes_later_is_used(cluster, data, brief):
    recipe = replace(brief, epochs=ENDLESS, evaluate_every=0)
    jobs = [Job(Candidate(with_width(width)), recipe, 0) for width in range(2, 20)]
    with RayPool(data, brief, cluster=cluster.address) as pool:
        trials = pool.run(jobs)
        batches = []
        hand_out = pool._hand_out

        def watched(batch):
            batches[:] = [batch]
            return hand_out(batch)

        pool._hand_out = watched
        reader = threading.Thread(target=lambda: next(trials, None), daemon=True)
        pool.time_limit = 25.0  # so that the reader comes back
        reader.start()
        wait_until(lambda: batches and len(batches[0].flying) == 4)
        node = cluster.add_node(**NODE)
        try:
            wait_until(lambda: len(batches[0].flying) == 6)
        finally:
            reader.join()
            trials.close()
            cluster.remove_node(node)


@pytest.mark.slow
def test_a_job_that_kills_its_process_fails_after_three_tries_and_the_others_go_on(
    cluster, data, net, brief
):
    import ray

    from archpress.evaluation.ray_task import train_there

    def deadly(order, placed):
        if order.job.seed == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_there(order, placed)

    with RayPool(data, brief, cluster=cluster.address) as pool:
        pool._train = ray.remote(max_retries=0, num_cpus=1)(deadly)
        trials = list(pool.run([Job(Candidate(net), brief, seed) for seed in (13, 14, 15)]))
    errors = {trial.seed: trial.error for trial in trials}
    assert errors[13].startswith("WorkerDied: it died 3 times, last: ")
    assert (errors[14], errors[15]) == (None, None)


@pytest.mark.slow
def test_closing_early_stops_what_runs_and_the_pool_goes_on(cluster, data, net, brief):
    import ray

    recipe = replace(brief, epochs=ENDLESS, evaluate_every=0)
    with RayPool(data, brief, cluster=cluster.address) as pool:
        jobs = [Job(Candidate(net), brief, 0), *(Job(Candidate(net), recipe, s) for s in (1, 2, 3))]
        pool.time_limit = 4.0
        trials = pool.run(jobs)  # the endless ones are longer, so they begin
        assert "TimeLimit" in next(trials).error
        trials.close()
        began = time.monotonic()
        assert [trial.done for trial in pool.run(jobs[:1])] == [True]
        assert time.monotonic() - began < 30
    wait_until(lambda: ray.available_resources().get("CPU") == 2)


@pytest.mark.slow
def test_another_version_on_a_node_is_refused(cluster, data, net, brief, monkeypatch):
    monkeypatch.setattr(ray_pool, "__version__", "99.0")
    with (
        RayPool(data, brief, cluster=cluster.address) as pool,
        pytest.raises(EvaluationError, match=r"the driver 99\.0; install the same on all nodes"),
    ):
        list(pool.run([Job(Candidate(net), brief, 0)]))


@pytest.mark.slow
def test_a_node_without_archpress_is_refused_and_a_full_disk_is_a_failed_trial(
    cluster, data, net, brief, monkeypatch
):
    """As Ray tells it: the module of the function that is sent is nowhere but here."""
    import ray

    elsewhere = types.ModuleType("only_here")
    exec("def absent(order, placed): pass", elsewhere.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", elsewhere)

    def full(order, placed):
        raise OSError(28, "No space left on device")

    job = Job(Candidate(net), brief, 0)
    with RayPool(data, brief, cluster=cluster.address) as pool:
        pool._train = ray.remote(max_retries=0)(elsewhere.absent)
        with pytest.raises(EvaluationError, match=r"cannot import archpress.* 'only_here'"):
            list(pool.run([job]))
        pool._train = ray.remote(max_retries=0)(full)
        (trial,) = pool.run([job])
    assert trial.error == "OS: [Errno 28] No space left on device"


@pytest.mark.slow
def test_what_cannot_work_is_refused(cluster, data, brief, candidates):
    for arguments, problem in (
        ({"workers": 0}, "needs one worker or more"),
        ({"device": "cuda"}, "the cluster has no GPU"),
        ({"device": "mps"}, "not on 'mps'"),
    ):
        with pytest.raises(EvaluationError, match=problem):
            RayPool(data, brief, cluster=cluster.address, **arguments)
    pool = RayPool(data, brief, cluster=cluster.address)
    pool.close()
    with pytest.raises(EvaluationError, match="is closed"):
        list(pool.evaluate(candidates, seed=0))


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_refused():
    pytest.importorskip("ray", reason=WHY)
    code = "from archpress.evaluation import connect; connect('127.0.0.1:1')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "EvaluationError: cannot connect to the Ray cluster '127.0.0.1:1'" in last
