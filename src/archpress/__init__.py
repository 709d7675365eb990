"""Give it a CNN, labelled images and limits; get back a smaller net, trained and measured.

    import archpress as ap

    data = ap.load_data("fashion-mnist-sample")
    result = ap.compress(ap.named("conv7"), data, ap.Limits(max_parameters=93_000), run="runs/mine")
    print(result.sentence)
    network = result.build()  # torch.nn.Module with trained weights

The way of the data, one room after the other:

    architecture   a network as a value: checked, costed, simplified, built, exported
    reading        modules, programs, files and names of nets, read as such values
    space          where to look: choices, limits, repair, samples, edits
    data           labelled images and their splits
    evaluation     from an architecture to a trial: one training loop, several evaluators
    store          trials on disk: nothing is trained twice
    frames         trials as a pandas frame
    embedding      architectures as vectors, with predicted costs and accuracy
    search         from a space, an objective and a budget to trials; over nets and over tables
    baselines      other ways to search, through the same door
    compression    the search over nets: first trials, rounds, final training, the run folder
    shipping       a finished network in forms that other programs run
    report         one offline page about a run
    tracking       a run as TensorBoard and MLflow show it
    watching       a live page about a run of another process
    comparison     ways to search, compared over seeds
    reproduction   the paper's experiments, by name
    cli            the commands
"""

import importlib
from typing import TYPE_CHECKING

from archpress.version import __version__

if TYPE_CHECKING:
    from archpress.architecture import Architecture, Layer, named, simplify
    from archpress.architecture.network import build
    from archpress.comparison import compare
    from archpress.compression import Result, Settings, compress, settings_for
    from archpress.data import ImageData, from_dataset, load_data
    from archpress.embedding import Embedding
    from archpress.errors import ArchpressError
    from archpress.evaluation import Evaluator, ProcessPool, RayPool, Recipe, TableEvaluator, Trial
    from archpress.frames import trials_frame
    from archpress.reading.sources import read_source
    from archpress.reading.tracing import trace
    from archpress.report import run_figures, write_report
    from archpress.shipping import ship
    from archpress.space import Form, Limits, SearchSpace, matching, repair, space_around
    from archpress.store import Store
    from archpress.tracking import Tracking

_HOME = {  # public name -> module; imported when first used, since torch takes two seconds
    "Architecture": "architecture",
    "ArchpressError": "errors",
    "Embedding": "embedding",
    "Evaluator": "evaluation",
    "Form": "space",
    "ImageData": "data",
    "Layer": "architecture",
    "Limits": "space",
    "ProcessPool": "evaluation",
    "RayPool": "evaluation",
    "Recipe": "evaluation",
    "Result": "compression",
    "SearchSpace": "space",
    "Settings": "compression",
    "Store": "store",
    "TableEvaluator": "evaluation",
    "Tracking": "tracking",
    "Trial": "evaluation",
    "build": "architecture.network",
    "compare": "comparison",
    "compress": "compression",
    "from_dataset": "data",
    "load_data": "data",
    "matching": "space",
    "named": "architecture",
    "read_source": "reading.sources",
    "repair": "space",
    "run_figures": "report",
    "settings_for": "compression",
    "ship": "shipping",
    "simplify": "architecture",
    "space_around": "space",
    "trace": "reading.tracing",
    "trials_frame": "frames",
    "write_report": "report",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'archpress' has no attribute {name!r}")
    return getattr(importlib.import_module(f"archpress.{_HOME[name]}"), name)
