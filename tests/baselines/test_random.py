from itertools import product

import numpy as np

from archpress.architecture import named
from archpress.baselines import random_search
from archpress.evaluation import TableEvaluator
from archpress.search import Objective, Problem, run_arm
from archpress.space import Limits, Neighbourhood, Row, RowSpace, space_around

PLAIN = named("plain6")
NETS = Neighbourhood(PLAIN, space_around(PLAIN, Limits(max_parameters=20_000)))


def evaluate(candidates):
    found = {one.architecture.key: {"accuracy": 0.5} for one in candidates}
    return TableEvaluator(found, name="flat").evaluate(candidates, seed=0)


def searched(space, limits, *, budget, seed=0):
    problem = Problem(space, Objective(limits), budget, batch=4, seed=seed)
    return [trial.architecture for trial in run_arm(random_search(), problem, evaluate)]


def test_random_search_spends_its_budget_on_nets_of_the_space_none_twice():
    nets = searched(NETS, NETS.search_space.limits, budget=10)
    assert len({net.key for net in nets}) == len(nets) == 10
    assert [NETS.why_not(net) for net in nets] == [None] * 10


def test_it_never_asks_for_what_it_asked_before():
    rows = [Row(choices, 10) for choices in product(range(2), repeat=4)]
    asking = random_search().ask(Problem(RowSpace(rows, rows[0]), Objective(Limits()), 50, batch=3))
    asked = [*next(asking)]
    while len(asked) < len(rows):
        asked += asking.send([])
    assert {one.architecture for one in asked} == {*rows}


def test_the_seed_decides_what_is_asked_for():
    first = searched(NETS, NETS.search_space.limits, budget=6)
    assert searched(NETS, NETS.search_space.limits, budget=6) == first
    assert searched(NETS, NETS.search_space.limits, budget=6, seed=1) != first
    assert searched(NETS, NETS.search_space.limits, budget=10)[:6] == first


def test_it_ends_where_a_space_has_nothing_new():
    rows = [Row(choices, 10) for choices in product(range(2), repeat=3)]
    found = searched(RowSpace(rows, rows[0]), Limits(), budget=50)
    assert sorted(found, key=lambda row: row.choices) == rows


def test_an_endless_repeat_of_one_design_ends_too():
    rows = [Row((0,), 10)]
    space = RowSpace(rows, rows[0])
    assert next(space.sample(np.random.default_rng(0))) == rows[0]
    assert searched(space, Limits(), budget=5) == rows
