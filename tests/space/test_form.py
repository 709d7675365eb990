"""What all candidates are like, whatever they cost."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archpress.architecture import ZOO, Architecture, Layer, chain, named
from archpress.baselines.hand_made import hand_made_nets
from archpress.compression.first import anchor_nets
from archpress.errors import SpaceError
from archpress.space import (
    Form,
    Limits,
    Neighbourhood,
    PaperSampler,
    count,
    edit,
    narrow_to_fit,
    repair,
    sample_neighbourhood,
    scale_channels,
    space_around,
)

SOURCES = {name: named(name) for name in ("lenet5", "conv7", "resnet20", "separable")}
STEPS = (3, 8, 16)


def space_of(name: str, step: int, share: int = 4):
    source = SOURCES[name]
    limits = Limits(max_macs=source.macs // share)
    return source, space_around(source, limits, Form(round_channels=step))


def widths(net: Architecture) -> list[int]:
    """Of all layers that choose some, but the last."""
    return [layer.channels for layer in net.layers[:-1] if layer.channels]


def assert_rounded(net: Architecture, step: int, space) -> None:
    assert all(width % step == 0 for width in widths(net)), net
    assert space.out_of_form(net) is None
    assert space.why_not(net) is None
    assert net.classes == 10


@given(st.sampled_from(list(SOURCES)), st.sampled_from(STEPS), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_proposed_has_rounded_widths(name, step, seed):
    source, space = space_of(name, step)
    rng = np.random.default_rng(seed)
    around = Neighbourhood(source, space)
    first = next(around.sample(rng))
    values = {dial.name: int(rng.integers(dial.low, dial.high + 1)) for dial in around.dials()}
    proposed = [first, around.edit(first, rng, edits=3), edit(source, space, rng, edits=4)]
    proposed += [around.turn(values), repair(source.layers, space).architecture]
    for net in proposed:
        assert_rounded(net, step, space)


@pytest.mark.parametrize("name", list(SOURCES))
@pytest.mark.parametrize("step", STEPS)
def test_first_nets_have_rounded_widths(name, step):
    source, space = space_of(name, step)
    anchors = [one.architecture for one in anchor_nets(source, space)]
    nets = [*anchors, *hand_made_nets(space), *space.smallest_nets()]
    nets += islice(PaperSampler(space, np.random.default_rng(0)), 10)
    nets += islice(sample_neighbourhood(source, space, np.random.default_rng(1)), 10)
    assert anchors
    for net in nets:
        if space.too_costly(net) is None:
            assert_rounded(net, step, space)
        assert all(width % step == 0 for width in widths(net))


def test_narrowing_gives_the_widest_net_of_rounded_widths():
    source, space = space_of("conv7", 8)
    narrowed = narrow_to_fit(source, space)
    assert narrowed is not None
    assert_rounded(narrowed, 8, space)
    assert widths(narrowed) == [16, 16, 32, 32, 64, 64, 120]  # a factor just below 1/2


def test_odd_widths_of_the_source_move_to_the_nearest_multiple():
    source, space = space_of("lenet5", 8, share=1)
    assert widths(source) == [6, 16, 120, 84]
    assert widths(scale_channels(source, 1.0, space)) == [8, 16, 120, 88]  # 84 lies in the middle
    assert space.out_of_form(source) == "layer 0 (conv): 6 channels are no multiple of 8"


def test_images_may_have_any_channels_and_depthwise_layers_follow():
    conv, head = Layer("conv", 1, 16, 1), Layer("linear", channels=7)
    source = chain((3, 8, 8), Layer("depthwise", 3, 0, 1, 1), conv, head)
    space = space_around(source, None, Form(8))
    assert space.contains(source)
    shortcut = Architecture(
        (3, 8, 8), (Layer("conv", 3, 3, 1, 1), Layer("add", inputs=(1, 2)), conv, head)
    )
    roomy = replace(space, limits=Limits(), most_activations=None)
    mended = repair(shortcut.layers, roomy).architecture
    assert [layer.kind for layer in mended.layers] == ["conv", "conv", "linear"]
    assert widths(mended) == [8, 16]


@pytest.mark.parametrize("step", [0, -8])
def test_a_step_below_one_is_refused(step):
    with pytest.raises(SpaceError, match=f"round_channels must be at least 1, not {step}"):
        Form(step)


def test_a_step_that_no_net_can_keep_is_refused():
    source = SOURCES["lenet5"]
    with pytest.raises(SpaceError, match="no width up to 120 is a multiple of round_channels=121"):
        space_around(source, None, Form(121))
    limits = Limits(max_parameters=600)
    assert space_around(source, limits).limits == replace(limits, max_macs=source.macs)
    with pytest.raises(SpaceError, match="no net can keep these limits"):
        space_around(source, limits, Form(64))


@pytest.mark.parametrize("name", list(ZOO))
def test_spaces_without_a_form_are_told_as_ever(name):
    space = space_around(named(name))
    assert space == space_around(named(name), None, Form())
    assert "round_channels" not in repr(space)
    assert space.form_text == ""


def test_only_nets_of_rounded_widths_are_counted():
    source = chain((1, 4, 4), Layer("conv", 3, 8, 1, 1), Layer("linear", channels=2))
    space = replace(space_around(source, None, Form(8)), kinds=("conv", "linear"), most_layers=3)
    wide = replace(space, least_channels=1, most_channels=8, round_channels=1)
    numbers = count(space), count(wide)
    assert numbers[0][2] * 8 == numbers[1][2] * len(space.widths) > 0
