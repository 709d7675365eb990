"""`Form`: what all candidates are like, whatever they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from archpress.architecture import Architecture
from archpress.errors import SpaceError

LISTED = 6  # names in an error
INSIDE = (".*", "/*")  # behind the name of a block


@dataclass(frozen=True, slots=True)
class Form:
    """What a user asks of the layers of a result.

    Attributes:
        round_channels: all widths that a search may change are multiples of it; those of the images
            and the classes are not, and what follows another's width, such as a depthwise
            convolution, follows it.
        kept: indices of the source's layers that stay as they are, see `matching`.
        widths_only: all layers stay, and only channels change.

    Raises:
        SpaceError: `round_channels` is below 1.
    """

    round_channels: int = 1
    kept: tuple[int, ...] = ()
    widths_only: bool = False

    def __post_init__(self) -> None:
        """Check the range."""
        if self.round_channels < 1:
            raise SpaceError(f"round_channels must be at least 1, not {self.round_channels}")

    def to_dict(self) -> dict[str, int | list[int]]:
        """What is asked for, as plain values; nothing where nothing is."""
        told: dict[str, int | list[int]] = {}
        if self.round_channels > 1:
            told["round_channels"] = self.round_channels
        if self.kept:
            told["kept"] = list(self.kept)
        return told | ({"widths_only": True} if self.widths_only else {})

    @classmethod
    def of_dict(cls, told: Mapping[str, Any]) -> "Form":
        """What `to_dict` told, among other things."""
        return cls(
            told.get("round_channels", 1),
            tuple(told.get("kept", ())),
            told.get("widths_only", False),
        )

    def with_joins_of_two(self, source: Architecture) -> "Form":
        """For a source whose joins of more than two become joins of two, without a last softmax.

        Args:
            source: as it was.

        Raises:
            SpaceError: it has no layer of an index.
        """
        kept: list[int] = []
        begin = 0
        for index, layer in enumerate(source.of_logits.layers):
            end = begin + max(1, len(layer.inputs) - 1)
            if index in self.kept:
                kept += range(begin, end)
            begin = end
        unknown = [index for index in self.kept if not 0 <= index < len(source.layers)]
        if unknown:
            raise SpaceError(f"layer {unknown[0]} cannot be kept: there are {len(source.layers)}")
        return replace(self, kept=tuple(kept))


def matching(
    names: Sequence[str], *, keep: Sequence[str] = (), only: Sequence[str] = ()
) -> tuple[int, ...]:
    """Indices of the layers that stay, by patterns of names.

    Args:
        names: of the layers, as `SourceNet.names` has them.
        keep: patterns of layers that stay; the name of a block is all layers in it.
        only: patterns of layers that may change: all others stay.

    Raises:
        SpaceError: a pattern matches nothing.

    >>> matching(["stem", "blocks.0.conv", "blocks.0.relu", "head"], keep=["blocks.0"])
    (1, 2)
    >>> matching(["stem", "blocks.0.conv", "blocks.0.relu", "head"], only=["*.conv", "head"])
    (0, 2)
    """
    staying = {index for pattern in keep for index in _matched(names, pattern, "keep")}
    if only:
        free = {index for pattern in only for index in _matched(names, pattern, "only")}
        staying |= {index for index in range(len(names)) if index not in free}
    return tuple(sorted(staying))


def _matched(names: Sequence[str], pattern: str, option: str) -> list[int]:
    patterns = [pattern, *(pattern + inside for inside in INSIDE)]
    found = [
        index for index, name in enumerate(names) if any(fnmatchcase(name, one) for one in patterns)
    ]
    if not found:
        shown = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
        raise SpaceError(f"no layer matches --{option} {pattern}: they are called {shown}")
    return found
