"""How what a user typed is read: nets, images, limits and numbers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archpress.architecture.shape_rules import format_shape
from archpress.cli.amounts import BYTES, COUNTS, MILLISECONDS, TypedLimits, read_amount
from archpress.cli.options import PrecisionName
from archpress.cli.printing import say
from archpress.errors import ArchpressError
from archpress.paths import typed_path
from archpress.run_files import SOURCE_FILE

if TYPE_CHECKING:
    from archpress.architecture import Architecture
    from archpress.data import ImageData
    from archpress.evaluation.precision import Precision
    from archpress.reading.sources import SourceNet
    from archpress.space import Limits


def read_precision(name: PrecisionName, device: str, cluster: str | None = None) -> "Precision":
    """The precision to train in; what "auto" came to is told.

    Raises:
        ArchpressError: "auto" with a cluster, whose machines this one does not know.
    """
    from archpress.evaluation import choose_device, choose_precision

    if name is PrecisionName.AUTO and cluster is not None:
        raise ArchpressError(
            "--precision auto looks at this machine; with --cluster say float32 or bfloat16"
        )
    precision = choose_precision(name.value, "cpu" if cluster else choose_device(device))
    if name is PrecisionName.AUTO:
        say(f"trainings compute in {precision}", error=True)
    return precision


def read_net(
    net: str, input_shape: tuple[int, int, int] | None = None, classes: int = 10
) -> "Architecture":
    """A net of the zoo for these images, of a file or a trial, or traced from the user's code."""
    from archpress.store.nets import open_net

    return open_net(net).read(input_shape, classes).architecture


def net_name(net: str) -> str:
    """What people call a net: its name, its file's or its callable's, or a trial's key."""
    from archpress.reading.importing import names_a_module
    from archpress.store.nets import trial_key

    if key := trial_key(net):
        return key
    is_own = not Path(net).exists() and names_a_module(net)
    return net.rpartition(":")[2] if is_own else Path(net).stem


def read_net_and_images(
    net: str, data: str, size: str | None, seed: int
) -> "tuple[Architecture, ImageData]":
    """The net for these images, and they.

    A net of the zoo, and a module of the user's, take the images' shape; a file keeps its own. Of
    files and modules the last layer may change, and a softmax at the end goes: the loss has one.
    """
    source, images = read_source_and_images(net, data, size, seed)
    return source.architecture.of_logits, images


def read_source_and_images(
    net: str,
    data: str,
    size: str | None,
    seed: int,
    *,
    weights: str | None = None,
    input_shape: str | None = None,
) -> "tuple[SourceNet, ImageData]":
    """As `read_net_and_images`, with weights where a file of them is given; then no layer changes.

    Images of a folder are brought to the shape that the net says, else to `input_shape`.
    """
    from archpress.architecture.heads import with_classes
    from archpress.data import NAMES, load_data
    from archpress.data.folder import has_classes
    from archpress.reading.state_dicts import with_weights
    from archpress.store.nets import open_net

    wanted, stated = shape_of(size, "--size"), shape_of(input_shape, "--input")
    source = open_net(net)  # an unknown net is told before images are read
    if weights is not None:
        source = with_weights(source, weights)
    read = source.read() if source.fixed_shape else None
    if data in NAMES and has_classes(Path(data)):
        say(f"{data} is a named set; for the folder here write ./{data}", error=True)
    elif wanted is None and typed_path(data).is_dir():
        wanted = source.fixed_shape or stated
    images = load_data(data, seed=seed, input_shape=wanted)
    if stated not in (None, images.input_shape):
        raise ArchpressError(
            f"--input is {input_shape}, but the images of {data} are "
            f"{format_shape(images.input_shape)}"
        )
    if read is None:
        read = source.read(images.input_shape, images.classes)
    if weights is None and (said := read.misread(net)):  # given weights are refused later
        say(said, error=True)
    architecture = read.architecture.of_logits
    outputs = architecture.classes
    if outputs == images.classes:
        return read, images
    last = read.architecture.shapes[-1]
    if last[0] == images.classes:
        raise ArchpressError(
            f"{net} gives a map of {format_shape(last)} an image: give one value a class, "
            "e.g. its mean over the pixels"
        )
    unlike = f"{net} gives {outputs} values an image, {data} has {images.classes} classes: its"
    if weights is not None:
        raise ArchpressError(f"{unlike} weights can be used only where these are as many")
    say(f"{unlike} last layer is replaced", error=True)
    names = read.names[: len(architecture.layers)]
    architecture = with_classes(architecture, images.classes)
    return replace(read, architecture=architecture, names=names, weights=None), images


def read_limits(
    *,
    max_parameters: str | None = None,
    max_macs: str | None = None,
    max_peak_memory: str | None = None,
    max_file_size: str | None = None,
    min_accuracy: float | None = None,
    max_accuracy_loss: float | None = None,
) -> TypedLimits:
    """The limits of a command line, before the source is known of which they may be shares.

    Raises:
        ArchpressError: what was typed is no amount.
    """
    typed = {
        "max_parameters": (max_parameters, COUNTS),
        "max_macs": (max_macs, COUNTS),
        "max_peak_memory": (max_peak_memory, BYTES),
        "max_file_size": (max_file_size, BYTES),
    }
    amounts = {
        name: read_amount(text, f"--{name.replace('_', '-')}", units)
        for name, (text, units) in typed.items()
        if text is not None
    }
    return TypedLimits(amounts, min_accuracy, max_accuracy_loss)


def with_latency(
    limits: "Limits",
    typed: str | None,
    conditions: Mapping[str, Any],
    device_times: Path | None,
) -> "Limits":
    """The limits with that on latency, and with what it is measured.

    Args:
        limits: all others.
        typed: after --max-latency.
        conditions: by fields of `LatencyConditions`; None where nothing was typed.
        device_times: file of another device's times, which have conditions of their own.

    Raises:
        ArchpressError: what was typed is no time, or the times of the device cannot be read or were
            measured otherwise.
    """
    from archpress.evaluation import load_times
    from archpress.space import LatencyConditions, LatencyModel

    wanted = {name: value for name, value in conditions.items() if value is not None}
    if device_times is None:
        model = LatencyModel(LatencyConditions(**wanted))
    else:
        model = load_times(device_times)
        for name, value in wanted.items():
            measured = getattr(model.conditions, name)
            if value != measured:
                raise ArchpressError(
                    f"the times of {device_times} were measured with {name} {measured}, so "
                    f"--latency-{name} cannot be {value}"
                )
    limits = replace(limits, latency=model)
    if typed is None:
        return limits
    amount = read_amount(typed, "--max-latency", MILLISECONDS)
    if amount.is_share:
        return replace(limits, max_latency_share=amount.of(1.0))
    return replace(limits, max_latency=amount.value)


def shape_of(text: str | None, option: str) -> tuple[int, int, int] | None:
    """Channels, height and width, typed as 3x32x32."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise ArchpressError(
            f"{option} must be channels x height x width, e.g. 3x32x32, not {text}"
        )
    return int(parts[0]), int(parts[1]), int(parts[2])


def names(typed: list[str] | None) -> list[str]:
    """Names of an option that may be given more than once, and with commas."""
    split = [name.strip() for text in typed or () for name in text.split(",")]
    return [name for name in split if name]


def most_parameters(typed: str | None, place: str) -> int | None:
    """An amount of parameters, of nets in a store; a share is one of the source's of its folder.

    Args:
        typed: after --max-parameters.
        place: of the store, as typed.

    Raises:
        ArchpressError: it is no amount, or a share where there is no source.
    """
    if typed is None:
        return None
    amount = read_amount(typed, "--max-parameters")
    if not amount.is_share:
        return amount.counted()
    from archpress.architecture import Architecture

    path = Path(place) / SOURCE_FILE
    if not path.exists():
        raise ArchpressError(
            f"--max-parameters {typed} is a share of the source's, but {place} is no folder of a "
            "run that has one"
        )
    return read_limits(max_parameters=typed).of(Architecture.load(path)).max_parameters


def costs(architecture: "Architecture") -> dict[str, str | int]:
    """Key and exact costs, for JSON."""
    return {
        "key": architecture.key,
        "layers": len(architecture.layers),
        "parameters": architecture.parameters,
        "macs": architecture.macs,
        "peak_memory": architecture.peak_memory,
        "file_size": architecture.file_size,
    }
