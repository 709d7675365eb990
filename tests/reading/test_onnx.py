"""Every kind of layer computes the same in onnxruntime and as a `torch.export` program."""

from random import Random

import pytest

from archpress.architecture import KINDS, ZOO, named
from archpress.architecture.export import Preprocessing
from archpress.architecture.network import build
from archpress.shipping import TrainedNet, to_onnx, to_program
from archpress.shipping.agreement import largest_difference
from archpress.shipping.onnx_file import OnnxNetwork
from archpress.shipping.program import load_program


def assert_same(network):
    channels = network.architecture.input_shape[0]
    trained = TrainedNet(network.eval(), Preprocessing((0.0,) * channels, (1.0,) * channels, ()))
    for shipped in (OnnxNetwork(to_onnx(trained)), load_program(to_program(trained))):
        largest_difference(network, shipped, most=1e-4, called="it")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ZOO) - {"conv10", "vgg16", "resnet56"}))
def test_a_known_net_computes_the_same_elsewhere(name, shake):
    assert_same(shake(build(named(name))))


@pytest.mark.slow
def test_random_nets_of_all_kinds_compute_the_same_elsewhere(random_net, shake):
    seen = set()
    for seed in range(36, 45):
        net = random_net(Random(seed), idle=0.1)
        seen |= {layer.kind for layer in net.layers}
        assert_same(shake(build(net)))
    assert len(seen) > len(KINDS) / 2  # test_families has the others
