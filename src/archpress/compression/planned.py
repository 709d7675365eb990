"""`planned`: what a run folder says of its search, for those who look at it from outside."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archpress.architecture import Architecture, with_linear_head
from archpress.compression.fitted import embedding_file
from archpress.compression.run_folder import read_plan
from archpress.compression.settings import Settings, settings_for
from archpress.compression.timing import TIMES, aimed_at
from archpress.errors import StoreError, told
from archpress.evaluation import load_times
from archpress.run_files import PLAN_FILE, SOURCE_FILE
from archpress.space import Form, LatencyModel, Limits, Neighbourhood, SearchSpace, space_around
from archpress.store import TrialFilter


@dataclass(frozen=True)
class Planned:
    """What a search looks for, and where.

    Attributes:
        baseline: what the result is held against.
        source: where the search begins: the baseline with a linear head.
        form: of all candidates.
        limits: the user's.
        settings: of the effort; what else was changed is not in the folder, but for the next.
        final_recipe: fields of the recipe of final trainings.
        seed: of the search.
        data_name: of the images, for people.
        trials: which of a store are its own.
        folder: of the run.
    """

    baseline: Architecture
    source: Architecture
    form: Form
    limits: Limits
    settings: Settings
    final_recipe: Mapping[str, Any]
    seed: int
    data_name: str
    trials: TrialFilter
    folder: Path

    @property
    def form_space(self) -> SearchSpace:
        """Without the limits."""
        return space_around(self.source, form=self.form)

    @property
    def embedding_file(self) -> Path:
        """Where the search keeps its embedding once that is fitted."""
        return embedding_file(
            self.source, self.settings, self.seed, self.folder, asked=self.form_space
        )

    @property
    def aimed(self) -> Limits:
        """The limits as the search aims at them.

        Raises:
            EvaluationError: the latency is limited, and the folder has no times.
        """
        if not self.limits.limits_latency:
            return self.limits
        times: LatencyModel = load_times(self.folder / TIMES)
        return aimed_at(self.limits, times, self.baseline)

    @property
    def neighbourhood(self) -> Neighbourhood:
        """Where is searched, with the limits as they are aimed at."""
        return Neighbourhood(self.source, space_around(self.source, self.aimed, self.form))


def planned(folder: Path) -> Planned:
    """Read the plan of a run folder, finished or not.

    Raises:
        StoreError: it is no run folder, or one of another version of archpress.
        ArchitectureError: its source cannot be read.
    """
    plan = read_plan(folder)
    baseline = Architecture.load(folder / SOURCE_FILE)
    try:
        return _planned(plan, baseline, folder)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{folder / PLAN_FILE} is of another version of archpress: {told(error)}"
        ) from error


def _planned(plan: Mapping[str, Any], baseline: Architecture, folder: Path) -> Planned:
    form, final_recipe = Form.of_dict(plan), plan.get("final_recipe")
    return Planned(
        baseline=baseline,
        source=with_linear_head(baseline, form.kept),
        form=form,
        limits=Limits.of_dict(plan["limits"]),
        settings=settings_for(plan["effort"]),
        final_recipe=final_recipe if isinstance(final_recipe, dict) else {},
        seed=plan["seed"],
        data_name=plan.get("data_name", ""),
        trials=TrialFilter(data=plan["data"], recipe=plan["trial_recipe"], seed=plan["seed"]),
        folder=folder,
    )
