from dataclasses import replace
from itertools import islice
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from archpress.architecture import KINDS, Architecture, Layer, chain, named
from archpress.architecture.network import build
from archpress.architecture.vector import to_vectors
from archpress.space import (
    LatencyConditions,
    LatencyModel,
    Limits,
    PaperSampler,
    SearchSpace,
    distinct,
    narrow_to_fit,
    paper_space,
    repair,
    repair_vectors,
    sample_neighbourhood,
    scale_channels,
    space_around,
    with_joins_of_two,
)
from archpress.space.width_costs import scaled_costs

IMAGE = (2, 6, 6)
EVERYTHING = SearchSpace(
    IMAGE, 3, tuple(KINDS), (1, 2, 3, 5), most_channels=32, least_channels=2, most_layers=16
)
SPACES = (
    EVERYTHING,
    EVERYTHING.with_limits(Limits(max_parameters=300)),
    EVERYTHING.with_limits(Limits(max_macs=2_000, max_peak_memory=1_000)),
    replace(EVERYTHING, most_activations=120),
    replace(EVERYTHING, paddings=(1, 2), kernels=(1, 7), strides=(2, 3)),  # no padding 0
    SearchSpace(IMAGE, 3, ("conv", "linear"), kernels=(6,), most_layers=3),
    SearchSpace((3, 1, 1), 2, ("conv", "add", "relu", "linear"), least_channels=4, kernels=(1,)),
    SearchSpace((1, 5, 7), 3, ("conv", "add", "concat", "max_pool", "linear"), most_layers=8),
    paper_space((3, 12, 12), 10, limits=Limits(max_parameters=5_000, max_macs=10**6)),
    replace(EVERYTHING, least_channels=8, round_channels=8),
    replace(
        EVERYTHING, least_channels=6, most_channels=30, round_channels=6, limits=Limits(900, 30_000)
    ),
)
HEAD, CONV = Layer("linear", channels=3), Layer("conv", 3, 8, 1, 1)

ANY_INTEGER = st.integers(-(2**30), 2**30) | st.integers(-2, 9)
ANY_LAYER = st.builds(
    Layer,
    kind=st.sampled_from([*KINDS, "add", "add", "concat", "conv", "unheard of", ""]),
    kernel=ANY_INTEGER,
    channels=ANY_INTEGER,
    stride=ANY_INTEGER,
    padding=ANY_INTEGER,
    inputs=st.lists(ANY_INTEGER | st.integers(1, 5), max_size=3).map(tuple),
    bias_free=st.booleans(),
    rate=st.floats(),
)


@given(st.lists(ANY_LAYER, max_size=24), st.sampled_from(SPACES))
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_layers_become_a_net_of_the_space_within_its_limits(layers, space):
    repaired = repair(layers, space)
    assert space.why_not(repaired.architecture) is None
    assert all(count > 0 for count in repaired.repairs.values())


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(0, 20), st.just(5)),
        elements=st.floats(-1, 10) | st.floats(allow_nan=True, allow_infinity=True),
    ),
    st.sampled_from(SPACES),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_real_numbers_become_a_net_of_the_space(vectors, space):
    net = repair_vectors(vectors, space).architecture
    assert space.why_not(net) is None


@given(st.lists(ANY_LAYER, max_size=16), st.sampled_from(SPACES))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_repairing_twice_is_repairing_once(layers, space):
    once = repair(layers, space).architecture
    again = repair(once.layers, space)
    assert again.architecture == once
    assert dict(again.repairs) == {}


@pytest.mark.parametrize("name", ["conv7", "resnet20", "separable", "lenet5", "plain6"])
def test_members_of_a_space_are_left_as_they_are(name):
    source = named(name)
    space = replace(space_around(source), most_activations=None)
    repaired = repair(source.layers, space)
    assert repaired.architecture == source
    assert dict(repaired.repairs) == {}


def test_sampled_members_of_the_papers_space_are_left_as_they_are():
    space = paper_space((3, 16, 16), 10)
    nets = iter(PaperSampler(space, np.random.default_rng(3)))
    for _ in range(50):
        net = next(nets)
        assert repair(net.layers, space).architecture == net
        assert repair_vectors(to_vectors(net).astype(float), space).architecture == net


def test_a_head_without_bias_and_a_head_that_skips_a_layer_are_left_as_they_are():
    for head in (replace(HEAD, bias_free=True), replace(HEAD, inputs=(2,))):
        net = chain(IMAGE, CONV, Layer("relu"), head)
        assert repair(net.layers, EVERYTHING).architecture == net


# --- what is repaired, by hand ---


def repaired(*layers: Layer, space: SearchSpace = EVERYTHING) -> tuple[tuple[Layer, ...], dict]:
    result = repair(layers, space)
    return result.architecture.layers, dict(result.repairs)


def test_fields_move_to_the_nearest_choice():
    layers, repairs = repaired(Layer("conv", 4, 99, 7, 9), Layer("relu", 3, 3), HEAD)
    # kernel 4 is as near to 3 as to 5, the smaller wins; channels at most 32
    assert layers == (Layer("conv", 3, 32, 2, 2), Layer("relu"), HEAD)
    assert repairs == {"field": 2}


def test_numpys_integers_become_plain_ones():
    three = np.int64(3)
    layers, _ = repaired(Layer("conv", three, three, np.int64(1), np.int64(1)), HEAD)
    assert all(type(value) is int for value in (layers[0].kernel, layers[0].channels))
    assert layers[0] == Layer("conv", 3, 3, 1, 1)


def test_a_window_that_does_not_fit_gets_a_smaller_kernel():
    layers, repairs = repaired(*[Layer("conv", 5, 4, 1)] * 2, HEAD)  # 6 -> 2 -> kernel 2 -> 1
    assert [layer.kernel for layer in layers] == [5, 2, 0]
    assert repairs == {"field": 1}


def test_a_layer_that_cannot_stand_where_it_is_goes():
    layers, repairs = repaired(CONV, Layer("linear", channels=4), Layer("max_pool", 2, 0, 2), HEAD)
    assert layers == (CONV, Layer("linear", channels=4), HEAD)
    assert repairs == {"dropped layer": 1}


def test_what_read_a_dropped_layer_reads_its_input():
    branch = Layer("unknown", inputs=(3,))
    layers, _ = repaired(CONV, Layer("relu"), CONV, branch, Layer("add", inputs=(2, 1)), HEAD)
    assert layers == (CONV, Layer("relu"), CONV, Layer("add", inputs=(1, 3)), HEAD)


def test_a_missing_head_or_one_over_other_classes_is_put_right():
    assert repaired(CONV) == ((CONV, HEAD), {})
    assert repaired(CONV, Layer("linear", channels=7)) == ((CONV, HEAD), {"classes": 1})


def test_a_net_without_convolution_gets_one():
    layers, repairs = repaired(Layer("relu"))
    assert layers == (Layer("conv", 3, 2, 1, 0), Layer("relu"), HEAD)
    assert repairs == {"no convolution": 1}
    assert repaired()[0] == (Layer("conv", 3, 2, 1, 0), HEAD)


def test_a_net_that_is_too_long_loses_its_end_but_not_its_head():
    layers, repairs = repaired(CONV, *[Layer("tanh")] * 30, HEAD)
    assert len(layers) == EVERYTHING.most_layers
    assert layers[-1] == HEAD
    assert repairs == {"length": 1}


def test_branches_that_are_added_get_equal_channels():
    wide = replace(CONV, channels=12)
    layers, repairs = repaired(CONV, Layer("relu"), wide, Layer("add", inputs=(1, 2)), HEAD)
    assert [layer.channels for layer in layers] == [8, 0, 8, 0, 3]
    assert repairs == {"tied channels": 1}


def test_ties_without_a_convolution_in_front_are_found_once_it_is_there():
    rows = [Layer("relu"), Layer("concat", inputs=(1, 2)), Layer("add", inputs=(1, 2))]
    result = repair([*rows, *[Layer("tanh")] * 3, HEAD], EVERYTHING)
    assert EVERYTHING.contains(result.architecture)
    assert sum(layer.kind == "tanh" for layer in result.architecture.layers) == 3


def test_a_proposal_above_the_limits_is_narrowed_and_counted():
    space = EVERYTHING.with_limits(Limits(max_parameters=500))
    layers, repairs = repaired(CONV, Layer("global_average_pool"), HEAD, space=space)
    assert layers == (CONV, Layer("global_average_pool"), HEAD)  # 8*2*9 + 8 + 27 = 179
    assert repairs == {}
    wide = replace(CONV, channels=32)
    layers, repairs = repaired(wide, wide, Layer("global_average_pool"), HEAD, space=space)
    assert repairs == {"limits": 1}
    assert [layer.kind for layer in layers] == ["conv", "conv", "global_average_pool", "linear"]
    assert layers[0].channels == layers[1].channels == 6  # 7 would be 7*18+7 + 7*63+7 + 24 = 605


# --- limits ---


def test_a_narrowed_resnet_keeps_its_shortcuts():
    source = named("resnet20")
    for share in (2, 5, 10):
        limits = Limits(max_parameters=source.parameters // share)
        space = replace(space_around(source, limits), most_activations=None)
        net = repair(source.layers, space).architecture
        assert space.contains(net)
        assert [layer.kind for layer in net.layers] == [layer.kind for layer in source.layers]
        assert net.parameters > 0.7 * source.parameters / share


def test_where_times_learned_since_leave_no_net_within_the_limit_it_is_a_smallest_one():
    source = named("tiny")
    nets = list(space_around(source).smallest_nets())
    nets += distinct(
        sample_neighbourhood(source, space_around(source), np.random.default_rng(0)), 30
    )
    times = [(net, 0.01 + net.macs / 1e6) for net in nets]
    model = LatencyModel(LatencyConditions(), times)
    limits = Limits(max_latency=1.1 * min(map(model.milliseconds, nets)), latency=model)
    space = space_around(source, limits)
    model.learn([(net, 2 * time) for net, time in times])
    assert repair(source.layers, space).architecture in set(space.smallest_nets())


@pytest.mark.parametrize("most", [9_000, 20_000, 60_000])
def test_narrowing_finds_the_widest_net_by_one_factor(most):
    source = named("plain6")
    space = replace(space_around(source, Limits(max_parameters=most)), most_activations=None)
    factors = np.linspace(0, 1, 500)
    sizes = [scale_channels(source, factor, space).parameters for factor in factors]
    widest = max(size for size in sizes if size <= most)
    assert widest <= narrow_to_fit(source, space).parameters <= most


def test_narrowing_gives_up_where_even_the_narrowest_is_too_large():
    source = named("plain6")
    space = space_around(source, Limits(max_macs=30_000))
    assert narrow_to_fit(source, space) is None
    net = repair(source.layers, space).architecture  # repair goes on with fewer layers
    assert space.contains(net)


def test_scaling_keeps_the_classes_and_the_range():
    net = scale_channels(named("conv7"), 0.001, EVERYTHING)
    assert {layer.channels for layer in net.layers if layer.kind == "conv"} == {2}
    assert net.layers[-1].channels == 10
    assert scale_channels(named("tiny"), 1.0, EVERYTHING) == named("tiny")


@given(st.integers(0, 2**32), st.sampled_from(["resnet20", "separable", "plain6"]))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_any_feasible_limits_are_kept(seed, name):
    source, random = named(name), Random(seed)
    floor = list(space_around(source).smallest_nets())
    limits = Limits(
        random.randint(min(net.parameters for net in floor) * 2, source.parameters),
        random.randint(max(net.macs for net in floor), source.macs),
        random.randint(max(net.peak_memory for net in floor), source.peak_memory),
    )
    space = space_around(source, limits)
    assert space.why_not(repair(source.layers, space).architecture) is None
    nets = sample_neighbourhood(source, space, np.random.default_rng(seed))
    for _ in range(3):
        assert space.why_not(next(nets)) is None


def test_repair_gives_the_same_each_time():
    layers = [Layer("conv", 9, 900, 1, 1), Layer("add", inputs=(1, 2)), Layer("max_pool", 9)] * 4
    assert repair(layers, EVERYTHING) == repair(layers, EVERYTHING)
    assert isinstance(repair(layers, EVERYTHING).architecture, Architecture)


def test_joins_of_more_than_two_become_joins_of_two_that_compute_the_same():
    branches = [Layer("conv", 3, 4, 1, 1, inputs=(1 + i,)) for i in range(3)]
    wide = Architecture(
        (1, 8, 8),
        (
            *branches,
            Layer("concat", inputs=(3, 1, 2)),
            Layer("add", inputs=(1, 1, 1)),
            Layer("linear", channels=2, inputs=(1,)),
        ),
    )
    narrow = with_joins_of_two(wide)
    assert [layer.kind for layer in narrow.layers[3:]] == [
        "concat",
        "concat",
        "add",
        "add",
        "linear",
    ]
    assert all(len(layer.inputs) <= 2 for layer in narrow.layers)
    assert (narrow.parameters, narrow.shapes[-4]) == (wide.parameters, (12, 8, 8))
    first, second = build(wide).eval(), build(narrow).eval()
    second.load_state_dict(first.state_dict())
    images = torch.randn(2, 1, 8, 8)
    assert torch.allclose(first(images), second(images), atol=1e-5)
    assert with_joins_of_two(narrow) is narrow
    space = space_around(wide)
    repaired = repair(wide.layers, space).architecture
    assert all(len(layer.inputs) <= 2 for layer in repaired.layers)


# --- narrowing without making nets ---

JOINED = Architecture(
    (1, 12, 12),
    (
        Layer("conv", 3, 20, 1, 1),
        Layer("depthwise", 3, 0, 1, 1),
        Layer("concat", inputs=(1, 2)),
        Layer("conv", 1, 12, 1),
        Layer("conv", 1, 12, 1),
        Layer("add", inputs=(1, 2)),
        Layer("max_pool", 2, 0, 2),
        Layer("batch_norm"),
        Layer("linear", channels=10),
    ),
)


@pytest.mark.parametrize(
    "source", [named("conv7"), named("resnet20"), named("separable"), JOINED], ids=str
)
def test_scaled_costs_are_those_of_the_scaled_net(source):
    rng = np.random.default_rng(5)
    space = replace(space_around(source), limits=Limits(), most_activations=None)
    known = 0
    for net in (source, *islice(sample_neighbourhood(source, space, rng), 12)):
        for factor in rng.uniform(0, 1, 3):
            scaled = scale_channels(net, factor, space)
            for cost in ("parameters", "macs", "peak_memory"):
                found = getattr(scaled, cost)
                kept = replace(space, limits=Limits(**{f"max_{cost}": found}))
                broken = replace(space, limits=Limits(**{f"max_{cost}": found - 1}))
                tells = [scaled_costs(net, one).keep_limits(factor) for one in (kept, broken)]
                assert tells in ([True, False], [None, None]), (cost, net)
                known += tells[0] is not None
    assert known > 80  # of 117; the others add branches that the image begins


def test_costs_that_channels_do_not_tell_are_asked_of_the_net():
    source = named("conv7")
    assert scaled_costs(source, space_around(source, Limits(max_file_size=10**5))) is None
    grouped = Architecture(
        (4, 8, 8), (Layer("conv", 3, 8, 1, options=(("groups", 2),)), Layer("linear", channels=3))
    )
    assert scaled_costs(grouped, space_around(source)) is None
