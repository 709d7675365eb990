"""`Drawing`: a figure in every theme, for a page; `render`: a page from its template."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archpress.report import wording
from archpress.report.templates import templates
from archpress.report.themes import THEMES, Theme

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure for the page.

    Attributes:
        name: id in the page.
        label: what a person who cannot see it should know.
        height: pixels that are kept free for it.
        themes: JSON of the figure by name of the theme, safe inside a script element: whole for the
            first theme, for others what differs.
    """

    name: str
    label: str
    height: int
    themes: str


def drawing(name: str, label: str, make: "Callable[[Theme], Figure]") -> Drawing:
    """A figure drawn in each theme."""
    made = {theme.name: make(theme) for theme in THEMES}
    height = int(made[THEMES[0].name].layout.height)
    first, *others = {theme: _compact(figure) for theme, figure in made.items()}.items()
    changes = {theme: changed(first[1], figure) for theme, figure in others}
    return Drawing(name, label, height, script_json({first[0]: first[1], **changes}))


def _compact(figure: "Figure") -> dict[str, Any]:
    """A figure as JSON, without values that are in columns of the page."""
    content: dict[str, Any] = json.loads(figure.to_json())
    for trace in content["data"]:
        columns = trace.get("meta", {}).get("columns", ())
        for name in (*columns, *(["text"] if columns else [])):
            holder = trace["marker"] if name == "color" else trace
            del holder[name]
    return content


def changed(value: object, other: object) -> object:
    """What makes the first of two JSON values the other, so that a page has shared parts once.

    Objects have what differs, by name; so do lists of objects that are as long, by index.

    >>> changed({"x": [1, 2], "line": {"width": 1, "color": "red"}, "y": 0},
    ...         {"x": [1, 2], "line": {"width": 1, "color": "blue"}, "y": 1})
    {'line': {'color': 'blue'}, 'y': 1}
    >>> changed([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}])
    {'1': {'a': 3}}
    """
    match value, other:
        case dict(), dict():
            assert value.keys() <= other.keys(), "a theme leaves nothing out"
            return {
                key: changed(value[key], one) if key in value else one
                for key, one in other.items()
                if key not in value or one != value[key]
            }
        case list(), list() if len(value) == len(other) and isinstance(next(iter(value), 0), dict):
            pairs = enumerate(zip(value, other, strict=True))
            return {str(index): changed(a, b) for index, (a, b) in pairs if a != b}
    return other


def script_json(value: object) -> str:
    r"""A value as JSON that is safe inside a script element.

    >>> print(script_json("</script>"))
    "\u003c/script>"
    """
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def render(template: str, room: str, drawings: Iterable[Drawing], **values: object) -> str:
    """A page as text; plotly.js is in it.

    Args:
        template: file name.
        room: package whose templates come before the report's.
        drawings: figures, for the template by name.
        values: for the template.
    """
    from plotly.offline import get_plotlyjs

    page = templates(room).get_template(template)
    return page.render(
        drawings={one.name: one for one in drawings},
        wording=wording,
        plotlyjs=get_plotlyjs(),
        **values,
    )
