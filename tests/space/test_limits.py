import pytest

from archpress.architecture import named
from archpress.errors import SpaceError
from archpress.space import Limits

NET = named("tiny")


@pytest.mark.parametrize("name", ["max_parameters", "max_macs", "max_peak_memory"])
def test_a_cost_limit_below_one_is_refused(name):
    with pytest.raises(SpaceError, match=rf"{name} must be at least 1 \(.*\), not 0"):
        Limits(**{name: 0})


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
    assert Limits(min_accuracy=0.8).least_accuracy(0.9) == 0.8
    assert Limits(max_accuracy_loss=0.05).least_accuracy(0.9) == pytest.approx(0.85)
    assert Limits(min_accuracy=0.88, max_accuracy_loss=0.05).least_accuracy(0.9) == 0.88
