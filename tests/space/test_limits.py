from dataclasses import replace

import pytest

from archpress.architecture import named
from archpress.errors import SpaceError
from archpress.space import Limits, Row, repair, space_around

NET = named("tiny")


@pytest.mark.parametrize("name", ["max_parameters", "max_macs", "max_peak_memory", "max_file_size"])
def test_a_cost_limit_below_one_is_refused(name):
    with pytest.raises(SpaceError, match=rf"{name} must be at least 1 \(.*\), not 0"):
        Limits(**{name: 0})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.9])
def test_a_cost_limit_that_is_no_number_of_anything_is_refused(value):
    with pytest.raises(SpaceError, match=f"max_macs must be at least 1 .*, not {value}"):
        Limits(max_macs=value)


def test_the_fraction_of_a_cost_limit_is_dropped():
    limits = Limits(max_parameters=NET.parameters / 10, max_macs=1e5)
    assert limits == Limits(max_parameters=NET.parameters // 10, max_macs=100_000)
    assert repr(limits.max_macs) == "100000"


@pytest.mark.parametrize("name", ["min_accuracy", "max_accuracy_loss"])
@pytest.mark.parametrize("value", [-0.1, 1.5, 90, float("nan")])
def test_an_accuracy_outside_zero_to_one_is_refused(name, value):
    with pytest.raises(SpaceError, match=rf"{name} is a fraction and must be in \[0, 1\], not"):
        Limits(**{name: value})


def test_a_net_at_the_limit_is_allowed_and_one_above_is_not():
    exact = Limits(NET.parameters, NET.macs, NET.peak_memory)
    assert exact.allow(NET)
    assert list(exact.broken(NET)) == []
    tight = Limits(NET.parameters - 1, NET.macs, NET.peak_memory - 4)
    assert not tight.allow(NET)
    assert list(tight.broken(NET)) == [
        ("max_parameters", NET.parameters - 1, NET.parameters),
        ("max_peak_memory", NET.peak_memory - 4, NET.peak_memory),
    ]


def test_no_limits_allow_everything():
    limits = Limits()
    assert limits.allow(named("vgg16"))
    assert [limits.any, limits.any_cost, limits.any_accuracy] == [False] * 3
    assert Limits(min_accuracy=0.0).any_accuracy
    assert not Limits(min_accuracy=0.0).any_cost
    assert Limits(max_macs=5).any_cost


def test_the_least_accuracy_is_the_stricter_of_the_two():
    assert Limits().least_accuracy(0.9) == 0
    assert Limits(min_accuracy=0.8).least_accuracy(0.9) == pytest.approx(0.8)
    assert Limits(max_accuracy_loss=0.05).least_accuracy(0.9) == pytest.approx(0.85)
    both = Limits(min_accuracy=0.88, max_accuracy_loss=0.05)
    assert both.least_accuracy(0.9) == pytest.approx(0.88)


def test_a_mean_that_just_reaches_the_least_accuracy_reaches_it():
    mean = sum([0.7, 0.7, 0.7]) / 3  # 0.6999999999999998
    assert mean >= Limits(min_accuracy=0.7).least_accuracy(0.9)


@pytest.mark.parametrize(
    ("limits", "loss"),
    [
        (Limits(min_accuracy=0.7), 0.2),
        (Limits(min_accuracy=0.88, max_accuracy_loss=0.05), 0.02),
        (Limits(min_accuracy=0.7, max_accuracy_loss=0.05), 0.05),
        (Limits(min_accuracy=0.95), 0.0),
    ],
)
def test_an_accuracy_to_reach_is_a_loss_against_a_source(limits, loss):
    against = limits.against(0.9)
    assert against.min_accuracy is None
    assert against.max_accuracy_loss == pytest.approx(loss)


def test_a_limit_on_the_file_is_kept_by_repair_and_bounds_the_parameters():
    limits = Limits(max_file_size=40_000)
    assert limits.most_parameters == 10_000
    assert replace(limits, max_parameters=300).most_parameters == 300
    assert Limits().most_parameters is None
    source = named("resnet20")
    space = space_around(source, limits)
    net = repair(source.layers, space).architecture
    assert 20_000 < net.file_size <= 40_000
    assert list(limits.broken(source)) == [("max_file_size", 40_000, source.file_size)]


def test_runs_know_their_limits_by_a_text_that_older_limits_keep():
    names = "max_parameters=5, max_macs=None, max_peak_memory=None"
    accuracies = "min_accuracy=None, max_accuracy_loss=0.1"
    assert repr(Limits(5, max_accuracy_loss=0.1)) == f"Limits({names}, {accuracies})"
    sized = Limits(5, max_accuracy_loss=0.1, max_file_size=900)
    assert repr(sized) == f"Limits({names}, {accuracies}, max_file_size=900)"


def test_a_row_of_a_table_has_no_file():
    with pytest.raises(SpaceError, match="max_file_size cannot be told of a Row"):
        Limits(max_file_size=900).allow(Row((1,), 100))
