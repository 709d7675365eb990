"""Training one net to the end, without a search: `archpress train`."""

from pathlib import Path

from archpress.architecture import Architecture
from archpress.architecture.network import Network
from archpress.compression.measuring import test_split
from archpress.compression.run_folder import alone_in, open_folder, write_network
from archpress.data import ImageData, require_shape
from archpress.evaluation import Epoch, Normalisation, Recipe, accuracy_of, choose_device, train
from archpress.search import Progress, Silent


def train_to_folder(
    architecture: Architecture,
    data: ImageData,
    recipe: Recipe,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, float | None]:
    """Train, write network and weights, and measure on the test images where there are any.

    A training that was killed after a minute or more goes on from its last epochs.

    Args:
        architecture: fresh weights are drawn from the seed.
        data: whose shape and classes the architecture has.
        recipe: how.
        folder: made where it is missing.
        seed: of the training, and by which the images were divided.
        device: as `choose_device` knows it.
        progress: is told each epoch.

    Returns:
        "validation_accuracy" and "test_accuracy", the latter None without test images.

    Raises:
        DataError: the images do not fit the architecture, or those of the test split cannot be
            read; the network is written before.
        StoreError: the folder cannot be written.
        EvaluationError: no such device, or the training diverged.
    """
    require_shape(data, architecture.input_shape, architecture.classes)
    chosen, listener = choose_device(device), progress or Silent()

    def tell(epoch: Epoch) -> None:
        accuracy = "" if epoch.accuracy is None else f", validation {epoch.accuracy:.2%}"
        listener.advance(epoch.number, f"loss {epoch.train_loss:.3f}{accuracy}")

    with alone_in(open_folder(folder)):
        listener.stage("epochs", recipe.epochs)
        result = train(
            architecture,
            data,
            recipe,
            seed,
            device=chosen,
            on_epoch=tell,
            checkpoint=folder / "weights" / "unfinished.training",
        )
        network = result.network.cpu()
        assert isinstance(network, Network)
        write_network(folder, architecture, network, data, recipe, split_seed=seed)
    test, split = None, test_split(data, folder)
    if split is not None:
        test = accuracy_of(network, split, Normalisation.of(data, recipe), device=chosen)
    return {"validation_accuracy": result.accuracy, "test_accuracy": test}
