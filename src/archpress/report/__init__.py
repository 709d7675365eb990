"""The report: a finished run as one HTML file that opens anywhere, without a network."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archpress.report.page import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> object:  # imported when first used, since torch takes two seconds
    if name != "write_report":
        raise AttributeError(f"module 'archpress.report' has no attribute {name!r}")
    from archpress.report.page import write_report

    return write_report
