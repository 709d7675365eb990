"""Modules of the user's own, named on the command line."""

import json
import warnings

import numpy as np
import pytest
import torch

from archpress.cli import main
from archpress.cli.arguments import read_net_and_images
from archpress.errors import ArchpressError

CODE = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(F.relu(self.norm(self.conv(x))).mean((2, 3)))


def build():
    return Net(16)


def needs_more(width):
    return Net(width)


def fails():
    raise RuntimeError("no weights here")


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


number = 3
instance = Net()
"""


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, arguments)))
    return stopped.value.code or 0


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mymodel.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize(("name", "width"), [("build", 16), ("Net", 8), ("instance", 8)])
def test_a_function_a_class_and_an_instance_are_read_and_checked(file, capsys, name, width):
    assert run("inspect", f"{file}:{name}", "--input", "3x32x32", "--check", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    parameters = width * (27 + 1 + 2 + 10) + 10
    assert found["parameters"] == found["module_parameters"] == parameters
    assert found["macs"] == width * 27 * 32 * 32 + 10 * width
    assert found["difference"] <= 1e-5 * found["largest_output"]
    kinds = [layer["kind"] for layer in found["architecture"]["layers"]]
    assert kinds == ["conv", "batch_norm", "relu", "global_average_pool", "linear"]


def test_a_package_is_imported_from_the_current_folder(file, capsys, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert run("inspect", "mymodel:build", "--input", "3x8x8", "--check") == 0
    said = capsys.readouterr().out
    assert "650 parameters" in said
    assert "differ by at most" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "has no 'nothing'; it has Net, build, needs_more, fails, Branching"),
        ("needs_more", "without arguments failed (TypeError"),
        ("fails", "without arguments failed (RuntimeError: no weights here)"),
        ("number", "is a int, which cannot be called"),
        ("torch.zeros", "without arguments failed"),
        ("F.relu6", "without arguments failed"),
        ("dict", "has no 'dict'"),
        ("Branching", "must not branch"),
    ],
)
def test_what_is_no_module_is_one_sentence(file, capsys, name, said):
    assert run("inspect", f"{file}:{name}", "--input", "3x8x8") == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


def test_a_missing_file_package_or_shape_is_told(file, tmp_path, capsys):
    for arguments, said in (
        ([f"{tmp_path / 'none.py'}:build", "--input", "3x8x8"], "there is no file"),
        (["no.such.package:build", "--input", "3x8x8"], "importing no.such.package failed"),
        ([f"{file}:build"], "needs the shape of its images"),
        (["conv7", "--check"], "--check compares with a module"),
    ):
        assert run("inspect", *arguments) == 2
        assert said in capsys.readouterr().err


GATED = """
import torch
from torch import nn


class Gated(nn.Module):
    \"\"\"With what no candidate has: a gate, halves of the channels, a join of three.\"\"\"

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, 2, 1)
        self.gate, self.side = nn.Conv2d(6, 6, 1), nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(13, 10)

    def forward(self, x):
        x = self.conv(x).relu()
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        one, two = x.chunk(2, 1)
        return self.head(torch.cat([x, two, self.side(one)], 1).mean((2, 3)))
"""


WITH_PARTS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.turned = nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 6, 2, 2)
        self.head = nn.Linear(6, 10)

    def forward(self, x):
        return self.head(self.turned(self.conv(x)).mean((2, 3)))
"""


def test_parts_that_stay_as_they_are_are_told_with_the_reason(tmp_path, capsys):
    path = tmp_path / "mymodel.py"
    path.write_text(WITH_PARTS)
    assert run("inspect", f"{path}:Net", "--input", "3x8x8", "--check", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (part,) = found["frozen_parts"]
    assert (part["path"], part["module"]) == ("turned", "ConvTranspose2d")
    assert part["parameters"] == 4 * 6 * 2 * 2 + 6
    assert "has no layer kind" in part["reason"]
    assert found["unused_parameters"] == 0
    assert found["difference"] == 0
    assert run("inspect", f"{path}:Net", "--input", "3x8x8") == 0
    said = capsys.readouterr().out
    assert "\nturned (ConvTranspose2d) stays as it is: module turned (ConvTranspose2d(4, 6" in said
    assert run("inspect", "tiny", "--json") == 0
    assert json.loads(capsys.readouterr().out)["frozen_parts"] == []
    written = tmp_path / "net.json"
    text = json.dumps(found["architecture"])
    written.write_text(text)
    assert run("inspect", str(written)) == 0
    capsys.readouterr()
    for old, new in (("conv_transpose2d.input", "conv_unknown.input"), ("[2,2]", "[3,3]")):
        assert old in text
        written.write_text(text.replace(old, new))
        assert run("inspect", str(written)) == 2
        error = capsys.readouterr().err
        assert len(error.strip().splitlines()) == 1
        assert f"{written}: layer 1: a frozen layer has a program" in " ".join(error.split())


@pytest.mark.slow
def test_a_module_of_ones_own_is_compressed_by_name(tmp_path, capsys):
    (tmp_path / "gated.py").write_text(GATED)
    code = run(
        *("compress", f"{tmp_path / 'gated.py'}:Gated", "--data", "fashion-mnist-sample"),
        *("--effort", "smoke", "--max-parameters", "200", "--run", tmp_path / "run", "--quiet"),
        *("--first", "8", "--rounds", "1", "--json"),
    )
    assert code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source"]["name"] == "Gated"
    assert found["compressed"]["parameters"] <= 200


def test_outputs_that_differ_are_told_and_give_exit_code_3(tmp_path, capsys):
    code = (
        CODE
        + """
odd = Net()
odd.spare = nn.Linear(3, 3)
odd.conv.register_forward_hook(lambda module, inputs, output: 2 * output)
"""
    )
    (tmp_path / "odd.py").write_text(code)
    arguments = [f"{tmp_path / 'odd.py'}:odd", "--input", "3x8x8", "--check", "--json"]
    assert run("inspect", *arguments) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["agrees"] is False
    assert found["unused_parameters"] == 12
    assert found["difference"] > 0.01


@pytest.fixture
def files(file, tmp_path):
    """The same net, of 10 outputs for images of 3x8x8, in a .pt2 and in an .onnx file."""
    from archpress.reading.importing import module_at

    module, images = module_at(f"{file}:build").eval(), torch.zeros(2, 3, 8, 8)
    torch.export.save(torch.export.export(module, (images,)), tmp_path / "net.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (images,), tmp_path / "net.onnx", dynamo=False)
    return tmp_path


def test_files_of_other_programs_are_read_and_checked(files, capsys):
    assert run("inspect", files / "net.pt2", "--check", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] == found["module_parameters"] == 650
    assert found["unused_parameters"] == 0
    assert run("inspect", files / "net.onnx", "--check", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] == 650 - 32  # the batch norm is folded
    assert found["agrees"]
    assert found["macs"] == 16 * 27 * 8 * 8 + 160
    assert run("inspect", files / "net.onnx", "--check") == 0
    assert "differ by at most" in capsys.readouterr().out
    assert run("inspect", files / "net.onnx", "--input", "3x9x9") == 2
    assert "is for images of 3x8x8, not 3x9x9" in capsys.readouterr().err
    assert run("inspect", files / "net.pt2", "--input", "3x9x9") == 2
    error = capsys.readouterr().err
    assert "cannot be followed for images of 3x9x9" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["net.pt2", "net.onnx"])
def test_a_file_meets_images_as_other_nets_do(files, name, capsys):
    draw = np.random.default_rng(0)
    images = draw.integers(0, 255, (40, 8, 8, 3), dtype=np.uint8)
    np.savez(files / "images.npz", x_train=images, y_train=np.arange(40) % 4)
    architecture, data = read_net_and_images(
        str(files / name), str(files / "images.npz"), None, seed=0
    )
    assert architecture.input_shape == data.input_shape == (3, 8, 8)
    assert architecture.classes == data.classes == 4
    assert "its last layer is replaced" in capsys.readouterr().err


def test_a_net_that_gives_a_map_is_no_net_for_classes(tmp_path):
    (tmp_path / "maps.py").write_text(
        "from torch import nn\n"
        "def net(): return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 10, 1))\n"
    )
    with pytest.raises(ArchpressError, match="gives a map of 10x6x6 an image: give one value"):
        read_net_and_images(f"{tmp_path / 'maps.py'}:net", "digits", None, 0)


def test_a_function_may_import_its_neighbours_when_it_is_called(tmp_path):
    from archpress.reading.importing import module_at

    (tmp_path / "neighbour.py").write_text("from torch.nn import Flatten as Net\n")
    (tmp_path / "late.py").write_text(
        "def make():\n    from neighbour import Net\n    return Net()\n"
    )
    assert type(module_at(f"{tmp_path}/late.py:make")).__name__ == "Flatten"


def test_files_of_one_name_import_their_own_neighbours(tmp_path, capsys):
    for width in (8, 16):
        folder = tmp_path / str(width)
        folder.mkdir()
        (folder / "wide.py").write_text(f"WIDTH = {width}\n")
        (folder / "own.py").write_text(
            "from torch import nn\nfrom wide import WIDTH\n"
            "def net():\n"
            "    return nn.Sequential(nn.Flatten(), nn.Linear(192, WIDTH), nn.Linear(WIDTH, 10))\n"
        )
    nets = [f"{tmp_path}/{width}/own.py:net" for width in (8, 16)]
    assert run("diff", *nets, "--input", "3x8x8", "--json") == 0
    first, *_ = json.loads(capsys.readouterr().out)["layers"]
    assert [first[when]["shape"] for when in ("before", "after")] == [[8], [16]]


def test_the_folder_of_a_user_who_is_not_there_is_told(capsys):
    assert run("inspect", "~nobody-of-this-name/net.json") == 2
    assert "~nobody-of-this-name/net.json" in capsys.readouterr().err
