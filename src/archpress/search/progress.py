"""How a long run tells what it does: a protocol, for a terminal, a notebook or nobody."""

from collections.abc import Sequence
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


class Together:
    """Several listen to one run.

    Args:
        listeners: each is told everything, in this order.
    """

    def __init__(self, *listeners: Progress) -> None:
        self._listeners: Sequence[Progress] = listeners

    def stage(self, name: str, total: int) -> None:
        """Passed on."""
        for listener in self._listeners:
            listener.stage(name, total)

    def advance(self, done: int, note: str = "") -> None:
        """Passed on."""
        for listener in self._listeners:
            listener.advance(done, note)

    def say(self, text: str) -> None:
        """Passed on."""
        for listener in self._listeners:
            listener.say(text)
