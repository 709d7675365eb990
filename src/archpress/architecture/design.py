"""`Design`: what a search space holds, as far as a search must know it."""

from typing import Protocol

from typing_extensions import TypeVar

from archpress.architecture.architecture import Architecture


class Design(Protocol):
    """An `Architecture`, or anything else with a key and costs, such as a row of a table."""

    @property
    def key(self) -> str:
        """Two designs with one key are one trial."""

    @property
    def parameters(self) -> int:
        """Weights."""

    @property
    def macs(self) -> int:
        """Multiply-adds of one image."""

    @property
    def peak_memory(self) -> int:
        """Bytes of activations alive at once, one float32 image."""

    def to_json(self) -> str:
        """For records and files."""


D = TypeVar("D", bound=Design, default=Architecture)
