"""Small real images, brief recipes, and arms that ask for little."""

from dataclasses import replace

import pytest

from archpress.comparison import Contestant
from archpress.compression import settings_for
from archpress.evaluation import Candidate
from archpress.search import Arm
from archpress.space import distinct


@pytest.fixture(scope="session")
def settings():
    smoke = settings_for("smoke")
    return replace(
        smoke,
        trial=replace(smoke.trial, train_images=200, spare_images=100),
        final=replace(smoke.final, epochs=2),
        batch=2,
    )


def samples(problem):
    """Neighbours of the source, two at a time."""
    nets = distinct(problem.space.sample(problem.rng(7)), problem.budget)
    for start in range(0, len(nets), 2):
        yield [Candidate(net, "sample", start) for net in nets[start : start + 2]]


@pytest.fixture(scope="session")
def make():
    """A contestant whose search is a function, by default of a few samples."""

    def contestant(name="default", ask=samples, kind="ours", **more):
        return Contestant(name, "for tests", kind, lambda _: Arm(name, ask), **more)

    return contestant
