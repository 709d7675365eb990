"""What a run is asked for: read and checked before anything is written."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from archpress.architecture import Architecture, with_linear_head
from archpress.compression.given import GivenWeights, Source, in_plan, measure_given, source_net
from archpress.compression.settings import Settings, settings_of
from archpress.data import ImageData, load_data, require_shape
from archpress.errors import SpaceError
from archpress.evaluation import Normalisation
from archpress.reading.state_dicts import StateDict
from archpress.search.progress import Progress
from archpress.space import Form, Limits, SearchSpace, space_around, with_joins_of_two


@dataclass(frozen=True, eq=False)
class Request:
    """A net, images and limits that fit each other.

    Attributes:
        name: of the source, for people.
        images: to train, validate and test on.
        baseline: the source as layers; what the result is held against.
        searched: the same with a linear layer at the end; where the search begins.
        limits: the user's, at least one.
        form: what all candidates are like.
        settings: how much work.
        given: the source's weights and how it does with them; None where it is trained here.
        seed: of the search and its trials.
    """

    name: str
    images: ImageData
    baseline: Architecture
    searched: Architecture
    limits: Limits
    form: Form
    settings: Settings
    given: GivenWeights | None
    seed: int

    def space(self, limits: Limits) -> SearchSpace:
        """Nets around the source.

        Raises:
            SpaceError: no net of the form can keep them.
        """
        return space_around(self.searched, limits, self.form)

    @property
    def plan(self) -> dict[str, Any]:
        """For `run.json`."""
        return {
            "source": self.name,
            "data": self.images.key,
            "data_name": self.images.name,
            "limits": self.limits.to_dict(),
            **self.form.to_dict(),
            "effort": self.settings.effort,
            "trial_recipe": self.settings.trial_key,
            "final_recipe": asdict(self.settings.final),
            "seed": self.seed,
            **in_plan(self.given),
        }


def read_request(
    source: Source,
    data: ImageData | str | Path,
    limits: Limits,
    *,
    form: Form | None,
    weights: StateDict | str | Path | None,
    normalisation: Normalisation | str | None,
    settings: Settings | None,
    name: str | None,
    seed: int,
    device: str,
    progress: Progress,
) -> Request:
    """Read what `compress` is called with; given weights are measured on the device.

    Raises:
        ArchpressError: as `compress`.
    """
    images = data if isinstance(data, ImageData) else load_data(data, seed=seed)
    name = name or (source if isinstance(source, str) else type(source).__name__)
    read = source_net(source, images, weights, progress)
    form = (form or Form()).with_joins_of_two(read.architecture)
    read = replace(read, architecture=with_joins_of_two(read.architecture))
    baseline = read.architecture.of_logits
    searched = with_linear_head(baseline, form.kept)
    require_shape(images, searched.input_shape, searched.classes)
    if not limits.any:
        raise SpaceError("give at least one limit, e.g. Limits(max_parameters=93_000)")
    timeless = replace(limits, max_latency=None, max_latency_share=None)
    space_around(searched, timeless, form)  # refuses what no net can keep
    settings = settings or settings_of(images, given=weights is not None)
    given = measure_given(read, name, images, normalisation, device=device, progress=progress)
    return Request(name, images, baseline, searched, limits, form, settings, given, seed)


def asks_nothing_of(source: Architecture, limits: Limits, space: SearchSpace) -> bool:
    """Whether the source itself would do as a result, by all that is known without training."""
    return space.allows(source, limits) and not limits.any_accuracy
