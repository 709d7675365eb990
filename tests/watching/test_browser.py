"""The live page as a reader has it, in Chromium."""

import csv
import io
import json
from xml.etree import ElementTree

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = [(390, "light"), (390, "dark"), (1600, "light"), (1600, "dark")]
BUTTON = "[data-chart={figure}] button"
CHARTS = ["parameters", "best", "macs", "predictions"]


@pytest.fixture
def opened(run, make, server, visit):
    """With what a run has at its height: progress, failures, predictions, a page."""
    numbers = range(10, 40)
    make.add(
        run, *(make.trial(width, 0.6 + width / 200, width, predicted=0.7) for width in numbers)
    )
    make.tell(run)
    (run / "report.html").write_text("<p>all of it")

    def open_page(**how):
        found = visit(server.url, **how)
        found.until("document.getElementById('trials').textContent === '32'")
        return found

    return open_page


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_all_charts_are_drawn_and_only_this_machine_is_asked(server, opened, width, scheme):
    found = opened(width=width, scheme=scheme)
    for name in CHARTS:
        chart = found.page.locator(f"[data-chart={name}] svg.chart")
        box = chart.bounding_box()
        assert min(box["width"], box["height"]) > 150, name
        assert chart.locator("path").count()
    assert all(request.startswith((server.url, "data:")) for request in found.requests)
    assert found.complaints == []
    assert found.sideways <= 0


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_everyone_can_use_it(opened, width, scheme):
    found = opened(width=width, scheme=scheme)
    assert found.audit() == []


def test_keys_lead_from_mark_to_mark(opened):
    found = opened()
    chart = found.page.locator("[data-chart=parameters]")
    chart.locator("svg.chart").focus()
    found.page.keyboard.press("ArrowRight")
    assert chart.locator(".readout").inner_text().startswith("Trial 1: 80.00 %")


def test_what_is_new_comes_by_itself(run, make, opened):
    found = opened()
    make.add(run, make.trial(3, 0.99, 50))
    found.until("document.getElementById('best').textContent === '99.00 %'")
    assert found.complaints == []


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_is_saved_as_a_picture_and_as_a_table(opened, chart):
    found = opened(width=390, scheme="dark")
    text = found.saved(chart, "svg", BUTTON)
    picture = ElementTree.fromstring(text)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert picture[1].get("fill") == "#ffffff"
    words = list(picture.iter("{http://www.w3.org/2000/svg}text"))
    assert {one.get("fill") for one in words} == {"rgb(90, 97, 110)"}  # of the light theme
    assert "var(" not in text
    assert "class=" not in text
    head, *rows = csv.reader(io.StringIO(found.saved(chart, "csv", BUTTON), newline=""))
    assert head[0] == "series"
    assert rows
    assert all(len(row) == 3 and float(row[1]) > 0 for row in rows)
    if chart == "parameters":
        assert sum(row[0] == "edit" for row in rows) == 32
    assert found.complaints == []


class Explored:
    """In the place of the process that explores a run."""

    def answer(self, limit=None):
        if limit is None:
            places = [[number, -number] for number in range(32)]
            told = {"own_limit": 3000, "axes": [0.4, 0.2], "source": [5, 5], "places": places}
            return {**told, "trials": 32, "least": 100, "most": 100_000}
        return {
            "title": f"At most {limit:,} parameters",
            "say": "Decoded.",
            "costs": ["1", "2", "3", "4"],
            "command": f"archpress train {limit}.json",
            "place": [1, 2],
            "path": [[5, 5], [4, 3], [2, 2]],
            "layers": [["conv", "1 × 2 × 2", "3", "4"]],
            "limit": limit,
            "trials": 32,
            "architecture": {"layers": []},
        }

    def close(self):
        pass


@pytest.fixture
def exploring(run, make, server, opened):
    (run / "run.json").write_text(json.dumps({**make.plan, "effort": "smoke"}))
    server.explorer = Explored()

    def explore(**how):
        found = opened(**how)
        found.until("!document.getElementById('explore').hidden")
        found.page.locator("#explore summary").click()
        found.until("!document.getElementById('explore-panel').hidden")
        return found

    return explore


def test_the_slider_asks_for_nets_under_its_limit(exploring):
    found = exploring()
    panel = found.page.locator("#explore-panel")
    assert panel.locator("h3").inner_text() == "At most 3,000 parameters"
    assert found.page.locator("#explore-told").inner_text() == "3,000, that of the run"
    found.page.locator("#explore-limit").focus()
    for key, title in (("Home", "At most 100 parameters"), ("End", "At most 100,000 parameters")):
        found.page.keyboard.press(key)
        found.until(f"document.querySelector('#explore-panel h3').textContent === '{title}'")
    assert panel.locator("code").inner_text() == "archpress train 100000.json"
    assert found.page.locator("#explore-map svg.chart path.mark").count() == 3
    with found.page.expect_download() as download:
        found.page.locator("#explore-save").click()
    assert download.value.suggested_filename == "100000.json"
    assert json.loads(download.value.path().read_bytes()) == {"layers": []}
    assert found.complaints == []


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_everyone_can_explore(exploring, width, scheme):
    found = exploring(width=width, scheme=scheme)
    assert found.audit() == []
    assert found.sideways <= 0
