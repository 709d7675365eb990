"""`archpress export`: the result as a file for other runtimes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archpress.cli.options import (
    IMAGES,
    ExportForm,
    JsonOption,
    RunArgument,
    ThreadsOption,
    path_option,
)
from archpress.cli.printing import console, print_json, say
from archpress.paths import typed_path

if TYPE_CHECKING:
    from archpress.data import ImageData
    from archpress.shipping import Shipment, ShippedForm


def export(
    run: RunArgument,
    to: Annotated[ExportForm, typer.Option(help="The form.")],
    out: Annotated[Path | None, path_option("The file; by default in RUN.")] = None,
    opset: Annotated[int | None, typer.Option(help="Of ONNX; by default 18.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help=f"The images of the run, for accuracies and onnx-int8. {IMAGES}"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="By which the images were split; by default the run's.")
    ] = None,
    threads: ThreadsOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Write the network of a finished `compress` or `train` for other programs.

    ONNX and int8 ONNX for onnxruntime, or a torch.export program. What is written was loaded again
    and compared with the network. Accuracies are of the validation images; the test images are not
    read.

    **Examples**

    archpress export runs/demo --to onnx

    archpress export runs/demo --to onnx-int8 --data fashion-mnist-sample
    """
    from archpress.shipping import ship

    images = None if data is None else _images(run, data, seed)
    shipment = ship(run, to.value, out=out, opset=opset, data=images, threads=threads)
    if as_json:
        print_json(shipment.to_dict())
        return
    console().print(_table(shipment))
    say(f"{_told(shipment)}\n{shipment.sentence}\nWritten: {shipment.path}")


def _images(run: Path, data: str, seed: int | None) -> "ImageData":
    from archpress.data import load_data
    from archpress.errors import DataError
    from archpress.shipping.trained import read_trained, split_seed

    seed = split_seed(run) if seed is None else seed
    if seed is None:
        raise DataError(
            f"{run} does not tell by which seed its images were split into training and validation "
            "images: give --seed"
        )
    shape = read_trained(run).architecture.input_shape if typed_path(data).is_dir() else None
    return load_data(data, seed=seed, input_shape=shape)


def _told(shipment: "Shipment") -> str:
    opset = f"Opset {shipment.opset}; " if shipment.opset else ""
    which = "float outputs" if "int8" in shipment.form else "outputs"
    return (
        f"{opset}{which} differ from torch's by at most {shipment.difference:.1g} of the largest "
        f"(allowed {shipment.tolerance:g})"
    )


def _table(shipment: "Shipment") -> object:
    from archpress.terminal import table

    timed = next(form.latency for form in shipment.forms if form.latency)
    threads = "1 thread" if timed.threads == 1 else f"{timed.threads} threads"
    columns = ["", "bytes", "run by", "latency (ms)", "IQR (ms)"]
    title = f"Latency at batch {timed.batch}, {threads}"
    if shipment.validation_images:
        columns.append("accuracy")
        title += f"; accuracy on {shipment.validation_images:,} validation images"
    return table(title, columns, (_row(form) for form in shipment.forms))


def _row(form: "ShippedForm") -> list[str]:
    times = ["", "", ""]
    if form.latency is not None:
        spread = form.latency.iqr_seconds
        times = [
            form.latency.backend,
            *(f"{1e3 * t:.3f}" for t in (form.latency.median_seconds, spread)),
        ]
    accuracy = form.validation_accuracy
    return [form.name, f"{form.size:,}", *times, *([] if accuracy is None else [f"{accuracy:.2%}"])]
