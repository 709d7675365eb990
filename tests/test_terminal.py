"""Progress in a log file, where there is no terminal."""

import io

from rich.console import Console

from archpress.terminal import TerminalProgress, table


def log(tell):
    written = io.StringIO()
    with TerminalProgress(Console(file=written, width=200)) as progress:
        tell(progress)
    return written.getvalue().splitlines()


def test_a_stage_has_a_line_at_its_beginning_and_one_at_its_end():
    def tell(progress):
        progress.stage("round 1", 2)
        progress.advance(1, "best 80.0%")
        progress.advance(2, "best 81.0%")
        progress.advance(2, "best 81.0%, learning")

    assert log(tell) == ["round 1: 2", "  2/2 in 0 s, about 0 s left; best 81.0%"]


def test_before_the_first_step_it_tells_what_it_waits_for(monkeypatch):
    monkeypatch.setattr(TerminalProgress, "LOG_SECONDS", -1.0)

    def tell(progress):
        progress.stage("round 1", 2)
        progress.advance(0, "waiting for 2 trials that another run trains")
        progress.advance(0)

    waiting = "  0/2 in 0 s; waiting for 2 trials that another run trains"
    assert log(tell) == ["round 1: 2", waiting, "  0/2 in 0 s"]


def test_brackets_in_a_table_are_text():
    written = io.StringIO()
    rows = [["[enforce fail at alloc_cpu.cpp:127]"], ["[/tmp/x]"]]
    Console(file=written, width=200).print(table("", ["error"], rows))
    assert all(row[0] in written.getvalue() for row in rows)
