"""Weights that a user gives for a net: read from a file, and fitted to it."""

import copy
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from archpress.architecture.architecture import Architecture
from archpress.architecture.blocks import as_built, as_written
from archpress.architecture.network import Network, build
from archpress.architecture.shape_rules import format_shape
from archpress.errors import ArchitectureError, told
from archpress.paths import typed_path

if TYPE_CHECKING:
    from archpress.reading.sources import NamedSource

OWN = "own"  # in the place of a file: the weights that the net has itself
INSIDE = ("state_dict", "model_state_dict", "model", "net")  # where checkpoints keep them
PREFIXES = ("module.", "_orig_mod.")  # of torch.nn.DataParallel, of torch.compile
MORE_THAN_TENSORS = ("Unsupported global", "Unsupported class", "TorchScript")  # as torch tells it
TOLD = 3  # names in an error message

StateDict = Mapping[str, Tensor]


def with_weights(source: "NamedSource", weights: str | Path | StateDict) -> "NamedSource":
    """The source with weights of its own or with those given.

    Args:
        source: stays as it is, its module too.
        weights: "own", or a state dict, or a file of one (.safetensors, .pt, .pth). It fits the
            module as it is, or, where the source is a structure alone, `build(architecture)`.

    Raises:
        ArchitectureError: the file cannot be read, or its names and shapes do not fit; of a
            structure alone only when it is read.
    """
    own = isinstance(weights, str) and weights == OWN
    is_structure = source.opened is None or isinstance(source.opened, Architecture)
    if own and is_structure:
        raise ArchitectureError(f"{source.net} is a structure without weights: give a file of them")
    if own:
        return source
    if not is_structure and not isinstance(source.opened, nn.Module):
        raise ArchitectureError(f"{source.net} has its weights in it: say {OWN!r}, not a file")
    where, state = "what is given", weights
    if not isinstance(state, Mapping):
        where, state = str(weights), read_state_dict(Path(state))
    if not isinstance(source.opened, nn.Module):
        return replace(source, state=state, state_from=where)
    try:
        module = copy.deepcopy(source.opened)
    except RuntimeError:  # weights that are worked out before each pass cannot be copied
        raise ArchitectureError(
            f"weights of {source.net} are worked out from others before each pass: "
            "torch.nn.utils.remove_weight_norm or prune.remove them first"
        ) from None
    load_state(module, state, where=where, net=source.net)
    return replace(source, opened=module)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """A state dict from a file, or from inside the checkpoint that a training left.

    Args:
        path: of safetensors, or of `torch.save`; nothing in it is run.

    Raises:
        ArchitectureError: there is no file, or it holds no state dict.
    """
    path = typed_path(path)
    if not path.is_file():
        raise ArchitectureError(f"there is no file {path}")
    if path.suffix.lower() == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ArchitectureError(f"{path} is no safetensors file ({told(error)})") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other formats, before they are refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of zip files, of pickles, of TorchScript
        if any(sign in str(error) for sign in MORE_THAN_TENSORS):
            raise ArchitectureError(
                f"{path} holds more than tensors, such as a whole module: save its weights alone, "
                "torch.save(net.state_dict(), 'weights.pt')"
            ) from None
        name = type(error).__name__
        raise ArchitectureError(
            f"{path} cannot be read as weights of torch.save ({name})"
        ) from None
    return _inside(content, path)


def load_state(module: nn.Module, state: StateDict, *, where: str, net: str) -> None:
    """Load weights into a module, which must have all of them and no other.

    Args:
        module: is changed.
        state: names with or without the prefix of `torch.nn.DataParallel` or `torch.compile`.
        where: the weights came from.
        net: what the module is called.

    Raises:
        ArchitectureError: names or shapes differ; has the first few of them.
    """
    expected = module.state_dict()
    state = _without_prefix(state, expected)
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = [name for name in expected if name not in state and name not in counters]
    unknown = [name for name in state if name not in expected]
    if missing or unknown:
        parts = [f"lacks {_some(missing)}"] if missing else []
        parts += [f"has {_some(unknown)}, which {net} has not"] if unknown else []
        raise ArchitectureError(f"{where} does not fit {net}: it {' and '.join(parts)}")
    shapes = [
        f"{name} is {_shape(state[name])} in it and {_shape(expected[name])} in the net"
        for name, value in expected.items()
        if isinstance(value, Tensor) and name in state and state[name].shape != value.shape
    ]
    if shapes:
        raise ArchitectureError(f"{where} does not fit {net}: {_some(shapes)}")
    try:
        module.load_state_dict({**{name: expected[name] for name in counters}, **state})
    except Exception as error:  # hooks of the user's module may raise anything
        raise ArchitectureError(f"{where} does not fit {net} ({told(error)})") from None
    _check_finite(module.state_dict(), where)


def network_with(architecture: Architecture, state: StateDict, *, where: str, net: str) -> Network:
    """The network of an architecture with weights that a user gives; arguments as of `load_state`.

    Names are those of `build(architecture)` or those in a `network.py`.

    Raises:
        ArchitectureError: they do not fit.
    """
    network = build(architecture)
    state = _without_prefix(state, as_written(architecture, network.state_dict()))
    load_state(network, as_built(architecture, state), where=where, net=net)
    return network


def _inside(content: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise ArchitectureError(
            f"{path} holds a {type(content).__name__}, not a state dict: write it with "
            "torch.save(net.state_dict(), 'weights.pt')"
        )
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return {str(name): value for name, value in content.items()}
    for name in INSIDE:
        if isinstance(content.get(name), Mapping):
            return _inside(content[name], path)
    raise ArchitectureError(
        f"{path} holds {_some(map(str, content)) or 'nothing'}, which is no state dict; inside a "
        f"checkpoint it must be called {' or '.join(INSIDE)}"
    )


def _without_prefix(state: StateDict, expected: StateDict) -> StateDict:
    for prefix in 2 * PREFIXES:  # both, in any order
        if not any(name in expected for name in state) and _all_begin_with(prefix, state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _all_begin_with(prefix: str, names: Iterable[str]) -> bool:
    return all(name.startswith(prefix) for name in names)


def _check_finite(state: StateDict, where: str) -> None:
    for name, value in state.items():
        is_real = isinstance(value, Tensor) and value.is_floating_point()
        if is_real and not torch.isfinite(value).all():
            raise ArchitectureError(f"{where} has values in {name} that are no numbers")


def _some(names: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    listed = list(names)
    rest = len(listed) - TOLD
    return ", ".join(listed[:TOLD]) + (f" and {rest} more" if rest > 0 else "")


def _shape(value: Tensor) -> str:
    return format_shape(value.shape) or "a single value"
