"""`archpress count`: the paper's theory, worked out for a net and its search space."""

import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archpress.cli.arguments import read_limits, read_net, shape_of
from archpress.cli.options import (
    ClassesOption,
    InputOption,
    JsonOption,
    MaxFileSizeOption,
    MaxMacsOption,
    MaxParametersOption,
    MaxPeakMemoryOption,
    NetArgument,
    SeedOption,
)
from archpress.cli.printing import print_json, say
from archpress.errors import ArchpressError, SpaceError

if TYPE_CHECKING:
    from archpress.architecture import Architecture
    from archpress.space import Limits, SearchSpace


class SpaceName(StrEnum):
    """Whose choices are counted."""

    PAPER = "paper"
    DEFAULT = "default"


def count(
    net: NetArgument,
    space: Annotated[
        SpaceName, typer.Option(help="Of section 9, or the one a compression of the net searches.")
    ] = SpaceName.PAPER,
    max_layers: Annotated[int | None, typer.Option(help="Of the longest net counted.")] = None,
    max_parameters: MaxParametersOption = None,
    max_macs: MaxMacsOption = None,
    max_peak_memory: MaxPeakMemoryOption = None,
    max_file_size: MaxFileSizeOption = None,
    samples: Annotated[int, typer.Option(help="Where other costs are limited.")] = 2000,
    input_shape: InputOption = None,
    classes: ClassesOption = 10,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """How many nets a search space holds, how many pools fit, whether a net's order is unique.

    Counts chains of layers: exactly without limits; under a limit on parameters exactly where that
    takes seconds, else nearly so; under other limits by weighted samples.

    **Example:** archpress count conv7 --max-parameters 93000
    """
    from archpress.architecture import with_linear_head
    from archpress.space import most_pools, paper_space, space_around
    from archpress.space.joins import with_joins_of_two

    if samples < 2:
        raise ArchpressError(f"--samples must be at least 2, not {samples}")
    typed = read_limits(
        max_parameters=max_parameters,
        max_macs=max_macs,
        max_peak_memory=max_peak_memory,
        max_file_size=max_file_size,
    )
    architecture = read_net(net, shape_of(input_shape, "--input"), classes)
    if space is SpaceName.PAPER:
        searched = paper_space(architecture.input_shape, architecture.classes)
    else:
        searched = space_around(with_linear_head(with_joins_of_two(architecture.of_logits)))
    if max_layers is not None:
        searched = replace(searched, most_layers=max_layers)
    limits = typed.of(architecture)
    if limits.any:  # the user's count, not the space's own
        searched = replace(searched, most_activations=None, limits=limits)
    found = {
        "most_pools": most_pools(min(architecture.input_shape[1:])),
        **_ordering(architecture),
        "space": str(space),
        "most_layers": searched.most_layers,
        "all": asdict(_exactly(searched, None)),
        "limits": searched.limits.to_dict(),
        "within_limits": asdict(_within(searched, searched.limits, samples, seed)),
    }
    if as_json:
        print_json(found)
    else:
        _print(found, architecture)


@dataclass(frozen=True)
class _Number:
    """A number of nets, as it is known.

    Attributes:
        log10: of the number; None where it is 0 or no sample was within the limits.
        error: standard error of `log10` where samples told it.
        exact: the number, in digits; None where it is not known exactly.
        by_layers: the exact number for each number of layers, in digits.
        approximate: whether channels were taken in groups.
        samples: drawn; 0 where there was no need.
        is_lower_bound: whether too few samples count to tell more.
    """

    log10: float | None
    error: float = 0.0
    exact: str | None = None
    by_layers: dict[int, str] | None = None
    approximate: bool = False
    samples: int = 0
    is_lower_bound: bool = False


def _exactly(space: "SearchSpace", max_parameters: int | None) -> _Number:
    from archpress.space import count as count_exactly

    numbers = count_exactly(space, max_parameters)
    total = sum(numbers)
    by_layers = {layers: str(number) for layers, number in enumerate(numbers) if number}
    return _Number(math.log10(total) if total else None, 0.0, str(total), by_layers)


def _within(space: "SearchSpace", limits: "Limits", samples: int, seed: int) -> _Number:
    """Parameters alone exactly or nearly so, other costs by samples."""
    import numpy as np

    from archpress.space import Limits, approximate_log10, estimate

    most = limits.max_parameters
    if most and space.most_activations is None and limits == Limits(max_parameters=most):
        try:
            return _exactly(space, most)
        except SpaceError:  # takes too long
            return _Number(approximate_log10(space, most), approximate=True)
    told = estimate(space, limits, np.random.default_rng(seed), samples)
    if not told.effective:
        return _Number(None, samples=samples, is_lower_bound=True)
    return _Number(told.log10, told.error, samples=samples, is_lower_bound=told.is_lower_bound)


def _ordering(architecture: "Architecture") -> dict[str, Any]:
    from archpress.architecture import exchangeable, hamiltonian_path

    path, pair = hamiltonian_path(architecture), exchangeable(architecture)
    return {"order_is_unique": path is not None, "hamiltonian_path": path, "exchangeable": pair}


def _print(found: dict[str, Any], architecture: "Architecture") -> None:
    side = min(architecture.input_shape[1:])
    say(f"At most {found['most_pools']} pools in a row make a side of {side} smaller.")
    if found["order_is_unique"]:
        names = [f"{i} {layer.kind}" for i, layer in enumerate(architecture.layers)]
        say("The layers have one order only, the path: " + " > ".join(["input", *names]))
    else:
        first, second = found["exchangeable"]
        kinds = [architecture.layers[i].kind for i in (first, second)]
        say(
            f"The layers have more than one order: {first} ({kinds[0]}) and {second} ({kinds[1]}) "
            "could change places."
        )
    every = found["all"]
    name = "the paper's space" if found["space"] == SpaceName.PAPER else "the space around the net"
    say(
        f"Chains of 2 to {found['most_layers']} layers in {name}: {_told(every)}"
        + (f", {every['exact']} exactly" if every["exact"] else "")
    )
    within = found["within_limits"]
    limits = ", ".join(f"{key} {value:,}" for key, value in found["limits"].items())
    if limits:
        say(f"Of them within {limits}: {_told(within)} ({_how(within)})")


def _how(number: dict[str, Any]) -> str:
    if number["exact"]:
        return f"{number['exact']} exactly"
    return "channels in groups" if number["approximate"] else f"{number['samples']:,} samples"


def _told(number: dict[str, Any]) -> str:
    if number["log10"] is None:
        return "none" if number["exact"] else "too few to be met by samples"
    if number["is_lower_bound"]:
        return f"about 10^{number['log10']:.0f} or more"
    error = f" ± {number['error']:.2f}" if number["error"] else ""
    return f"10^{number['log10']:.2f}{error}"
