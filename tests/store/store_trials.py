"""Trials that nobody had to train."""

from dataclasses import replace

from archpress.architecture import Architecture, Layer, chain
from archpress.evaluation import Trial, TrialState


def net(width: int = 3) -> Architecture:
    return chain((1, 4, 4), Layer("conv", 3, width, 1, 1), Layer("linear", channels=3))


def trial(width: int = 3, accuracy: float | None = 0.5, **fields: object) -> Trial:
    made = Trial(
        net(width),
        *("data", "recipe", 0, TrialState.DONE),
        {"accuracy": accuracy, "train_loss": 0.25},
        (0.25, accuracy),
        origin="edit",
        round=1,
        predicted=0.75,
    )
    if accuracy is None:
        made = replace(
            made, state=TrialState.FAILED, metrics={}, curve=(), error="TimeLimit: stopped"
        )
    return replace(made, **fields)
