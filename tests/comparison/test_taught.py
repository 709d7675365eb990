"""Which of two trainings of one net an arm keeps."""

from dataclasses import replace

import pytest

from archpress.comparison import FinalTraining, compare
from archpress.compression.finals import Entrant
from archpress.space import Limits

NOTHING = 1e-9  # a rate by which nothing is learned
DIVERGES = 1e30


@pytest.fixture
def kept(images, settings, make, tmp_path):
    """The rate of the training that is kept of two with other rates."""
    final = replace(settings.final, epochs=20)

    def kept(rate, other):
        first, second = (replace(final, learning_rate=rate) for rate in (rate, other))

        def finish(stage, found):
            trainings = (
                FinalTraining(Entrant(found.chosen, recipe, (0,), "net"))
                for recipe in (second, first)
            )
            unless = next(trainings)
            return replace(next(trainings), unless=unless)

        arm = make(finish=finish)
        more = {"run": tmp_path, "budget": 2, "seeds": 1, "workers": 1, "device": "cpu"}
        limits = Limits(max_parameters=3000)
        (one,) = compare("tiny", images, limits, arms=[arm], settings=settings, **more).runs
        return {first.key: rate, second.key: other}[one.final.trial.recipe]

    return kept


@pytest.mark.slow
def test_the_better_of_two_trainings_is_kept(kept):
    assert kept(NOTHING, 0.1) == kept(0.1, NOTHING) == 0.1


@pytest.mark.slow
def test_one_that_failed_is_told_and_not_kept(kept, capsys):
    assert kept(DIVERGES, 0.1) == kept(0.1, DIVERGES) == 0.1
