"""What a run folder tells of its result, read again."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from archpress.architecture import named
from archpress.compression.result import FORMAT, AsGiven, Measured, Result, Spread
from archpress.errors import ArchitectureError, StoreError
from archpress.run_files import RESULT_FILE
from archpress.terminal import result_table

LATENCY = {"median_seconds": 0.001, "threads": 1, "batch": 1}


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


def test_weights_that_cannot_be_read_are_told_of_in_one_sentence(result):
    with pytest.raises(ArchitectureError, match=r"cannot read .*compressed\.json"):
        result.build()
    (result.folder / "compressed.json").write_text(named("tiny").to_json())
    for damage in ("missing", "damaged"):
        if damage == "damaged":
            (result.folder / "weights.safetensors").write_bytes(b"none")
        with pytest.raises(StoreError, match=r"cannot read .*weights\.safetensors"):
            result.build()


def test_accuracies_of_a_net_that_was_given_say_so(result):
    given = replace(result.source, given=AsGiven("own", "data", {}))
    table = StringIO()
    Console(file=table, width=200).print(result_table(replace(result, source=given)))
    assert table.getvalue().count("90.00%, as given, not trained here") == 1
