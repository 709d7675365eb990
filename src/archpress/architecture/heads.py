"""The layer that gives the classes: with other classes, and as a linear layer at the end."""

from collections.abc import Collection
from dataclasses import replace

from archpress.architecture.architecture import Architecture
from archpress.architecture.kinds import ACTIVATIONS
from archpress.architecture.layers import Layer
from archpress.errors import ArchitectureError

# What may stand behind the layer that gives the classes.
_BEHIND = {
    *(*ACTIVATIONS, "dropout", "batch_norm", "flatten", "scale", "softmax", "log_softmax"),
    *("global_average_pool", "average_pool", "max_pool"),
    *("adaptive_average_pool", "adaptive_max_pool"),
}


def with_classes(architecture: Architecture, classes: int) -> Architecture:
    """The same net with another number of outputs.

    Args:
        architecture: in which a linear layer or a convolution gives one value or map a class.
        classes: at least 1.

    Raises:
        ArchitectureError: no such layer gives them.
    """
    row = _row_of_classes(architecture)
    if row is None:
        last = len(architecture.layers) - 1
        raise ArchitectureError(
            f"layer {last} ({architecture.layers[last].kind}): only a net in which a linear layer "
            f"or a convolution gives the classes can be given {classes} outputs"
        )
    layers = list(architecture.layers)
    layers[row] = replace(layers[row], channels=classes)
    return Architecture(architecture.input_shape, tuple(layers))


def with_linear_head(architecture: Architecture, kept: Collection[int] = ()) -> Architecture:
    """What a search begins with for a net: itself where it ends in a linear layer.

    A convolution of one pixel, or of the whole map, that gives the classes becomes the linear layer
    with its weights; a mean over pixels then comes before it, which is the same where nothing
    stands between the two. Any other end gets a linear layer more.

    Args:
        architecture: gives one value a class.
        kept: layers that stay as they are.

    >>> ends_in_maps = (Layer("conv", 1, 10, 1), Layer("relu"), Layer("global_average_pool"))
    >>> net = with_linear_head(Architecture((3, 8, 8), ends_in_maps))
    >>> [layer.kind for layer in net.layers]
    ['global_average_pool', 'linear']
    """
    if architecture.layers[-1].kind == "linear":
        return architecture
    row = _row_of_classes(architecture)
    if row is None or not _is_linear(architecture, row) or any(stays >= row for stays in kept):
        more = Layer("linear", channels=architecture.classes)
        return Architecture(architecture.input_shape, (*architecture.layers, more))
    layer, body = architecture.layers[row], list(architecture.layers[:row])
    head = Layer("linear", channels=layer.channels, inputs=layer.inputs, bias_free=layer.bias_free)
    if architecture.shapes[row][1:] not in ((), (1, 1)):
        body.append(Layer("global_average_pool", inputs=layer.inputs))
        head = replace(head, inputs=(1,))
    return Architecture(architecture.input_shape, (*body, head))


def _row_of_classes(architecture: Architecture) -> int | None:
    """The last linear layer or convolution, where it gives the classes and little stands behind."""
    row = len(architecture.layers) - 1
    while architecture.layers[row].kind in _BEHIND and architecture.layers[row].inputs == (1,):
        row -= 1
        if row < 0:
            return None
    layer = architecture.layers[row]
    is_there = layer.kind in ("conv", "linear") and layer.channels == architecture.classes
    return row if is_there else None


def _is_linear(architecture: Architecture, row: int) -> bool:
    """Whether a linear layer can have the weights of a layer."""
    layer, (shape, *_) = architecture.layers[row], architecture.input_shapes(row)
    if layer.kind == "linear":
        return True
    sees_all = shape[1:] == (layer.kernel, layer.kernel) and not layer.padding
    of_pixels = layer.kernel == layer.stride == 1 and not layer.padding
    return not layer.options and (sees_all or of_pixels)
