"""`Form`: what all candidates are like, whatever they cost."""

from dataclasses import dataclass

from archpress.errors import SpaceError


@dataclass(frozen=True, slots=True)
class Form:
    """What a user asks of the layers of a result.

    Attributes:
        round_channels: all widths that a search may change are multiples of it; those of the images
            and the classes are not, and what follows another's width, such as a depthwise
            convolution, follows it.

    Raises:
        SpaceError: it is below 1.
    """

    round_channels: int = 1

    def __post_init__(self) -> None:
        """Check the range."""
        if self.round_channels < 1:
            raise SpaceError(f"round_channels must be at least 1, not {self.round_channels}")

    def to_dict(self) -> dict[str, int]:
        """What is asked for, as plain values; nothing where nothing is."""
        return {"round_channels": self.round_channels} if self.round_channels > 1 else {}
