import subprocess
import sys
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from archpress.architecture import named
from archpress.baselines import SEARCHES, gaussian_process, nsga2, tpe
from archpress.errors import ArchpressError
from archpress.evaluation import TableEvaluator
from archpress.search import Objective, Problem, run_arm
from archpress.space import Limits, Neighbourhood, Row, RowSpace, space_around

ARMS = [tpe, nsga2, gaussian_process]
PLAIN = named("plain6")
NETS = Neighbourhood(PLAIN, space_around(PLAIN, Limits(max_parameters=20_000)))
ROWS = [Row(choices, 10 + sum(choices)) for choices in product(range(5), repeat=4)]
LIMITS = Limits(max_parameters=20)
LIMITED = RowSpace(ROWS, ROWS[-1], LIMITS)
FREE = RowSpace(ROWS, ROWS[-1])
TABLE = TableEvaluator(
    {row.key: {"accuracy": 0.5 + np.dot([8, 4, 2, 1], np.sqrt(row.choices)) / 60} for row in ROWS},
    name="roots",
)


class Unordered(RowSpace):
    def dials(self):
        return [replace(dial, ordered=False) for dial in super().dials()]


def look_up(candidates):
    return TABLE.evaluate(candidates, seed=0)


def size_as_accuracy(candidates):
    found = {c.architecture.key: {"accuracy": c.architecture.macs / 1e9} for c in candidates}
    return TableEvaluator(found, name="macs").evaluate(candidates, seed=0)


@pytest.mark.parametrize("arm", ARMS)
def test_nets_are_of_the_space_none_twice_and_the_seed_decides_them(arm):
    problem = Problem(NETS, Objective(NETS.search_space.limits), 14, batch=2, seed=1)
    nets = [trial.architecture for trial in run_arm(arm(), problem, size_as_accuracy)]
    assert len({net.key for net in nets}) == len(nets) == 14
    assert [NETS.why_not(net) for net in nets] == [None] * 14
    again = run_arm(arm(), problem, size_as_accuracy)
    assert [trial.architecture for trial in again] == nets
    other = run_arm(arm(), replace(problem, budget=4, seed=2), size_as_accuracy)
    assert [trial.architecture for trial in other] != nets[:4]


@pytest.mark.parametrize(
    ("arm", "budget", "seeds"), [(tpe, 40, 4), (nsga2, 60, 6), (gaussian_process, 18, 1)]
)
@pytest.mark.parametrize("kind", [RowSpace, Unordered])
def test_it_improves_on_its_own_start(arm, budget, seeds, kind):
    space = kind(ROWS, ROWS[-1], LIMITS)
    gains = []
    for seed in range(seeds):
        problem = Problem(space, Objective(LIMITS), budget, seed=seed)
        reached = [trial.accuracy for trial in run_arm(arm(), problem, look_up)]
        assert len(reached) == budget
        gains.append(np.mean(reached[-8:]) - np.mean(reached[:8]))
    assert np.mean(gains) > 0.03


@pytest.mark.parametrize(("arm", "budget"), [(tpe, 50), (nsga2, 60), (gaussian_process, 22)])
def test_it_seeks_the_smallest_that_is_accurate_enough(arm, budget):
    least = 0.85
    problem = Problem(FREE, Objective(Limits(min_accuracy=least), least), budget, seed=0)
    trials = run_arm(arm(), problem, look_up)
    fine = [t.architecture.parameters for t in trials if t.accuracy >= least]
    last = [t.accuracy >= least for t in trials[-10:]]
    smallest = min(r.parameters for r in ROWS if TABLE.metrics[r.key]["accuracy"] >= least)
    assert min(fine) <= smallest + 1
    assert sum(last) >= 3  # without the constraint the smallest of all are asked for


@pytest.mark.parametrize("arm", [tpe, nsga2])
def test_a_small_space_is_asked_for_whole_and_then_it_ends(arm):
    rows = [row for row in ROWS if sum(row.choices) < 3]
    problem = Problem(RowSpace(rows, rows[-1]), Objective(LIMITS), 100, batch=3)
    found = run_arm(arm(), problem, look_up)
    assert sorted(trial.architecture.choices for trial in found) == [row.choices for row in rows]


def test_a_failed_trial_stops_nothing_and_its_like_are_avoided():
    def fails_with_large_first(candidates):
        kept = {key: value for key, value in TABLE.metrics.items() if key[0] in "01"}
        return TableEvaluator(kept, name="t").evaluate(candidates, seed=0)

    start, later = 0, 0
    for seed in range(4):
        problem = Problem(LIMITED, Objective(LIMITS), 30, seed=seed)
        failed = [not t.done for t in run_arm(tpe(), problem, fails_with_large_first)]
        assert len(failed) == 30
        start, later = start + sum(failed[:10]), later + sum(failed[-10:])
    assert later < 0.75 * start


def test_without_optuna_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "optuna.trial", None)
    for arm in ARMS:
        with pytest.raises(ArchpressError, match=r"pip install 'archpress\[baselines\]'"):
            arm()


def test_an_old_optuna_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna.trial", SimpleNamespace(Trial=object))
    with pytest.raises(ArchpressError, match="Optuna 5 or newer"):
        tpe()


def test_the_logging_of_optuna_is_as_it_was():
    from optuna import logging

    level = logging.get_verbosity()
    run_arm(tpe(), Problem(LIMITED, Objective(LIMITS), 3), look_up)
    assert logging.get_verbosity() == level


def test_importing_the_baselines_imports_none_of_their_packages():
    banned = "{'optuna', 'torch_pruning'}"
    code = f"import sys, archpress.baselines; sys.exit(bool({banned} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_search_goes_by_its_own_name():
    assert {name: make().name for name, make in SEARCHES.items()} == {n: n for n in SEARCHES}
    assert {*SEARCHES} == {"random", "narrowing", "evolution", "tpe", "nsga2", "gp"}
