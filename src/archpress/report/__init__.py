"""The report: a finished run as one HTML file that opens anywhere, without a network.

write_report    the file
run_figures     its figures alone, as plotly's
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archpress.report.page import write_report
    from archpress.report.plots import run_figures

_HOME = {"run_figures": "plots", "write_report": "page"}
__all__ = ["run_figures", "write_report"]


def __getattr__(name: str) -> object:  # imported when first used, since torch takes two seconds
    if name not in _HOME:
        raise AttributeError(f"module 'archpress.report' has no attribute {name!r}")
    return getattr(importlib.import_module(f"archpress.report.{_HOME[name]}"), name)
