"""Nets are timed while they are searched for, and before where their latency is limited."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from archpress.architecture import Architecture, with_linear_head
from archpress.baselines.hand_made import hand_made_nets
from archpress.compression.result import LimitCheck
from archpress.errors import SpaceError
from archpress.evaluation import (
    Latency,
    load_times,
    measure_in_turns,
    ready_to_time,
    save_times,
    this_machine,
    time_nets,
)
from archpress.search.progress import Progress
from archpress.space import (
    LEAST_TIMED,
    Form,
    LatencyConditions,
    LatencyModel,
    Limits,
    SearchSpace,
    distinct,
    fit_of,
    sample_neighbourhood,
    scale_channels,
    space_around,
)

TIMES = "times.json"  # in the folder of a run
HEADROOM = 0.92  # of the limit is what a search aims at: a time taken again is another
SAMPLED = 64  # nets that are timed before anything is searched for
WIDTHS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)  # of the source, timed as well
BRIEFLY, CAREFULLY = (0.04, 3), (0.1, 5)  # seconds of a net in a pass, passes over all nets
FINALLY = (0.2, 5)  # likewise, of the nets of the result


@dataclass(frozen=True)
class Timing:
    """Times of the nets of a run, and the model that learns from them.

    Attributes:
        model: of the device.
        path: where its times are kept.
        progress: who listens.
        is_elsewhere: whether the times are of another device, so that nets cannot be timed here and
            its prices are all there is.
    """

    model: LatencyModel
    path: Path
    progress: Progress
    is_elsewhere: bool = False

    def take(self, nets: Sequence[Architecture], stage: str, *, careful: bool = False) -> None:
        """Time nets, and learn from it: of some medians the lowest, which least was disturbed.

        Args:
            nets: those that were not timed before, or all where it must be careful.
            stage: for the progress.
            careful: longer.
        """
        if self.is_elsewhere:
            return
        wanted = list({net.key: net for net in nets}.values())
        if not careful:
            wanted = [net for net in wanted if self.model.measured(net) is None]
        if not wanted:
            return
        seconds, passes = CAREFULLY if careful else BRIEFLY
        self.progress.stage(stage, passes * len(wanted))
        times = time_nets(
            wanted,
            self.model.conditions,
            seconds=seconds,
            passes=passes,
            advance=self.progress.advance,
        )
        self.model.learn(zip(wanted, map(float, times.min(0)), strict=True))
        save_times(self.model, self.path)


def timing_of(limits: Limits, folder: Path, progress: Progress) -> Timing:
    """How the nets of a run are timed: one image on one thread, where the limits say nothing else.

    Args:
        limits: the user's; a model of theirs that knows times already is of another device, unless
            it is named as this machine.
        folder: of the run, where times of an earlier call may lie.
        progress: who listens.
    """
    given = limits.latency or LatencyModel(LatencyConditions())
    machine = this_machine()
    path = folder / TIMES
    if given.timed and given.conditions.machine != machine:
        save_times(given, path)
        return Timing(given, path, progress, is_elsewhere=True)
    conditions = replace(given.conditions, machine=machine)
    model = LatencyModel(conditions, given.timed)
    if path.exists():
        known = load_times(path)
        if known.conditions == conditions:
            model.learn(known.timed)
    return Timing(model, path, progress)


def with_times(
    limits: Limits, timing: Timing, source: Architecture, seed: int, form: Form | None = None
) -> Limits:
    """The limits as a search aims at them: that on latency is lower, and knows the device.

    Nets around the source are timed first, where that was not done.

    Raises:
        SpaceError: the times of another device are too few.
    """
    if not limits.limits_latency:
        return limits
    timing.take(nets_to_time(source, seed, form=form), "timing nets on this device")
    if len(timing.model.timed) < LEAST_TIMED:
        raise SpaceError(
            f"{len(timing.model.timed)} timed nets are too few to tell times from, at least "
            f"{LEAST_TIMED} are needed"
        )
    return aimed_at(limits, timing.model, source)


def aimed_at(limits: Limits, model: LatencyModel, source: Architecture) -> Limits:
    """The limits, that on latency lower, by a model that knows enough times."""
    if not limits.limits_latency:
        return limits
    allowed = limits.max_latency or model.milliseconds(source)
    allowed *= HEADROOM * (limits.max_latency_share or 1)
    return replace(limits, max_latency=allowed, latency=model, max_latency_share=None)


def latencies(
    networks: Sequence[nn.Module], input_shape: tuple[int, int, int], timing: Timing
) -> list[Latency]:
    """Networks timed on this device in turns; of some medians the lowest of each.

    Under the conditions of a run; where these are of another device, with torch, batch and threads
    as there.
    """
    asked = timing.model.conditions
    conditions = LatencyConditions(asked.batch, asked.threads) if timing.is_elsewhere else asked
    watches = [ready_to_time(network, input_shape, conditions) for network in networks]
    seconds, turns = FINALLY
    times = [measure_in_turns(watches, seconds=seconds, rounds=1) for _ in range(turns)]
    return [min(one, key=lambda time: time.median_seconds) for one in zip(*times, strict=True)]


def nets_to_time(
    source: Architecture, seed: int, count: int = SAMPLED, form: Form | None = None
) -> list[Architecture]:
    """Nets of all sizes around a source: it and it narrowed, hand-made ones, its neighbours.

    The smallest, with and without what the form asks for, are among them, so that what no net can
    keep is known, not guessed. Where only widths change, only they differ.
    """
    form = form or Form()
    whole, source = source, with_linear_head(source, form.kept)
    space = space_around(source, form=form if form.widths_only else None)
    narrowed = [scale_channels(source, width, space) for width in WIDTHS]
    hand_made = [
        net for share in (1.0, 0.3, 0.1, 0.03) for net in hand_made_nets(_smaller(space, share))
    ]
    rng = np.random.default_rng([seed, 5])
    smallest = [*space.smallest_nets(), *space_around(source, form=form).smallest_nets()]
    anchors = [whole, *narrowed, *smallest, *hand_made]
    unique = list({net.key: net for net in anchors}.values())
    known = {net.key for net in unique}
    neighbours = sample_neighbourhood(source, space, rng)
    more = distinct(islice(neighbours, 20 * count), max(0, count - len(unique)), known=known)
    return [*unique, *more]


def _smaller(space: SearchSpace, share: float) -> SearchSpace:
    allowed = round(share * (space.limits.max_parameters or 0))
    try:
        return space.with_limits(replace(space.limits, max_parameters=max(allowed, 1)))
    except SpaceError:
        return space


def latency_check(
    limits: Limits,
    timing: Timing,
    nets: tuple[Architecture, Architecture],
    measured: tuple[float, float],
) -> list[LimitCheck]:
    """What became of a limit on latency; nothing where there is none.

    A share is that of the source's latency as it was measured beside the result's.

    Args:
        limits: the user's.
        timing: of the run.
        nets: source and result.
        measured: seconds of both on this device.
    """
    if not limits.limits_latency:
        return []
    source, compressed = (1e3 * seconds for seconds in measured)
    if timing.is_elsewhere:
        source, compressed = map(timing.model.milliseconds, nets)
    allowed = limits.max_latency or source * (limits.max_latency_share or 1)
    return [LimitCheck("max_latency", allowed, compressed, compressed <= allowed)]


def latency_record(timing: Timing) -> dict[str, Any]:
    """What `Result.latency` tells, as plain values; without pairs where few nets were timed."""
    model = timing.model
    told: dict[str, Any] = {"conditions": str(model.conditions), "elsewhere": timing.is_elsewhere}
    if len(model.timed) < LEAST_TIMED:
        return told
    pairs = model.held_out()
    points = [[float(f"{time:.4g}") for time in pair] for pair in pairs.tolist()]
    return {**told, **asdict(fit_of(pairs)), "points": points}


def quick_enough(
    finalists: Sequence[Architecture],
    hand_made: Sequence[Architecture],
    space: SearchSpace,
    limits: Limits,
    timing: Timing,
) -> list[Architecture]:
    """The finalists that keep the limits when they are timed with care, or the first made narrower.

    Args:
        finalists: first the best.
        hand_made: nets that are timed as well.
        space: of the search.
        limits: as the search aims at them.
        timing: of the run.
    """
    timing.take([*finalists, *hand_made], "timing the finalists", careful=True)
    kept = [net for net in finalists if limits.allow(net)]
    if kept:
        return kept
    for factor in np.geomspace(0.9, 0.1, 12):
        narrower = scale_channels(finalists[0], float(factor), space)
        timing.take([narrower], "narrowing until the latency is kept", careful=True)
        if limits.allow(narrower):
            return [narrower]
    return list(finalists[:1])
