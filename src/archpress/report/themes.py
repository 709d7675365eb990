"""The colours and marks of all figures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours; text and marks stand out at least 3 to 1 from the surface.

    Attributes:
        name: "light" or "dark".
        ink: text and the source.
        muted: labels of axes and lines that only help.
        grid: lines behind the points.
        surface: what the figure lies on.
        accent: the result.
        origins: one for each proposer of trials, in the order of `origin_order`.
        rounds: first and last colour of the scale of rounds.
    """

    name: str
    ink: str
    muted: str
    grid: str
    surface: str
    accent: str
    origins: tuple[str, ...]
    rounds: tuple[str, str]


LIGHT = Theme(
    name="light",
    ink="#1d2026",
    muted="#5a616e",
    grid="#e4e7ec",
    surface="#ffffff",
    accent="#1f5fbf",
    origins=("#7a828f", "#a8622a", "#2c7f5b", "#7d56a8", "#b0436b", "#81711b", "#2f7d8c"),
    rounds=("#6f93cc", "#0b2a5e"),
)
DARK = Theme(
    name="dark",
    ink="#e8eaef",
    muted="#a3aab8",
    grid="#2d323c",
    surface="#1b1e24",
    accent="#7fb0ff",
    origins=("#98a1b0", "#e9a069", "#67c396", "#c19ce8", "#ee8cae", "#d2c05c", "#72c2d2"),
    rounds=("#5b7fbd", "#dbe8ff"),
)
THEMES = (LIGHT, DARK)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star")
