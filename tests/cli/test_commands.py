"""The commands as a user types them, on real images: scikit-learn's digits."""

import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tracked_trials import FakeSink

from archpress.architecture import Architecture, named
from archpress.cli import main
from archpress.compression import Spread
from archpress.compression.finals import FinalTrainer
from archpress.data import ImageData, load_data
from archpress.errors import DataError
from archpress.store import Store, TrialFilter
from archpress.tracking import SINKS

LOGGED = FakeSink()  # by `finished`
COMPRESS = ["compress", "tiny", "--data", "digits", "--effort", "smoke", "--quiet"]


def run(*arguments):
    """Exit code of a command, in this process."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code or 0


def refused(capsys, *arguments):
    """The one sentence on standard error of a command that is refused."""
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("archpress: ")
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(SINKS, "fake", lambda: LOGGED)
        command = [*COMPRESS, "--max-parameters", 3000, "--run", folder]
        assert run(*command, "--log-to", "fake") == 0
    return folder


@pytest.mark.slow
def test_where_nothing_is_better_than_a_source_within_the_limits_it_is_the_result(
    tmp_path, monkeypatch
):
    def validation(trainer, entrant):
        best = entrant.role == "source"
        return Spread.of([0.9 if best else 0.5 for _ in entrant.seeds])

    monkeypatch.setattr(FinalTrainer, "validation", validation)
    assert run(*COMPRESS, "--max-parameters", "1M", "--run", tmp_path / "run") == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["compressed"]["parameters"] == result["source"]["parameters"]
    assert "It is the source itself, which keeps the limits" in result["sentence"]
    files = [(tmp_path / "run" / f"{name}.json").read_text() for name in ("source", "compressed")]
    assert files[0] == files[1]
    assert (tmp_path / "run" / "report.html").stat().st_size > 0


@pytest.mark.slow
def test_every_trial_of_a_search_was_logged_and_the_result(finished):
    result = json.loads((finished / "result.json").read_text())
    with Store(finished / "trials.db") as store:
        found = store.trials(TrialFilter(recipe=result["recipes"]["trial"]["key"]))
    logged = sorted(entry.values["trial/parameters"] for entry in LOGGED.entries)
    assert logged == sorted(trial.architecture.parameters for trial in found)
    assert LOGGED.steps == [*range(1, len(found) + 1)]
    within = [t.accuracy for t in found if t.done and t.architecture.parameters <= 3000]
    assert LOGGED.entries[-1].values["best/accuracy"] == max(within)
    ((_, outcome),) = LOGGED.outcomes
    assert outcome.values["compressed/parameters"] == result["compressed"]["parameters"]
    assert outcome.files == [finished / "report.html"]
    assert LOGGED.ended == ["finished"]


def test_all_commands_that_search_train_anywhere_and_share_their_trials():
    import typer

    from archpress.cli import app

    commands = typer.main.get_command(app).commands
    for name in ("compress", "compare", "analyse", "reproduce"):
        options = {option for one in commands[name].params for option in one.opts}
        assert {"--workers", "--device", "--store", "--cluster"} <= options


def test_logging_to_what_is_not_there_is_refused(tmp_path, capsys):
    command = [*COMPRESS, "--max-parameters", 3000, "--run", tmp_path / "run", "--log-to"]
    assert "tensorboard, mlflow" in refused(capsys, *command, "tensorboard,nothing")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_leaves_everything_that_a_user_needs(finished):
    result = json.loads((finished / "result.json").read_text())
    compressed = result["compressed"]
    assert result["met"] is True
    assert compressed["parameters"] <= 3000 < result["source"]["parameters"]
    for net in ("source", "compressed"):
        for kind in ("validation_accuracy", "test_accuracy"):
            accuracy = result[net][kind]
            assert accuracy["n"] == 2
            assert 0 <= accuracy["mean"] <= 1
        assert result[net]["latency"]["median_seconds"] > 0
    assert result["limits"][0]["value"] == compressed["parameters"]
    assert result["trials"]["trained"] >= 10
    for name in ("source.json", "compressed.json", "report.html", "trials.db", "weights.pt"):
        assert (finished / name).stat().st_size > 0
    assert json.loads((finished / "progress.json").read_text())["ended"] == "finished"
    assert not list(finished.rglob("*.unfinished"))


@pytest.mark.slow
def test_network_py_needs_torch_alone(finished, tmp_path):
    for name in ("network.py", "weights.pt"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "network.py", "weights.pt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "input (1, 1, 8, 8) -> output (1, 10)\n"
    assert "archpress" not in [
        line.split()[1]
        for line in (tmp_path / "network.py").read_text().splitlines()
        if line.startswith(("import", "from"))
    ]


@pytest.mark.slow
def test_the_same_command_again_trains_nothing(finished, capsys):
    assert run(*COMPRESS, "--max-parameters", 3000, "--run", finished, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trials"]["trained"] == 0
    assert result["trials"]["reused"] >= 10


@pytest.mark.slow
def test_other_limits_on_the_same_folder_start_from_its_trials(finished, capsys):
    before = trials_in(finished)
    command = [*COMPRESS, "--max-parameters", 1500, "--run", finished, "--json"]
    assert run(*command) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["compressed"]["parameters"] <= 1500
    assert set(before) <= set(trials_in(finished))
    assert result["trials"]["trained"] <= 3 + 6  # one round, and the anchors of the new limit


@pytest.mark.slow
def test_limits_that_are_not_met_give_the_closest_net_and_exit_code_3(tmp_path, capsys):
    command = [*COMPRESS, "--min-accuracy", 0.999, "--run", tmp_path / "r", "--json"]
    assert run(*command) == 3
    result = json.loads(capsys.readouterr().out)
    assert result["met"] is False
    assert result["sentence"].startswith("Not met: min_accuracy")
    assert (tmp_path / "r" / "weights.pt").exists()


@pytest.mark.slow
def test_a_folder_of_the_users_home_is_found(finished, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(finished.parent))
    assert run("report", f"~/{finished.name}") == 0
    assert run("trials", f"~/{finished.name}", "--export=~/trials.csv") == 0
    assert (finished.parent / "trials.csv").exists()


@pytest.mark.slow
def test_trials_are_kept_apart_by_amounts_as_they_are_typed_elsewhere(finished, capsys):
    def sizes(amount):
        assert run("trials", finished, "--max-parameters", amount, "--limit", 99, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        nets = [Architecture.from_json(json.dumps(one["architecture"])) for one in found]
        return [net.parameters for net in nets]

    source = Architecture.load(finished / "source.json").parameters
    assert sizes("1.5K") == sizes("1500") == sizes("1.5e3")
    assert 0 < len(sizes("1.5K")) < len(sizes("100%"))
    assert max(sizes("20%")) <= source / 5


def test_a_share_of_parameters_needs_a_source(tmp_path, capsys):
    with Store(tmp_path / "all.db"):
        pass
    place = tmp_path / "all.db"
    said = refused(capsys, "trials", place, "--max-parameters", "50%")
    assert "is a share of the source's, but" in said
    assert "must be a number such as 93000, 93K" in refused(
        capsys, "trials", place, "--max-parameters", "many"
    )


@pytest.mark.slow
def test_other_commands_read_a_run(finished, capsys):
    assert run("trials", finished, "--sort", "parameters", "--limit", 3, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3
    assert run("fit", finished, "--seeds", 2, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert [one["n"] >= 10 for one in content["rankings"]] == [True, True]
    assert run("trials", finished, "--export", finished / "all.csv") == 0
    assert len((finished / "all.csv").read_text().splitlines()) > 10
    none = ["--origin", "nobody", "--export", finished / "none.csv"]
    assert run("trials", finished, *none) == 0
    assert (finished / "none.csv").read_text().startswith("key,data,recipe,seed,state,accuracy,")
    assert run("trials", finished, "--min-accuracy", 85) == 2
    capsys.readouterr()
    assert run("report", finished) == 0
    assert run("inspect", finished / "compressed.json", "--json") == 0


def trials_in(folder):
    with sqlite3.connect(folder / "trials.db") as database:
        rows = database.execute("SELECT key, recipe, seed, created FROM trials").fetchall()
    database.close()
    return rows


@pytest.mark.slow
def test_a_killed_run_goes_on_and_trains_no_finished_trial_again(tmp_path):
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "archpress", *COMPRESS, "--max-parameters", "3000"]
    command += ["--workers", "1", "--run", str(folder)]
    for seconds in (4.0, 7.0):
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = trials_in(folder) if (folder / "trials.db").exists() else []
    subprocess.run(command, check=True, capture_output=True)
    after = trials_in(folder)
    assert set(before) <= set(after)  # with the time at which each ended
    assert len({row[:3] for row in after}) == len(after)
    with sqlite3.connect(folder / "trials.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    assert json.loads((folder / "result.json").read_text())["met"] is True


@pytest.mark.slow
def test_a_net_is_evaluated_once_and_trained_to_a_folder(tmp_path, capsys):
    command = ["evaluate", "tiny", "--data", "digits", "--store", tmp_path / "t.db", "--json"]
    answers = []
    for _ in range(2):
        assert run(*command) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert [one["reused"] for one in answers] == [False, True]
    assert answers[0]["metrics"] == answers[1]["metrics"]
    command = [
        "train",
        "tiny",
        "--data",
        "digits",
        "--epochs",
        2,
        "--out",
        tmp_path / "o",
        "--json",
    ]
    assert run(*command) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["test_accuracy"] > 0.5
    assert "epochs: 2" in said.err
    assert re.search(r"2/2 in \d+ s.*; loss \d\.\d+, validation \d\d\.\d\d%", said.err)
    assert (tmp_path / "o" / "network.py").exists()


@pytest.mark.slow
def test_what_failed_is_evaluated_again_and_said_to_have_failed(tmp_path, capsys, monkeypatch):
    command = ["evaluate", "tiny", "--data", "digits", "--store", tmp_path / "t.db"]
    with monkeypatch.context() as broken:
        broken.setattr("archpress.evaluation.job.train", lambda *_, **__: 1 / 0)
        assert "the trial failed: ZeroDivision" in refused(capsys, *command)
    assert run(*command) == 0
    assert "on validation images" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ("count", "conv7", "--max-macs", "1e6", "--seed", -1),
        ("fit", "runs", "--seeds", 0),
        (*COMPRESS, "--run", "runs", "--max-latency", 1, "--latency-threads", 0),
        ("profile", "tiny", "--out", "times.json", "--batch", 10**15),
        ("export", "runs", "--to", "onnx", "--threads", 10**9),
    ],
)
def test_numbers_that_cannot_be_are_refused(capsys, command):
    assert run(*command) == 2
    assert re.search("(greater|less) than or equal", capsys.readouterr().err)


@pytest.mark.slow
def test_a_test_split_that_cannot_be_read_does_not_cost_the_trained_network(tmp_path, capsys):
    digits, path = load_data("digits", max_train=300), tmp_path / "digits.npz"
    arrays = {"x_test": digits.validation.images, "y_test": digits.validation.labels}
    np.savez(path, x_train=digits.train.images, y_train=digits.train.labels, **arrays)
    whole, last = path.read_bytes(), digits.validation.images[-1].numpy().tobytes()
    path.write_bytes(bytes(len(last)).join(whole.rsplit(last, 1)))  # the last test image is blank
    command = ["train", "tiny", "--data", path, "--epochs", 1, "--out", tmp_path / "o", "--quiet"]
    said = refused(capsys, *command)
    assert "damaged (Bad CRC-32 for file 'x_test.npy')" in said
    assert f"the trained network is in {tmp_path / 'o'} all the same" in said
    written = (tmp_path / "o" / "weights.safetensors").read_bytes()
    path.write_bytes(whole)
    assert run(*command) == 0
    assert "test_accuracy" in capsys.readouterr().out
    assert (tmp_path / "o" / "weights.safetensors").read_bytes() == written


@pytest.mark.slow
def test_a_search_whose_test_split_cannot_be_read_ends_once_it_is_repaired(
    finished, tmp_path, capsys, monkeypatch
):
    def unreadable(images):
        raise DataError(f"{images.name}: truncated or damaged")

    folder = shutil.copytree(finished, tmp_path / "run")
    network = ["compressed.json", "network.py", "weights.pt", "weights.safetensors"]
    for name in network:
        (folder / name).unlink()
    command = [*COMPRESS, "--max-parameters", 3000, "--run", folder]
    with monkeypatch.context() as patched:
        patched.setattr(ImageData, "read_test", unreadable)
        said = refused(capsys, *command)
    assert said.endswith(f"truncated or damaged; the trained network is in {folder} all the same")
    assert not (folder / "result.json").exists()
    written, before = [(folder / name).read_bytes() for name in network], trials_in(folder)
    assert run(*command) == 0
    assert [(folder / name).read_bytes() for name in network] == written
    assert trials_in(folder) == before
    assert json.loads((folder / "result.json").read_text())["compressed"]["test_accuracy"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["evaluate", "tiny", "--data", "digits"], "stopped"),
        (
            ["train", "tiny", "--data", "digits", "--out", "here"],
            "stopped; the same command goes on from here",
        ),
        (
            [*COMPRESS, "--max-parameters", 3000, "--run", "here"],
            "stopped; the same command goes on from here",
        ),
    ],
)
def test_a_command_that_is_stopped_says_whether_it_goes_on(monkeypatch, capsys, command, said):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("archpress.data.load_data", stop)
    assert run(*command) == 130
    assert capsys.readouterr().err.strip().endswith(f"archpress: {said}")


def test_lists_and_inspections_tell_exact_counts(capsys):
    assert run("zoo", "--json") == 0
    assert json.loads(capsys.readouterr().out)["conv7"]["parameters"] == 708_458
    assert run("inspect", "conv10", "--json") == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 24_368_906
    assert run("data", "--json") == 0
    names = {one["name"] for one in json.loads(capsys.readouterr().out)}
    assert {"fashion-mnist-sample", "cifar10", "digits"} <= names
    assert run("inspect", "resnet20") == 0
    assert "272,474 parameters" in capsys.readouterr().out


# --- bad input: one sentence, exit code 2, nothing written ------------------------------------


@pytest.fixture
def nowhere(tmp_path):
    """A run folder that must not be made."""
    folder = tmp_path / "run"
    yield folder
    assert not folder.exists()


def test_an_unknown_net_is_refused(capsys, nowhere):
    command = ["compress", "conv8", "--data", "digits", "--max-parameters", 9e4, "--run", nowhere]
    assert "no net is called 'conv8'" in refused(capsys, *command)


def test_unknown_data_is_refused(capsys, nowhere):
    command = ["compress", "tiny", "--data", "nodata", "--max-parameters", 9e4, "--run", nowhere]
    assert "nodata" in refused(capsys, *command)


def test_no_limit_at_all_is_refused(capsys, nowhere):
    command = ["compress", "tiny", "--data", "digits", "--run", nowhere]
    assert "at least one limit" in refused(capsys, *command)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--max-parameters", 20, "max_parameters=20"),
        ("--max-macs", 1, "max_macs=1"),
        ("--max-peak-memory", 10, "max_peak_memory=10"),
        ("--max-file-size", "500B", "max_file_size=500 but it has"),
        ("--max-parameters", -5, "at least 1"),
        ("--min-accuracy", 1.5, "must be in [0, 1]"),
        ("--max-parameters", "nan", "must be a number"),
        ("--max-parameters", "ten", "must be a number such as 93000, 93K or 50%, not 'ten'"),
        ("--max-parameters", "0%", "max_parameters must be at least 1"),
        ("--max-macs", "3%%", "--max-macs must be a number"),
        ("--max-peak-memory", "1%", "max_peak_memory=40 but it has"),
    ],
)
def test_limits_that_no_net_can_meet_are_refused(capsys, nowhere, option, value, said):
    command = ["compress", "tiny", "--data", "digits", option, value, "--run", nowhere]
    assert said in refused(capsys, *command)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--round-channels", 0], "round_channels must be at least 1, not 0"),
        (["--round-channels", 100], "no width up to 64 is a multiple of round_channels=100"),
        (
            ["--keep", "layer9"],
            "no layer matches --keep layer9: they are called conv1, batch_norm1,",
        ),
        (["--only", "relu9"], "no layer matches --only relu9: they are called conv1, batch_norm1,"),
        (["--keep", "*"], "all layers are to be kept, so there is nothing to compress"),
        (["--keep", "conv3", "--max-macs", 900], "no net with the layers that stay can keep these"),
        (["--widths-only", "--keep", "*"], "no layer may change its width, so there is nothing to"),
        (
            ["--widths-only", "--max-macs", 900],
            "no widths of the source's layers can keep these limits: even the smallest",
        ),
    ],
)
def test_forms_that_no_net_can_have_are_refused(capsys, nowhere, options, said):
    command = ["compress", "tiny", "--data", "digits", "--max-parameters", "50%", "--run", nowhere]
    assert said in refused(capsys, *command, *options)


OWN_NET = """
from torch import nn

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.ReLU6()

    def forward(self, x):
        return self.act(self.conv(x)) + x

def build():
    stem = [nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2)]
    wide = [nn.Conv2d(12, 30, 3, padding=1), nn.BatchNorm2d(30), nn.ReLU()]
    return nn.Sequential(*stem, Block(12), *wide, Block(30), nn.Flatten(), nn.Linear(480, 10))
"""


@pytest.mark.slow
def test_layers_that_are_kept_are_in_every_net_that_is_trained(tmp_path, capsys):
    (tmp_path / "own.py").write_text(OWN_NET)
    net, folder = f"{tmp_path}/own.py:build", tmp_path / "run"
    assert run("inspect", net, "--input", "1x8x8", "--json") == 0
    names = json.loads(capsys.readouterr().out)["names"]
    assert [name for name in names if name.startswith("4.")] == ["4.conv", "4.act", "4.add"]
    command = ["compress", net, "--data", "digits", "--effort", "smoke", "--quiet", "--json"]
    command += ["--max-parameters", "40%", "--keep", "0", "--keep", "4", "--round-channels", 8]
    assert run(*command, "--run", folder) == 0
    assert json.loads((folder / "run.json").read_text())["kept"] == [0, 4, 5, 6]
    with sqlite3.connect(folder / "trials.db") as database:
        rows = database.execute("SELECT architecture, origin FROM trials").fetchall()
    database.close()
    found = [json.loads(text)["layers"] for text, origin in rows if origin != "final source"]
    found.append(json.loads((folder / "compressed.json").read_text())["layers"])
    assert len(found) >= 10
    for layers in found:
        kinds = [layer["kind"] for layer in layers]
        assert kinds[0] == "conv"
        assert layers[0]["channels"] == 12
        assert any(
            kinds[at : at + 3] == ["conv", "relu6", "add"]
            and layers[at]["channels"] == 12
            and layers[at + 2]["inputs"] == [1, 3]
            for at in range(len(layers) - 2)
        )
        widths = [layer.get("channels", 0) for layer in layers[:-1]]
        assert all(width % 8 == 0 or width == 12 for width in widths)


ENDS_IN_MAPS = """from torch import nn

def build():
    body = (nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    end = (nn.Conv2d(16, 100, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*body, *end)
"""


@pytest.mark.slow
def test_a_net_that_ends_in_a_mean_over_maps_is_compressed(tmp_path, capsys):
    (tmp_path / "own.py").write_text(ENDS_IN_MAPS)
    command = ["compress", f"{tmp_path}/own.py:build", "--data", "digits", "--effort", "smoke"]
    folder = tmp_path / "run"
    assert run(*command, "--quiet", "--max-parameters", 300, "--run", folder) == 0
    assert (
        "100 values an image, digits has 10 classes: its last layer is replaced"
        in capsys.readouterr().err
    )
    ends = [json.loads((folder / f"{name}.json").read_text()) for name in ("source", "compressed")]
    assert [layer["kind"] for layer in ends[0]["layers"]][-3:] == [
        *("conv", "relu", "global_average_pool")
    ]
    assert ends[1]["layers"][-1] == {"kind": "linear", "channels": 10}
    assert run("fit", folder, "--seeds", 1) == 0


WITH_ODD_PARTS = """
from torch import nn

class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(12, 24, 3, padding=1)

    def forward(self, x):
        value, gate = self.conv(x).chunk(2, 1)
        return x + 0.3 * value * gate.sigmoid()

def build():
    stem = [nn.Conv2d(1, 12, 3, padding=1), nn.LocalResponseNorm(3), nn.ReLU(), nn.MaxPool2d(2)]
    wide = [nn.Conv2d(12, 30, 3, padding=1), nn.BatchNorm2d(30), nn.ReLU()]
    more = [nn.Conv2d(30, 30, 3, padding=1), nn.BatchNorm2d(30), nn.ReLU()]
    return nn.Sequential(*stem, Gated(), *wide, *more, nn.Flatten(), nn.Linear(480, 10))
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--keep", "4"], ["--widths-only", "--round-channels", 2]])
def test_layers_that_are_never_proposed_stay(tmp_path, options):
    (tmp_path / "own.py").write_text(WITH_ODD_PARTS)
    folder = tmp_path / "run"
    command = ["compress", f"{tmp_path}/own.py:build", "--data", "digits", "--effort", "smoke"]
    command += ["--quiet", "--max-macs", "60%", *options, "--run", folder]
    assert run(*command) == 0
    source, found = (
        [layer["kind"] for layer in json.loads((folder / name).read_text())["layers"]]
        for name in ("source.json", "compressed.json")
    )
    assert "slice" in source
    if "--keep" not in options:
        assert found == source
    else:
        block = source[source.index("slice") - 1 : source.index("add") + 1]
        assert any(found[at : at + len(block)] == block for at in range(len(found)))
        assert "local_norm" not in found
    assert found.count("slice") == 2
    assert run("fit", folder, "--seeds", 1) == 0


def test_an_unknown_device_is_refused(capsys, nowhere):
    command = ["compress", "tiny", "--data", "digits", "--max-parameters", 3000, "--run", nowhere]
    assert "'tpu'" in refused(capsys, *command, "--device", "tpu")


def test_images_that_do_not_fit_the_net_are_refused(capsys, nowhere, tmp_path):
    named("tiny").save(tmp_path / "net.json")  # 1x28x28; digits are 1x8x8
    command = ["compress", tmp_path / "net.json", "--data", "digits", "--max-parameters", 3000]
    said = refused(capsys, *command, "--run", nowhere)
    assert "28" in said
    assert "8" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda net: net["layers"][0].update(kind="wave"), "unknown kind 'wave'"),
        (lambda net: net["layers"][0].update(kernel=99), "kernel 99 does not fit"),
        (lambda net: net["layers"][0].update(channels=-4), "channels must be"),
        (lambda net: net.update(version=9), "format version 9"),
    ],
)
def test_a_bad_architecture_file_is_refused(capsys, nowhere, tmp_path, change, said):
    content = json.loads(named("tiny", (1, 8, 8)).to_json())
    change(content)
    path = tmp_path / "net.json"
    path.write_text(json.dumps(content))
    command = ["compress", path, "--data", "digits", "--max-parameters", 3000, "--run", nowhere]
    said_in_fact = refused(capsys, *command)
    assert said in said_in_fact
    assert "net.json" in said_in_fact


def test_a_truncated_image_is_named(capsys, nowhere, tmp_path):
    photos = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{number}.png")
    broken = photos / "dog" / "3.png"
    broken.write_bytes(broken.read_bytes()[:60])
    command = ["compress", "tiny", "--data", photos, "--max-parameters", 3000, "--run", nowhere]
    assert "3.png" in refused(capsys, *command)


@pytest.mark.parametrize("bad", [-1, 7])
def test_labels_out_of_range_are_refused(capsys, nowhere, tmp_path, bad):
    labels = np.arange(40) % 2
    labels[5] = bad
    path = tmp_path / "set.npz"
    np.savez(path, x_train=np.zeros((40, 8, 8), np.uint8), y_train=labels)
    command = ["compress", "tiny", "--data", path, "--max-parameters", 3000, "--run", nowhere]
    assert "label" in refused(capsys, *command)


def test_pickled_objects_in_an_npz_are_refused(capsys, nowhere, tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, x_train=np.array([{"a": 1}] * 4, dtype=object), y_train=np.zeros(4, int))
    command = ["compress", "tiny", "--data", path, "--max-parameters", 3000, "--run", nowhere]
    assert "pickle" in refused(capsys, *command)


def test_a_truncated_npz_is_refused(capsys, nowhere, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY")
    path = tmp_path / "set.npz"
    path.write_bytes(buffer.getvalue()[:20])
    command = ["compress", "tiny", "--data", path, "--max-parameters", 3000, "--run", nowhere]
    assert "set.npz" in refused(capsys, *command)


def test_a_store_of_a_newer_schema_is_refused(capsys, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    from archpress.store import Store

    Store(folder / "trials.db").close()
    with sqlite3.connect(folder / "trials.db") as database:
        database.execute("UPDATE archpress_schema SET version = 99")
    database.close()
    command = ["compress", "tiny", "--data", "digits", "--max-parameters", 3000, "--run", folder]
    assert "schema version 99" in refused(capsys, *command)
    assert not (folder / "source.json").exists()


def test_a_run_folder_that_cannot_be_written_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "run"
    command = ["compress", "tiny", "--data", "digits", "--max-parameters", 3000, "--run", folder]
    assert "cannot write into the run folder" in refused(capsys, *command)


def test_a_folder_that_is_no_run_is_refused(capsys, tmp_path):
    assert "no run folder" in refused(capsys, "fit", tmp_path)
    refused(capsys, "report", tmp_path)
    assert "no store" in refused(capsys, "trials", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_command_has_help_with_an_example():
    for command in ("compress", "evaluate", "fit", "train", "inspect", "trials", "report", "watch"):
        done = subprocess.run(
            [sys.executable, "-m", "archpress", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "COLUMNS": "100"},
        )
        assert "Example" in done.stdout
        assert f"archpress {command}" in done.stdout


def test_the_makefile_has_the_two_commands():
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "\ndemo:" in text
    assert "\ntest:" in text


def test_a_folder_with_the_name_of_a_known_set_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "digits" / "one").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    told = "digits is a named set; for the folder here write ./digits"
    command = ["evaluate", "tiny", "--data", "digits", "--json"]
    assert run(*command) == 0
    assert told not in capsys.readouterr().err
    Image.new("L", (8, 8)).save(tmp_path / "digits" / "one" / "1.png")
    assert run(*command) == 0
    assert told in capsys.readouterr().err


def test_the_precision_of_a_training_is_asked_for_and_written(tmp_path, capsys):
    folder = tmp_path / "o"
    command = ["train", "tiny", "--data", "digits", "--epochs", "1", "--out", folder]
    assert run(*command, "--precision", "bfloat16", "--label-smoothing", "0.1") == 0
    assert run(*command, "--precision", "auto", "--quiet") == 0
    assert "trainings compute in " in capsys.readouterr().err
    assert run(*command, "--label-smoothing", "1.5") == 2
    assert "label_smoothing cannot be 1.5" in capsys.readouterr().err


def test_auto_is_refused_where_other_machines_train(tmp_path, capsys):
    options = ["--max-parameters", "50%", "--run", tmp_path / "r", "--cluster", "auto"]
    assert run(*COMPRESS, *options, "--precision", "auto") == 2
    assert "with --cluster say float32 or bfloat16" in capsys.readouterr().err
