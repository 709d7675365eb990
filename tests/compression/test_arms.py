from dataclasses import replace

import pytest

from archpress.architecture import named
from archpress.baselines.hand_made import hand_made_finalists
from archpress.compression import settings_for
from archpress.compression.arms import default_arm, paper_flow_arm
from archpress.search import Objective, Problem, run_arm
from archpress.space import Limits, Neighbourhood, space_around

TINY = named("tiny")
LIMITS = Limits(max_parameters=2000)
SETTINGS = settings_for("smoke")


@pytest.fixture
def problem():
    space = Neighbourhood(TINY, space_around(TINY, LIMITS))
    return Problem(space, Objective(LIMITS), budget=16, batch=3)


@pytest.mark.slow
def test_the_papers_flow_over_our_embedding_stays_in_the_space(problem, tmp_path, wider_is_better):
    trials = run_arm(paper_flow_arm(SETTINGS, tmp_path), problem, wider_is_better)
    assert {trial.origin for trial in trials[6:]} == {"descent"}
    assert all(problem.space.why_not(trial.architecture) is None for trial in trials)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "origins"),
    [({"descent": False}, {"edit"}), ({"edits": False, "rounds": False}, {"descent"})],
)
def test_a_part_that_is_left_out_proposes_nothing(
    problem, tmp_path, parts, origins, wider_is_better
):
    trials = run_arm(default_arm(SETTINGS, tmp_path, **parts), problem, wider_is_better)
    assert {trial.origin for trial in trials if trial.round} == origins


@pytest.mark.slow
def test_among_the_best_are_the_plain_nets_that_are_finalists_of_compress(
    tmp_path, wider_is_better
):
    limits = Limits(max_parameters=3500)  # of nets that take more time than the space allows
    space = Neighbourhood(TINY, space_around(TINY, limits))
    problem = Problem(space, Objective(limits), budget=16, batch=3)
    plain = hand_made_finalists(space)
    assert not all(map(space.search_space.contains, plain))
    arm = default_arm(SETTINGS, tmp_path)
    best = arm.rank(problem, run_arm(arm, problem, wider_is_better), 5)
    assert {net.key for net in plain} <= {trial.architecture.key for trial in best}


@pytest.mark.slow
def test_a_small_budget_leaves_half_of_it_for_rounds(problem, tmp_path, wider_is_better):
    settings = replace(SETTINGS, first=60)
    trials = run_arm(default_arm(settings, tmp_path), problem, wider_is_better)
    assert sum(trial.round > 0 for trial in trials) >= problem.budget // 3


def test_where_size_is_the_aim_there_are_no_widest_nets_among_the_first_trials(problem, tmp_path):
    shrinking = replace(problem, objective=Objective(Limits(max_accuracy_loss=0.1), 0.5))
    first = next(default_arm(SETTINGS, tmp_path).ask(shrinking))
    most = problem.space.search_space.most_activations
    others = [one.architecture for one in first if one.origin != "source"]
    assert all(net.activations <= most for net in others)
