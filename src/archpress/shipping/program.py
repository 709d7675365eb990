"""A network as a `torch.export` program: torch runs it without any Python source of the network."""

import json
from collections.abc import Callable
from io import BytesIO

import torch
from torch import Tensor

from archpress.architecture.quiet import quiet
from archpress.errors import ExportError, reason
from archpress.shipping.trained import TrainedNet

ABOUT_FILE = "archpress.json"  # in the archive


def to_program(trained: TrainedNet) -> bytes:
    """The network as a `.pt2` file.

    It reads images, `B x C x H x W`, float32, normalised as in training, for any B. What a user
    must know of them is the extra file `archpress.json`, as a text.

    Raises:
        ExportError: torch cannot export it.
    """
    shape = trained.architecture.input_shape
    file = BytesIO()
    try:
        with quiet():
            program = torch.export.export(
                trained.network,
                (torch.zeros(2, *shape),),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)  # paths of this machine
            about = json.dumps(trained.about(), indent=1, ensure_ascii=False)
            torch.export.save(program, file, extra_files={ABOUT_FILE: about})
    except Exception as error:  # the exporter raises whatever its parts do
        raise ExportError(f"torch cannot export this network: {reason(error)}") from error
    return file.getvalue()


def load_program(content: bytes) -> Callable[[Tensor], Tensor]:
    """A `.pt2` file as a function of images, as its user would load it."""
    with quiet():
        module: Callable[[Tensor], Tensor] = torch.export.load(BytesIO(content)).module()
    return module
