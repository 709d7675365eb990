"""Widths alone change: all layers of the source stay, joins fit, limits are kept."""

from dataclasses import replace
from functools import cache
from itertools import islice

import numpy as np
import pytest
from families import FAMILIES, IMAGE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from more_families import MORE_FAMILIES

from archpress.architecture import KINDS, Architecture, Layer, chain, named, simplify
from archpress.baselines.hand_made import hand_made_nets
from archpress.compression.first import anchor_nets
from archpress.errors import SpaceError
from archpress.reading.tracing import trace
from archpress.space import (
    Form,
    LatencyConditions,
    LatencyModel,
    Limits,
    Neighbourhood,
    PaperSampler,
    SearchSpace,
    distinct,
    edit,
    narrow_to_fit,
    repair,
    sample_neighbourhood,
    scale_channels,
    space_around,
    with_joins_of_two,
)
from archpress.space.ties import Group, free_groups

HEAD = Layer("linear", channels=5)
CONV = Layer("conv", 3, 12, 1, 1)
THIRDS = (("groups", 3),)
GROUPED = chain(  # convolutions, norms and shuffles in groups
    (3, 8, 8),
    CONV,
    replace(CONV, channels=24, options=THIRDS),
    Layer("channel_shuffle", options=(("groups", 4),)),
    Layer("conv", 1, 12, 1, 0),
    Layer("global_average_pool"),
    Layer("group_norm", options=THIRDS),
    HEAD,
)
CASES = {  # source, limit, form
    "conv7": ("conv7", ("max_macs", 4), Form(widths_only=True)),
    "rounded": ("conv7", ("max_parameters", 8), Form(8, widths_only=True)),
    "tiny": ("tiny", ("max_peak_memory", 2), Form(widths_only=True)),
    "resnet20": ("resnet20", ("max_file_size", 6), Form(4, widths_only=True)),
    "beside": ("resnet20", ("max_macs", 2), Form(8, (0, 24, 25), widths_only=True)),
    "separable": ("separable", ("max_macs", 3), Form(widths_only=True)),
    "grouped": (GROUPED, ("max_parameters", 2), Form(widths_only=True)),
    "grouped, rounded": (GROUPED, ("max_macs", 1), Form(4, widths_only=True)),
}
ANY_CASE = st.sampled_from(list(CASES))
SLOWLY = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@cache
def case(name: str) -> tuple[Architecture, SearchSpace, Form]:
    source, (limit, share), form = CASES[name]
    if isinstance(source, str):
        source = named(source)
    cost = getattr(source, limit.removeprefix("max_"))
    return source, space_around(source, Limits(**{limit: cost // share}), form), form


def assert_widths_alone(name: str, net: Architecture) -> None:
    """Of another net than the source nothing but channels differs; those asked for do not."""
    source, space, form = case(name)
    simple = simplify(source)
    assert space.why_not(net) is None, net
    assert simplify(net) == net
    assert [replace(layer, channels=0) for layer in net.layers] == [
        replace(layer, channels=0) for layer in simple.layers
    ]
    assert net.classes == source.classes
    for row in form.kept:
        assert net.layers[row] == simple.layers[row]


WHOLE = st.integers(0, 9) | st.integers(-(2**20), 2**20)
ANY_LAYER = st.builds(
    Layer,
    kind=st.sampled_from([*KINDS, "conv", "add", "unheard of"]),
    kernel=WHOLE,
    channels=WHOLE,
    stride=WHOLE,
    padding=WHOLE,
    inputs=st.lists(st.integers(-1, 9), max_size=3).map(tuple),
)


@given(ANY_CASE, st.lists(ANY_LAYER, max_size=20))
@SLOWLY
def test_any_layers_become_the_source_at_other_widths(name, layers):
    assert_widths_alone(name, repair(layers, case(name)[1]).architecture)


@given(ANY_CASE, st.integers(0, 2**32))
@SLOWLY
def test_whatever_is_proposed_is_the_source_at_other_widths(name, seed):
    source, space, _ = case(name)
    rng = np.random.default_rng(seed)
    around = Neighbourhood(source, space)
    first = next(around.sample(rng))
    values = {dial.name: int(rng.integers(dial.low, dial.high + 1)) for dial in around.dials()}
    proposed = [first, around.edit(first, rng, edits=3), edit(source, space, rng, edits=5)]
    proposed += [around.turn(values), next(iter(PaperSampler(space, rng)))]
    proposed += [one.architecture for one in anchor_nets(source, space)]
    for net in proposed:
        assert_widths_alone(name, net)


@pytest.mark.parametrize("name", ["conv7", "tiny", "resnet20", "separable"])
def test_the_search_finds_many_widths(name):
    source, space, _ = case(name)
    rng = np.random.default_rng(0)
    near = list(islice(Neighbourhood(source, space).sample(rng), 60))
    far = list(islice(PaperSampler(space, rng), 60))
    best = narrow_to_fit(source, space)
    assert best is not None
    edited = [edit(best, space, rng, edits=1) for _ in range(60)]
    for nets in (near, far, edited):
        assert len({net.key for net in nets}) >= 30
    assert hand_made_nets(space) == []
    assert len(anchor_nets(source, space)) == 1


def test_a_space_with_few_widths_ends():
    source = chain((1, 4, 4), Layer("conv", 3, 8, 1, 1), Layer("linear", channels=2))
    space = space_around(source, None, Form(4, widths_only=True))
    found = distinct(sample_neighbourhood(source, space, np.random.default_rng(0)), 50)
    assert {net.layers[0].channels for net in found} == {4, 8}


def test_channels_of_a_proposal_are_taken_from_counterparts():
    _, space, _ = case("conv7")
    roomy = replace(space, limits=Limits(), most_activations=None)
    proposed = [
        Layer("conv", 3, 40, 1, 1),
        Layer("relu"),
        Layer("max_pool", 2, stride=2),
        Layer("linear", channels=10),
    ]
    net = repair(proposed, roomy).architecture
    widths = [layer.channels for layer in net.layers[:-1] if layer.channels]
    assert widths == [40, 32, 64, 64, 128, 128, 256]
    half = scale_channels(net, 0.5, roomy)
    assert [layer.channels for layer in half.layers[:-1] if layer.channels] == [
        width // 2 for width in widths
    ]
    assert repair(net.layers, roomy).architecture == net


def test_layers_that_are_added_change_together():
    _, space, _ = case("resnet20")
    roomy = replace(space, limits=Limits(), most_activations=None)
    net = repair(named("resnet20").layers, roomy).architecture
    layers = list(net.layers)
    layers[0] = replace(layers[0], channels=32)  # the other three of the stage have 16
    changed = repair(layers, roomy).architecture
    assert [layer.channels for layer in changed.layers[:22] if layer.channels] == [
        *(20, 16, 20, 16, 20, 16, 20)
    ]


def test_groups_of_layers_and_their_steps_by_hand():
    assert free_groups(GROUPED, frozenset()) == (
        Group((0,), 3),
        Group((1,), 12),  # thirds, then four groups to shuffle
        Group((3,), 3, 6),  # a group of one value has no norm
    )
    concat = Layer("concat", inputs=(1, 2))
    layers = (CONV, CONV, concat, Layer("conv", 1, 24, 1, 0), Layer("add", inputs=(1, 2)), HEAD)
    mixed = Architecture((3, 8, 8), layers)  # 12 + 12 are added to 24
    assert free_groups(mixed, frozenset()) == ()
    for reads, groups in (((3, 2), (Group((0, 1)),)), ((2, 3), (Group((0,)), Group((1,))))):
        other = replace(concat, inputs=reads)  # the same two, in one order or the other
        twins = (CONV, CONV, concat, other, Layer("add", inputs=(1, 2)), HEAD)
        assert free_groups(Architecture((3, 8, 8), twins), frozenset()) == groups
    shortcut = Architecture(
        (12, 8, 8), (CONV, Layer("add", inputs=(1, 2)), replace(CONV, kernel=1, padding=0), HEAD)
    )
    assert free_groups(shortcut, frozenset()) == (Group((2,)),)
    assert free_groups(shortcut, frozenset({2})) == ()


ALL = FAMILIES | MORE_FAMILIES
STIFF = {  # slices, channels of zeros or the image decide all of their few widths
    *("ResNet, option A", "ResNet, doubled", "ResNet, zeros first", "ResNet, zeros by size"),
    "AlexNet, older",
}


@pytest.mark.parametrize("family", [name for name in ALL if name != "NiN"])  # has no linear head
def test_families_are_nets_at_any_widths(family):
    traced = trace(ALL[family](), IMAGE).architecture.of_logits
    source = with_joins_of_two(traced)
    form = Form(widths_only=True)
    if family in STIFF:
        with pytest.raises(SpaceError, match="no layer may change its width"):
            space_around(source, None, form)
        return
    widths = space_around(source, None, form).widths_alone
    assert widths is not None
    rng = np.random.default_rng(0)
    for _ in range(20):
        net = widths.drawn(rng)  # raises where it is none
        assert widths.why_not(net) is None
        assert simplify(net) == net
    assert widths.smallest_nets[0].parameters <= source.parameters


@pytest.mark.parametrize(
    ("row", "fields", "said"),
    [
        (3, {"channels": 513}, "layer 3 (conv): 513 channels are not in 4 to 64 in steps of 1"),
        (3, {"kernel": 1, "padding": 0}, "layer 3 (conv) differs from the source's in more than"),
        (10, {"channels": 8}, "layer 10 (conv) must keep the source's 16 channels"),
    ],
)
def test_why_a_net_is_another(row, fields, said):
    source = named("resnet20")
    space = space_around(source, None, Form(kept=(10,), widths_only=True))
    layers = list(source.layers)
    layers[row] = replace(layers[row], **fields)
    assert said in str(space.why_not(Architecture(source.input_shape, tuple(layers))))


def test_a_gate_is_as_wide_as_what_it_gates():
    gate, thin = Layer("conv", 1, 12, 1), Layer("conv", 1, 1, 1)
    layers = (CONV, gate, Layer("multiply", inputs=(2, 1)), thin, HEAD)
    space = space_around(Architecture((3, 8, 8), layers), None, Form(widths_only=True))
    narrow = (replace(CONV, channels=8), replace(gate, channels=8), *layers[2:])
    assert space.why_not(Architecture((3, 8, 8), narrow)) is None
    one_value = (narrow[0], thin, *layers[2:])  # a pixel: a net, but of another gate
    said = "layer 1 (conv) is not as wide as layer 0"
    assert space.why_not(Architecture((3, 8, 8), one_value)) == said


def test_a_net_of_other_layers_is_not_in_the_space():
    source, space, _ = case("conv7")
    assert space.out_of_form(source) is None
    shorter = chain(source.input_shape, *source.layers[:-2], source.layers[-1])
    assert (
        space.why_not(shorter)
        == "layer 22 (linear) differs from the source's in more than channels"
    )


def test_layers_that_do_nothing_are_left_out():
    relu = Layer("relu")
    source = chain((1, 6, 6), Layer("conv", 3, 6, 1), relu, relu, Layer("linear", channels=2))
    space = space_around(source, None, Form(widths_only=True))
    assert space.out_of_form(source) is None
    kinds = [layer.kind for layer in repair(source.layers, space).architecture.layers]
    assert kinds == ["conv", "relu", "linear"]


def test_a_limit_on_latency_narrows():
    source = named("tiny")
    nets = [scale_channels(source, 0.1 * n, space_around(source)) for n in range(1, 30)]
    times = LatencyModel(LatencyConditions(), [(net, net.macs / 1e5) for net in nets])
    limits = Limits(max_latency=0.4 * times.milliseconds(source), latency=times)
    space = space_around(source, limits, Form(widths_only=True))
    net = repair(source.layers, space).architecture
    assert space.why_not(net) is None
    assert [layer.kind for layer in net.layers] == [layer.kind for layer in source.layers]
    assert times.milliseconds(net) > 0.3 * times.milliseconds(source)


@pytest.mark.parametrize(
    ("source", "limits", "kept", "said"),
    [
        (
            "conv7",
            Limits(max_parameters=900),
            (),
            "no widths of the source's layers can keep these",
        ),
        ("tiny", Limits(), tuple(range(99)), "no layer may change its width, so there is nothing"),
        (
            chain((1, 2, 2), Layer("linear", channels=9), Layer("linear", channels=2)),
            Limits(),
            (),
            "in a net without a convolution",
        ),
        (
            chain((1, 8, 8), Layer("conv", 3, 9, 1, 1), Layer("linear", channels=2)),
            Limits(),
            (0,),
            "no layer may change its width",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(source, limits, kept, said):
    source = named(source) if isinstance(source, str) else source
    with pytest.raises(SpaceError, match=said) as refused:
        space_around(source, limits, Form(kept=kept, widths_only=True))
    assert "\n" not in str(refused.value)


def test_runs_know_the_form_and_others_do_not():
    form = Form(8, (1, 2), widths_only=True)
    assert form.to_dict() == {"round_channels": 8, "kept": [1, 2], "widths_only": True}
    assert Form.of_dict({"source": "tiny", **form.to_dict()}) == form
    assert Form.of_dict({"source": "tiny"}) == Form()
    assert "widths_only" not in Form(8, (1,)).to_dict()
    _, space, _ = case("beside")
    assert space.form_text == "multiples of 8 beside (0, 24, 25), widths alone"
    assert space_around(named("tiny"), None, Form(kept=(0,))).form_text == " beside (0,)"
    assert "widths" not in repr(space)
