"""`explorer.json`: nets that the search would name under other limits on parameters, and a map."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archpress.compression.learner import EmbeddingLearner
from archpress.compression.other_limits import (
    BEST_TRIALS,
    EVERY,
    PATH_EVERY,
    STARTS,
    STEPS,
    GuessedNet,
    OtherLimits,
)
from archpress.compression.plane import Plane
from archpress.errors import EmbeddingError, SpaceError
from archpress.evaluation import Trial
from archpress.search import Progress
from archpress.space import Limits
from archpress.whole_files import write_text

EXPLORER_FILE = "explorer.json"
FORMAT, FORMAT_VERSION = "archpress-explorer", 1
COUNT = 24  # limits; neighbours are a factor of 1.26 apart where the largest is 200 smallest
FEWEST_POINTS = 3  # architectures that two axes can be laid through


def net_file(limit: int) -> str:
    """Where the architecture for a limit lies in the run folder."""
    return f"explorer/{limit}.json"


def write_explorer(
    folder: Path,
    learner: EmbeddingLearner,
    trials: Sequence[Trial],
    limits: Limits,
    progress: Progress,
    *,
    seed: int,
) -> None:
    """Write `explorer.json` and its nets, unless they are there for the same conditions.

    The page about the run shows them. Where they cannot be made the file has the reason; where it
    cannot be written nothing is there, and the run goes on.

    Args:
        folder: of the run.
        learner: has learned from the trials.
        trials: of the search.
        limits: as the search aims at them; all but that on parameters stay in force.
        progress: who listens.
        seed: of every draw.
    """
    conditions = _conditions(learner, trials, limits, seed)
    if _is_there(folder, conditions):
        return
    content: dict[str, Any]
    try:
        others = OtherLimits(learner, trials, limits, np.random.default_rng([seed, 6]))
        content = _content(folder, learner, others, limits.max_parameters, progress)
    except (EmbeddingError, SpaceError) as error:
        content = {"why_not": str(error)}
    except OSError as error:
        progress.say(f"the nets for other limits cannot be written: {error.strerror}")
        return
    head = {"format": FORMAT, "version": FORMAT_VERSION, "conditions": conditions}
    try:
        write_text(folder / EXPLORER_FILE, json.dumps({**head, **content}, indent=1) + "\n")
    except OSError as error:
        progress.say(f"{EXPLORER_FILE} cannot be written: {error.strerror}")


def _conditions(
    learner: EmbeddingLearner, trials: Sequence[Trial], limits: Limits, seed: int
) -> str:
    """What the content hangs on, as a digest."""
    settings, space = learner.settings, learner.space
    made_from = (
        (COUNT, STARTS, STEPS, EVERY, BEST_TRIALS, PATH_EVERY),
        space.source.key,
        space.search_space.form_text,
        (limits, limits.max_latency),
        (settings.fit, settings.size, settings.pool, settings.rounds, settings.proposals.descent),
        sorted(f"{trial.architecture.key} {trial.accuracy}" for trial in trials),
        seed,
    )
    return hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]


def _is_there(folder: Path, conditions: str) -> bool:
    try:
        known = json.loads((folder / EXPLORER_FILE).read_text(encoding="utf-8"))
        if known["version"] != FORMAT_VERSION or known["conditions"] != conditions:
            return False
        return all((folder / net_file(net["limit"])).exists() for net in known.get("nets", ()))
    except (OSError, ValueError, KeyError, TypeError):  # none, or a damaged one
        return False


def _content(
    folder: Path,
    learner: EmbeddingLearner,
    others: OtherLimits,
    own: int | None,
    progress: Progress,
) -> dict[str, Any]:
    """All of the file but its head; writes the nets.

    Args:
        folder: of the run.
        learner: has learned from the trials.
        others: names the nets.
        own: limit of the run.
        progress: who listens.

    Raises:
        SpaceError: there is no choice of limits, or too little was tried for a map.
        OSError: a net cannot be written.
    """
    limits = _limits_to_name(others, own)
    progress.stage("nets for other limits", len(limits))
    for done, limit in enumerate(reversed(limits), start=1):
        others.look(limit)
        progress.advance(done)
    named = {limit: found for limit in limits if (found := others.best(limit)) is not None}
    shown = {net.key: net for net in (*others.tried.values(), *(n.net for n in named.values()))}
    if not named or len(shown) < FEWEST_POINTS:
        raise SpaceError("too few architectures were tried for a map of the embedding")
    everything = [*shown.values(), learner.origin]
    plane = Plane.of(learner.embedding, everything)
    places = plane.places(learner.embedding, everything)
    place = dict(zip([*shown, "source"], places, strict=True))
    (folder / "explorer").mkdir(exist_ok=True)
    for limit, found in named.items():
        write_text(folder / net_file(limit), found.net.to_json())
    return {
        "own_limit": own,
        "axes": plane.shares,
        "source": place["source"],
        "path": plane.project(others.path(own)),
        "path_every": PATH_EVERY,
        "nets": [net_told(limit, found, place[found.net.key]) for limit, found in named.items()],
        "places": {key: place[key] for key in others.tried},
    }


def net_told(limit: int, found: GuessedNet, place: list[float]) -> dict[str, Any]:
    """The net for a limit, as the file tells it."""
    return {
        "limit": limit,
        "key": found.net.key,
        "parameters": found.net.parameters,
        "macs": found.net.macs,
        "peak_memory": found.net.peak_memory,
        "accuracy": round(found.accuracy, 5),
        "low": round(found.low, 5),
        "high": round(found.high, 5),
        "tried": found.tried,
        "place": place,
    }


def _limits_to_name(others: OtherLimits, own: int | None) -> list[int]:
    """From the smallest of interest to the source's size, the run's among them.

    Raises:
        SpaceError: all nets are of one size, or none keeps the other limits.
    """
    floor, least, most = others.reach()
    limits = {_rounded_up(limit) for limit in np.geomspace(least, most, COUNT)[:-1]}
    limits = {limit for limit in limits if floor <= limit < most} | {most}
    if len(limits) < 2:
        raise SpaceError("all nets that may be found have about as many parameters")
    if own is not None and floor <= own < most:
        limits.discard(min(limits - {most}, key=lambda limit: abs(math.log(limit / own))))
        limits.add(own)
    return sorted(limits)


def _rounded_up(limit: float) -> int:
    """To two digits, so that it is read easily."""
    unit = int(10 ** max(0, math.floor(math.log10(limit)) - 1))
    return unit * math.ceil(limit / unit)
