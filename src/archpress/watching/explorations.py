"""`Explorations`: nets for any limit, named by the embedding of a run that may still search."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from archpress.architecture import Architecture, simplify
from archpress.compression.explorer import net_told
from archpress.compression.fitted import encodable, fitted_embedding
from archpress.compression.learner import EmbeddingLearner
from archpress.compression.other_limits import GuessedNet, OtherLimits
from archpress.compression.plane import Plane
from archpress.compression.planned import Planned, planned
from archpress.errors import ArchpressError, SpaceError
from archpress.evaluation import Trial, TrialState
from archpress.report.explorer import GuessedNetRecord, shown
from archpress.report.training import Training
from archpress.report.values import KEY_DIGITS, layer_rows, panel_item
from archpress.run_files import STORE_FILE
from archpress.watching.rows import Tried, Which, read_tried

FEWEST_TRIALS = 8  # done ones, from which an embedding learns something
LEARN_SECONDS = 60.0  # between two times of learning, while trials come in


class Explorations:
    """Answers what a search would name under a limit; reads the run folder and writes nothing.

    It learns from the trials that there are, and again once there are others; its embedding begins
    with the run's own, fitted on architectures alone, so its guesses are near the search's, not the
    same.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plan: Planned | None = None
        self._learner: EmbeddingLearner | None = None
        self._tried: list[Tried] = []
        self._learned, self._times = -math.inf, 0
        self._state: _State | None = None

    def answer(self, limit: int | None = None) -> dict[str, Any]:
        """What can be asked, or the net for a limit.

        Args:
            limit: on parameters; None: the limits and the places of the trials.

        Returns:
            Plain values; where there is nothing to tell, `why_not`, a sentence.
        """
        try:
            state = self._up_to_date()
            return state.overview() if limit is None else state.net(limit)
        except ArchpressError as error:
            sentence = str(error)
            return {"why_not": f"{sentence[:1].upper()}{sentence[1:]}."}

    def _up_to_date(self) -> "_State":
        """After learning, where there is something new to learn from.

        Raises:
            SpaceError: there is no embedding yet, or not enough was tried.
            ArchpressError: the folder is no run of `compress` of this version, or its store cannot
                be read.
        """
        is_due = time.monotonic() - self._learned > LEARN_SECONDS
        if self._state is not None and not is_due:
            return self._state
        plan = planned(self._folder)
        if plan != self._plan:  # another run in the same folder
            self._plan, self._learner, self._state = plan, None, None
        own = plan.trials
        which = Which(own.data or "", own.recipe or "", own.seed)
        tried = read_tried(self._folder / STORE_FILE, which)
        if self._state is None or tried != self._tried:
            self._state = self._learn(plan, tried, which)
            self._tried = tried
        self._learned = time.monotonic()
        return self._state

    def _learn(self, plan: Planned, tried: list[Tried], which: Which) -> "_State":
        done = sum(one.state == TrialState.DONE for one in tried)
        if done < FEWEST_TRIALS:
            raise SpaceError(
                f"{done} trials are too few to tell other nets from; {FEWEST_TRIALS} are needed"
            )
        if self._learner is None:
            self._learner = _learner_of(plan)
        trials = [_trial(one, which) for one in tried]
        self._times += 1
        self._learner.learn(trials, self._times)
        return _State(self._learner, plan, trials)


class _State:
    """What is known after learning.

    Args:
        learner: has learned.
        plan: of the run.
        trials: all of the run, in the order in which they ended.
    """

    def __init__(self, learner: EmbeddingLearner, plan: Planned, trials: list[Trial]) -> None:
        self._learner, self._plan = learner, plan
        self._done = [trial for trial in trials if trial.done and trial.accuracy is not None]
        rng = np.random.default_rng([plan.seed, 6])
        self._others = OtherLimits(learner, trials, plan.aimed, rng)
        shown = [*self._others.tried.values(), learner.origin]
        self._plane = Plane.of(learner.embedding, shown)
        self._training = Training.under(plan.final_recipe, plan.data_name, plan.seed)
        self._told: dict[int, dict[str, Any]] = {}

    def overview(self) -> dict[str, Any]:
        """Limits from the smallest of interest to the source's size, and the map."""
        _, least, most = self._others.reach()
        nets = [simplify(trial.architecture) for trial in self._done]
        known = encodable(nets, self._learner.embedding)
        places = self._places(known)
        by_key = {net.key: place for net, place in zip(known, places, strict=True)}
        return {
            "trials": len(self._done),
            "least": math.ceil(least),
            "most": most,
            "own_limit": self._plan.limits.max_parameters,
            "axes": self._plane.shares,
            "source": self._places([self._learner.origin])[0],
            "places": [by_key.get(net.key) for net in nets],
        }

    def net(self, limit: int) -> dict[str, Any]:
        """The net for a limit.

        Raises:
            SpaceError: no net is so small and keeps the other limits.
        """
        if limit not in self._told:
            self._others.look(limit)
            found = self._others.best(limit)
            if found is None:
                raise SpaceError(f"no net of at most {limit:,} parameters keeps the other limits")
            self._told[limit] = self._tell(limit, found)
        return self._told[limit]

    def _tell(self, limit: int, found: GuessedNet) -> dict[str, Any]:
        record = GuessedNetRecord(**net_told(limit, found, self._places([found.net])[0]))
        reached = {
            trial.architecture.key: (number, trial.metrics["accuracy"])
            for number, trial in enumerate(self._done, start=1)
        }
        trial = reached.get(found.net.key)
        name = f"{STORE_FILE}:{found.net.key[:KEY_DIGITS]}" if trial else f"{limit}.json"
        panel = shown(record, found.net, trial, self._training.command(name, str(limit)))
        return {
            **panel_item(panel),
            "path": self._plane.project(self._others.path(limit)),
            "limit": limit,
            "trials": len(self._done),
            "layers": layer_rows(found.net),
            "architecture": json.loads(found.net.to_json()),
        }

    def _places(self, nets: list[Architecture]) -> list[list[float]]:
        return self._plane.places(self._learner.embedding, nets)


def _learner_of(plan: Planned) -> EmbeddingLearner:
    """With the embedding that the run has fitted.

    Raises:
        SpaceError: it has not, or not with the settings of its effort.
    """
    if not plan.embedding_file.exists():
        raise SpaceError(
            "the embedding is not fitted yet, or with settings that are not in the run folder"
        )
    fitted = fitted_embedding(
        plan.source, plan.settings, plan.seed, plan.folder, asked=plan.form_space
    )
    return EmbeddingLearner.of(fitted, plan.neighbourhood, plan.settings, plan.seed)


def _trial(tried: Tried, which: Which) -> Trial:
    done = tried.state == TrialState.DONE
    return Trial(
        Architecture.from_json(tried.architecture),
        which.data,
        which.recipe,
        which.seed or 0,
        TrialState(tried.state),
        {"accuracy": tried.accuracy} if done and tried.accuracy is not None else {},
    )
