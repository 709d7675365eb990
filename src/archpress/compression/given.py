"""A source that comes with its weights: measured as it is, in the place of training it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archpress.architecture import Architecture
from archpress.architecture.network import Network, build, load_weights
from archpress.compression.result import AsGiven, Spread
from archpress.data import ImageData, Split
from archpress.errors import ArchitectureError, EvaluationError
from archpress.evaluation import (
    Normalisation,
    accuracy_of,
    cores,
    torch_threads,
    usual_normalisations,
)
from archpress.evaluation.preparation import balanced_first
from archpress.reading.sources import NamedSource, SourceNet, open_source
from archpress.reading.state_dicts import OWN, StateDict, with_weights
from archpress.reading.tracing import LOOK_FOR, agreement
from archpress.search.progress import Progress

SCREENED = 1000  # validation images on which normalisations are told apart
LEAST_SKILL = 0.15  # of the way from always naming the largest class to no error; below is chance

Source = Architecture | nn.Module | SourceNet | str
WORDS = {
    "data": "by their own mean and std",
    "unit": "to [0, 1]",
    "half": "to [-1, 1]",
    "bytes": "to [0, 255]",
    "imagenet": "by ImageNet's mean and std",
}


@dataclass(frozen=True, eq=False, slots=True)
class GivenWeights:
    """Weights that a source came with, and how it does with them.

    Attributes:
        weights: by name, of `build(architecture)`.
        normalisation: that its images need.
        validation: accuracy on the validation images, n = 1.
        about: for `result.json`.
    """

    weights: Mapping[str, Tensor]
    normalisation: Normalisation
    validation: Spread
    about: AsGiven

    @property
    def key(self) -> str:
        """What else than the architecture makes its outputs others."""
        return f"given {self.about.weights} {self.normalisation}"


def source_net(
    source: Source,
    data: ImageData,
    weights: str | Path | StateDict | None,
    progress: Progress | None = None,
) -> SourceNet:
    """The source's layers, and its weights where they are to be used.

    Args:
        source: as `compress` takes it.
        data: whose shape and classes nets get that have none.
        weights: likewise.
        progress: is told where a source whose weights are not used was read as another network.

    Raises:
        ArchitectureError: there is no such net, it cannot be read, or the weights do not fit it.
    """
    if isinstance(source, SourceNet):
        if weights == OWN and source.weights is not None:
            return source
        source = source.architecture
    match source:
        case Architecture():
            opened = NamedSource("the source", source.input_shape, source)
        case nn.Module():
            opened = NamedSource(f"the {type(source).__name__}", None, source)
        case _:
            opened = open_source(source)
    if weights is None:
        read = opened.read(data.input_shape, data.classes)
        if progress is not None and (said := read.misread(opened.net)):
            progress.say(said)
        return replace(read, weights=None)
    return with_weights(opened, weights).read(data.input_shape, data.classes)


def measure_given(
    source: SourceNet,
    name: str,
    data: ImageData,
    normalisation: str | Normalisation | None,
    *,
    device: str,
    progress: Progress,
) -> GivenWeights | None:
    """How a source does on the validation images with the weights that it came with.

    Args:
        source: whose architecture fits the data.
        name: of the source, for people.
        data: to measure on.
        normalisation: that its images need, as a value, the name of a usual one, or MEAN/STD;
            None: the usual one under which it is most accurate.
        device: as `choose_device` names it, not "auto".
        progress: is told what was found.

    Returns:
        None where the source has no weights.

    Raises:
        ArchitectureError: its network computes something else with them than the source itself.
        EvaluationError: no such normalisation, or it is no more accurate than chance.
    """
    if source.weights is None or source.run is None:
        if normalisation is not None:
            raise EvaluationError(
                f"normalisation {normalisation} is that of given weights, and none are given"
            )
        return None
    network = _network(source, name)
    usual = usual_normalisations(data)
    ways = usual if normalisation is None else dict([_normalisation(normalisation, usual)])
    progress.stage("measuring the source as given", len(ways) + 1)
    with torch_threads(cores()):
        few = balanced_first(data.validation.labels, SCREENED)
        screened = Split(data.validation.images[few], data.validation.labels[few])
        tried = {}
        for done, (rule, way) in enumerate(ways.items(), start=1):
            tried[rule] = accuracy_of(network, screened, way, device=device)
            progress.advance(done, f"{rule} {tried[rule]:.1%}")
        best = max(tried, key=lambda rule: tried[rule])
        accuracy = accuracy_of(network, data.validation, ways[best], device=device)
    _refuse_chance(name, accuracy, tried, data.validation.largest_share)
    told = f"{name} as given: {accuracy:.2%} on the validation images, normalised"
    how = WORDS.get(best, f"by mean and std {best}")
    progress.say(f"{told} {how}{_others(tried, best)}")
    about = AsGiven(digest_of(source.weights), best, tried if len(tried) > 1 else {})
    return GivenWeights(source.weights, ways[best], Spread.of([accuracy]), about)


def _network(source: SourceNet, name: str) -> Network:
    """The network with the source's weights, checked to compute what the source does."""
    assert source.weights is not None
    assert source.run is not None
    network = build(source.architecture)
    load_weights(network, dict(source.weights), where=name)
    found = agreement(network, source.run)
    if not found.is_close:
        raise ArchitectureError(
            f"the network read from {name} and itself differ by {found.difference:.3g} in outputs "
            f"of up to {found.largest:.3g}, so its weights cannot be used: {LOOK_FOR}"
        )
    return network


def _normalisation(
    wanted: str | Normalisation, usual: Mapping[str, Normalisation]
) -> tuple[str, Normalisation]:
    """A normalisation and its name: a usual one, or one typed as MEAN/STD."""
    channels = len(usual["data"].mean)
    if isinstance(wanted, Normalisation):
        mean, std = wanted.mean, wanted.std
        name = "/".join(",".join(f"{value:g}" for value in part) for part in (mean, std))
    elif wanted in usual:
        return wanted, usual[wanted]
    else:
        name = wanted
        try:
            mean, std = (tuple(map(float, part.split(","))) for part in wanted.split("/"))
        except ValueError:
            raise EvaluationError(
                f"no normalisation of {channels}-channel images is called {wanted!r}; known are "
                f"{', '.join(usual)} and MEAN/STD of pixels in [0, 1], e.g. 0.1307/0.3081"
            ) from None
    mean, std = (part * channels if len(part) == 1 else part for part in (mean, std))
    if not len(mean) == len(std) == channels or not min(std) > 0:
        raise EvaluationError(
            f"normalisation {name} must be a mean and a std above 0, each of one value or of "
            f"{channels}"
        )
    return name, Normalisation(mean, std)


def _refuse_chance(name: str, accuracy: float, tried: Mapping[str, float], chance: float) -> None:
    if accuracy - chance > LEAST_SKILL * (1 - chance):
        return
    under = (
        f"with normalisation {next(iter(tried))}"
        if len(tried) == 1
        else ("under every usual normalisation")
    )
    raise EvaluationError(
        f"{name} with the weights given has {accuracy:.1%} accuracy on the validation images "
        f"{under}, and always naming the largest class {chance:.1%}: are these its images, and its "
        "classes in its order?"
    )


def _others(tried: Mapping[str, float], best: str) -> str:
    rest = ", ".join(f"{rule} {value:.1%}" for rule, value in tried.items() if rule != best)
    return f" ({best}; {rest}: if it is another, say --normalisation)" if rest else ""


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """16 hex digits over names and values, the same on every machine."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def in_plan(given: GivenWeights | None) -> dict[str, Any]:
    """What `run.json` says of the source's weights; nothing where it is trained here."""
    if given is None:
        return {}
    return {
        "source_weights": given.about.weights,
        "source_normalisation": given.about.normalisation,
    }


def told_of_others(before: Mapping[str, Any], plan: Mapping[str, Any]) -> str | None:
    """One sentence where a folder was begun with another net, images or weights.

    Args:
        before: what the folder's plan was; empty where it is new.
        plan: what it is now.
    """
    if not before:
        return None
    if any(before.get(key) != plan[key] for key in ("source", "data")):
        return (
            f"this folder has a run of {before.get('source')} on {before.get('data_name')}: its "
            "trials are kept, its result stands until this run has one"
        )
    keys = ("source_weights", "source_normalisation")
    if [before.get(key) for key in keys] == [plan.get(key) for key in keys]:
        return None

    def text(of: Mapping[str, Any]) -> str:
        return " ".join(of[key] for key in keys if key in of) or "none, it was trained here"

    return (
        f"this folder had other weights of the source ({text(before)}; now {text(plan)}): trials "
        "are kept, what was distilled from the other is left aside"
    )
