import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archpress.architecture import Architecture, Layer, chain, named, simplify
from archpress.architecture.network import build, carry_weights
from archpress.architecture.simplify import trace_simplification

RELU, NORM = Layer("relu"), Layer("batch_norm")
CONV, HEAD = Layer("conv", 3, 4, 1, 1), Layer("linear", channels=2)


def kinds(*layers: Layer, image=(2, 6, 6)) -> list[str]:
    return [layer.kind for layer in simplify(Architecture(image, layers)).layers]


@pytest.mark.parametrize(
    "idle",
    [
        RELU,
        Layer("leaky_relu"),
        Layer("elu"),
        Layer("dropout", rate=0.0),
        Layer("max_pool", 1, stride=1),
        Layer("average_pool", 1, stride=1),
    ],
)
def test_what_does_nothing_after_a_relu_goes(idle):
    assert kinds(CONV, RELU, idle, idle, HEAD) == ["conv", "relu", "linear"]


@pytest.mark.parametrize(
    "busy",
    [
        Layer("relu6"),
        Layer("gelu"),
        Layer("sigmoid"),
        Layer("dropout", rate=0.1),
        Layer("max_pool", 1, stride=2),
        Layer("max_pool", 2, stride=1),
        Layer("average_pool", 2, stride=1, padding=1),
        NORM,
    ],
)
def test_what_does_something_after_a_relu_stays(busy):
    assert kinds(CONV, RELU, busy, HEAD) == ["conv", "relu", busy.kind, "linear"]


def test_relu_goes_after_what_is_never_negative_and_stays_after_what_may_be():
    assert kinds(CONV, Layer("sigmoid"), RELU, HEAD) == ["conv", "sigmoid", "linear"]
    assert kinds(CONV, RELU, Layer("max_pool", 2, stride=2), RELU, HEAD) == [
        "conv", "relu", "max_pool", "linear",
    ]  # fmt: skip
    assert kinds(CONV, RELU, NORM, RELU, HEAD) == ["conv", "relu", "batch_norm", "relu", "linear"]
    assert kinds(CONV, Layer("tanh"), RELU, HEAD) == ["conv", "tanh", "relu", "linear"]
    assert kinds(RELU, HEAD) == ["relu", "linear"]  # pixels are normalised, so may be negative


def test_relu_of_a_sum_goes_only_where_no_summand_can_be_negative():
    block = (CONV, RELU, CONV, RELU)
    add = Layer("add", inputs=(1, 3))
    assert kinds(*block, add, RELU, HEAD) == ["conv", "relu", "conv", "relu", "add", "linear"]
    add = Layer("add", inputs=(1, 2))
    assert kinds(*block, add, RELU, HEAD)[-2:] == ["relu", "linear"]


def test_relu6_goes_only_where_nothing_can_exceed_six():
    relu6 = Layer("relu6")
    assert kinds(CONV, relu6, relu6, HEAD) == ["conv", "relu6", "linear"]
    assert kinds(CONV, relu6, Layer("dropout", rate=0.0), relu6, HEAD) == [
        "conv",
        "relu6",
        "linear",
    ]
    assert kinds(CONV, relu6, Layer("leaky_relu"), relu6, HEAD) == ["conv", "relu6", "linear"]
    # in training dropout scales up what it keeps
    assert len(kinds(CONV, relu6, Layer("dropout", rate=0.5), relu6, HEAD)) == 5
    assert len(kinds(CONV, relu6, Layer("add", inputs=(1, 1)), relu6, HEAD)) == 5


def test_an_average_over_one_pixel_goes():
    average = Layer("global_average_pool")
    assert kinds(average, average, HEAD) == ["global_average_pool", "linear"]
    assert kinds(average, HEAD, image=(2, 1, 1)) == ["linear"]


def test_repeated_norms_become_one_unless_the_first_is_read_elsewhere():
    assert kinds(CONV, NORM, NORM, NORM, HEAD) == ["conv", "batch_norm", "linear"]
    net = chain((2, 6, 6), CONV, NORM, NORM, Layer("add", inputs=(1, 2)), HEAD)
    assert simplify(net) is net


def test_a_branch_that_nothing_reads_goes():
    dead = (Layer("conv", 5, 9, 1, inputs=(2,)), Layer("sigmoid"))
    net = chain((2, 6, 6), CONV, *dead, Layer("batch_norm", inputs=(3,)), HEAD)
    assert simplify(net) == chain((2, 6, 6), CONV, NORM, HEAD)


def test_a_join_reads_what_a_removed_layer_read():
    net = chain((2, 6, 6), CONV, RELU, RELU, NORM, Layer("add", inputs=(1, 2)), HEAD)
    assert simplify(net) == chain((2, 6, 6), CONV, RELU, NORM, Layer("add", inputs=(1, 2)), HEAD)


def test_a_net_of_identities_keeps_one_layer_so_that_there_is_a_net():
    assert kinds(*[Layer("dropout", rate=0.0)] * 3) == ["dropout"]


@pytest.mark.parametrize("name", ["conv7", "resnet20", "separable", "lenet5"])
def test_well_known_nets_have_nothing_to_remove(name):
    net = named(name)
    assert simplify(net) is net


@given(st.randoms(use_true_random=False))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_simplifying_twice_is_simplifying_once(random_net, random):
    once = simplify(random_net(random, idle=0.6))
    assert simplify(once) == once


@given(st.randoms(use_true_random=False))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_simplifying_never_costs_more_and_keeps_the_key(random_net, random):
    net = random_net(random, idle=0.6)
    simple = simplify(net)
    assert simple.key == net.key
    assert simple.shapes[-1] == net.shapes[-1]
    assert simple.parameters <= net.parameters
    assert simple.macs <= net.macs
    assert len(simple.layers) <= len(net.layers)


@pytest.mark.slow
@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_the_simplified_network_with_the_weights_gives_the_same_outputs(
    random_net, shake, outputs, random
):
    net = random_net(random, idle=0.6)
    network = shake(build(net)).eval()
    carried = carry_weights(network, trace_simplification(net))
    expected, got = outputs(network, net.input_shape), outputs(carried, net.input_shape)
    assert carried.architecture == simplify(net)
    scale = max(1.0, float(expected.abs().max()))
    assert torch.allclose(got, expected, rtol=0, atol=2e-5 * scale), net


def test_three_norms_in_a_row_are_folded_in_order(shake, outputs):
    net = chain((2, 6, 6), CONV, NORM, NORM, NORM, NORM, HEAD)
    network = shake(build(net)).eval()
    carried = carry_weights(network, trace_simplification(net))
    assert len(carried.architecture.layers) == 3
    assert torch.allclose(outputs(carried, (2, 6, 6)), outputs(network, (2, 6, 6)), atol=1e-4)


def test_carrying_weights_leaves_the_original_as_it_is(shake):
    net = chain((2, 6, 6), CONV, NORM, NORM, HEAD)
    network = shake(build(net))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    carried = carry_weights(network, trace_simplification(net))
    for value in carried.state_dict().values():
        value.fill_(9)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert carried.training
