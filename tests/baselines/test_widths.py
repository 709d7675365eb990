import math

import pytest

from archpress.architecture import named
from archpress.baselines import uniform_narrowing
from archpress.errors import SpaceError
from archpress.evaluation import TableEvaluator
from archpress.search import Objective, Problem, run_arm
from archpress.space import Limits, Neighbourhood, Row, RowSpace, scale_channels, space_around

PLAIN = named("plain6")


def accuracy(net):
    """Grows with size, by a tenth with each factor of four; 0.9 for the source."""
    return 0.9 + 0.1 * math.log(net.parameters / PLAIN.parameters, 4)


def evaluate(candidates):
    found = {c.architecture.key: {"accuracy": accuracy(c.architecture)} for c in candidates}
    return TableEvaluator(found, name="sizes").evaluate(candidates, seed=0)


def searched(limits, *, least_accuracy=0.0, batch=1, budget=40):
    space = Neighbourhood(PLAIN, space_around(PLAIN, limits))
    problem = Problem(space, Objective(limits, least_accuracy), budget, batch)
    trials = run_arm(uniform_narrowing(), problem, evaluate)
    assert [space.why_not(trial.architecture) for trial in trials] == [None] * len(trials)
    return space, problem, trials


def widths(net):
    return [layer.channels for layer in net.layers[:-1] if layer.channels]


def test_under_a_cost_limit_it_is_the_source_as_narrow_as_it_must_be():
    space, _, trials = searched(Limits(max_parameters=20_000))
    (net,) = [trial.architecture for trial in trials]
    factor = max(widths(net)) / max(widths(PLAIN))
    expected = [factor * width for width in widths(PLAIN)]
    assert widths(net) == pytest.approx(expected, abs=1)
    assert space.why_not(scale_channels(PLAIN, factor * 1.06, space.search_space)) is not None


def test_a_limit_below_the_narrowest_source_gives_a_shorter_net():
    _, _, trials = searched(Limits(max_parameters=200))
    (net,) = [trial.architecture for trial in trials]
    assert len(net.layers) < len(PLAIN.layers)


@pytest.mark.parametrize("least", [0.63, 0.7, 0.78])
@pytest.mark.parametrize("batch", [1, 3])
def test_under_an_accuracy_limit_it_finds_the_narrowest_that_reaches_it(batch, least):
    limits = Limits(min_accuracy=least)
    _, problem, trials = searched(limits, least_accuracy=least, batch=batch)
    best = uniform_narrowing().rank(problem, trials, 1)[0].architecture
    assert least <= accuracy(best) < least + 0.02
    assert len(trials) <= 1 + 8 * batch


def test_narrowing_stops_at_the_budget_with_the_best_so_far():
    _, problem, trials = searched(Limits(min_accuracy=0.7), least_accuracy=0.7, budget=3)
    assert len(trials) == 3
    assert accuracy(uniform_narrowing().rank(problem, trials, 1)[0].architecture) >= 0.7


def test_nothing_narrower_is_tried_where_the_widest_is_not_accurate_enough():
    _, _, trials = searched(Limits(min_accuracy=0.95), least_accuracy=0.95)
    assert len(trials) == 1


def test_where_any_accuracy_will_do_it_goes_down_to_the_narrowest():
    space, problem, trials = searched(Limits(min_accuracy=0.0))
    best = uniform_narrowing().rank(problem, trials, 1)[0].architecture
    assert set(widths(best)) == {space.search_space.least_channels}


def test_rows_of_a_table_have_no_channels_to_narrow():
    row = Row((0,), 10)
    problem = Problem(RowSpace([row], row), Objective(Limits()), 5)
    with pytest.raises(SpaceError, match="narrowing needs the layers of a net, and a RowSpace"):
        run_arm(uniform_narrowing(), problem, evaluate)
