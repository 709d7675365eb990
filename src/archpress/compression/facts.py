"""What a result tells of its images, recipes and surrogate, as plain values."""

from dataclasses import asdict
from typing import Any

from archpress.compression.search import SearchResult
from archpress.compression.settings import Settings
from archpress.data import ImageData
from archpress.evaluation import Recipe
from archpress.search import Objective


def recipe_facts(settings: Settings, objective: Objective, final: Recipe) -> dict[str, Any]:
    """How networks were trained.

    Args:
        settings: whose trials, and semifinal where there is one.
        objective: of the search.
        final: recipe of the result.
    """
    facts = {"trial": {**_facts(settings.trial), "key": settings.trial_key}}
    if settings.has_semifinal(objective):
        facts["semifinal"] = _facts(settings.semifinal)
    return {**facts, "final": _facts(final)}


def _facts(recipe: Recipe) -> dict[str, Any]:
    return {"key": recipe.key, **asdict(recipe)}


def data_facts(data: ImageData, test_images: int) -> dict[str, Any]:
    """The images, with the number of those for the test."""
    return {
        "name": data.name,
        "key": data.key,
        "train": len(data.train),
        "validation": len(data.validation),
        "test": test_images,
        "classes": data.classes,
        "input_shape": list(data.input_shape),
    }


def surrogate_facts(found: SearchResult) -> dict[str, float | None]:
    """How well the surrogate ranks, and what the embedding restores."""
    ranking = found.ranking
    return {
        **asdict(found.reconstruction),
        "kendall": ranking.surrogate if ranking else None,
        "kendall_parameters": ranking.parameters if ranking else None,
        "kendall_macs": ranking.macs if ranking else None,
        "n": ranking.n if ranking else None,
        "within_half": ranking.within_half if ranking else None,
        "within_most": ranking.within_most if ranking else None,
    }
