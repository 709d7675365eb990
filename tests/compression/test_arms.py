from dataclasses import replace

import numpy as np
import pytest

from archpress.architecture import named
from archpress.architecture.vector import has_vectors
from archpress.compression import settings_for
from archpress.compression.arms import default_arm, paper_arm, paper_flow_arm
from archpress.compression.first import hand_made_finalists
from archpress.embedding.paper import PaperSettings
from archpress.evaluation import Trial, TrialState
from archpress.search import Objective, Problem, run_arm
from archpress.search.paper_descent import PaperDescent
from archpress.space import Limits, Neighbourhood, space_around

TINY = named("tiny")
LIMITS = Limits(max_parameters=2000)
SETTINGS = settings_for("smoke")


@pytest.fixture
def problem():
    space = Neighbourhood(TINY, space_around(TINY, LIMITS))
    return Problem(space, Objective(LIMITS), budget=16, batch=3)


def look_up(candidates):
    """Wider is better, for want of a training."""
    for one in candidates:
        accuracy = float(1 - np.exp(-one.architecture.parameters / 1000))
        yield Trial(
            one.architecture,
            "data",
            "recipe",
            0,
            TrialState.DONE,
            {"accuracy": accuracy},
            origin=one.origin,
            round=one.round,
        )


@pytest.mark.slow
def test_the_papers_arm_samples_then_descends_from_the_source(problem):
    arm = paper_arm(PaperSettings(iterations=300, tune_iterations=20), PaperDescent(steps=20))
    trials = run_arm(arm, problem, look_up)
    assert [trial.origin for trial in trials[:6]] == ["paper-sampler"] * 6
    assert {trial.origin for trial in trials[6:]} <= {"descent"}
    assert all(LIMITS.allow(trial.architecture) for trial in trials[6:])
    again = run_arm(arm, problem, look_up)
    assert [trial.architecture for trial in again] == [trial.architecture for trial in trials]


@pytest.mark.slow
def test_half_of_the_samples_may_lie_near_the_source(problem):
    settings = PaperSettings(iterations=30, tune_iterations=2)
    trials = run_arm(paper_arm(settings, PaperDescent(steps=2), near=0.5), problem, look_up)
    assert [t.origin for t in trials[:6]] == ["paper-sampler"] * 3 + ["neighbourhood"] * 3
    assert all(has_vectors(trial.architecture) for trial in trials)


@pytest.mark.slow
def test_the_papers_flow_over_our_embedding_stays_in_the_space(problem, tmp_path):
    trials = run_arm(paper_flow_arm(SETTINGS, tmp_path), problem, look_up)
    assert {trial.origin for trial in trials[6:]} == {"descent"}
    assert all(problem.space.why_not(trial.architecture) is None for trial in trials)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "origins"),
    [({"descent": False}, {"edit"}), ({"edits": False, "rounds": False}, {"descent"})],
)
def test_a_part_that_is_left_out_proposes_nothing(problem, tmp_path, parts, origins):
    trials = run_arm(default_arm(SETTINGS, tmp_path, **parts), problem, look_up)
    assert {trial.origin for trial in trials if trial.round} == origins


@pytest.mark.slow
def test_among_the_best_are_the_plain_nets_that_are_finalists_of_compress(tmp_path):
    limits = Limits(max_parameters=3500)  # of nets that take more time than the space allows
    space = Neighbourhood(TINY, space_around(TINY, limits))
    problem = Problem(space, Objective(limits), budget=16, batch=3)
    plain = hand_made_finalists(space)
    assert not all(map(space.choices.contains, plain))
    arm = default_arm(SETTINGS, tmp_path)
    best = arm.rank(problem, run_arm(arm, problem, look_up), 5)
    assert {net.key for net in plain} <= {trial.architecture.key for trial in best}


@pytest.mark.slow
def test_a_small_budget_leaves_half_of_it_for_rounds(problem, tmp_path):
    settings = replace(SETTINGS, first=60)
    trials = run_arm(default_arm(settings, tmp_path), problem, look_up)
    assert sum(trial.round > 0 for trial in trials) >= problem.budget // 3


def test_where_size_is_the_aim_there_are_no_widest_nets_among_the_first_trials(problem, tmp_path):
    shrinking = replace(problem, objective=Objective(Limits(max_accuracy_loss=0.1), 0.5))
    first = next(default_arm(SETTINGS, tmp_path).ask(shrinking))
    most = problem.space.choices.most_activations
    others = [one.architecture for one in first if one.origin != "source"]
    assert all(net.activations <= most for net in others)
