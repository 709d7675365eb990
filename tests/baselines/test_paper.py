import pytest

from archpress.architecture import named
from archpress.architecture.vector import has_vectors
from archpress.baselines.paper import paper_search
from archpress.embedding.paper import PaperSettings
from archpress.search import Objective, Problem, run_arm
from archpress.search.paper_descent import PaperDescent
from archpress.space import Limits, Neighbourhood, space_around

TINY = named("tiny")
LIMITS = Limits(max_parameters=2000)


@pytest.fixture
def problem():
    space = Neighbourhood(TINY, space_around(TINY, LIMITS))
    return Problem(space, Objective(LIMITS), budget=16, batch=3)


@pytest.mark.slow
def test_the_papers_arm_samples_then_descends_from_the_source(problem, wider_is_better):
    arm = paper_search(PaperSettings(iterations=300, tune_iterations=20), PaperDescent(steps=20))
    trials = run_arm(arm, problem, wider_is_better)
    assert [trial.origin for trial in trials[:6]] == ["paper-sampler"] * 6
    assert {trial.origin for trial in trials[6:]} <= {"descent"}
    assert all(LIMITS.allow(trial.architecture) for trial in trials[6:])
    again = run_arm(arm, problem, wider_is_better)
    assert [trial.architecture for trial in again] == [trial.architecture for trial in trials]


@pytest.mark.slow
def test_half_of_the_samples_may_lie_near_the_source(problem, wider_is_better):
    settings = PaperSettings(iterations=30, tune_iterations=2)
    trials = run_arm(
        paper_search(settings, PaperDescent(steps=2), near=0.5), problem, wider_is_better
    )
    assert [t.origin for t in trials[:6]] == ["paper-sampler"] * 3 + ["neighbourhood"] * 3
    assert all(has_vectors(trial.architecture) for trial in trials)
