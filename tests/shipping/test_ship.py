import json
import subprocess
import sys
from dataclasses import replace

import onnx
import onnxruntime
import pytest
import torch

from archpress.architecture import Architecture
from archpress.architecture.network import build
from archpress.compression.network_files import write_network
from archpress.compression.run_folder import open_folder
from archpress.data import ImageData
from archpress.errors import ArchpressError, ExportError
from archpress.evaluation import usual_normalisations
from archpress.reading.sources import read_source
from archpress.shipping import FORMS, read_trained, ship, to_onnx
from archpress.shipping.agreement import largest_difference
from archpress.shipping.trained import split_seed

MODULE = sys.modules["archpress.shipping.ship"]  # the function of this name hides it


def unread(images):
    """The same images; their test split must stay shut."""

    def reader():
        raise AssertionError("the test images were read")

    return replace(images, test_reader=reader)


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.setattr(MODULE, "TIMING_SECONDS", 0.02)


@pytest.mark.slow
def test_an_onnx_file_is_one_file_that_tells_what_its_images_need(folder, images):
    shipment = ship(folder, "onnx")
    assert shipment.path == folder / "network.onnx"
    assert shipment.difference <= shipment.tolerance == 1e-4
    assert [form.name for form in shipment.forms] == ["torch", "onnx"]
    assert [form.latency.backend for form in shipment.forms] == ["torch", "onnxruntime"]
    assert [form.validation_accuracy for form in shipment.forms] == [None, None]
    content = shipment.path.read_bytes()
    assert shipment.forms[-1].size == len(content)
    model = onnx.load_from_string(content)
    assert model.opset_import[0].version == shipment.opset == 18
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["class_names"]) == list(images.class_names)
    assert json.loads(told["mean"]) == pytest.approx(images.mean, abs=1e-6)
    assert json.loads(told["input_shape"]) == [1, 28, 28]
    for text in (b"site-packages", b"archpress/architecture", str(folder).encode()):
        assert text not in content
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    pictures = torch.randn(7, 1, 28, 28)
    (logits,) = session.run(["logits"], {"images": pictures.numpy()})
    expected = read_trained(folder).network(pictures).detach()
    assert torch.allclose(torch.from_numpy(logits), expected, atol=1e-5)
    assert not list(folder.glob("*.unfinished"))


@pytest.mark.slow
def test_int8_is_smaller_and_says_what_it_costs_and_the_test_images_stay_shut(folder, images):
    shipment = ship(folder, "onnx-int8", data=unread(images), opset=20)
    torch_form, float_form, int8_form = shipment.forms
    assert shipment.opset == 20
    assert int8_form.size == shipment.path.stat().st_size
    assert torch_form.validation_accuracy == float_form.validation_accuracy
    assert abs(int8_form.validation_accuracy - float_form.validation_accuracy) <= 0.05
    assert shipment.validation_images == len(images.validation)
    kinds = {node.op_type for node in onnx.load(shipment.path).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert shipment.sentence.startswith("onnx-int8 against onnx: ")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx-int8", "onnx-int8-dynamic"])
def test_a_file_of_eight_bits_is_no_net_to_start_from(folder, images, form, tmp_path):
    shipment = ship(folder, form, data=images, out=tmp_path / "net.onnx")
    with pytest.raises(ArchpressError, match="is of a quantised net"):
        read_source(str(shipment.path))


def test_int8_that_sets_its_ranges_as_it_runs_needs_no_images(folder, tmp_path):
    out = tmp_path / "new" / "net.onnx"
    shipment = ship(folder, "onnx-int8-dynamic", out=out)
    kinds = {node.op_type for node in onnx.load(out).graph.node}
    assert "DynamicQuantizeLinear" in kinds
    assert shipment.forms[-1].validation_accuracy is None


@pytest.mark.slow
def test_a_program_is_run_by_torch_alone(folder, images):
    shipment = ship(folder, "torch-export", data=unread(images))
    assert shipment.opset is None
    assert shipment.difference <= 1e-5
    assert len({form.validation_accuracy for form in shipment.forms}) == 1
    code = (
        "import sys, json, torch\n"
        "about = {'archpress.json': ''}\n"
        f"program = torch.export.load({str(shipment.path)!r}, extra_files=about)\n"
        "print(len(json.loads(json.loads(about['archpress.json'])['class_names'])))\n"
        "print(*program.module()(torch.zeros(3, 1, 28, 28)).shape)\n"
        "print('archpress' in sys.modules)"
    )
    command = [sys.executable, "-I", "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.split() == ["10", "3", "10", "False"]


@pytest.mark.slow
def test_what_computes_otherwise_is_not_written(folder, monkeypatch):
    other = read_trained(folder)
    with torch.no_grad():
        other.network.linear1.bias.add_(1e-2)
    wrong = to_onnx(other)
    monkeypatch.setattr(MODULE, "to_onnx", lambda *_: wrong)
    before = sorted(folder.iterdir())
    with pytest.raises(ExportError, match=r"differs from the network by .* it was not written"):
        ship(folder, "onnx")
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("most", [1, 4])
def test_a_form_of_a_fixed_batch_is_refused(folder, most):
    network = read_trained(folder).network

    def fixed(pictures):
        if len(pictures) > most:
            raise RuntimeError("Got invalid dimensions\nand more")
        return network(pictures)

    with pytest.raises(ExportError, match=r"it cannot run 5 random images, .*: Got invalid dim"):
        largest_difference(network, fixed, most=1e-4, called="it")


def test_a_network_whose_outputs_are_no_numbers_is_refused(folder, monkeypatch):
    weights = torch.load(folder / "weights.pt", weights_only=True)
    weights["linear1.bias"][0] = float("nan")
    from safetensors.torch import save_file

    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(ExportError, match="differs from the network by nan"):
        ship(folder, "torch-export")


def test_a_package_that_is_missing_is_named_with_what_installs_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportError, match=r"needs onnxscript: pip install 'archpress\[onnx\]'"):
        ship(folder, "onnx")


def with_names(images, names):
    return ImageData.of("other", images.train, images.validation, names)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"form": "tflite"}, "no form is called 'tflite'; known are onnx, "),
        ({"form": "onnx", "opset": 17}, "the opset must be 18 to "),
        ({"form": "onnx", "opset": 1000}, "the opset must be 18 to "),
        ({"form": "onnx-int8"}, "is calibrated on training images"),
        ({"form": "torch-export", "opset": 18}, "torch-export has none"),
        ({"form": "onnx", "threads": 0}, "threads must be 1 or more"),
        ({"form": "onnx", "out": "net.pt2"}, "must end in .onnx"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is(folder, options, said, tmp_path):
    options = dict(options)
    if "out" in options:
        options["out"] = tmp_path / options["out"]
    with pytest.raises(ArchpressError, match=said):
        ship(folder, options.pop("form"), **options)


def test_other_images_than_the_network_was_trained_on_are_refused(folder, images):
    names = ("Boot", *images.class_names[1:])
    with pytest.raises(ArchpressError, match="'T-shirt/top' where they have 'Boot'"):
        ship(folder, "onnx", data=with_names(images, names))


@pytest.mark.parametrize("missing", ["compressed.json", "weights.safetensors", "network.py"])
def test_a_folder_that_is_not_finished_is_refused(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(ArchpressError, match=f"no finished compress or train: it has no {missing}"):
        ship(folder, "onnx")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("weights.safetensors", b"abc", "cannot read"),
        ("network.py", b"\xff\xfe", "network.py: "),
        ("network.py", b"MEAN = (1.0, 2.0); STD = (1.0, 1.0); CLASSES = []", "of 2 and 2 channels"),
        ("compressed.json", b"{", "compressed.json"),
    ],
)
def test_a_damaged_folder_is_refused(folder, name, content, said):
    (folder / name).write_bytes(content)
    with pytest.raises(ArchpressError, match=said):
        ship(folder, "onnx")


def test_images_are_split_as_the_run_split_them(folder):
    (folder / "run.json").write_text('{"seed": 8}')  # of a later run that has not ended
    assert split_seed(folder) == 7


def test_where_no_seed_split_the_images_none_is_told(folder, images, tmp_path):
    other = open_folder(tmp_path / "other")
    net = Architecture.load(folder / "compressed.json")
    divided = replace(images, split_seed=None)
    write_network(other, net, build(net), divided, usual_normalisations(images)["half"])
    assert split_seed(other) is None
    assert read_trained(other).preprocessing.mean == (0.5,)  # as said, not that of the images
    sizes = [(place / "weights.safetensors").stat().st_size for place in (folder, other)]
    assert sizes[0] == sizes[1]


def test_every_form_has_a_file_of_its_own():
    assert len({*FORMS.values()}) == len(FORMS)
