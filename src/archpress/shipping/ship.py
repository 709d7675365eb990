"""`ship`: a run folder in, one file out, checked against the network and measured."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from archpress.architecture.network import Network
from archpress.architecture.onnx_writing import DEFAULT_OPSET, require_onnx, require_opset
from archpress.compression.sentence import FASTER
from archpress.data import ImageData, Split, require_shape
from archpress.errors import DataError, ExportError, StoreError
from archpress.evaluation import (
    Latency,
    measure_in_turns,
    onnx_stopwatch,
    stopwatch,
    torch_threads,
)
from archpress.evaluation.preparation import balanced_first
from archpress.evaluation.training import outputs_for
from archpress.paths import typed_path
from archpress.run_files import WEIGHTS_FILE
from archpress.shipping.agreement import largest_difference
from archpress.shipping.int8 import to_int8
from archpress.shipping.onnx_file import OnnxNetwork, to_onnx
from archpress.shipping.program import load_program, to_program
from archpress.shipping.trained import TrainedNet, read_trained
from archpress.whole_files import write_bytes

FORMS = {  # form -> name of its file, where none is given
    "onnx": "network.onnx",
    "torch-export": "network.pt2",
    "onnx-int8": "network.int8.onnx",
    "onnx-int8-dynamic": "network.int8-dynamic.onnx",
}
ONNX_TOLERANCE, PROGRAM_TOLERANCE = 1e-4, 1e-5  # of the largest output; rounding alone is below
CALIBRATION_IMAGES = 512  # training images, as evenly over the classes as they are there
TIMING_SECONDS = 0.5  # for each latency


@dataclass(frozen=True, slots=True)
class ShippedForm:
    """The network in one form, with what was measured of it.

    Attributes:
        name: "torch", or one of `FORMS`.
        size: of its file, in bytes.
        latency: on this machine; None where it was not measured.
        validation_accuracy: on the validation images, in [0, 1]; None without images.
    """

    name: str
    size: int
    latency: Latency | None
    validation_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Shipment:
    """A file that was written.

    Attributes:
        path: of the file.
        form: one of `FORMS`.
        opset: of ONNX, else None.
        difference: largest difference of its outputs from the network's, as a share of the largest
            output; of int8 files, that of the float file they were made of.
        tolerance: the difference that was allowed.
        forms: what was measured: the network in torch, and the same in other forms.
        validation_images: that the accuracies were measured on.
        sentence: the outcome in words.
    """

    path: Path
    form: str
    opset: int | None
    difference: float
    tolerance: float
    forms: tuple[ShippedForm, ...]
    validation_images: int
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "path": str(self.path)}


def ship(
    run: Path | str,
    form: str,
    *,
    out: Path | str | None = None,
    opset: int | None = None,
    data: ImageData | None = None,
    threads: int = 1,
) -> Shipment:
    """Write the network of a run in another form; nothing is written where it computes otherwise.

    The test images are not read.

    Args:
        run: folder of a finished `compress` or `train`.
        form: one of `FORMS`.
        out: the file; by default in the run folder.
        opset: of ONNX; by default 18.
        data: the images that the network was trained on: accuracies are measured on the validation
            images, and "onnx-int8" is calibrated on training images.
        threads: of the latencies.

    Raises:
        ExportError: no such form or opset, a package is missing, or the file computes otherwise.
        StoreError: the folder holds no finished network, or the file cannot be written there.
        ArchitectureError: the files of the run do not fit together.
        DataError: the images are not such as the network reads.
    """
    run = typed_path(run)
    trained = read_trained(run)
    path = typed_path(out or run / FORMS.get(form, ""))
    _check(form, path, opset, data, threads)
    if data is not None:
        _check_images(trained, data)
    opset = None if form == "torch-export" else opset or DEFAULT_OPSET
    with torch_threads(1):  # more wait for each other on a busy machine; latencies set their own
        made = _program(trained) if opset is None else _onnx(trained, form, opset, data)
        original = _Version("torch", (run / WEIGHTS_FILE).read_bytes(), trained.network)
        forms = _measured([original, *made.versions], trained, data, threads)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, made.versions[-1].content)
    judged = len(data.validation) if data is not None else 0
    sentence = _sentence(forms)
    return Shipment(path, form, opset, made.difference, made.tolerance, forms, judged, sentence)


# --- making --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class _Version:
    """The network in one form: the bytes of its file, and what runs it."""

    name: str
    content: bytes
    network: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False, slots=True)
class _Made:
    versions: tuple[_Version, ...]
    difference: float
    tolerance: float


def _program(trained: TrainedNet) -> _Made:
    content = to_program(trained)
    program = _Version("torch-export", content, load_program(content))
    difference = largest_difference(
        trained.network, program.network, most=PROGRAM_TOLERANCE, called="the exported program"
    )
    return _Made((program,), difference, PROGRAM_TOLERANCE)


def _onnx(trained: TrainedNet, form: str, opset: int, data: ImageData | None) -> _Made:
    content = to_onnx(trained, opset)
    versions = [_Version("onnx", content, OnnxNetwork(content))]
    difference = largest_difference(
        trained.network, versions[0].network, most=ONNX_TOLERANCE, called="the ONNX file"
    )
    if form != "onnx":
        content = to_int8(content, trained, _calibration(data) if form == "onnx-int8" else None)
        versions.append(_Version(form, content, OnnxNetwork(content)))
    return _Made(tuple(versions), difference, ONNX_TOLERANCE)


def _calibration(data: ImageData | None) -> Split:
    assert data is not None  # refused before
    chosen = balanced_first(data.train.labels, CALIBRATION_IMAGES)
    return Split(data.train.images[chosen], data.train.labels[chosen])


# --- checking ------------------------------------------------------------------------------------


def _check(form: str, path: Path, opset: int | None, data: ImageData | None, threads: int) -> None:
    """What can be refused before anything is done."""
    if form not in FORMS:
        raise ExportError(f"no form is called {form!r}; known are {', '.join(FORMS)}")
    suffix = Path(FORMS[form]).suffix
    if path.suffix != suffix or path.is_dir():
        raise StoreError(f"the file of {form} must end in {suffix} and be no folder, not {path}")
    if threads < 1:
        raise ExportError(f"threads must be 1 or more, not {threads}")
    if form == "torch-export":
        if opset is not None:
            raise ExportError("an opset is a version of ONNX: torch-export has none")
        return
    require_onnx()
    if opset is not None:
        require_opset(opset)
    if form == "onnx-int8" and data is None:
        raise ExportError(
            "onnx-int8 is calibrated on training images: give the data of the run, "
            "or take onnx-int8-dynamic"
        )


def _check_images(trained: TrainedNet, data: ImageData) -> None:
    """The same shape and the same classes: an accuracy on other images means nothing."""
    net, names = trained.architecture, trained.preprocessing.class_names
    require_shape(data, net.input_shape, net.classes)
    if tuple(data.class_names) != names:
        one = next(pair for pair in zip(names, data.class_names, strict=True) if len({*pair}) > 1)
        raise DataError(
            f"the network was trained on other classes than the data {data.name!r} hold: "
            f"{one[0]!r} where they have {one[1]!r}"
        )


# --- measuring -----------------------------------------------------------------------------------


def _measured(
    versions: Sequence[_Version], trained: TrainedNet, data: ImageData | None, threads: int
) -> tuple[ShippedForm, ...]:
    shape = trained.architecture.input_shape
    watches = {}
    for version in versions:
        if isinstance(version.network, Network):
            watches[version.name] = stopwatch(version.network, shape, threads=threads)
        elif isinstance(version.network, OnnxNetwork):
            watches[version.name] = onnx_stopwatch(version.content, shape, threads=threads)
    latencies = measure_in_turns([*watches.values()], seconds=TIMING_SECONDS)
    by_name = dict(zip(watches, latencies, strict=True))
    return tuple(
        ShippedForm(
            version.name,
            len(version.content),
            by_name.get(version.name),
            None if data is None else _accuracy(version.network, trained, data.validation),
        )
        for version in versions
    )


def _accuracy(network: Callable[[Tensor], Tensor], trained: TrainedNet, split: Split) -> float:
    logits = outputs_for(network, split, trained.normalisation)
    return float((logits.argmax(1) == split.labels).double().mean())


def _sentence(forms: Sequence[ShippedForm]) -> str:
    """Size, speed and accuracy of the last form against the one before it."""
    before, after = forms[-2:]
    facts = [_size(before.size / after.size)]
    if before.latency and after.latency:
        facts.append(speed(before.latency, after.latency))
    if before.validation_accuracy is not None and after.validation_accuracy is not None:
        points = 100 * (after.validation_accuracy - before.validation_accuracy)
        facts.append(f"{points:+.2f} points of validation accuracy")
    return f"{after.name} against {before.name}: {', '.join(facts)}"


def _size(ratio: float) -> str:
    if 1 / 1.05 < ratio < 1.05:
        return "as large"
    return f"{ratio:.1f}x smaller" if ratio > 1 else f"{1 / ratio:.1f}x larger"


def speed(before: Latency, after: Latency) -> str:
    """Faster or slower only where the quartiles do not overlap and it is more than noise.

    >>> def milliseconds(median, spread):
    ...     return Latency(median / 1e3, spread / 1e3, 100, 1, 1, "cpu")
    >>> speed(milliseconds(2, 0.1), milliseconds(1, 0.1))
    '2.0x faster'
    >>> speed(milliseconds(2, 0.1), milliseconds(1.96, 0.1))
    'not faster'
    >>> speed(milliseconds(1, 0.1), milliseconds(3, 0.1))
    'not faster but 3.0x slower'
    """
    ratio = before.median_seconds / max(after.median_seconds, 1e-12)
    apart = abs(before.median_seconds - after.median_seconds)
    is_clear = apart > (before.iqr_seconds + after.iqr_seconds) / 2
    if is_clear and ratio >= FASTER:
        return f"{ratio:.1f}x faster"
    is_slower = is_clear and ratio <= 1 / FASTER
    return f"not faster but {1 / ratio:.1f}x slower" if is_slower else "not faster"
