"""How many nets of a search are trained on."""

from dataclasses import replace

import pytest

from archpress.architecture import named
from archpress.baselines.hand_made import hand_made_finalists
from archpress.comparison.play_off import places_in
from archpress.compression import settings_for
from archpress.search import Objective
from archpress.space import Limits, Neighbourhood, space_around

SMALLER = Limits(max_parameters=20_000)
SOURCE = named("conv7", (1, 28, 28))


@pytest.mark.parametrize("effort", ["quick", "standard", "thorough"])
@pytest.mark.parametrize("limits", [SMALLER, Limits(min_accuracy=0.9)])
def test_longer_trainings_take_a_part_of_any_budget(effort, limits):
    settings, space = settings_for(effort), Neighbourhood(SOURCE, space_around(SOURCE, limits))
    objective = Objective(limits)
    for budget in range(1, 200):
        places = places_in(settings, space, objective, budget)
        assert places.trainings <= max(budget // 4, budget // 3)
        assert places.semifinalists == 0 or places.semifinalists > places.finalists > 0
        assert not places.semifinalists or settings.has_semifinal(objective)
        assert 1 <= places.nets <= budget


def test_a_large_budget_has_the_places_of_compress():
    settings, space = settings_for("standard"), Neighbourhood(SOURCE, space_around(SOURCE, SMALLER))
    hand_made = len(hand_made_finalists(space))
    assert places_in(settings, space, Objective(SMALLER), 100) == (12, 3, hand_made)
    alone = replace(settings, semifinalists=0)
    assert places_in(alone, space, Objective(SMALLER), 100) == (0, 3, hand_made)
