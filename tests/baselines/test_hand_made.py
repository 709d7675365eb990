"""Hand-made nets: which are scaled, and which are trained to the end."""

from dataclasses import replace

import pytest

from archpress.architecture import named
from archpress.baselines.hand_made import (
    COARSE,
    LATE,
    PYRAMID,
    USUAL,
    hand_made_finalists,
    hand_made_nets,
)
from archpress.space import Limits, Neighbourhood, space_around


def around(source, **limits):
    return Neighbourhood(source, space_around(source, Limits(**limits)))


def of_any_time(space):
    return replace(space.search_space, most_activations=None)


def test_where_multiply_adds_are_short_the_pyramid_is_a_finalist():
    short = around(named("conv10"), max_macs=15_000_000)
    usual, coarse, pyramid = hand_made_finalists(short)
    assert [usual, coarse] == hand_made_nets(of_any_time(short), [USUAL, COARSE])
    assert pyramid.macs <= 15_000_000
    assert pyramid.macs > 0.8 * usual.macs
    assert pyramid.parameters > 2 * usual.parameters


def test_where_parameters_are_short_a_net_that_pools_late_is_a_finalist():
    short = around(named("conv10"), max_parameters=100_000)
    usual, coarse, late = hand_made_finalists(short)
    assert [usual, coarse, late] == hand_made_nets(of_any_time(short), [USUAL, COARSE, LATE])
    assert late.macs > 1.5 * coarse.macs
    assert late.parameters == coarse.parameters


@pytest.mark.parametrize(("parameters", "is_one"), [(93_000, False), (50_000, True)])
def test_a_net_that_pools_late_has_at_most_half_of_the_sources_multiply_adds(parameters, is_one):
    source = named("conv7")
    space = around(source, max_parameters=parameters)
    (late,) = hand_made_nets(of_any_time(space), [LATE])
    assert (late.macs <= source.macs / 2) is is_one
    assert (late in hand_made_finalists(space)) is is_one


def test_designs_that_do_not_fit_the_images_are_left_out():
    small = around(named("plain6", (1, 6, 6)))
    assert hand_made_nets(small.search_space, [PYRAMID]) == []
    assert len(hand_made_finalists(small)) == 1  # two pools fit, a coarser map does not


def test_finalists_may_take_more_time_than_the_nets_of_the_search():
    bounded = around(named("conv7"), max_parameters=93_000)
    usual, coarse = hand_made_finalists(bounded)
    assert not bounded.search_space.contains(coarse)
    assert of_any_time(bounded).contains(coarse)
    assert usual.parameters > 90_000
    assert coarse.parameters > 90_000
