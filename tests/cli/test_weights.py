"""`compress --weights` as a user types it, on real images: scikit-learn's digits."""

import json
import shutil
import sqlite3

import pytest
import torch
from torch import nn

from archpress.cli import main
from archpress.compression import Spread
from archpress.compression.finals import FinalTrainer
from archpress.data import load_data
from archpress.evaluation import Recipe, train
from archpress.shipping import read_trained

COMPRESS = ["compress", "--data", "digits", "--effort", "smoke", "--max-parameters", 1500]

CODE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 3, padding=1)
        self.head = nn.Linear(12 * 16, 10)

    def forward(self, images):
        return self.head(torch.max_pool2d(torch.relu(self.conv(images)), 2).flatten(1))


def build():
    return Net()
"""


def run(*arguments):
    """Exit code of a command, in this process."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code or 0


def built(code):
    names = {}
    exec(code, names)
    return names["build"]()


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder with a user's code and the weights of two trainings by (x - 0.5) / 0.5."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "net.py").write_text(CODE)
    digits = load_data("digits")
    for name, seed, epochs in (("first", 0, 6), ("second", 1, 6)):
        torch.manual_seed(seed)
        recipe = Recipe(name, epochs, learning_rate=0.01, normalisation="half")
        network = train(built(CODE), digits, recipe, seed).network.cpu()
        torch.save({"epoch": epochs, "state_dict": network.state_dict()}, folder / f"{name}.pth")
    program = torch.export.export(network, (torch.zeros(2, 1, 8, 8),), strict=False)
    torch.export.save(program, folder / "net.pt2")
    torch.save(nn.Linear(2, 2), folder / "whole.pt")
    torch.save(nn.Linear(2, 2).state_dict(), folder / "other.pt")
    blank = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    torch.save(blank, folder / "blank.pt")
    return folder


@pytest.fixture(scope="module")
def finished(own, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    net = ["--weights", own / "first.pth", "--quiet", "--run", folder]
    assert run(*COMPRESS, f"{own / 'net.py'}:build", *net) == 0
    return folder


@pytest.mark.slow
def test_where_the_given_source_wins_its_normalisation_is_the_results(
    own, finished, tmp_path, monkeypatch
):
    def validation(trainer, entrant):
        return Spread.of([0.9 if entrant.given else 0.5])

    monkeypatch.setattr(FinalTrainer, "validation", validation)
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    net = [f"{own / 'net.py'}:build", "--weights", own / "first.pth", "--normalisation", "0.4/0.3"]
    limit = ["--max-parameters", "1M", "--run", folder]
    assert run(*COMPRESS[:-2], *net, *limit, "--quiet") == 0
    result = json.loads((folder / "result.json").read_text())
    assert result["compressed"]["parameters"] == result["source"]["parameters"]
    told = read_trained(folder).preprocessing
    assert (told.mean, told.std) == ((0.4,), (0.3,))


def origins(folder):
    with sqlite3.connect(folder / "trials.db") as database:
        rows = database.execute("SELECT key, recipe, seed, origin FROM trials").fetchall()
    database.close()
    return rows


@pytest.mark.slow
def test_a_source_with_weights_is_measured_and_not_trained(finished):
    result = json.loads((finished / "result.json").read_text())
    source = result["source"]
    assert source["validation_accuracy"]["n"] == source["test_accuracy"]["n"] == 1
    assert source["test_accuracy"]["mean"] > 0.8
    assert source["given"]["normalisation"] in ("half", "data")
    assert set(source["given"]["tried"]) == {"data", "unit", "half", "bytes"}
    assert result["compressed"]["validation_accuracy"]["n"] == 2
    assert result["compressed"]["given"] is None
    assert "%, as given, not trained here)." in result["sentence"]
    assert "final source" not in [row[3] for row in origins(finished)]
    assert "final compressed" in [row[3] for row in origins(finished)]
    plan = json.loads((finished / "run.json").read_text())
    assert plan["source_weights"] == source["given"]["weights"]


@pytest.mark.slow
def test_the_report_says_that_the_source_is_as_given(finished):
    page = (finished / "report.html").read_text()
    assert page.count("<small>as given, not trained here</small>") == 2  # validation and test
    assert "and was not trained here; its images are normalised by the rule" in page


@pytest.mark.slow
def test_the_same_command_again_trains_nothing(own, finished, capsys):
    before = origins(finished)
    net = ["--weights", own / "first.pth", "--run", finished]
    assert run(*COMPRESS, f"{own / 'net.py'}:build", *net) == 0
    assert origins(finished) == before
    said = capsys.readouterr().err
    assert "build as given: " in said
    assert "other weights" not in said


@pytest.mark.slow
def test_other_weights_in_the_same_folder_are_told_and_taught_from_anew(own, finished, capsys):
    before, first = origins(finished), json.loads((finished / "result.json").read_text())
    net = ["--weights", own / "second.pth", "--normalisation", "half", "--run", finished]
    assert run(*COMPRESS, f"{own / 'net.py'}:build", *net) == 0
    assert "this folder had other weights of the source (" in capsys.readouterr().err
    second = json.loads((finished / "result.json").read_text())
    assert second["source"]["given"]["weights"] != first["source"]["given"]["weights"]
    assert second["source"]["given"]["tried"] == {}
    added = set(origins(finished)) - set(before)
    assert {row[3] for row in added} == {"final compressed"}  # distilled from the others
    assert len(added) == 2


@pytest.mark.slow
def test_own_weights_of_a_file_are_used_and_slices_of_them_are_tried(own, tmp_path):
    given = ["--weights", "own", "--inherit", "--distillation", 0, "--quiet", "--run", tmp_path]
    assert run(*COMPRESS, own / "net.pt2", *given, "--max-accuracy-loss", 1) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["source"]["name"] == "net"
    assert result["source"]["given"] is not None
    loss = next(row for row in result["limits"] if row["name"] == "max_accuracy_loss")
    accuracies = [result[n]["validation_accuracy"]["mean"] for n in ("source", "compressed")]
    assert loss["value"] == pytest.approx(accuracies[0] - accuracies[1])
    starts = list((tmp_path / "weights").glob("start-*"))
    assert len(starts) == 2  # one a seed
    assert all(path.with_name(path.name.removeprefix("start-")).exists() for path in starts)


REFUSED = [
    (["net.py:build", "--weights", "none.pt"], "there is no file none.pt"),
    (["net.py:build", "--weights", "whole.pt"], "save its weights alone, torch.save(net.state_d"),
    (
        ["net.py:build", "--weights", "other.pt"],
        "other.pt does not fit net.py:build: it lacks conv.weight, conv.bias, head.weight and 1 "
        "more and has weight, bias, which net.py:build has not",
    ),
    (["net.py:build", "--weights", "blank.pt"], "under every usual normalisation, and always nam"),
    (["tiny", "--weights", "own"], "tiny is a structure without weights: give a file of them"),
    (["net.pt2", "--weights", "first.pth"], "net.pt2 has its weights in it: say 'own', not a fil"),
    (["tiny", "--normalisation", "half"], "normalisation half is that of given weights, and none"),
    (
        ["net.py:build", "--weights", "first.pth", "--normalisation", "grey"],
        "no normalisation of 1-channel images is called 'grey'; known are data, unit, half, bytes",
    ),
    (
        ["net.py:build", "--weights", "first.pth", "--input", "3x32x32"],
        "--input is 3x32x32, but the images of digits are 1x8x8",
    ),
    (["tiny", "--distillation", "2"], "distillation must be in [0, 1], not 2.0"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_what_cannot_be_used_is_one_sentence_and_leaves_no_folder(
    arguments, said, own, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(own)
    assert run(*COMPRESS, *arguments, "--quiet", "--run", tmp_path / "run") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("archpress: ")
    assert said in line
    assert not (tmp_path / "run").exists()


def test_weights_for_other_classes_are_refused(own, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(own)
    wider = CODE.replace("12 * 16, 10", "12 * 16, 100")
    (tmp_path / "wide.py").write_text(wider)
    torch.save(built(wider).state_dict(), tmp_path / "wide.pt")
    net = [f"{tmp_path / 'wide.py'}:build", "--weights", tmp_path / "wide.pt"]
    assert run(*COMPRESS, *net, "--run", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert (
        "gives 100 values an image, digits has 10 classes: its weights can be used only where"
        in said
    )
