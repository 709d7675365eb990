"""Training one net to the end, without a search: `archpress train`."""

from pathlib import Path

from archpress.architecture import Architecture
from archpress.architecture.network import Network
from archpress.compression.run_folder import open_folder, write_network
from archpress.data import ImageData, require_shape
from archpress.evaluation import Normalisation, Recipe, accuracy_of, choose_device, train


def train_to_folder(
    architecture: Architecture,
    data: ImageData,
    recipe: Recipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, float | None]:
    """Train, measure on the test images where there are any, and write network and weights.

    Args:
        architecture: fresh weights are drawn from the seed.
        data: whose shape and classes the architecture has.
        recipe: how.
        folder: made where it is missing.
        seed: of the training.
        device: as `choose_device` knows it.

    Returns:
        "validation_accuracy" and "test_accuracy", the latter None without test images.

    Raises:
        DataError: the images do not fit the architecture.
        StoreError: the folder cannot be written.
        EvaluationError: no such device, or the training diverged.
    """
    require_shape(data, architecture.input_shape, architecture.classes)
    chosen = choose_device(device)
    open_folder(folder)
    result = train(architecture, data, recipe, seed, device=chosen)
    test = None
    if data.test_reader is not None:
        normalisation = Normalisation.of(data, recipe)
        test = accuracy_of(result.network, data.read_test(), normalisation, device=chosen)
    network = result.network.cpu()
    assert isinstance(network, Network)
    write_network(folder, architecture, network, data, recipe)
    return {"validation_accuracy": result.accuracy, "test_accuracy": test}
