"""Trials to be logged, and a sink that keeps them."""

from dataclasses import dataclass, field

from archpress.architecture import Layer, chain
from archpress.evaluation import Trial, TrialState
from archpress.search import Objective
from archpress.space import Limits
from archpress.tracking import LoggedRun

OBJECTIVE = Objective(Limits(max_parameters=700))


def net(width):
    """One convolution; 90 parameters a channel, and 10 of the last layer's bias."""
    return chain(
        (1, 8, 8), Layer("conv", 3, width, 2, 1), Layer("relu"), Layer("linear", channels=10)
    )


def trial(width, accuracy=0.5, **fields):
    """Failed where there is no accuracy."""
    done = accuracy is not None
    return Trial(
        net(width),
        "data",
        "recipe",
        0,
        TrialState.DONE if done else TrialState.FAILED,
        metrics={"accuracy": accuracy} if done else {},
        error=None if done else "OutOfMemory: too large",
        origin=fields.pop("origin", "descent"),
        created=f"2026-11-28T10:00:{width:02}.000+00:00",
        **fields,
    )


@dataclass(eq=False)
class FakeSink:
    """Keeps what it is given; fails where it is told to."""

    name: str = "fake"
    where: str = "here"
    fails: int = 0
    loses_answers: int = 0  # takes what it is given, then fails
    entries: list = field(default_factory=list)
    outcomes: list = field(default_factory=list)
    begun: list = field(default_factory=list)
    ended: list = field(default_factory=list)

    def begin(self, run, place, settings):
        self.begun.append((place, dict(settings)))
        return LoggedRun("a place", len(self.entries))

    def log(self, entries):
        if self.fails:
            self.fails -= 1
            raise OSError(28, "No space left on device")
        self.entries.extend(entries)
        if self.loses_answers:
            self.loses_answers -= 1
            raise ConnectionError("the server went away")

    def finish(self, step, outcome):
        self.outcomes.append((step, outcome))

    def end(self, how):
        self.ended.append(how)

    @property
    def steps(self):
        return [entry.step for entry in self.entries]
