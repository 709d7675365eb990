"""`Drawing`: a figure in every theme, for a page; `render`: a page from its template."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archpress.report import wording
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
        themes: JSON of a figure for each theme by name, safe inside a script element.
    """

    name: str
    label: str
    height: int
    themes: str


def drawing(name: str, label: str, make: "Callable[[Theme], Figure]") -> Drawing:
    """A figure drawn in each theme."""
    made = {theme.name: make(theme) for theme in THEMES}
    height = int(made[THEMES[0].name].layout.height)
    text = json.dumps({theme: json.loads(figure.to_json()) for theme, figure in made.items()})
    return Drawing(name, label, height, text.replace("<", "\\u003c"))


def render(template: str, room: str, drawings: Iterable[Drawing], **values: object) -> str:
    """A page as text; plotly.js is in it.

    Args:
        template: file name.
        room: package whose templates come before the report's.
        drawings: figures, for the template by name.
        values: for the template.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    packages = dict.fromkeys((room, "archpress.report"))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        drawings={one.name: one for one in drawings},
        wording=wording,
        plotlyjs=get_plotlyjs(),
        **values,
    )
