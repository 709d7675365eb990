from dataclasses import replace

import numpy as np

from archpress.architecture import named
from archpress.evaluation import Candidate, TableEvaluator
from archpress.search import Arm, Objective, Problem, run_arm
from archpress.space import Limits, Neighbourhood, distinct, space_around

PLAIN = named("plain6")
SPACE = Neighbourhood(PLAIN, space_around(PLAIN, Limits(max_parameters=20_000)))
NETS = distinct(SPACE.sample(np.random.default_rng(0)), 12)
TABLE = TableEvaluator(
    {net.key: {"accuracy": 0.5 + i / 100} for i, net in enumerate(NETS)}, name="t"
)


def evaluate(candidates):
    return reversed(list(TABLE.evaluate(candidates, seed=0)))


def problem(budget):
    return Problem(SPACE, Objective(SPACE.search_space.limits), budget, batch=4)


def in_fours(problem):
    for start in range(0, len(NETS), 4):
        batch = [Candidate(net) for net in NETS[start : start + 4]]
        trials = yield batch
        assert [one.architecture for one in batch] == [trial.architecture for trial in trials]


def test_an_arm_gets_its_trials_in_the_order_it_asked_and_stops_at_the_budget():
    trials = run_arm(Arm("fours", in_fours), problem(10), evaluate)
    assert [trial.architecture for trial in trials] == NETS[:10]


def test_an_arm_may_end_early_and_what_it_repeats_is_free():
    def repeats(problem):
        first = yield [Candidate(NETS[0]), Candidate(NETS[0])]
        assert len(first) == 2
        again = yield [Candidate(NETS[0]), Candidate(NETS[1])]
        assert again[0] is first[0]

    assert len(run_arm(Arm("repeats", repeats), problem(10), evaluate)) == 2


def test_an_arm_that_has_run_dry_is_ended():
    def dry(problem):
        while True:
            yield [Candidate(NETS[0])]

    assert len(run_arm(Arm("dry", dry), problem(10), evaluate)) == 1


def test_the_best_trial_is_the_choice_unless_an_arm_knows_better():
    arm = Arm("fours", in_fours)
    trials = run_arm(arm, problem(12), evaluate)
    assert arm.rank(problem(12), trials, 1)[0].architecture == NETS[11]


def test_only_smaller_designs_could_gain_where_size_is_what_counts():
    known = next(iter(TABLE.evaluate([Candidate(NETS[0])], seed=0)))
    shrinking = Objective(Limits(max_accuracy_loss=0.01), least_accuracy=0.4)
    found = shrinking.could_gain(NETS, known)
    assert found == [net for net in NETS if net.parameters < NETS[0].parameters]
    assert 0 < len(found) < len(NETS)
    assert shrinking.could_gain(NETS, None) == NETS
    assert Objective(Limits(max_parameters=20_000)).could_gain(NETS, known) == NETS
    not_accurate_enough = replace(shrinking, least_accuracy=known.accuracy + 0.01)
    assert not_accurate_enough.could_gain(NETS, known) == NETS
