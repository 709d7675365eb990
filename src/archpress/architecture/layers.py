"""`Layer`: one layer as a value; `Kind`: what a row of the table of kinds says."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from archpress.architecture.shape_rules import Shape

Option = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: the paper's five fields, where it reads from, and what the paper's vector lacks.

    Fields that a kind does not have are 0 (see `KINDS`).

    Attributes:
        kind: a name in `KINDS`.
        kernel: side of the square window, in pixels.
        channels: channels (or features) of the output, for kinds that choose them.
        stride: step of the window, in pixels.
        padding: zeros added on each side, in pixels.
        inputs: backward offsets of the layers it reads; 1 is the layer before. The input of the
            network is the layer before the first.
        bias_free: convolution or linear layer without a bias.
        rate: share of values that a dropout layer zeroes in training, in [0, 1).
        options: what few layers have, as (name, value) by name: of `OPTIONS` those of its kind, and
            only where they differ from the usual value.
    """

    kind: str
    kernel: int = 0
    channels: int = 0
    stride: int = 0
    padding: int = 0
    inputs: tuple[int, ...] = (1,)
    bias_free: bool = False
    rate: float = 0.0
    options: tuple[tuple[str, Option], ...] = ()

    def option(self, name: str) -> Option:
        """Value of an option, the usual one where the layer does not say."""
        return dict(self.options).get(name, OPTIONS[name])


# What few layers have, and the usual value: PyTorch's default.
OPTIONS: dict[str, Option] = {
    "groups": 1,  # of the channels
    "dilation": 1,
    "kernel_width": 0,  # of a window that is not square; 0: as its height
    "stride_width": 0,  # likewise
    "padding_width": -1,  # likewise; -1: as its height
    "ceil_mode": False,
    "count_include_pad": True,
    "eps": 1e-5,
    "affine": True,
    "negative_slope": 0.01,
    "alpha": 1.0,
    "approximate": "none",
    "begin": 0,  # first channel of a slice; where the input begins among channels of zeros
    "end": 0,  # first channel after it
    "beta": 1.0,
    "threshold": 20.0,
    "lambd": 0.5,
    "min_val": -1.0,
    "max_val": 1.0,
    "per_channel": False,  # one parameter a channel, not one for all
    "factor": 1.0,
    "shift": 0.0,  # added after the factor
    "above": 0,  # pixels added, or where negative taken away
    "below": 0,
    "left": 0,
    "right": 0,
    "mode": "zeros",  # what pixels are added
    "height": 1,  # of the output
    "width": 1,
    "times": 2,  # as high and wide as the input
    "bilinear": False,
    "align_corners": False,
    "size": 5,  # channels that a local norm looks at
    "k": 1.0,
    "program": "",  # of a part that stays as it is; see `frozen_program`
}
WINDOW_OPTIONS = frozenset({"kernel_width", "stride_width", "padding_width"})
SIDES = ("left", "right", "above", "below")  # in PyTorch's order


class Joining(StrEnum):
    """How many inputs a kind reads and how it merges them."""

    NONE = "none"
    ADD = "add"
    MULTIPLY = "multiply"
    CONCAT = "concat"


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """`torch.nn.NAME(*arguments, **options)`, as data: built by `network`, written by `export`.

    Of a `ParameterDict` the arguments are (name, shape, value), for each parameter; of a `Frozen`,
    which is no module of torch, its program.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    Attributes:
        fields: the fields of `Layer` that this kind has, beside kind and inputs.
        shape: (layer, shapes of the inputs) -> shape of the output; raises RuleError.
        parameters: (layer, shape of the first input) -> number of weights.
        macs: (layer, shape of the first input, shape of the output) -> multiply-adds, one image.
        module: (layer, shape of the first input) -> the module; None where the network's forward
            computes it, as joins and slices.
        paper_code: the paper's number of the type (section 9), 1 to 8; 0 where it has none.
        joining: how inputs are merged.
        keeps_sign: the output is non-negative wherever every input is.
        output_range: bounds that the output always keeps, whatever the input.
        options: names in `OPTIONS` that a layer may have.
    """

    fields: frozenset[str]
    shape: Callable[[Layer, Sequence[Shape]], Shape]
    parameters: Callable[[Layer, Shape], int]
    macs: Callable[[Layer, Shape, Shape], int]
    module: Callable[[Layer, Shape], ModuleCall | None]
    paper_code: int = 0
    joining: Joining = Joining.NONE
    keeps_sign: bool = False
    output_range: tuple[float, float] = (-math.inf, math.inf)
    options: frozenset[str] = frozenset()

    @property
    def has_window(self) -> bool:
        """Whether a window slides over a map."""
        return "kernel" in self.fields

    @property
    def chooses_channels(self) -> bool:
        """Whether the layer sets the number of channels."""
        return "channels" in self.fields
