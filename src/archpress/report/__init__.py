"""The report: a finished run as one HTML file that opens anywhere, without a network."""

from archpress.report.page import write_report

__all__ = ["write_report"]
