"""How far a search's guesses could be trusted: told by what was trained after they were made."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import Architecture
from archpress.embedding import Embedding
from archpress.embedding.model import LEARNED_COSTS
from archpress.evaluation import Trial
from archpress.search import DescentSettings, Objective
from archpress.search.descent import walk

MOST_NETS = 60  # whose cycle is measured


@dataclass(frozen=True, slots=True)
class RoundError:
    """One round's candidates, predicted before their training and measured by it.

    Attributes:
        number: of the round.
        n: candidates that were trained.
        predicted: mean accuracy expected.
        measured: mean accuracy found.
        error: mean absolute difference, a fraction.
    """

    number: int
    n: int
    predicted: float
    measured: float
    error: float


@dataclass(frozen=True, slots=True)
class PathError:
    """How well the embedding knows what it decodes to, so many steps down a descent.

    Attributes:
        step: of the descent.
        n: descents.
        octaves: median |log2| of the parameters that the cost head predicts at the place over the
            exact ones of the architecture decoded there.
        moved: median distance of the place from the embedding of what it decodes to, in units of
            the median distance between two architectures.
    """

    step: int
    n: int
    octaves: float
    moved: float


@dataclass(frozen=True, slots=True)
class Trust:
    """Measured after the last round.

    Attributes:
        rounds: predicted against measured, round by round.
        cycle: median distance between the embedding of an architecture and that of what it decodes
            to, in units of the median distance between two architectures; None without nets.
        path: along descents from the best nets; empty without descent.
    """

    rounds: tuple[RoundError, ...]
    cycle: float | None
    path: tuple[PathError, ...]


def trust_of(
    embedding: Embedding,
    trials: Sequence[Trial],
    best: Sequence[Architecture],
    objective: Objective,
    descent: DescentSettings | None,
    rng: np.random.Generator,
) -> Trust:
    """Measure what was guessed.

    Args:
        embedding: as it is after the last round.
        trials: of the search.
        best: where descents start.
        objective: what they walk towards.
        descent: how; None: not at all.
        rng: of their noise.
    """
    nets = [trial.architecture for trial in trials if trial.done]
    nets = [net for net in nets if embedding.alphabet.holds(net)][:MOST_NETS]
    if len(nets) < 2:
        return Trust(round_errors(trials), None, ())
    places = embedding.encode(nets)
    unit = float(np.median(_lengths((places[1:] - places[:-1]).numpy()))) or 1.0
    back = embedding.encode([one.architecture for one in embedding.decode(places)])
    cycle = float(np.median(_lengths((back - places).numpy()))) / unit
    path = (
        () if descent is None or not best else _path(embedding, best, objective, descent, rng, unit)
    )
    return Trust(round_errors(trials), cycle, path)


def round_errors(trials: Sequence[Trial]) -> tuple[RoundError, ...]:
    """Predicted against measured in each round that predicted."""
    found = []
    for number in sorted({trial.round for trial in trials}):
        pairs = np.array(
            [
                (trial.predicted, trial.accuracy)
                for trial in trials
                if trial.round == number and trial.predicted is not None and trial.done
            ]
        )
        if len(pairs):
            predicted, measured = pairs.mean(0)
            error = float(np.abs(pairs[:, 0] - pairs[:, 1]).mean())
            found.append(RoundError(number, len(pairs), float(predicted), float(measured), error))
    return tuple(found)


def _path(
    embedding: Embedding,
    best: Sequence[Architecture],
    objective: Objective,
    descent: DescentSettings,
    rng: np.random.Generator,
    unit: float,
) -> tuple[PathError, ...]:
    found = []
    for step, places in walk(embedding, best, objective, descent, rng):
        decoded = [one.architecture for one in embedding.decode(places)]
        guessed = (
            embedding.predict_costs(places)[:, LEARNED_COSTS.index("parameters")].detach().numpy()
        )
        exact = np.log([net.parameters for net in decoded])
        moved = _lengths((embedding.encode(decoded) - places).numpy()) / unit
        octaves = np.abs(guessed - exact) / np.log(2)
        found.append(
            PathError(step, len(decoded), float(np.median(octaves)), float(np.median(moved)))
        )
    return tuple(found)


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.linalg.norm(vectors, axis=1))
