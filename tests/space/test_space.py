from dataclasses import replace

import pytest

from archpress.architecture import ZOO, Architecture, Layer, chain, named
from archpress.architecture.kinds import PAPER_KINDS
from archpress.errors import SpaceError
from archpress.space import Limits, SearchSpace, paper_space, space_around

IMAGE = (1, 8, 8)
SPACE = SearchSpace(
    IMAGE,
    3,
    kinds=("conv", "relu", "max_pool", "dropout", "add", "linear"),
    kernels=(1, 3),
    strides=(1, 2),
    paddings=(0, 1),
    least_channels=2,
    most_channels=16,
    most_layers=6,
)
CONV, HEAD = Layer("conv", 3, 4, 1, 1), Layer("linear", channels=3)


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (chain(IMAGE, CONV, HEAD), None),
        (chain(IMAGE, Layer("conv", 3, 2, 1), Layer("conv", 1, 16, 2, 1), HEAD), None),
        (chain((1, 9, 8), CONV, HEAD), "input shape (1, 9, 8) is not (1, 8, 8)"),
        (chain(IMAGE, CONV, *[Layer("relu")] * 5, HEAD), "7 layers are more than 6"),
        (chain(IMAGE, CONV), "the last layer is no linear layer with 3 outputs"),
        (chain(IMAGE, CONV, Layer("linear", channels=4)), "no linear layer with 3 outputs"),
        (chain(IMAGE, Layer("relu"), HEAD), "no convolution"),
        (chain(IMAGE, CONV, Layer("gelu"), HEAD), "layer 1 (gelu): the kind is not among conv"),
        (chain(IMAGE, Layer("conv", 5, 4, 1), HEAD), "(conv): kernel 5 is not among (1, 3)"),
        (chain(IMAGE, Layer("conv", 3, 4, 3), HEAD), "(conv): stride 3 is not among (1, 2)"),
        (chain(IMAGE, Layer("conv", 3, 4, 1, 2), HEAD), "padding 2 is not among (0, 1)"),
        (chain(IMAGE, Layer("conv", 3, 1, 1), HEAD), "1 channels are not in 2 to 16"),
        (chain(IMAGE, CONV, Layer("linear", channels=17), HEAD), "17 channels are not in 2 to 16"),
        (chain(IMAGE, CONV, Layer("dropout", rate=0.0), HEAD), "rate 0 does nothing"),
    ],
)  # fmt: skip
def test_the_space_says_why_a_net_is_not_in_it(net, reason):
    found = SPACE.why_not(net)
    assert SPACE.contains(net) is (reason is None)
    assert found == reason or reason in found


def test_a_hidden_linear_layer_is_held_to_the_range_even_if_it_equals_the_head():
    head = Layer("linear", channels=1)
    space = replace(SPACE, classes=1)
    assert space.why_not(chain(IMAGE, CONV, head, head)).startswith("layer 1 (linear): 1 channels")


def test_limits_and_activations_are_part_of_membership():
    net = chain(IMAGE, CONV, HEAD)  # 40 + 256 * 3 + 3 = 811 parameters; 256 + 3 activations
    assert SPACE.with_limits(Limits(max_parameters=811)).contains(net)
    tight = SPACE.with_limits(Limits(max_parameters=810))
    assert tight.why_not(net) == "811 is over max_parameters=810"
    assert replace(SPACE, most_activations=259).contains(net)
    assert replace(SPACE, most_activations=258).why_not(net) == "259 activations are more than 258"


def test_a_space_without_joins_holds_chains_alone():
    space = replace(SPACE, kinds=("conv", "relu", "linear"))
    net = chain(IMAGE, CONV, Layer("relu"), Layer("linear", channels=3, inputs=(2,)))
    assert SPACE.contains(net)
    assert space.why_not(net) == (
        "layer 2 (linear): input offsets (2,), but without joins a layer reads the one before it"
    )


def test_joins_are_seen():
    assert SPACE.has_joins
    assert not paper_space(IMAGE, 3).has_joins


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kinds": ("conv", "linear", "gulp")}, r"unknown layer kinds \['gulp'\]; known are "),
        ({"kinds": ("linear",)}, "needs the kind 'conv'"),
        ({"kinds": ("conv",)}, "needs the kind 'linear'"),
        ({"kernels": ()}, r"kernels must be rising numbers from 1, not \(\)"),
        ({"kernels": (3, 1)}, r"kernels must be rising numbers from 1, not \(3, 1\)"),
        ({"kernels": (0, 1)}, r"kernels must be rising numbers from 1, not \(0, 1\)"),
        ({"strides": (1, 1)}, r"strides must be rising numbers from 1, not \(1, 1\)"),
        ({"paddings": (-1, 0)}, r"paddings must be rising numbers from 0, not \(-1, 0\)"),
        ({"kernels": (11,)}, r"no kernel of \(11,\) fits images of 1x8x8"),
        ({"least_channels": 0}, "channels from 0 to 16 are no range"),
        ({"least_channels": 17}, "channels from 17 to 16 are no range"),
        ({"most_layers": 2}, "most_layers must be at least 3, not 2"),
        ({"classes": 0}, "classes must be at least 1, not 0"),
        ({"dropout_rate": 1.0}, r"dropout_rate must be in \[0, 1\), not 1.0"),
        ({"most_activations": 5}, r"is too large \(\d+ activations are more than 5\)"),
    ],
)  # fmt: skip
def test_choices_that_make_no_space_are_refused(changes, message):
    with pytest.raises(SpaceError, match=message):
        replace(SPACE, **changes)


@pytest.mark.parametrize("name", ["max_parameters", "max_macs", "max_peak_memory"])
def test_limits_that_no_net_keeps_are_named_with_the_nearest_miss(name):
    with pytest.raises(SpaceError) as caught:
        space_around(named("conv7"), Limits(**{name: 20}))
    text = str(caught.value)
    assert "no net can keep these limits: even the smallest for images of 1x28x28" in text
    assert f"{name}=20 but it has " in text


def test_limits_are_checked_together():
    # Fewest parameters and fewest multiply-adds each exist, but not in one net.
    nets = list(SPACE.smallest_nets())
    fewest = Limits(min(net.parameters for net in nets), min(net.macs for net in nets))
    SPACE.with_limits(Limits(max_parameters=fewest.max_parameters))
    SPACE.with_limits(Limits(max_macs=fewest.max_macs))
    assert all(not fewest.allow(net) for net in nets)
    with pytest.raises(SpaceError, match="no net can keep these limits"):
        SPACE.with_limits(fewest)


def test_the_smallest_nets_are_in_the_space():
    for space in (SPACE, paper_space((3, 16, 16), 10), replace(SPACE, paddings=(1,))):
        nets = list(space.smallest_nets())
        assert nets
        assert [space.why_not(net) for net in nets] == [None] * len(nets)


def test_the_papers_space_has_its_eight_kinds():
    space = paper_space((3, 32, 32), 10)
    assert space.kinds == PAPER_KINDS
    assert space.most_layers == 50


@pytest.mark.parametrize("name", [name for name in ZOO if name != "conv10"])
def test_a_net_is_in_the_space_around_it_but_for_its_activations(name):
    net = named(name)
    space = space_around(net)
    assert replace(space, most_activations=None).why_not(net) is None
    assert space.limits.max_parameters == net.parameters
    assert space.limits.max_macs == net.macs


def test_the_space_around_a_net_bounds_what_training_must_keep():
    net = named("conv7")
    assert space_around(net).most_activations == net.activations // 2
    small = chain((1, 28, 28), Layer("conv", 3, 4, 2), Layer("linear", channels=10))
    assert small.activations == 4 * 13 * 13 + 10  # half of it has no room for a first layer
    assert space_around(small).most_activations == 8 * 28 * 28


def test_unusual_choices_of_a_source_are_choices_of_its_space():
    source = chain((1, 4, 4), Layer("conv", 7, 2, 1, 3), Layer("gelu"), Layer("linear", channels=3))
    space = replace(space_around(source), most_activations=None)
    assert space.why_not(source) is None
    assert space.kernels == (1, 2, 3, 7)
    assert "gelu" in space.kinds


def test_limits_beyond_the_source_are_cut_to_it():
    net = named("tiny")
    space = space_around(net, Limits(max_parameters=10**9, max_macs=10**4 * 5, min_accuracy=0.5))
    assert space.limits.max_parameters == net.parameters
    assert space.limits.max_macs == 50_000
    assert space.limits.min_accuracy == 0.5


def test_a_source_that_ends_in_no_linear_layer_is_refused():
    net = Architecture((1, 8, 8), (CONV, Layer("global_average_pool")))
    with pytest.raises(
        SpaceError, match=r"must end in a linear layer .* not in 'global_average_pool'"
    ):
        space_around(net)
