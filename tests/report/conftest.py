"""Run folders for the tests: real architectures, a real store, and a result written by hand."""

import json
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from archpress.architecture import Architecture, Layer, chain, named
from archpress.evaluation.trial import Trial, TrialState
from archpress.store import Store

DATA, RECIPE = "d" * 16, "a" * 16
SOURCE = named("conv7")


def narrow(*widths: int) -> Architecture:
    """Conv-BN-ReLU blocks of these widths with two pools."""
    layers: list[Layer] = []
    for number, width in enumerate(widths, start=1):
        layers += [Layer("conv", 3, width, 1, 1), Layer("batch_norm"), Layer("relu")]
        if number in (2, 4):
            layers.append(Layer("max_pool", kernel=2, stride=2))
    return chain((1, 28, 28), *layers, Layer("linear", channels=10))


RESULT_NET = narrow(16, 16, 24, 24, 40, 48)
REFERENCE = narrow(12, 12, 24, 24, 48, 48)


def trial(architecture: Architecture, accuracy: float | None, number: int = 0, **fields) -> Trial:
    """A trial of the run's data and trial recipe; failed where there is no accuracy."""
    done = accuracy is not None
    return Trial(
        architecture,
        fields.pop("data", DATA),
        fields.pop("recipe", RECIPE),
        fields.pop("seed", 0),
        TrialState.DONE if done else TrialState.FAILED,
        metrics={"accuracy": accuracy} if done else {},
        error=None if done else fields.pop("error", "RuntimeError: loss is not finite"),
        created=f"2026-11-22T10:{number // 60:02}:{number % 60:02}.000+00:00",
        **fields,
    )


def some_trials(count: int = 60) -> list[Trial]:
    """The source, random narrow nets, edits and decoded nets of three rounds, two failures."""
    rng = random.Random(0)
    trials = [trial(SOURCE, 0.874, 0, origin="source", seconds=21.0)]
    for number in range(1, count):
        widths = [rng.choice([4, 8, 12, 16, 24, 32, 48]) for _ in range(rng.randint(2, 7))]
        net = narrow(*widths)
        accuracy = min(0.9, 0.55 + 0.06 * len(widths) + rng.gauss(0, 0.02))
        origin = ("paper-sampler", "neighbourhood", "descent", "edit")[min(3, number // 14)]
        later = origin in {"descent", "edit"}
        trials.append(
            trial(
                net,
                accuracy,
                number,
                origin=origin,
                seconds=rng.uniform(3, 9),
                round=1 + number % 3 if later else 0,
                predicted=accuracy + rng.gauss(0, 0.015) if later else None,
            )
        )
    trials.append(
        trial(RESULT_NET, 0.871, count, origin="descent", round=3, predicted=0.869, seconds=7.0)
    )
    trials.append(trial(narrow(5), None, count + 1, origin="edit"))
    trials.append(trial(narrow(6), None, count + 2, error="MemoryError: <script>x</script>"))
    return trials


def net_record(name: str, architecture: Architecture, accuracy: float) -> dict:
    return {
        "name": name,
        "parameters": architecture.parameters,
        "macs": architecture.macs,
        "peak_memory": architecture.peak_memory,
        "layers": len(architecture.layers),
        "latency": {
            "median_seconds": architecture.macs / 2.5e10,
            "iqr_seconds": architecture.macs / 5e11,
            "runs": 50,
            "batch": 1,
            "threads": 1,
            "device": "cpu",
        },
        "validation_accuracy": {"mean": accuracy, "std": 0.002, "n": 3},
        "test_accuracy": {"mean": accuracy - 0.004, "std": 0.0016, "n": 3},
    }


def result() -> dict:
    """A `result.json` with every part."""
    parameters = RESULT_NET.parameters
    return {
        "format": "archpress-result",
        "version": 1,
        "met": True,
        "sentence": f"conv7 was compressed {SOURCE.parameters / parameters:.1f} times, to "
        f"{parameters:,} parameters, at 89.8 % test accuracy instead of 90.1 %.",
        "limits": [
            {"name": "max_parameters", "limit": 93000, "value": parameters, "met": True},
            {"name": "max_accuracy_loss", "limit": 0.01, "value": 0.003, "met": True},
        ],
        "source": net_record("conv7", SOURCE, 0.905),
        "compressed": net_record("conv7-small", RESULT_NET, 0.902) | {"distilled": True},
        "reference": net_record("plain6", REFERENCE, 0.889),
        "compression": SOURCE.parameters / parameters,
        "trials": {"trained": 60, "reused": 12, "failed": 2},
        "seconds": {
            "first trials": 120.0,
            "embedding": 60.1,
            "rounds": 150.2,
            "final training": 200.0,
            "measuring": 4.2,
        },
        "recipes": {
            "trial": {"key": RECIPE, "name": "quick", "epochs": 3, "learning_rate": 0.01},
            "final": {"key": "b" * 16, "name": "final", "epochs": 20, "flip": True},
        },
        "data": {
            "name": "fashion-mnist-sample",
            "key": DATA,
            "train": 10800,
            "validation": 1200,
            "test": 2000,
            "classes": 10,
            "input_shape": [1, 28, 28],
        },
        "surrogate": {
            "kendall": 0.74,
            "kendall_parameters": 0.2,
            "kendall_macs": 0.5,
            "n": 60,
            "within_half": 0.55,
            "within_most": 0.92,
            "exact_share": 0.8,
            "kind_share": 0.985,
            "channel_error_octaves": 0.1,
            "valid_share": 1.0,
            "novel_share": 0.9,
        },
        "trust": {
            "rounds": [
                {"number": 1, "n": 6, "predicted": 0.861, "measured": 0.852, "error": 0.0125}
            ],
            "cycle": 0.31,
            "path": [{"step": 10, "n": 48, "octaves": 0.21, "moved": 0.6}],
        },
        "versions": {"archpress": "0.1.0", "torch": "2.13.0", "python": "3.11.2"},
        "seed": 0,
    }


def write_run(folder: Path, content: dict | None = None, trials: list[Trial] | None = None) -> Path:
    """A run folder with all its files; trials of other data and another recipe are in the store."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result() if content is None else content))
    SOURCE.save(folder / "source.json")
    RESULT_NET.save(folder / "compressed.json")
    trials = some_trials() if trials is None else trials
    with Store(folder / "trials.db") as store:
        for one in [
            *trials,
            *(replace(one, data="other") for one in trials[:2]),
            *(replace(one, recipe="other") for one in trials[:2]),
        ]:
            store.add(one)
    return folder


def explored(count=6, **changes):
    """An `explorer.json` with its nets: narrow ones, and the source for its own size."""
    nets = [narrow(*[4 * (number + 1)] * 3) for number in range(count - 1)] + [SOURCE]
    told = [
        {
            "limit": net.parameters,
            "key": net.key,
            "parameters": net.parameters,
            "macs": net.macs,
            "peak_memory": net.peak_memory,
            "accuracy": 0.8 + 0.01 * number,
            "low": 0.7,
            "high": 0.9,
            "tried": net is SOURCE,
            "place": [0.5 * number, -0.25 * number],
        }
        for number, net in enumerate(nets)
    ]
    keys = [trial.architecture.key for trial in some_trials() if trial.done]
    content = {
        "format": "archpress-explorer",
        "version": 1,
        "own_limit": told[2]["limit"],
        "axes": [0.5, 0.25],
        "source": [3.0, -1.5],
        "nets": told,
        "places": {key: [0.1 * number, 1.0] for number, key in enumerate(keys)},
    }
    return content | changes, nets


def write_explored(run, content=None, **changes):
    write_run(run, content)
    told_all, nets = explored(**changes)
    (run / "explorer").mkdir()
    for told, net in zip(told_all["nets"], nets, strict=False):
        net.save(run / "explorer" / f"{told['limit']}.json")
    (run / "explorer.json").write_text(json.dumps(told_all))
    return run


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """What makes runs and their parts."""
    return SimpleNamespace(
        narrow=narrow,
        trial=trial,
        some_trials=some_trials,
        result=result,
        write_run=write_run,
        explored=explored,
        write_explored=write_explored,
        source=SOURCE,
        compressed=RESULT_NET,
    )
