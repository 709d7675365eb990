import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from archpress.architecture import named
from archpress.errors import ArchpressError, EvaluationError, ExportError, StoreError
from archpress.evaluation import load_times, save_times, this_machine, time_nets
from archpress.evaluation.profiling import _groups
from archpress.shipping import pack
from archpress.space import LatencyConditions, LatencyModel

TINY, PLAIN, CONV7 = named("tiny"), named("plain6"), named("conv7")


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_all_nets_are_timed_in_all_passes(backend):
    told = []
    conditions = LatencyConditions(batch=2, backend=backend)
    times = time_nets([TINY, CONV7], conditions, seconds=0.01, passes=2, advance=told.append)
    assert times.shape == (2, 2)
    assert (times[:, 0] < times[:, 1]).all()
    assert told == [1, 2, 3, 4]


def test_an_unknown_backend_is_told():
    with pytest.raises(EvaluationError, match="no backend is called 'tvm'; known are torch, onnx"):
        time_nets([TINY], LatencyConditions(backend="tvm"))


def test_networks_that_do_not_fit_the_memory_together_wait(monkeypatch):
    monkeypatch.setattr("archpress.evaluation.profiling.MOST_WEIGHTS", CONV7.parameters + 10)
    assert list(_groups([TINY, CONV7, TINY, PLAIN])) == [[0], [1], [2, 3]]


def test_times_are_read_as_they_were_written(tmp_path):
    model = LatencyModel(LatencyConditions(4, 2, machine="a phone"), [(TINY, 0.25), (PLAIN, 1.5)])
    save_times(model, tmp_path / "device.json")
    read = load_times(tmp_path / "device.json")
    assert read.conditions == model.conditions
    assert read.timed == model.timed


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": "another"}',
        '{"format": "archpress-device-times", "version": 99, "conditions": {}, "nets": []}',
        '{"format": "archpress-device-times", "version": 1, "conditions": {}, "nets": [{}]}',
        '{"format": "archpress-device-times", "version": 1, "conditions": {"x": 1}, "nets": []}',
    ],
)
def test_a_file_without_times_is_told_in_one_sentence(tmp_path, content):
    path = tmp_path / "device.json"
    path.write_text(content)
    with pytest.raises(EvaluationError, match=r"device.json holds no times of a device: .+"):
        load_times(path)


def test_a_pack_is_timed_by_a_python_that_does_not_know_archpress(tmp_path):
    folder = tmp_path / "pack"
    pack([TINY, PLAIN], folder)
    moved = shutil.move(folder, tmp_path / "device")
    command = [sys.executable, "-I", "measure.py", "--seconds", "0.01", "--passes", "1"]
    source = (moved / "measure.py").read_text()
    assert "archpress." not in source.replace("archpress compress", "")
    subprocess.run([*command, "--batch", "3"], cwd=moved, check=True, capture_output=True)
    read = load_times(moved / "device.json")
    assert read.conditions == LatencyConditions(batch=3, machine=this_machine())
    assert [net for net, _ in read.timed] == [TINY, PLAIN]
    assert all(np.isfinite(time) and time > 0 for _, time in read.timed)


def test_a_pack_for_onnxruntime_holds_onnx_files(tmp_path):
    pack([TINY], tmp_path / "pack", backend="onnxruntime")
    command = [sys.executable, "-I", "measure.py", "--seconds", "0.01", "--passes", "1"]
    subprocess.run(command, cwd=tmp_path / "pack", check=True, capture_output=True)
    times = json.loads((tmp_path / "pack" / "device.json").read_text())
    assert times["conditions"]["backend"] == "onnxruntime"
    assert times["nets"][0]["milliseconds"] > 0


def test_a_pack_does_not_go_where_something_lies(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds something"):
        pack([TINY], tmp_path)
    with pytest.raises(ExportError, match="no backend is called 'tvm'"):
        pack([TINY], tmp_path / "new", backend="tvm")


def test_the_name_of_the_machine_is_one_line():
    assert this_machine()
    assert "\n" not in this_machine()


def test_prices_that_are_no_times_are_refused(tmp_path):
    path = tmp_path / "device.json"
    save_times(LatencyModel(LatencyConditions(), [(TINY, 1.0)]), path)
    content = json.loads(path.read_text())
    content["nets"][0]["milliseconds"] = -1
    path.write_text(json.dumps(content))
    with pytest.raises(ArchpressError, match="times must be above 0"):
        load_times(path)
