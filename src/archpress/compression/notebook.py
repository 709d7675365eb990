"""What a notebook shows of a result: a sentence and a table, as HTML without styles or scripts."""

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archpress.compression.result import Measured, Result, Spread

MISSING = "-"


def as_html(sentence: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A sentence with a table below it; all text is escaped.

    >>> as_html("a < b", ["net"], [["c"]]).partition("<tbody>")[0]
    '<p>a &lt; b</p><table><thead><tr><th>net</th></tr></thead>'

    Args:
        sentence: said first.
        heads: of the columns.
        rows: the first cell of each is its head.
    """
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(
        f"<tr><th>{escape(first)}</th>{''.join(f'<td>{escape(one)}</td>' for one in others)}</tr>"
        for first, *others in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<p>{escape(sentence)}</p>{table}"


def result_html(result: "Result") -> str:
    """Source, compressed and the plain hand-made net side by side."""
    columns = [(f"source: {result.source.name}", result.source), ("compressed", result.compressed)]
    columns += [("plain hand-made net", result.reference)] if result.reference else []
    nets = [net for _, net in columns]
    heads = ["", *(head for head, _ in columns)]
    rows: list[tuple[str, Callable[[Measured], str]]] = [
        ("parameters", lambda net: f"{net.parameters:,}"),
        ("multiply-adds", lambda net: f"{net.macs:,}"),
        ("peak memory of activations, bytes", lambda net: f"{net.peak_memory:,}"),
        ("latency, median, ms", lambda net: f"{1e3 * net.latency['median_seconds']:.3g}"),
        ("validation accuracy", lambda net: _accuracy(net, net.validation_accuracy)),
        ("test accuracy", lambda net: _accuracy(net, net.test_accuracy)),
    ]
    return as_html(result.sentence, heads, [[what, *map(say, nets)] for what, say in rows])


def _accuracy(net: "Measured", found: "Spread | None") -> str:
    return MISSING if found is None else net.told(found)
