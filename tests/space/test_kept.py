"""Layers of the source that stay: they are in every candidate, whatever is proposed."""

from dataclasses import astuple, replace
from functools import cache
from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archpress.architecture import KINDS, Architecture, Layer, chain, named, simplify
from archpress.architecture.kinds import NOT_SEARCHED
from archpress.architecture.network import layer_names
from archpress.baselines.hand_made import hand_made_nets
from archpress.compression.first import anchor_nets
from archpress.errors import SpaceError
from archpress.space import (
    Form,
    Limits,
    Neighbourhood,
    PaperSampler,
    SearchSpace,
    edit,
    matching,
    narrow_to_fit,
    repair,
    scale_channels,
    space_around,
    ties,
    with_joins_of_two,
)
from archpress.space import kept as kept_module

CONV = Layer("conv", 3, 8, 1, 1)
MIXED = Architecture(  # of kinds that are not searched
    (3, 12, 12),
    (
        CONV,
        Layer("scale", options=(("factor", 0.5),)),
        Layer("relu"),
        Layer("pad", options=tuple((side, 1) for side in ("above", "below", "left", "right"))),
        replace(CONV, padding=0),
        Layer("slice", options=(("end", 4),)),
        Layer("slice", inputs=(2,), options=(("begin", 4), ("end", 8))),
        Layer("conv", 1, 4, 1),
        Layer("concat", inputs=(3, 1)),
        Layer("channel_shuffle", options=(("groups", 2),)),
        Layer("batch_norm"),
        Layer("gain", options=(("per_channel", True),)),
        CONV,
        Layer("local_norm"),
        Layer("relu"),
        Layer("adaptive_average_pool", options=(("height", 2), ("width", 2))),
        Layer("flatten"),
        Layer("linear", channels=24),
        Layer("relu"),
        Layer("linear", channels=5),
    ),
)
CASES = {  # source, what is to stay, what may change, share of the parameters, multiples
    "stem": ("conv7", ["conv1"], [], 8, 1),
    "middle": ("conv7", ["conv3", "batch_norm3", "relu3"], [], 4, 8),
    "apart": ("conv7", ["conv2", "relu4", "conv5", "max_pool2"], [], 2, 1),
    "pools": ("conv7", ["max_pool*"], [], 8, 8),
    "only": ("conv7", [], ["conv5", "batch_norm5", "relu5", "conv6", "batch_norm6"], 1, 1),
    "odd": ("lenet5", ["conv*"], [], 2, 8),
    "end": ("lenet5", ["linear*"], [], 1, 1),
    "block": ("resnet20", ["conv6", "batch_norm6", "relu5", "conv7", "batch_norm7"], [], 2, 1),
    "joins": ("resnet20", ["add*"], [], 2, 1),
    "head": ("resnet20", ["relu19", "global*", "linear1"], [], 4, 8),
    "half": ("resnet20", [], ["conv1?", "batch_norm1?"], 1, 1),
    "depthwise": ("separable", ["depthwise*"], [], 2, 8),
    "scale": (MIXED, ["scale1"], [], 2, 1),
    "pads": (MIXED, ["pad1", "local_norm1", "flatten1"], [], 2, 8),
    "slice": (MIXED, ["slice2", "conv3"], [], 1, 1),
    "shuffle": (MIXED, ["channel_shuffle1", "gain1"], [], 1, 4),
    "gain": (MIXED, ["gain1", "conv4"], [], 2, 1),
    "mixed": (MIXED, [], ["conv*", "relu*", "linear1", "batch_norm1"], 1, 1),
}
NEVER_PROPOSED = [name for name, one in CASES.items() if one[0] is MIXED]
ANY_CASE = st.sampled_from(list(CASES))
SLOWLY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@cache
def case(name: str) -> tuple[Architecture, tuple[int, ...], SearchSpace, int]:
    source_name, keep, only, share, step = CASES[name]
    source = source_name if isinstance(source_name, Architecture) else named(source_name)
    rows = matching(layer_names(source), keep=keep, only=only)
    limits = Limits(max_parameters=source.parameters // share)
    return source, rows, space_around(source, limits, Form(step, rows)), step


def stays(source: Architecture, rows: tuple[int, ...], net: Architecture) -> bool:
    """Whether the layers are in the net: an oracle that tries all places, in order."""

    def fields(layer: Layer) -> tuple:
        return astuple(replace(layer, inputs=()))

    def inner(architecture: Architecture, at: int, begin: int) -> tuple[int, ...]:
        return tuple(offset for offset in architecture.layers[at].inputs if at - offset >= begin)

    def follow(left: tuple[int, ...], begin: int) -> bool:
        if not left:
            return True
        length = next((n for n in range(1, len(left)) if left[n] != left[n - 1] + 1), len(left))
        for at in range(begin, len(net.layers) - length + 1):
            pairs = [(left[n], at + n) for n in range(length)]
            if all(
                fields(source.layers[i]) == fields(net.layers[j])
                and inner(source, i, left[0]) == inner(net, j, at)
                for i, j in pairs
            ) and follow(left[length:], at + length):
                return True
        return False

    return follow(rows, 0)


def assert_kept(name: str, net: Architecture) -> None:
    source, rows, space, step = case(name)
    assert space.why_not(net) is None, net
    for form in (net, simplify(net)):
        assert stays(source, rows, form), form
    assert space.kept is not None
    staying_kinds = [space.kept.source.layers[row].kind for row in space.kept.rows]
    for kind in NOT_SEARCHED:  # no others than those that stay
        assert [layer.kind for layer in net.layers].count(kind) == staying_kinds.count(kind)
    if step > 1:
        staying = {source.layers[row].channels for row in rows}
        if "slice" in staying_kinds:
            return  # which hangs on channels that do not stay
        free = {layer.channels for layer in net.layers[:-1] if layer.channels} - staying
        assert all(width % step == 0 for width in free), net


WHOLE = st.integers(0, 9) | st.integers(-(2**20), 2**20)
ANY_LAYER = st.builds(
    Layer,
    kind=st.sampled_from([*KINDS, "conv", "add", "unheard of"]),
    kernel=WHOLE,
    channels=WHOLE,
    stride=WHOLE,
    padding=WHOLE,
    inputs=st.lists(st.integers(-1, 9), max_size=3).map(tuple),
    bias_free=st.booleans(),
)


@given(ANY_CASE, st.lists(ANY_LAYER, max_size=20))
@SLOWLY
def test_any_layers_become_a_net_with_what_stays(name, layers):
    assert_kept(name, repair(layers, case(name)[2]).architecture)


@given(ANY_CASE, st.integers(0, 2**32))
@SLOWLY
def test_parts_of_the_source_become_a_net_with_what_stays(name, seed):
    source, _, space, _ = case(name)
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 12))
    layers = [source.layers[i] for i in sorted(rng.integers(len(source.layers), size=count))]
    assert_kept(name, repair(layers, space).architecture)


@given(ANY_CASE, st.integers(0, 2**32))
@SLOWLY
def test_whatever_is_proposed_has_what_stays(name, seed):
    source, _, space, _ = case(name)
    rng = np.random.default_rng(seed)
    around = Neighbourhood(source, space)
    first = next(around.sample(rng))
    values = {dial.name: int(rng.integers(dial.low, dial.high + 1)) for dial in around.dials()}
    proposed = [first, around.edit(first, rng, edits=3), edit(source, space, rng, edits=5)]
    proposed += [around.turn(values), next(iter(PaperSampler(space, rng)))]
    for net in proposed:
        assert_kept(name, net)


@pytest.mark.parametrize("name", list(CASES))
def test_there_is_something_to_search(name):
    source, _, space, _ = case(name)
    anchors = [one.architecture for one in anchor_nets(source, space)]
    samples = list(islice(Neighbourhood(source, space).sample(np.random.default_rng(1)), 30))
    for net in (*anchors, *samples):
        assert_kept(name, net)
    assert hand_made_nets(space) == []
    assert len({net.key for net in samples}) >= (3 if name in NEVER_PROPOSED else 10)


KINDS_THAT_STAY = {
    "scale": ("scale", "slice", "slice", "adaptive_average_pool"),
    "slice": ("slice", "slice", "conv", "adaptive_average_pool"),
}


@pytest.mark.parametrize("name", list(KINDS_THAT_STAY))
def test_layers_that_are_not_searched_are_left_out_where_a_net_is_left(name):
    _, _, space, _ = case(name)
    assert space.kept is not None
    kept = space.kept
    assert tuple(kept.source.layers[row].kind for row in kept.rows) == KINDS_THAT_STAY[name]
    assert kept.source.parameters <= MIXED.parameters
    assert kept.source.macs <= MIXED.macs
    left = {layer.kind for layer in kept.source.layers}
    assert not left & {"pad", "gain", "local_norm", "flatten"}
    assert left <= {*space.all_kinds}
    assert not set(NOT_SEARCHED) & set(space.kinds)


def test_what_hangs_on_a_slice_keeps_its_channels():
    _, _, space, _ = case("slice")
    assert space.kept is not None
    half = scale_channels(space.kept.source, 0.5, space)
    widths = {layer.kind: layer.channels for layer in half.layers if layer.kind == "slice"}
    assert widths == {"slice": 0}
    assert [layer.channels for layer in half.layers if layer.kind == "conv"] == [4, 8, 4, 4]


def test_a_convolution_before_what_stays_gets_the_channels_that_it_needs():
    source = chain(
        (3, 8, 8),
        CONV,
        Layer("slice", options=(("begin", 2), ("end", 8))),
        Layer("conv", 3, 8, 1, 1),
        Layer("linear", channels=3),
    )
    space = space_around(source, None, Form(kept=(1,)))
    space = replace(space, limits=Limits(), most_activations=None)
    proposed = [
        Layer("conv", 5, 16, 1, 2),
        Layer("relu"),
        Layer("slice"),
        Layer("conv", 1, 12, 1),
    ]
    net = repair([*proposed, Layer("linear", channels=3)], space).architecture
    assert [(layer.kind, layer.kernel, layer.channels) for layer in net.layers] == [
        *(("conv", 5, 8), ("relu", 0, 0), ("slice", 0, 0), ("conv", 1, 12), ("linear", 0, 3))
    ]
    assert net.layers[2] == source.layers[1]


def test_some_kinds_stay_though_nobody_asks(monkeypatch):
    assert space_around(MIXED).kept is None
    for module in (kept_module, ties):
        monkeypatch.setattr(module, "STAYING", ("pad", "gain"))
    monkeypatch.setattr(ties, "EXACT", ("pad", "gain"))
    space = space_around(MIXED)
    assert space.kept is not None
    kinds = [space.kept.source.layers[row].kind for row in space.kept.rows]
    assert kinds == ["pad", "slice", "slice", "gain", "adaptive_average_pool"]
    assert space.all_kinds[len(space.kinds) :] == tuple(dict.fromkeys(kinds))
    for net in islice(Neighbourhood(MIXED, space).sample(np.random.default_rng(0)), 20):
        assert space.why_not(net) is None
        assert MIXED.layers[3] in [replace(layer, inputs=(1,)) for layer in net.layers]


def test_layers_that_must_do_something_without_another_keep_it():
    relu, halves = Layer("relu"), Layer("scale", options=(("shift", -0.5),))
    source = chain(
        (1, 6, 6), Layer("conv", 3, 6, 1), relu, halves, relu, Layer("linear", channels=2)
    )
    both = space_around(source, None, Form(kept=(1, 3))).kept
    assert both is not None
    assert [both.source.layers[row].kind for row in both.rows] == ["relu", "scale", "relu"]
    one = space_around(source, None, Form(kept=(1,))).kept
    assert one is not None
    assert [layer.kind for layer in one.source.layers] == ["conv", "relu", "linear"]


def test_widths_beside_what_stays_are_scaled():
    source, _, space, _ = case("stem")
    narrowed = narrow_to_fit(source, space)
    assert narrowed is not None
    widths = [layer.channels for layer in narrowed.layers[:-1] if layer.channels]
    assert widths[0] == 32
    assert max(widths[1:]) < 128
    assert narrowed.parameters <= source.parameters // 8


def test_what_is_added_to_a_layer_that_stays_keeps_its_width():
    source, rows, space, _ = case("block")
    half = scale_channels(source, 0.5, space)
    assert stays(source, rows, half)
    stage = [layer.channels for layer in half.layers[:22] if layer.channels]
    assert stage == [16, 8, 16, 8, 16, 16, 16]  # what is added to conv7's output, and conv6
    assert half.shapes[-2][0] == 32


def test_free_layers_are_added_to_odd_widths_that_stay():
    conv = Layer("conv", 3, 6, 1, 1)
    joined = Layer("add", inputs=(1, 2))
    source = chain((1, 6, 6), conv, conv, conv, Layer("linear", channels=2))
    source = Architecture((1, 6, 6), (*source.layers[:2], joined, *source.layers[2:]))
    space = replace(
        space_around(source, None, Form(4, kept=(0,))), most_activations=None, limits=Limits()
    )
    net = scale_channels(source, 1.0, space)
    assert [layer.channels for layer in net.layers] == [6, 6, 0, 8, 2]
    assert space.why_not(net) is None
    assert space.why_not(repair(source.layers, space).architecture) is None


def test_layers_that_do_nothing_do_not_stay():
    relu, head = Layer("relu"), Layer("linear", channels=2)
    source = chain((1, 6, 6), Layer("conv", 3, 6, 1, 1), relu, relu, Layer("conv", 3, 8, 1), head)
    space = space_around(source, None, Form(kept=(1, 2, 3)))
    assert space.kept is not None
    assert space.kept.rows == (1, 2)
    net = repair([head], space).architecture
    kinds = [layer.kind for layer in net.layers]
    assert kinds[kinds.index("relu") :][:2] == ["relu", "conv"]


def test_a_net_without_what_stays_is_not_in_the_space():
    source, _, space, _ = case("apart")
    said = "the layers to keep are not all in it, in their order"
    assert space.why_not(next(iter(space_around(source).smallest_nets()))) == said
    assert space.out_of_form(source) is None
    kinds = [layer.kind for layer in source.layers]
    last_pool = len(kinds) - 1 - kinds[::-1].index("max_pool")
    for kept in (last_pool, kinds.index("conv", last_pool)):  # the second is conv5
        changed = list(source.layers)
        changed[kept] = replace(changed[kept], kernel=changed[kept].kernel + 1)
        assert space.out_of_form(Architecture(source.input_shape, tuple(changed))) == said


def test_joins_of_many_stay_as_joins_of_two():
    conv = Layer("conv", 3, 4, 1, 1)
    layers = (conv, conv, conv, Layer("add", inputs=(1, 2, 3)), Layer("linear", channels=2))
    source = Architecture((3, 6, 6), layers)
    assert Form(kept=(2, 3)).with_joins_of_two(source).kept == (2, 3, 4)
    assert Form(kept=(4,)).with_joins_of_two(source).kept == (5,)
    assert len(with_joins_of_two(source).layers) == 6
    with pytest.raises(SpaceError, match="layer 7 cannot be kept: there are 5"):
        Form(kept=(7,)).with_joins_of_two(source)


NAMES = ("stem", "layer1.0.conv1", "layer1.0.add", "layer1.1.conv1", "/layer2/conv/Conv", "fc")


@pytest.mark.parametrize(
    ("keep", "only", "rows"),
    [
        (["stem"], [], (0,)),
        (["layer1"], [], (1, 2, 3)),
        (["layer1.0", "fc"], [], (1, 2, 5)),
        (["*.conv1"], [], (1, 3)),
        (["/layer2"], [], (4,)),
        ([], ["layer1"], (0, 4, 5)),
        (["*.add"], ["layer1"], (0, 2, 4, 5)),
        ([], [], ()),
    ],
)
def test_patterns_name_layers_and_blocks(keep, only, rows):
    assert matching(NAMES, keep=keep, only=only) == rows


@pytest.mark.parametrize("option", ["keep", "only"])
def test_a_pattern_that_matches_nothing_lists_names(option):
    with pytest.raises(SpaceError) as refused:
        matching([*NAMES, "more"], **{option: ["stem", "layer3"]})
    shown = ", ".join(NAMES)
    assert str(refused.value) == f"no layer matches --{option} layer3: they are called {shown}, ..."


@pytest.mark.parametrize(
    ("source", "kept", "limits", "said"),
    [
        (named("tiny"), range(99), Limits(), "nothing to compress"),
        (named("conv7"), (20,), Limits(max_parameters=5000), "with the layers that stay can keep"),
        (
            chain((1, 2, 2), Layer("linear", channels=9), Layer("linear", channels=2)),
            (0,),
            Limits(),
            "without a convolution",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(source, kept, limits, said):
    with pytest.raises(SpaceError, match=said):
        space_around(source, limits, Form(kept=tuple(kept)))
