import numpy as np

from archpress.architecture import named
from archpress.compression import settings_for
from archpress.compression.first import first_candidates
from archpress.space import Limits, Neighbourhood, sampling, space_around


def test_limits_that_the_papers_sampler_cannot_meet_leave_neighbours(monkeypatch):
    monkeypatch.setattr(sampling, "MOST_REJECTED", 0)
    source = named("separable", (3, 224, 224), 1000)
    space = Neighbourhood(source, space_around(source, Limits(max_parameters=7414)))
    first = first_candidates(
        space, Limits(max_parameters=7414), settings_for("smoke"), np.random.default_rng(0), []
    )
    assert {one.origin for one in first} >= {"neighbourhood"}
    assert "paper-sampler" not in {one.origin for one in first}
    assert len(first) >= settings_for("smoke").first // 2
