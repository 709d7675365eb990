"""`archpress export`, as a user types it."""

import json
import subprocess
import sys

import pytest

from archpress.cli import main
from archpress.shipping import FORMS


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, arguments)))
    return stopped.value.code or 0


@pytest.mark.slow
def test_nothing_of_the_exporters_reaches_the_terminal(folder):
    for form in ("torch-export", "onnx-int8"):  # which makes "onnx" first
        command = [sys.executable, "-m", "archpress", "export", str(folder), "--to", form]
        command += ["--data", "fashion-mnist-sample"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert "Latency at batch 1, 1 thread; accuracy on 1,200 validation images" in done.stdout
        assert f"Written: {folder / FORMS[form]}" in done.stdout


@pytest.mark.slow
def test_json_has_sizes_latencies_and_the_difference(folder, capsys):
    assert run("export", folder, "--to", "onnx", "--threads", 1, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] <= found["tolerance"]
    assert found["opset"] == 18
    latencies = [form["latency"] for form in found["forms"]]
    assert [(one["backend"], one["batch"], one["threads"]) for one in latencies] == [
        ("torch", 1, 1),
        ("onnxruntime", 1, 1),
    ]


def test_a_folder_without_a_network_is_one_sentence(tmp_path, capsys):
    assert run("export", tmp_path, "--to", "onnx", "--data", "digits") == 2
    assert capsys.readouterr().err.startswith(f"archpress: {tmp_path} holds no finished compress")
