"""What a user types: the options and arguments of the commands."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from archpress.paths import typed_path


class Effort(StrEnum):
    """Words for how much work a compression is."""

    SMOKE = "smoke"
    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


class Augmentation(StrEnum):
    """How the images of final trainings are varied."""

    NONE = "none"
    SHIFT = "shift"
    MIRROR = "mirror"
    MIRROR_SHIFT = "mirror-shift"


class ExportForm(StrEnum):
    """What a network is exported to."""

    ONNX = "onnx"
    TORCH_EXPORT = "torch-export"
    ONNX_INT8 = "onnx-int8"
    ONNX_INT8_DYNAMIC = "onnx-int8-dynamic"


class PrecisionName(StrEnum):
    """What trainings compute in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Backend(StrEnum):
    """What runs a network while it is timed."""

    TORCH = "torch"
    ONNXRUNTIME = "onnxruntime"


class SortKey(StrEnum):
    """What trials are sorted by."""

    ACCURACY = "accuracy"
    PARAMETERS = "parameters"
    MACS = "macs"
    PEAK_MEMORY = "peak_memory"
    SECONDS = "seconds"
    CREATED = "created"
    ROUND = "round"


NET = (
    "A name of `archpress zoo`, an architecture file (.json), a program of torch.export (.pt2), an "
    ".onnx file, a module of your own, FILE.py:callable or package.module:callable, or a trial, "
    "RUN:KEY."
)
IMAGES = "A named set (`archpress data`), a .npz file, or a folder of images by class."

AMOUNT = "AMOUNT"


def path_option(told: str) -> OptionInfo:
    """An option that is a path, where `~` is the user's folder, which no shell sees in --run=~/a.

    Args:
        told: by --help.
    """
    option: OptionInfo = typer.Option(parser=typed_path, metavar="PATH", help=told)
    return option


NetArgument = Annotated[str, typer.Argument(metavar="NET", help=NET)]
RunArgument = Annotated[
    Path, typer.Argument(parser=typed_path, metavar="RUN", help="Folder of a run.")
]
DataOption = Annotated[str, typer.Option("--data", help=IMAGES)]
SeedOption = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Of everything that is random.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
PrecisionOption = Annotated[
    PrecisionName,
    typer.Option(
        "--precision",
        help="Of trainings: float32, bfloat16, or auto, which is bfloat16 where this machine has "
        "matrix units for it: AMX, or CUDA from Ampere on.",
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Processes that train; by default one a core.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress.")]
RunOption = Annotated[Path, path_option("Folder for all results; goes on from what it holds.")]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Train on a Ray cluster: auto for that of RAY_ADDRESS or of this machine, or its "
        "address.",
    ),
]
StoreArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Folder of a run, or a store: a file or a URL.")
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PLACE",
        help="Trials are kept here instead of in the folder: a file, or a URL of PostgreSQL.",
    ),
]
LogOption = Annotated[
    list[str] | None,
    typer.Option(
        "--log-to",
        metavar="NAME",
        help="Log trials and result to tensorboard or mlflow; may be given twice.",
    ),
]
MaxParametersOption = Annotated[
    str | None, typer.Option(metavar=AMOUNT, help="Weights: 93000, 93K, or 50% of the source's.")
]
MaxMacsOption = Annotated[
    str | None, typer.Option(metavar=AMOUNT, help="Multiply-adds of one image: 5e6, 5M or 50%.")
]
MaxPeakMemoryOption = Annotated[
    str | None,
    typer.Option(metavar=AMOUNT, help="Bytes of activations alive at once, one image: 64KB, 50%."),
]
MaxFileSizeOption = Annotated[
    str | None,
    typer.Option(metavar=AMOUNT, help="Bytes of weights.safetensors: 200KB, 1.5MB or 50%."),
]
RoundChannelsOption = Annotated[
    int, typer.Option(metavar="N", help="All widths that may change become multiples of it.")
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN", help="Layers or blocks that stay, by name as of `archpress inspect`."
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Layers or blocks that may change; all others stay."),
]
WidthsOnlyOption = Annotated[
    bool, typer.Option("--widths-only", help="All layers stay; only their channels change.")
]
MinAccuracyOption = Annotated[float | None, typer.Option(help="Fraction, on validation.")]
MaxAccuracyLossOption = Annotated[
    float | None, typer.Option(help="Fraction, against the source under the same recipe.")
]
MaxLatencyOption = Annotated[
    str | None, typer.Option(metavar=AMOUNT, help="Of a pass, see below: 2.5ms, or 50%.")
]
MOST_BATCH, MOST_THREADS = 65_536, 1024
BatchOption = Annotated[
    int, typer.Option(min=1, max=MOST_BATCH, help="Images of a pass that is timed.")
]
ThreadsOption = Annotated[
    int, typer.Option(min=1, max=MOST_THREADS, help="Threads of a pass that is timed.")
]
LatencyBatchOption = Annotated[
    int | None, typer.Option(min=1, max=MOST_BATCH, help="Images of a pass; by default 1.")
]
LatencyThreadsOption = Annotated[
    int | None, typer.Option(min=1, max=MOST_THREADS, help="Of a pass; by default 1.")
]
LatencyBackendOption = Annotated[
    Backend | None, typer.Option(help="What runs it; by default torch.")
]
DeviceTimesOption = Annotated[
    Path | None,
    path_option("Times of another device, of `archpress profile`, instead of this one's."),
]
AugmentOption = Annotated[
    Augmentation | None,
    typer.Option(
        help="Vary the images of final trainings; by default standard and thorough try all that "
        "suit the images on a small net, and validation chooses."
    ),
]
EffortOption = Annotated[
    Effort | None, typer.Option(help="By default quick for the packaged sample, else standard.")
]
SizeOption = Annotated[
    str | None,
    typer.Option("--size", help="Bring images of a folder to this size, e.g. 3x32x32."),
]

InputOption = Annotated[
    str | None,
    typer.Option("--input", help="Shape of the images, where the net does not say, e.g. 3x32x32."),
]
ClassesOption = Annotated[int, typer.Option(help="Classes of a net of the zoo.")]
