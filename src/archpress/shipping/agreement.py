"""Whether a shipped network computes what the network computes."""

from collections.abc import Callable

import torch
from torch import Tensor

from archpress.architecture.network import Network
from archpress.errors import ExportError, reason

BATCHES = (1, 5)  # a fixed batch axis, or one that is not read, shows at one of them


def largest_difference(
    network: Network, shipped: Callable[[Tensor], Tensor], *, most: float, called: str
) -> float:
    """Compare outputs on images of normal noise, alone and in a batch.

    Args:
        network: in evaluation mode.
        shipped: the same network in another form: images, `B x C x H x W`, to `B x K`.
        most: largest difference that is allowed, as a share of the largest output.
        called: the form, for people.

    Returns:
        The largest difference as a share of the largest output.

    Raises:
        ExportError: it is above `most`, it cannot run, or outputs are not finite or of another
            shape.
    """
    rng = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch in BATCHES:
        images = torch.randn((batch, *network.architecture.input_shape), generator=rng)
        with torch.inference_mode():
            expected = network(images)
            try:
                got = shipped(images)
            except Exception as error:  # runtimes raise classes of their own
                raise ExportError(
                    f"{called} cannot run {batch} random images, it was not written: "
                    f"{reason(error)}"
                ) from error
        if got.shape != expected.shape:
            raise ExportError(
                f"{called} gives {tuple(got.shape)} for {batch} images, "
                f"the network {tuple(expected.shape)}"
            )
        largest = max(float(expected.abs().max()), torch.finfo(torch.float32).tiny)
        difference = float((got - expected).abs().max()) / largest
        if not difference <= most:  # also where it is not a number
            raise ExportError(
                f"{called} differs from the network by {difference:.2g} of the largest output on "
                f"{batch} random images, allowed is {most:g}: it was not written"
            )
        worst = max(worst, difference)
    return worst
