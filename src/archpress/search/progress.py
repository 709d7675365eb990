"""How a long run tells what it does: a protocol, for a terminal, a notebook or nobody."""

from typing import Protocol


class Progress(Protocol):
    """Listens to a run. Calls come from one thread and must return at once."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins; the one before it has ended."""

    def advance(self, done: int, note: str = "") -> None:
        """So many steps of the stage are done; `note` tells the best so far or what failed."""

    def say(self, text: str) -> None:
        """One line worth keeping."""


class Silent:
    """Nobody listens."""

    def stage(self, name: str, total: int) -> None:
        """Ignored."""

    def advance(self, done: int, note: str = "") -> None:
        """Ignored."""

    def say(self, text: str) -> None:
        """Ignored."""
