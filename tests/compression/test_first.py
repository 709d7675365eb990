"""Hand-made nets: which are scaled, and which are trained to the end."""

from dataclasses import replace

import numpy as np

from archpress.architecture import named
from archpress.compression import settings_for
from archpress.compression.first import (
    COARSE,
    PYRAMID,
    USUAL,
    first_candidates,
    hand_made_finalists,
    hand_made_nets,
)
from archpress.space import Limits, Neighbourhood, sampling, space_around


def space(**limits):
    return replace(space_around(named("conv10"), Limits(**limits)), most_activations=None)


def test_where_multiply_adds_are_short_the_pyramid_is_a_finalist():
    short = space(max_macs=15_000_000)
    usual, coarse, pyramid = hand_made_finalists(short)
    assert [usual, coarse] == hand_made_nets(short, [USUAL, COARSE])
    assert pyramid.macs <= 15_000_000
    assert pyramid.macs > 0.8 * usual.macs
    assert pyramid.parameters > 2 * usual.parameters


def test_where_parameters_are_short_it_is_not():
    assert len(hand_made_finalists(space(max_parameters=100_000))) == 2


def test_limits_that_the_papers_sampler_cannot_meet_leave_neighbours(monkeypatch):
    monkeypatch.setattr(sampling, "MOST_REJECTED", 0)
    source = named("separable", (3, 224, 224), 1000)
    space = Neighbourhood(source, space_around(source, Limits(max_parameters=7414)))
    first = first_candidates(
        space, Limits(max_parameters=7414), settings_for("smoke"), np.random.default_rng(0), []
    )
    assert {one.origin for one in first} >= {"neighbourhood"}
    assert "paper-sampler" not in {one.origin for one in first}
    assert len(first) >= settings_for("smoke").first // 2


def test_designs_that_do_not_fit_the_images_are_left_out():
    small = space_around(named("plain6", (1, 6, 6)))
    assert hand_made_nets(small, [PYRAMID]) == []
    assert len(hand_made_finalists(small)) == 1  # two pools fit, a coarser map does not


def test_finalists_may_take_more_time_than_the_nets_of_the_search():
    limits = Limits(max_parameters=93_000)
    bounded = space_around(named("conv7"), limits)
    usual, coarse = hand_made_finalists(bounded)
    assert not bounded.contains(coarse)
    assert replace(bounded, most_activations=None).contains(coarse)
    assert usual.parameters > 90_000
    assert coarse.parameters > 90_000
