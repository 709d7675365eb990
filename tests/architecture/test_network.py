from functools import partial
from random import Random

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from archpress.architecture import ZOO, Architecture, Layer, chain, named
from archpress.architecture.network import build, layer_names, load_weights
from archpress.errors import ArchitectureError
from archpress.space import PaperSampler, paper_space, sample_neighbourhood, space_around


def counted_by_torch(net: Architecture) -> tuple[int, int]:
    """Parameters and multiply-adds of the built net; on the meta device, so nothing is computed."""
    with torch.device("meta"):
        network = build(net).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            output = network(torch.empty(1, *net.input_shape))
    assert output.shape == (1, net.classes)
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return sum(weight.numel() for weight in network.parameters()), flops // 2


def assert_counts_agree(net: Architecture) -> None:
    assert (net.parameters, net.macs) == counted_by_torch(net), net


@pytest.mark.parametrize("name", list(ZOO))
def test_counts_of_known_nets_are_those_of_torch(name):
    assert_counts_agree(named(name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"), [("conv7", 40), ("resnet20", 25), ("separable", 25), ("lenet5", 40)]
)
def test_counts_in_the_neighbourhood_of_a_net_are_those_of_torch(name, count):
    source = named(name)
    nets = sample_neighbourhood(source, space_around(source), np.random.default_rng(1))
    for _ in range(count):
        assert_counts_agree(next(nets))


def test_counts_of_the_papers_samples_are_those_of_torch():
    nets = iter(PaperSampler(paper_space((3, 16, 16), 10), np.random.default_rng(2)))
    for _ in range(60):
        assert_counts_agree(next(nets))


def test_counts_of_random_nets_with_joins_are_those_of_torch(random_net):
    kinds = set()
    for seed in range(120):
        net = random_net(Random(seed))
        kinds |= {layer.kind for layer in net.layers}
        assert_counts_agree(net)
    assert {"add", "concat", "depthwise", "linear"} <= kinds


def test_shapes_are_those_that_the_network_gives(random_net):
    compared = 0
    for seed in range(40):
        net = random_net(Random(seed))
        network = build(net).eval()
        seen = {}
        for name, module in network.named_children():
            module.register_forward_hook(partial(_note_shape, seen, name))
        network(torch.zeros(2, *net.input_shape))
        for name, shape in zip(layer_names(net), net.shapes, strict=True):
            assert tuple(seen.get(name, shape)) == shape
        compared += len(seen)
    assert compared > 200


def _note_shape(seen, name, module, inputs, output):
    turned = isinstance(module, torch.nn.LayerNorm) and output.ndim == 4
    if not isinstance(module, torch.nn.Conv1d):  # channels of one pixel, in a row
        seen[name] = (output.permute(0, 3, 1, 2) if turned else output).shape[1:]


def test_weights_are_named_by_kind_and_number():
    net = chain(
        (1, 8, 8), *[Layer("conv", 3, 2, 1), Layer("batch_norm")] * 2, Layer("linear", channels=3)
    )
    assert layer_names(net) == ("conv1", "batch_norm1", "conv2", "batch_norm2", "linear1")
    names = [name for name, _ in build(net).named_parameters()]
    assert names[:2] == ["conv1.weight", "conv1.bias"]
    assert names[-1] == "linear1.bias"


@pytest.mark.parametrize(
    ("kind", "channels", "size", "padding"),
    [("conv", 1, 32, 0), ("conv", 6, 16, 0), ("conv", 5, 9, 1), ("depthwise", 1, 20, 0)],
)
def test_training_a_strided_pointwise_convolution_of_few_channels_stays_in_its_memory(
    kind, channels, size, padding
):
    conv = Layer(kind, 1, 12 if kind == "conv" else 0, 2, padding)
    network = build(chain((channels, size, size), conv, Layer("linear", channels=3)))
    images = torch.randn(32, channels, size, size)

    def found(images):
        network.zero_grad()
        logits = network(images)
        logits.square().sum().backward()
        return [logits.detach(), *(weight.grad.clone() for weight in network.parameters())]

    network.eval()  # as PyTorch does it, and safe: the images are contiguous
    plain = found(images)
    network.train().to(memory_format=torch.channels_last)
    trained = found(images.to(memory_format=torch.channels_last))
    for one, other in zip(plain, trained, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_layer_may_be_joined_with_itself():
    net = chain((1, 4, 4), Layer("relu"), Layer("add", inputs=(1, 1, 2)))
    image = torch.ones(1, 1, 4, 4)
    assert torch.equal(build(net)(image), 3 * image.flatten(1))


def test_concatenated_channels_come_in_the_order_of_the_inputs():
    net = chain((1, 1, 1), Layer("relu"), Layer("concat", inputs=(2, 1)))
    assert build(net)(torch.full((1, 1, 1, 1), -3.0)).tolist() == [[-3.0, 0.0]]


def test_a_seed_decides_the_fresh_weights():
    def drawn(seed):
        torch.manual_seed(seed)
        return build(named("tiny")).conv1.weight

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_weights_of_another_net_are_refused_with_their_origin():
    weights = build(named("tiny", classes=3)).state_dict()
    with pytest.raises(ArchitectureError, match=r"weights in run/w do not fit .*linear1\.weight"):
        load_weights(build(named("tiny")), weights, where="run/w")
    with pytest.raises(ArchitectureError, match=r"weights in w do not fit .*conv1\.weight"):
        load_weights(build(named("tiny")), {}, where="w")
