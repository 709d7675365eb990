from dataclasses import replace

import numpy as np
import pytest

from archpress.architecture import named
from archpress.compression import timing
from archpress.compression.timing import (
    HEADROOM,
    Timing,
    latency_check,
    latency_record,
    nets_to_time,
    quick_enough,
    timing_of,
    with_times,
)
from archpress.errors import SpaceError
from archpress.search import Silent
from archpress.space import Form, LatencyConditions, LatencyModel, Limits, space_around

SOURCE = named("plain6")


@pytest.fixture
def by_size(monkeypatch):
    """Nets take a microsecond for 1,000 multiply-adds, and 10 for a pass; what was timed."""
    asked = []

    def time_nets(nets, conditions, *, seconds, passes, advance):
        asked.extend(nets)
        advance(passes * len(nets))
        slowed = 1 + np.arange(passes)[:, None]  # by what else the machine does
        return slowed * np.array([0.01 + net.macs / 1e6 for net in nets])

    monkeypatch.setattr(timing, "time_nets", time_nets)
    return asked


def test_the_nets_that_are_timed_first_are_of_all_sizes_and_each_once():
    nets = nets_to_time(SOURCE, 0, 40)
    assert nets[0] == SOURCE
    assert len({net.key for net in nets}) == len(nets) >= 40
    assert min(net.macs for net in nets) < SOURCE.macs / 20


def test_where_widths_alone_change_only_they_differ_in_the_nets_that_are_timed():
    nets = nets_to_time(SOURCE, 0, 20, Form(widths_only=True))
    assert len({net.key for net in nets}) == len(nets) >= 20
    kinds = [layer.kind for layer in SOURCE.layers]
    assert all([layer.kind for layer in net.layers] == kinds for net in nets)


def test_the_smallest_nets_of_the_form_are_among_those_that_are_timed():
    form = Form(round_channels=8)
    timed = {net.key for net in nets_to_time(SOURCE, 0, 40, form)}
    smallest = space_around(SOURCE, form=form).smallest_nets()
    assert {net.key for net in smallest} <= timed


def test_nets_are_timed_once_and_the_least_disturbed_time_counts(tmp_path, by_size):
    known = timing_of(Limits(), tmp_path, Silent())
    known.take([SOURCE, named("tiny"), SOURCE], "timing")
    known.take([SOURCE], "timing")
    assert by_size == [SOURCE, named("tiny")]
    assert known.model.measured(SOURCE) == pytest.approx(0.01 + SOURCE.macs / 1e6)


def test_a_run_that_was_killed_knows_its_times(tmp_path, by_size):
    timing_of(Limits(), tmp_path, Silent()).take([SOURCE], "timing")
    again = timing_of(Limits(), tmp_path, Silent())
    again.take([SOURCE], "timing")
    assert len(by_size) == 1
    other = Limits(latency=LatencyModel(LatencyConditions(batch=32)))
    timing_of(other, tmp_path, Silent()).take([SOURCE], "timing")
    assert len(by_size) == 2  # under other conditions times are others


def test_a_search_aims_a_little_below_the_limit_with_a_model_of_the_device(tmp_path, by_size):
    limits = Limits(max_latency=2.0)
    aimed = with_times(limits, timing_of(limits, tmp_path, Silent()), SOURCE, 0)
    assert aimed.max_latency == HEADROOM * 2.0
    assert aimed.latency is not None
    assert aimed.latency.predicted(SOURCE) == pytest.approx(SOURCE.macs / 1e6, rel=0.25)
    unlimited = Limits(max_parameters=5000)
    assert with_times(unlimited, timing_of(unlimited, tmp_path, Silent()), SOURCE, 0) == unlimited


def test_of_the_finalists_the_quick_ones_are_kept(tmp_path, by_size):
    model = LatencyModel(LatencyConditions())
    limits = Limits(max_latency=0.01 + named("tiny").macs / 1e6, latency=model)
    run = Timing(model, tmp_path / "times.json", Silent())
    kept = quick_enough([SOURCE, named("tiny")], [], space_around(SOURCE), limits, run)
    assert kept == [named("tiny")]


def test_where_all_finalists_are_slow_the_first_is_narrowed_until_it_is_not(tmp_path, by_size):
    model = LatencyModel(LatencyConditions())
    limits = Limits(max_latency=0.01 + SOURCE.macs / 4e6, latency=model)
    run = Timing(model, tmp_path / "times.json", Silent())
    (kept,) = quick_enough([SOURCE], [], space_around(SOURCE), limits, run)
    assert SOURCE.macs / 8 < kept.macs <= SOURCE.macs / 4
    assert len(kept.layers) == len(SOURCE.layers)


def test_times_of_another_device_are_all_that_is_known_of_it(tmp_path, by_size):
    elsewhere = LatencyModel(LatencyConditions(machine="a phone"), [(SOURCE, 3.0)])
    limits = Limits(max_latency=2.0, latency=elsewhere)
    run = timing_of(limits, tmp_path, Silent())
    assert run.is_elsewhere
    run.take([named("tiny")], "timing")
    assert by_size == []
    assert latency_record(run) == {"conditions": str(elsewhere.conditions), "elsewhere": True}
    with pytest.raises(SpaceError, match="1 timed nets are too few to tell times from"):
        with_times(limits, run, SOURCE, 0)


def test_the_record_tells_how_well_the_device_is_known(tmp_path, by_size):
    limits = Limits(max_latency=2.0)
    run = timing_of(limits, tmp_path, Silent())
    with_times(limits, run, SOURCE, 0)
    record = latency_record(run)
    assert record["n"] == len(record["points"]) == len(run.model.timed)
    assert record["kendall"] > 0.8
    assert record["error"] < 0.3
    assert replace(run.model.conditions, machine="") == LatencyConditions()


def test_a_share_is_one_of_the_sources_latency(tmp_path, by_size):
    limits = Limits(max_latency_share=0.5)
    run = timing_of(limits, tmp_path, Silent())
    aimed = with_times(limits, run, SOURCE, 0)
    whole = 0.01 + SOURCE.macs / 1e6
    assert aimed.max_latency == pytest.approx(HEADROOM * 0.5 * whole)
    assert aimed.max_latency_share is None
    nets = (SOURCE, named("tiny"))
    (check,) = latency_check(limits, run, nets, (3e-3, 1.6e-3))
    assert (check.limit, check.value, check.met) == (1.5, 1.6, False)
    (check,) = latency_check(Limits(max_latency=1.6), run, nets, (3e-3, 1.6e-3))
    assert check.met
    assert latency_check(Limits(max_parameters=5), run, nets, (3e-3, 1.6e-3)) == []
