"""A run folder to be logged."""

import json

import pytest

from archpress.tracking import courier


@pytest.fixture
def folder(tmp_path):
    """A run folder with a plan and a result."""
    folder = tmp_path / "run"
    folder.mkdir()
    plan = {"source": "tiny", "limits": {"max_parameters": 700}, "seed": 0}
    (folder / "run.json").write_text(json.dumps(plan))
    result = {
        "format": "archpress-result",
        "version": 1,
        "met": True,
        "sentence": "All limits met.",
        "source": {"name": "tiny", "parameters": 1000, "macs": 2000, "peak_memory": 3, "layers": 4},
        "compressed": {
            "name": "compressed",
            "parameters": 500,
            "macs": 900,
            "peak_memory": 3,
            "layers": 4,
            "test_accuracy": {"mean": 0.75, "n": 2},
        },
        "compression": 2.0,
        "seconds": {"search": 1.5, "final training": 2.0},
        "recipes": {"trial": {"epochs": 3}},
        "data": {
            **{"name": "digits", "key": "data", "train": 1, "validation": 1, "classes": 10},
            "input_shape": [1, 8, 8],
        },
    }
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Nothing waits for seconds."""
    monkeypatch.setattr(courier, "PAUSE", 0.01)
    monkeypatch.setattr(courier, "FIRST_WAIT", 0.01)
