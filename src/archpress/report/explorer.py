"""`Explorer`: nets for other limits on parameters and a map of the embedding, for the page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from archpress.architecture import Architecture
from archpress.compression.explorer import EXPLORER_FILE, net_file
from archpress.errors import ArchitectureError
from archpress.report import wording
from archpress.report.layer_table import outline
from archpress.report.record import ResultRecord
from archpress.report.training import Training
from archpress.report.trials import TrialPoint

Point = tuple[float, float]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class GuessedNetRecord(_Record):
    """The net for a limit: exact costs, and the accuracy that a brief trial is guessed to have."""

    limit: int
    key: str
    parameters: int
    macs: int  # one image
    peak_memory: int  # bytes of activations, one float32 image
    accuracy: float
    low: float
    high: float
    tried: bool
    place: Point


class ExplorerRecord(_Record):
    """All of `explorer.json`; without nets there is a reason."""

    format: Literal["archpress-explorer"]
    version: Literal[1]  # a newer one is not read
    why_not: str = ""
    own_limit: int | None = None
    axes: Point = (0.0, 0.0)
    source: Point = (0.0, 0.0)
    path: tuple[Point, ...] = ()  # of a descent from the source, every so many steps
    path_every: int = 1
    nets: tuple[GuessedNetRecord, ...] = ()
    places: dict[str, Point] = {}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the panel shows of the net for a limit.

    Attributes:
        title: its name on the page.
        say: how it is known, in sentences.
        accuracy: of a brief trial, guessed, as text.
        command: that trains it to the end.
        net: itself.
        place: on the map.
    """

    title: str
    say: str
    accuracy: str
    command: str
    net: Architecture
    place: Point


@dataclass(frozen=True, slots=True)
class Explorer:
    """What the section says.

    Attributes:
        why_not: the reason where there is nothing to explore; else empty.
        record: as read.
        trials: those on the map, in the order of training.
        shown: of the nets, in the order of their limits.
    """

    why_not: str = ""
    record: ExplorerRecord = field(
        default_factory=lambda: ExplorerRecord(format="archpress-explorer", version=1)
    )
    trials: tuple[tuple[TrialPoint, Point], ...] = ()
    shown: tuple[Shown, ...] = ()

    @property
    def outlines(self) -> tuple[str, ...]:
        """Of the nets, in the order of their limits."""
        return tuple(outline(one.net) for one in self.shown)

    @property
    def start(self) -> int:
        """Index of the limit where the slider stands at first: the run's, else the middle."""
        limits = [net.limit for net in self.record.nets]
        own = self.record.own_limit
        return limits.index(own) if own in limits else len(limits) // 2

    @property
    def own_place(self) -> float | None:
        """How far along the slider the run's own limit lies, in [0, 1]; None without one."""
        limits = [net.limit for net in self.record.nets]
        own = self.record.own_limit
        return limits.index(own) / max(len(limits) - 1, 1) if own in limits else None


def read_explorer(run: Path, result: ResultRecord, points: Sequence[TrialPoint]) -> Explorer | None:
    """What a run folder has to explore; None where it has no `explorer.json`.

    A file that cannot be read is a reason on the page, not an error: the rest of the page stands.

    Args:
        run: folder of the run.
        result: of the run.
        points: its trials.
    """
    path = run / EXPLORER_FILE
    try:
        record = ExplorerRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
        nets = [Architecture.load(run / net_file(net.limit)) for net in record.nets]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError, ArchitectureError):
        return Explorer(f"{EXPLORER_FILE} or one of its nets cannot be read.")
    if not nets:
        reason = record.why_not or f"{EXPLORER_FILE} has no nets"
        return Explorer(f"{reason[:1].upper()}{reason[1:]}.")
    placed = tuple(
        (point, record.places[point.key]) for point in points if point.key in record.places
    )
    reached = {point.key: (point.number, point.accuracy) for point, _ in placed}
    training = Training.of(result)
    return Explorer(
        record=record,
        trials=placed,
        shown=tuple(
            shown(
                told,
                net,
                reached.get(told.key),
                training.command(net_file(told.limit), str(told.limit)),
            )
            for told, net in zip(record.nets, nets, strict=True)
        ),
    )


def guess_text(net: GuessedNetRecord) -> str:
    """The guess and its interval, of a brief trial.

    >>> net = GuessedNetRecord(limit=9, key="", parameters=9, macs=9, peak_memory=9, accuracy=0.84,
    ...     low=0.8, high=0.87, tried=False, place=(0, 0))
    >>> guess_text(net)
    '84.0 % (80.0 % to 87.0 %)'
    """
    return f"{net.accuracy:.1%} ({net.low:.1%} to {net.high:.1%})".replace("%", " %")


def shown(
    told: GuessedNetRecord, net: Architecture, trial: tuple[int, float] | None, command: str
) -> Shown:
    """What a panel shows of the net for a limit.

    Args:
        told: of the net.
        net: itself.
        trial: its number and the accuracy that it reached, where that is known.
        command: that trains the net.
    """
    if trial:
        known = f"It is trial {trial[0]}, which reached {wording.percent(trial[1])}."
    elif told.tried:
        known = "It was tried in the search."
    else:
        known = "It was decoded from the embedding and is not trained yet."
    say = (
        f"{wording.count(told.parameters)} parameters. The surrogate guesses that a brief "
        f"trial reaches {100 * told.accuracy:.1f} %, nine times of ten between "
        f"{100 * told.low:.1f} % and {100 * told.high:.1f} %; a final training reaches "
        f"another accuracy. {known}"
    )
    return Shown(
        title=f"At most {wording.count(told.limit)} parameters",
        say=say,
        accuracy=guess_text(told),
        command=command,
        net=net,
        place=told.place,
    )
