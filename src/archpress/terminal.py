"""What a person sees in a terminal: progress of a run, and tables."""

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from archpress.architecture import Architecture
from archpress.architecture.frozen_program import told_program
from archpress.architecture.shape_rules import format_shape
from archpress.compression import Measured, Result, Spread
from archpress.evaluation import Trial
from archpress.search import Objective


class TerminalProgress:
    """Bars on a terminal; one line a stage, and one now and then, in a log file.

    Args:
        console: where to write; standard error, so that standard output stays for results.
        quiet: write nothing.
    """

    LOG_SECONDS = 30.0  # between lines of one stage where there is no terminal

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._bars = None if quiet or not console.is_terminal else _bars(console)
        self._log = not quiet and self._bars is None
        self._task: TaskID | None = None
        self._total, self._done, self._started, self._told = 0, 0, 0.0, 0.0

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars:
            self._bars.stop()

    def stage(self, name: str, total: int) -> None:
        """A new bar; the one before is full."""
        self._total, self._done = total, 0
        self._started = self._told = time.monotonic()
        if self._bars:
            if self._task is not None:
                self._bars.update(self._task, completed=self._bars.tasks[self._task].total)
            self._task = self._bars.add_task(name, total=max(total, 1), note="")
        elif self._log and total:
            self._console.print(f"{name}: {total}", highlight=False, markup=False)

    def advance(self, done: int, note: str = "") -> None:
        """Move the bar."""
        if self._bars and self._task is not None:
            self._bars.update(self._task, completed=done, note=note)
        elif self._log:
            is_end = done == self._total != self._done
            self._done = done
            if is_end or time.monotonic() - self._told > self.LOG_SECONDS:
                self._told = time.monotonic()
                self._console.print(self._line(done, note), highlight=False, markup=False)

    def _line(self, done: int, note: str) -> str:
        seconds = self._told - self._started
        left = f", about {seconds / done * (self._total - done):.0f} s left" if done else ""
        return f"  {done}/{self._total} in {seconds:.0f} s{left}" + (f"; {note}" if note else "")

    def say(self, text: str) -> None:
        """A line above the bars."""
        if self._bars or self._log:
            self._console.print(text, highlight=False, markup=False)

    def trial(self, trial: Trial, objective: Objective | None) -> None:
        """Not shown one by one."""


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table; all columns but the first to the right."""
    result = Table(title=title, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        result.add_column(escape(column), justify="right" if index else "left", overflow="fold")
    for row in rows:
        result.add_row(*map(escape, row))
    return result


def result_table(result: Result) -> Table:
    """Source, compressed and reference beside each other."""
    nets = [result.source, result.compressed, *([result.reference] if result.reference else [])]
    return table("", ["", *(net.name for net in nets)], _measures(nets))


def _measures(nets: Sequence[Measured]) -> list[list[str]]:
    threads, batch = nets[0].latency["threads"], nets[0].latency["batch"]
    return [
        ["parameters", *(f"{net.parameters:,}" for net in nets)],
        ["multiply-adds", *(f"{net.macs:,}" for net in nets)],
        ["peak memory (KiB)", *(f"{net.peak_memory / 1024:,.0f}" for net in nets)],
        [
            f"latency (ms, batch {batch}, {threads} thread{'' if threads == 1 else 's'})",
            *(f"{1e3 * net.latency['median_seconds']:.2f}" for net in nets),
        ],
        ["validation accuracy", *(net.told(net.validation_accuracy) for net in nets)],
        ["test accuracy", *(_told(net, net.test_accuracy) for net in nets)],
    ]


def _told(net: Measured, accuracy: Spread | None) -> str:
    return net.told(accuracy) if accuracy else "no test images"


def architecture_table(architecture: Architecture, names: Sequence[str]) -> Table:
    """Layers, shapes and exact costs.

    Args:
        architecture: with these layers.
        names: of the layers.
    """
    rows = [
        [
            name,
            " ".join(_fields(architecture, index)),
            ", ".join("image" if i < 0 else names[i] for i in sources),
            format_shape(architecture.shapes[index]),
            f"{architecture.layer_parameters[index]:,}",
            f"{architecture.layer_macs[index]:,}",
        ]
        for index, name in enumerate(names)
        for sources in [architecture.input_indices(index)]
    ]
    columns = ["layer", "fields", "reads", "output", "parameters", "multiply-adds"]
    return table("", columns, rows)


def _fields(architecture: Architecture, index: int) -> list[str]:
    layer = architecture.layers[index]
    names = ("kernel", "channels", "stride", "padding", "rate")
    fields = [f"{name}={getattr(layer, name)}" for name in names if getattr(layer, name)]
    fields += ["bias_free"] if layer.bias_free else []
    if layer.kind == "frozen":
        return [f"frozen: {told_program(str(layer.option('program')))}"]
    return [*fields, *(f"{name}={value}" for name, value in layer.options)]
