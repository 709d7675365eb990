"""Run folders as a search leaves them while it works."""

import json
import os
import platform
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from archpress.architecture import Layer, chain
from archpress.evaluation.trial import Trial, TrialState
from archpress.progress_file import PROGRESS_FILE
from archpress.store import Store
from archpress.watching import Watched, WatchServer, watched

DATA, RECIPE = "d" * 16, "a" * 16
PLAN = {
    "source": "conv7",
    "data": DATA,
    "data_name": "digits",
    "limits": {"max_parameters": 3000},
    "trial_recipe": RECIPE,
    "seed": 0,
}


def net(width):
    """Of `12 * width + 8` parameters and more."""
    return chain((1, 8, 8), Layer("conv", 3, width, 1, 1), Layer("linear", channels=2))


def trial(width, accuracy, second=0, **fields):
    """Failed where there is no accuracy."""
    done = accuracy is not None
    made = Trial(
        net(width),
        DATA,
        RECIPE,
        0,
        TrialState.DONE if done else TrialState.FAILED,
        metrics={"accuracy": accuracy} if done else {},
        error=None if done else "RuntimeError: <script>alert(1)</script>",
        created=f"2026-11-22T10:00:{second:02}.000+00:00",
        origin="edit",
    )
    return replace(made, **fields)


def add(run, *trials):
    with Store(run / "trials.db") as store:
        for one in trials:
            assert store.add(one)


def tell(run, **fields):
    """`progress.json` as a running process writes it; this one, by default."""
    now = time.time()
    content = {
        "stage": "round 1 of 5",
        "done": 2,
        "total": 8,
        "note": "best 90.0%",
        "started": now - 60,
        "begun": now - 100,
        "updated": now,
        "workers": 2,
        "pid": os.getpid(),
        "host": platform.node(),
    }
    (run / PROGRESS_FILE).write_text(json.dumps(content | fields))


@pytest.fixture
def make():
    """What makes runs."""
    return SimpleNamespace(net=net, trial=trial, add=add, tell=tell, plan=PLAN)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that has three trials, one of them failed; looked at whenever it is asked for."""
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.0)
    folder = tmp_path / "run <b>"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(PLAN))
    add(folder, trial(4, 0.8, 1), trial(6, 0.9, 2, predicted=0.85), trial(5, None, 3))
    return folder


@pytest.fixture
def server(run):
    with WatchServer(Watched(run)) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()
