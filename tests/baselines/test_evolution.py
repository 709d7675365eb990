from itertools import product

import numpy as np
import pytest

from archpress.architecture import named
from archpress.baselines import evolution, random_search
from archpress.errors import ArchpressError
from archpress.evaluation import Candidate, TableEvaluator
from archpress.search import Objective, Problem, run_arm
from archpress.space import Limits, Neighbourhood, Row, RowSpace, space_around

PLAIN = named("plain6")
NETS = Neighbourhood(PLAIN, space_around(PLAIN, Limits(max_parameters=20_000)))
ROWS = [Row(choices, 100 + sum(choices)) for choices in product(range(6), repeat=5)]
COSTLY = RowSpace(ROWS, ROWS[-1], Limits(max_parameters=1000))


def smooth(row):
    """A bowl with its best, 1, at (1, 2, 3, 4, 5)."""
    return 1 - sum((choice - best) ** 2 for best, choice in enumerate(row.choices, 1)) / 100


TABLE = TableEvaluator({row.key: {"accuracy": smooth(row)} for row in ROWS}, name="bowl")


def look_up(candidates):
    return TABLE.evaluate(candidates, seed=0)


def size_as_accuracy(candidates):
    found = {c.architecture.key: {"accuracy": c.architecture.macs / 1e9} for c in candidates}
    return TableEvaluator(found, name="macs").evaluate(candidates, seed=0)


def best_of(arm, seed):
    problem = Problem(COSTLY, Objective(COSTLY.limits), 60, batch=2, seed=seed)
    return max(trial.accuracy for trial in run_arm(arm, problem, look_up))


def test_evolution_beats_random_search_on_a_smooth_function():
    evolved = [best_of(evolution(), seed) for seed in range(6)]
    drawn = [best_of(random_search(), seed) for seed in range(6)]
    assert np.mean(evolved) > np.mean(drawn) + 0.01
    assert np.mean(evolved) > 0.97


def test_its_nets_are_of_the_space_none_twice_and_the_seed_decides_them():
    problem = Problem(NETS, Objective(NETS.search_space.limits), 30, batch=4, seed=3)
    nets = [trial.architecture for trial in run_arm(evolution(), problem, size_as_accuracy)]
    assert len({net.key for net in nets}) == len(nets) == 30
    assert [NETS.why_not(net) for net in nets] == [None] * 30
    again = run_arm(evolution(), problem, size_as_accuracy)
    assert [trial.architecture for trial in again] == nets


def test_where_only_accuracy_is_limited_it_goes_for_small_rows_that_reach_it():
    limits = Limits(min_accuracy=0.8)
    problem = Problem(RowSpace(ROWS, ROWS[-1]), Objective(limits, 0.8), 80, seed=0)
    trials = run_arm(evolution(), problem, look_up)
    (best,) = evolution().rank(problem, trials, 1)
    assert best.accuracy >= 0.8
    first = problem.objective.best(trials[:20])
    fits = first.accuracy >= 0.8
    assert not fits or best.architecture.parameters < first.architecture.parameters


def trials_of(candidates, accuracies):
    keys = [one.architecture.key for one in candidates]
    found = {
        key: {"accuracy": accuracy}
        for key, accuracy in zip(keys, accuracies, strict=True)
        if accuracy is not None
    }
    return list(TableEvaluator(found, name="t").evaluate(candidates, seed=0))


def changed(one: Candidate, other: Candidate):
    pairs = zip(one.architecture.choices, other.architecture.choices, strict=True)
    return sum(a != b for a, b in pairs)


def test_the_winner_of_a_tournament_has_a_child_and_the_oldest_dies():
    problem = Problem(COSTLY, Objective(COSTLY.limits), 20, batch=1)
    asking = evolution(population=3, tournament=50).ask(problem)
    first = next(asking)
    (child,) = asking.send(trials_of(first, [0.9, 0.5, None]))
    assert changed(child, first[0]) == 1
    (later,) = asking.send(trials_of([child], [None]))  # the best is dead, two failed
    assert changed(later, first[1]) == 1


def test_populations_and_tournaments_of_nobody_are_refused():
    with pytest.raises(ArchpressError, match="population must be at least 1, not 0"):
        evolution(population=0)
    with pytest.raises(ArchpressError, match="tournament must be at least 1, not 0"):
        evolution(tournament=0)
