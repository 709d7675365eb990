import subprocess
import sys
from random import Random

import numpy as np
import pytest
import torch

from archpress.architecture import ZOO, Architecture, Layer, chain, named
from archpress.architecture.blocks import as_built, as_written, written_names
from archpress.architecture.export import Preprocessing, read_preprocessing, to_source
from archpress.architecture.network import build
from archpress.errors import ArchitectureError

FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def preprocessing(channels: int = 1, names: tuple[str, ...] = FASHION) -> Preprocessing:
    return Preprocessing((0.25,) * channels, (0.5,) * channels, names)


def run(net: Architecture, **options) -> dict:
    """The namespace of the exported file."""
    namespace = {"__name__": "network"}
    exec(to_source(net, options.get("how", preprocessing(net.input_shape[0]))), namespace)
    return namespace


def assert_same_network(net: Architecture, shake, outputs) -> None:
    ours = shake(build(net))
    theirs = run(net)["Network"]()
    weights = as_written(net, ours.state_dict())
    assert list(theirs.state_dict()) == list(weights)
    theirs.load_state_dict(weights)
    assert as_built(net, weights).keys() == ours.state_dict().keys()
    assert torch.equal(outputs(theirs, net.input_shape), outputs(ours, net.input_shape)), net


@pytest.mark.parametrize("name", sorted(set(ZOO) - {"conv10", "vgg16", "vgg11"}))
def test_the_source_of_a_known_net_is_the_same_network(name, shake, outputs):
    assert_same_network(named(name), shake, outputs)


def test_the_source_of_random_nets_with_joins_is_the_same_network(random_net, shake, outputs):
    for seed in range(80):
        assert_same_network(random_net(Random(seed), idle=0.2), shake, outputs)


def test_the_source_is_plain_pytorch_with_a_line_a_layer():
    net = chain((1, 8, 8), Layer("conv", 3, 4, 2, 1, bias_free=True), Layer("linear", channels=10))
    text = to_source(net, preprocessing(), title="My net.")
    assert text.startswith('"""My net.\n\n686 parameters')  # 36 + 64 * 10 + 10
    assert "self.conv1 = nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False)" in text
    assert "x = self.linear1(x.flatten(1))" in text
    assert "archpress" not in text.split("import sys")[1]


def test_blocks_that_are_alike_but_for_numbers_are_one_class():
    text = to_source(named("resnet20"), preprocessing(3))
    same, smaller, whole = text.split("def forward(self, x):\n")[1:]
    assert same.splitlines()[:4] == [
        "        inputs = x",
        "        x = self.relu1(self.batch_norm1(self.conv1(inputs)))",
        "        x = self.batch_norm2(self.conv2(x))",
        "        return self.relu2(x + inputs)",
    ]
    assert "class ResidualBlock2(nn.Module):" in smaller.join([same, ""])
    assert "self.block4 = ResidualBlock2(inputs=16, outputs=32)" in text
    assert text.count("ResidualBlock(channels=") == 7
    assert whole.splitlines()[:2] == [
        "        x = self.relu1(self.batch_norm1(self.conv1(x)))",
        "        x = self.block1(x)",
    ]


def test_a_sixth_relu_beside_a_relu6_has_a_name_of_its_own():
    relus = [step for _ in range(6) for step in (Layer("conv", 1, 4, 1), Layer("relu"))]
    join = Layer("add", inputs=(1, 14))
    block = (*relus, Layer("relu6"), join)
    net = Architecture((4, 4, 4), (*block, *block, Layer("linear", channels=2)))
    assert len(set(written_names(net))) == len(net.layers)
    assert "class ResidualBlock(nn.Module)" in to_source(net, preprocessing(4))
    run(net)["Network"]().load_state_dict(as_written(net, build(net).state_dict()))


def test_what_differs_between_blocks_is_named_by_what_it_is():
    block = (Layer("conv", 3, 4, 1, 1), Layer("batch_norm"), Layer("relu"))
    other = (Layer("conv", 5, 6, 2, 2), Layer("batch_norm"), Layer("relu"))
    text = to_source(chain((1, 8, 8), *block, *other), preprocessing())
    assert "class ConvBatchNormRelu(nn.Module):" in text
    assert "def __init__(self, inputs, outputs, kernel, padding, stride):" in text
    assert "nn.Conv2d(inputs, outputs, kernel, padding=padding, stride=stride)" in text
    assert "ConvBatchNormRelu(inputs=4, outputs=6, kernel=5, padding=2, stride=2)" in text


def test_a_long_block_is_broken_and_a_sum_is_held_together():
    many = [Layer(kind) for kind in ("layer_norm", "hardsigmoid", "leaky_relu", "hardswish")]
    net = Architecture((2, 4, 4), (Layer("relu"), Layer("add", inputs=(1, 2)), *many * 3))
    text = to_source(net, preprocessing(2))
    assert "self.layer_norm1((x + image).permute(0, 2, 3, 1))" in text
    forward = text.split("def forward")[1].split("def preprocess")[0]
    assert max(map(len, forward.splitlines())) <= 100


def test_what_is_read_again_has_a_name_of_its_own():
    body = (Layer("conv", 3, 3, 1, 1), Layer("relu"), Layer("conv", 1, 3, 1))
    net = Architecture((3, 8, 8), (*body, Layer("add", inputs=(1, 2))))
    text = to_source(net, preprocessing(3))
    assert "return (x + relu1_output).flatten(1)" in text or "x = x + relu1_output" in text
    assert "image = x" not in text


@pytest.mark.parametrize(
    "names",
    [
        (),
        FASHION,
        ("Ankle boot  with  a very long name, and a comma" * 3, "it's", 'say "x"', "new\nline"),
        ("Füße", "猫"),
    ],
)
def test_class_names_of_any_text_are_kept(names):
    assert run(named("tiny"), how=preprocessing(1, names))["CLASSES"] == list(names)
    source = to_source(named("tiny"), preprocessing(1, names))
    assert read_preprocessing(source) == preprocessing(1, names)


@pytest.mark.parametrize(
    "source", ["MEAN = (", "MEAN = (0.5,)", "MEAN = STD = CLASSES = 3", "MEAN = f()"]
)
def test_a_source_without_preprocessing_is_refused_and_never_run(source):
    with pytest.raises(ArchitectureError, match="MEAN, STD and CLASSES"):
        read_preprocessing(source + "\nraise SystemExit")


def test_numpys_numbers_are_written_as_plain_ones():
    how = Preprocessing((np.float64(0.2860),), (np.float32(0.5),), FASHION)
    assert run(named("tiny"), how=how)["MEAN"] == (0.286,)


def test_preprocessing_scales_to_one_and_normalises():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    # (0 - 0.25) / 0.5 and (1 - 0.25) / 0.5
    assert run(named("tiny"))["preprocess"](images).flatten().tolist() == [-0.5, 1.5]


@pytest.mark.slow
def test_the_exported_file_runs_as_a_program_with_torch_alone(tmp_path):
    net = named("tiny", (3, 16, 16), classes=4)
    (tmp_path / "network.py").write_text(to_source(net, preprocessing(3)), encoding="utf-8")
    torch.save(as_written(net, build(net).state_dict()), tmp_path / "weights.pt")
    command = [sys.executable, "-I", "network.py", "weights.pt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "input (1, 3, 16, 16) -> output (1, 4)\n"
