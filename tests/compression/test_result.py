"""What a run folder tells of its result, read again."""

import json

import pytest

from archpress.compression.result import FORMAT, Measured, Result, Spread
from archpress.errors import StoreError
from archpress.run_files import RESULT_FILE

LATENCY = {"median_seconds": 0.001}


@pytest.fixture
def result(tmp_path):
    net = Measured("a", 10, 20, 30, 4, LATENCY, Spread(0.9, 0.1, 2), test_accuracy=None)
    empty = ("trials", "seconds", "recipes", "data", "surrogate", "trust", "latency", "versions")
    return Result(
        source=net,
        compressed=net,
        reference=None,
        limits=(),
        compression=1.0,
        met=True,
        sentence="Nothing changed.",
        seed=0,
        folder=tmp_path,
        **{name: {} for name in empty},
    )


def test_a_result_is_read_as_it_was_written(result):
    (result.folder / RESULT_FILE).write_text(json.dumps(result.to_dict()))
    assert Result.load(result.folder) == result


@pytest.mark.parametrize(
    "change",
    [
        lambda content: [],
        lambda content: {"format": FORMAT, "version": 1},
        lambda content: {**content, "version": 2},
        lambda content: {**content, "version": None},
        lambda content: {**content, "format": "other"},
        lambda content: {**content, "compressed": {}},
        lambda content: {**content, "limits": [{"unknown": 1}]},
    ],
)
def test_what_is_no_result_is_refused_in_one_sentence(result, change):
    path = result.folder / RESULT_FILE
    path.write_text(json.dumps(change(result.to_dict())))
    with pytest.raises(StoreError, match="no result that this version of archpress reads"):
        Result.load(result.folder)
