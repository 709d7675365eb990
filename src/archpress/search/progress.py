"""How a long run tells what it does: a protocol, for a terminal, a notebook or nobody."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from archpress.evaluation import Trial
    from archpress.search.objective import Objective


class Progress(Protocol):
    """Listens to a run. Calls come from one thread and must return at once."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins; the one before it has ended."""

    def advance(self, done: int, note: str = "") -> None:
        """So many steps of the stage are done; `note` tells the best so far or what failed."""

    def say(self, text: str) -> None:
        """One line worth keeping."""

    def trial(self, trial: "Trial", objective: "Objective | None") -> None:
        """The search has a trial, new or from the store.

        Args:
            trial: done or failed.
            objective: what is better; None where it is not known before the source has a trial.
        """


def told_of_waiting(count: int) -> str:
    """What `evaluate_once` waits for, as a note; empty where it does not.

    >>> told_of_waiting(1), told_of_waiting(0)
    ('waiting for 1 trial that another run trains', '')
    """
    trials = "trial" if count == 1 else "trials"
    return f"waiting for {count} {trials} that another run trains" if count else ""


def note_of(best: float, doing: str = "") -> str:
    """The best accuracy so far and what is done now, as a note; what is not known is left out.

    >>> note_of(0.914, "learning"), note_of(0.0, "learning"), note_of(0.914)
    ('best 91.4%, learning', 'learning', 'best 91.4%')
    """
    return ", ".join(filter(None, [f"best {best:.1%}" if best else "", doing]))


class Silent:
    """Nobody listens."""

    def stage(self, name: str, total: int) -> None:
        """Ignored."""

    def advance(self, done: int, note: str = "") -> None:
        """Ignored."""

    def say(self, text: str) -> None:
        """Ignored."""

    def trial(self, trial: "Trial", objective: "Objective | None") -> None:
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

    def trial(self, trial: "Trial", objective: "Objective | None") -> None:
        """Passed on."""
        for listener in self._listeners:
            listener.trial(trial, objective)
