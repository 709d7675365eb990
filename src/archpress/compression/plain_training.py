"""Training one net to the end, without a search: `archpress train`."""

from pathlib import Path

from archpress.architecture import Architecture
from archpress.architecture.network import Network
from archpress.compression.measuring import test_split
from archpress.compression.network_files import write_network
from archpress.compression.run_folder import alone_in, open_folder
from archpress.data import ImageData, require_shape
from archpress.evaluation import (
    Epoch,
    Normalisation,
    Recipe,
    accuracy_of,
    choose_device,
    cores,
    train,
)
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

    On a CPU with all its cores: with another number of them weights differ by rounding.
    A training that was killed goes on from the last epoch that was kept, one a minute at most.

    Args:
        architecture: fresh weights are drawn from the seed.
        data: whose shape and classes the architecture has.
        recipe: how.
        folder: made where it is missing.
        seed: of the training.
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

    unfinished = folder / "weights" / "unfinished.training"
    begun: list[int] = []  # the first epoch that is trained here

    def tell(epoch: Epoch) -> None:
        if not begun:
            begun.append(epoch.number)
            if epoch.number > 1:
                listener.say(f"Goes on after epoch {epoch.number - 1} of {recipe.epochs}.")
                listener.stage("epochs left", recipe.epochs - epoch.number + 1)
        accuracy = "" if epoch.accuracy is None else f", validation {epoch.accuracy:.2%}"
        note = f"loss {epoch.train_loss:.3f}{accuracy}"
        listener.advance(epoch.number - begun[0] + 1, note)

    with alone_in(open_folder(folder)):
        listener.stage("epochs", recipe.epochs)
        result = train(
            architecture,
            data,
            recipe,
            seed,
            device=chosen,
            threads=cores(),
            on_epoch=tell,
            checkpoint=unfinished,
        )
        network = result.network.cpu()
        assert isinstance(network, Network)
        normalisation = Normalisation.of(data, recipe)
        write_network(folder, architecture, network, data, normalisation)
        unfinished.unlink(missing_ok=True)
    test, split = None, test_split(data, folder)
    if split is not None:
        test = accuracy_of(network, split, normalisation, device=chosen)
    return {"validation_accuracy": result.accuracy, "test_accuracy": test}
