import json

import pytest

from archpress.report import figures
from archpress.report.drawing import drawing
from archpress.report.themes import DARK, LIGHT, THEMES
from archpress.report.trials import BestSoFar, front, trial_points
from archpress.space.limits import Limits


@pytest.fixture(scope="module")
def points(make):
    return trial_points(make.some_trials(), Limits(max_parameters=93000))


def luminance(colour):
    """Relative luminance of #rrggbb, after WCAG 2."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(
        weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_marks_and_text_stand_out_from_the_surface(theme):
    for colour in (*theme.origins, *theme.rounds, theme.accent):
        assert contrast(colour, theme.surface) >= 3, colour  # WCAG: graphical objects
    for colour in (theme.ink, theme.muted):
        assert contrast(colour, theme.surface) >= 4.5, colour  # WCAG: text


def test_every_trial_is_one_point_of_its_origin(points):
    figure = figures.cost_figure(points, "parameters", LIGHT, marked={}, lines={})
    drawn = {
        trace.name: len(trace.x) for trace in figure.data if trace.name and trace.mode == "markers"
    }
    origins = [point.origin for point in points]
    assert drawn == {f"{o} ({origins.count(o)})": origins.count(o) for o in set(origins)}


def test_the_front_in_the_figure_is_the_front_of_the_points(points):
    figure = figures.cost_figure(points, "macs", LIGHT, marked={}, lines={})
    line = next(trace for trace in figure.data if trace.name == "Pareto front")
    assert list(line.x) == [point.macs for point in front(points, "macs")]


def test_source_and_result_get_a_ring_at_their_own_trials(points):
    marked = {"source": points[0], "result": points[-1]}
    figure = figures.cost_figure(points, "parameters", LIGHT, marked=marked, lines={})
    rings = {trace.text[0]: trace.x[0] for trace in figure.data if trace.mode == "markers+text"}
    assert rings == {
        "<b>source</b>": points[0].parameters,
        "<b>result</b>": points[-1].parameters,
    }


def test_the_limit_is_a_line_with_its_name(points):
    figure = figures.cost_figure(points, "parameters", LIGHT, marked={}, lines={"limit": 1000})
    assert figure.layout.shapes[0].x0 == 1000
    assert figure.layout.annotations[0].text == "limit"
    assert figure.layout.annotations[0].x == pytest.approx(3)  # the power of ten


def test_an_origin_has_the_same_colour_in_both_figures(points):
    colours = [
        {
            trace.name: trace.marker.color
            for trace in figures.cost_figure(points, cost, DARK, marked={}, lines={}).data
            if trace.mode == "markers"
        }
        for cost in ("parameters", "macs")
    ]
    assert colours[0] == colours[1]


def test_only_trials_with_a_prediction_are_in_the_figure_of_predictions(points):
    figure = figures.prediction_figure(points, LIGHT)
    assert len(figure.data[1].x) == sum(point.predicted is not None for point in points)


def test_the_best_so_far_starts_with_the_first_that_qualifies():
    best = BestSoFar("", "accuracy", (None, 0.5, 0.5, 0.75, 0.75, 0.75))
    figure = figures.best_figure(best, LIGHT)
    assert list(figure.data[0].x) == [2, 4, 6]  # where it changes, and the end
    assert list(figure.data[0].y) == [50, 75, 75]


def test_values_of_trials_are_left_to_the_columns_of_the_page(points):
    def make(theme):
        return figures.cost_figure(points, "parameters", theme, marked={}, lines={})

    themes = json.loads(drawing("parameters", "", make).themes)
    for trace in themes["light"]["data"][:-1]:
        assert "x" not in trace
        assert trace["meta"]["columns"] == {"x": "parameters", "y": "accuracy"}
        numbers = [number + 1 for number in trace["customdata"]]
        origin = [point.number for point in points if point.origin == trace["meta"]["series"]]
        assert numbers == origin
    assert themes["light"]["data"][-1]["x"]  # of the front


def test_names_from_files_cannot_bring_markup_into_a_figure(make):
    evil = "<a href='http://x'>y</a>"
    points = trial_points([make.trial(make.narrow(4), 0.5, origin=evil)], Limits())
    drawn = figures.cost_figure(points, "parameters", LIGHT, marked={}, lines={}).to_json()
    stages = figures.stage_figure({evil: 1.0}, LIGHT).to_json()
    assert "<a" not in json.dumps([json.loads(drawn), json.loads(stages)])
