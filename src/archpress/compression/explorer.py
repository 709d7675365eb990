"""`explorer.json`: nets that the search would name under other limits on parameters, and a map."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import Architecture, simplify
from archpress.compression.fitted import SMALLEST, encodable
from archpress.compression.learner import EmbeddingLearner
from archpress.compression.run_folder import write_text
from archpress.embedding import Embedding
from archpress.errors import EmbeddingError, SpaceError
from archpress.evaluation import Trial
from archpress.search import Objective, Progress, descend
from archpress.space import Limits, SearchSpace

EXPLORER_FILE = "explorer.json"
FORMAT, FORMAT_VERSION = "archpress-explorer", 1
COUNT = 24  # limits; neighbours are a factor of 1.26 apart where the largest is 200 smallest
STARTS, STEPS, EVERY = 12, 40, 20  # of each limit's descents; all limits take seconds
BEST_TRIALS = 4  # where descents start, besides the source and the net of the limit above
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
        explorer = _Explorer(learner, trials, limits, np.random.default_rng([seed, 6]))
        content = explorer.content(folder, progress)
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
        (COUNT, STARTS, STEPS, EVERY, BEST_TRIALS),
        space.source.key,
        space.choices.form_text,
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


class _Explorer:
    """Finds the nets.

    Args:
        learner: has learned from the trials.
        trials: of the search.
        limits: as the search aims at them.
        rng: of the descents.
    """

    def __init__(
        self,
        learner: EmbeddingLearner,
        trials: Sequence[Trial],
        limits: Limits,
        rng: np.random.Generator,
    ) -> None:
        self._learner, self._limits, self._rng = learner, limits, rng
        self._source, self._choices = learner.space.source, learner.space.choices
        done = encodable([simplify(t.architecture) for t in trials if t.done], learner.embedding)
        self._tried = {net.key: net for net in done}
        self._failed = {trial.architecture.key for trial in trials if not trial.done}
        self._known: dict[str, Architecture] = {}  # that keep all limits but that on parameters
        self._guesses: dict[str, tuple[float, float, float]] = {}  # accuracy, low, high

    def content(self, folder: Path, progress: Progress) -> dict[str, Any]:
        """All of the file but its head; writes the nets.

        Raises:
            SpaceError: there is no choice of sizes, or too little was tried for a map.
            OSError: a net cannot be written.
        """
        self._learn([*self._tried.values(), self._learner.origin])
        sizes = self._sizes()
        progress.stage("nets for other limits", len(sizes))
        for done, size in enumerate(reversed(sizes), start=1):
            self._descend(size)
            progress.advance(done)
        chosen = {size: net for size in sizes if (net := self._best(size)) is not None}
        shown = {net.key: net for net in (*self._tried.values(), *chosen.values())}
        if not chosen or len(shown) < FEWEST_POINTS:
            raise SpaceError("too few architectures were tried for a map of the embedding")
        origin = self._learner.origin
        places, shares = _principal(self._learner.embedding, [*shown.values(), origin])
        place = dict(zip([*shown, "source"], places, strict=True))
        (folder / "explorer").mkdir(exist_ok=True)
        for size, net in chosen.items():
            write_text(folder / net_file(size), net.to_json())
        return {
            "own_limit": self._limits.max_parameters,
            "axes": shares,
            "source": place["source"],
            "nets": [self._told(size, net, place[net.key]) for size, net in chosen.items()],
            "places": {key: place[key] for key in self._tried},
        }

    def _told(self, size: int, net: Architecture, place: list[float]) -> dict[str, Any]:
        accuracy, low, high = (round(value, 5) for value in self._guesses[net.key])
        return {
            "limit": size,
            "key": net.key,
            "parameters": net.parameters,
            "macs": net.macs,
            "peak_memory": net.peak_memory,
            "accuracy": accuracy,
            "low": low,
            "high": high,
            "tried": net.key in self._tried,
            "place": place,
        }

    def _sizes(self) -> list[int]:
        """Limits on parameters from the smallest of interest to the source's, the run's among them.

        Raises:
            SpaceError: all nets are of one size, or none keeps the other limits.
        """
        most = self._source.parameters
        choices = self._within(most)
        own = self._limits.max_parameters
        floor = min(
            net.parameters
            for net in choices.smallest_nets()
            if choices.out_of_form(net) is None and choices.too_costly(net) is None
        )
        least = max(floor, min(most * SMALLEST, (own or most) / 4))
        sizes = {_rounded_up(size) for size in np.geomspace(least, most, COUNT)[:-1]}
        sizes = {size for size in sizes if floor <= size < most} | {most}
        if len(sizes) < 2:
            raise SpaceError("all nets that may be found have about as many parameters")
        if own is not None and floor <= own < most:
            sizes.discard(min(sizes - {most}, key=lambda size: abs(math.log(size / own))))
            sizes.add(own)
        return sorted(sizes)

    def _within(self, size: int) -> SearchSpace:
        """The space with another limit on parameters."""
        return self._choices.with_limits(replace(self._choices.limits, max_parameters=size))

    def _descend(self, size: int) -> None:
        """Learn of nets on descents towards a limit: from the source, and from the best so far."""
        walking = self._learner.settings.proposals.descent
        if walking is None:
            return
        try:
            space = self._within(size)
        except SpaceError:  # too small for the other limits
            return
        best = sorted(self._known.values(), key=lambda net: -self._guesses[net.key][0])
        starts = [self._learner.origin, *best[:1]]
        starts += [net for net in best[1:] if net.parameters <= size][:BEST_TRIALS]
        settings = replace(walking, starts=min(STARTS, walking.starts), steps=STEPS, every=EVERY)
        objective = Objective(replace(self._limits, max_parameters=size))
        embedding = self._learner.embedding
        usual, embedding.space = embedding.space, space
        try:
            met = descend(embedding, starts, objective, settings, self._rng)
        finally:
            embedding.space = usual
        self._learn(map(simplify, met))

    def _best(self, size: int) -> Architecture | None:
        """The best guess within a limit, the smaller of equals."""
        within = [net for net in self._known.values() if net.parameters <= size]
        return min(
            within,
            key=lambda net: (-self._guesses[net.key][0], net.parameters, net.key),
            default=None,
        )

    def _learn(self, nets: Iterable[Architecture]) -> None:
        """Guess the accuracies of nets that may be named."""
        new = {net.key: net for net in nets if net.key not in self._known}
        new = {key: net for key, net in new.items() if key not in self._failed}
        may = [net for net in new.values() if self._choices.out_of_form(net) is None]
        others = replace(self._limits, max_parameters=None)
        may = [net for net in encodable(may, self._learner.embedding) if others.allow(net)]
        if not may:
            return
        guess = self._learner.surrogate.predict(may, noise=True)
        values = np.stack([guess.accuracy, *guess.interval], axis=1).tolist()
        self._known |= {net.key: net for net in may}
        self._guesses |= {net.key: tuple(row) for net, row in zip(may, values, strict=True)}


def _rounded_up(size: float) -> int:
    """To two digits, so that it is read easily."""
    unit = int(10 ** max(0, math.floor(math.log10(size)) - 1))
    return unit * math.ceil(size / unit)


def _principal(
    embedding: Embedding, nets: Sequence[Architecture]
) -> tuple[list[list[float]], list[float]]:
    """Places of nets on the two axes along which they differ most, and their shares of that."""
    places = embedding.encode(nets).double().numpy()
    centred = places - places.mean(0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    top: NDArray[np.float64] = axes[:2]
    top *= np.sign(top[np.arange(2), np.abs(top).argmax(1)])[:, None]  # the same on all machines
    shares = (lengths**2 / max(float((lengths**2).sum()), 1e-12))[:2]
    return np.round(centred @ top.T, 4).tolist(), np.round(shares, 4).tolist()
