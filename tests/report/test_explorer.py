import json
import shlex

import pytest

from archpress.architecture import Architecture
from archpress.report import run_figures, write_report
from archpress.report.drawing import changed
from archpress.report.map_figure import map_figure
from archpress.report.page import read_explorer
from archpress.report.themes import DARK, LIGHT


def explored(make, count=6, **changes):
    """An `explorer.json` with its nets: narrow ones, and the source for its own size."""
    nets = [make.narrow(*[4 * (number + 1)] * 3) for number in range(count - 1)] + [make.source]
    told = [
        {
            "limit": net.parameters,
            "key": net.key,
            "parameters": net.parameters,
            "macs": net.macs,
            "peak_memory": net.peak_memory,
            "accuracy": 0.8 + 0.01 * number,
            "low": 0.7,
            "high": 0.9,
            "tried": net is make.source,
            "place": [0.5 * number, -0.25 * number],
        }
        for number, net in enumerate(nets)
    ]
    keys = [trial.architecture.key for trial in make.some_trials() if trial.done]
    content = {
        "format": "archpress-explorer",
        "version": 1,
        "own_limit": told[2]["limit"],
        "axes": [0.5, 0.25],
        "source": [3.0, -1.5],
        "nets": told,
        "places": {key: [0.1 * number, 1.0] for number, key in enumerate(keys)},
    }
    return content | changes, nets


def write_explored(run, make, result=None, **changes):
    make.write_run(run, result)
    content, nets = explored(make, **changes)
    (run / "explorer").mkdir()
    for told, net in zip(content["nets"], nets, strict=False):
        net.save(run / "explorer" / f"{told['limit']}.json")
    (run / "explorer.json").write_text(json.dumps(content))
    return run


def page_of(run):
    return write_report(run).read_text(encoding="utf-8")


def values_of(text):
    return json.loads(text.split('id="explorer-values">')[1].split("</script>")[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory, make):
    return write_explored(tmp_path_factory.mktemp("runs") / "run", make)


@pytest.fixture(scope="module")
def text(run):
    return page_of(run)


def test_the_map_has_the_path_through_the_nets_for_other_limits(run):
    figure = run_figures(run)["map"]
    record = json.loads((run / "explorer.json").read_text())
    assert len(figure.data[1].x) == 1 + len(record["nets"])


def test_a_run_without_the_file_has_no_section(tmp_path, make):
    text = page_of(make.write_run(tmp_path / "run"))
    assert "explorer" not in text
    assert 'href="#explore"' not in text


def test_the_slider_stands_at_the_limit_of_the_run(text, make):
    content, _ = explored(make)
    assert 'type="range" id="explorer-limit" min="0" max="5" step="1" value="2"' in text
    assert '<label for="explorer-limit">' in text
    assert "--at: 0.4000" in text
    assert f"that of the run is {content['own_limit']:,}" in text


def test_the_panel_has_each_net_with_exact_costs_and_its_layers(text, make):
    content, nets = explored(make)
    values = values_of(text)
    for item, told, net in zip(values["items"], content["nets"], nets, strict=False):
        title, say, costs, accuracy, _, layers, place = item
        assert title == f"At most {told['limit']:,} parameters"
        assert costs[:2] == [f"{net.parameters:,}", f"{net.macs:,}"]
        rows = [values["rows"][index] for index in layers]
        assert len(rows) == len(net.layers)
        assert sum(int(row[2].replace(",", "")) for row in rows) == net.parameters
        assert sum(int(row[3].replace(",", "")) for row in rows) == net.macs
        assert place == told["place"]
        assert "a brief trial reaches" in say
        assert "a final training reaches another accuracy" in say
        assert accuracy.endswith("(70.0 % to 90.0 %)")


def test_the_command_trains_a_file_that_is_there(run, text, make):
    _, nets = explored(make)
    for item, net in zip(values_of(text)["items"], nets, strict=False):
        words = shlex.split(item[4])
        assert words[:2] == ["archpress", "train"]
        assert Architecture.load(run / words[2]) == net
        assert words[3:7] == ["--data", "fashion-mnist-sample", "--epochs", "20"]


def test_trials_follow_the_nets_and_have_no_command(text, make):
    items = values_of(text)["items"]
    content, nets = explored(make)
    trials = items[len(nets) :]
    assert [item[6] for item in trials] == list(content["places"].values())
    assert trials[0][:2] == ["Trial 1", "source, round 0"]
    assert {item[4] for item in trials} == {""}
    source = items[len(nets) - 1]
    assert "It is trial 1, which reached 87.40\u00a0%." in source[1]
    assert "not trained yet" in items[0][1]


def test_the_nets_are_also_in_a_table(text, make):
    content, _ = explored(make)
    table = text.split("All 6 limits as a table")[1].split("</table>")[0]
    assert all(f"{net['limit']:,}" in table for net in content["nets"])
    assert table.count("70.0 % to 90.0 %") == 6


def test_images_without_a_name_are_left_to_the_reader(tmp_path, make):
    result = make.result()
    result["data"]["name"] = "my images; rm -rf <b>"
    text = page_of(write_explored(tmp_path / "run", make, result))
    assert "with your images as <code>DATA</code>" in text
    assert "--data DATA --epochs" in values_of(text)["items"][0][4]
    assert "rm -rf <b>" not in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ('{"format": "archpress-explorer", "version": 2}', "cannot be read"),
        ('{"format": "archpress-explorer", "version": 1}', "explorer.json has no nets"),
        (
            '{"format": "archpress-explorer", "version": 1, "why_not": "all <script>x</script>"}',
            "All &lt;script&gt;x&lt;/script&gt;.",
        ),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(tmp_path, make, content, said):
    run = make.write_run(tmp_path / "run")
    (run / "explorer.json").write_text(content)
    text = page_of(run)
    assert said in text.replace("Explorer.json", "explorer.json")
    assert "<script>x" not in text
    assert "explorer-limit" not in text


def test_a_net_that_is_gone_is_said_too(tmp_path, make):
    run = write_explored(tmp_path / "run", make)
    next((run / "explorer").iterdir()).unlink()
    assert "one of its nets cannot be read" in page_of(run)


def test_what_trials_are_called_is_escaped(tmp_path, make):
    run = tmp_path / "run"
    trials = [
        make.trial(make.narrow(8, width), 0.5, number, origin="</script><script>x</script>")
        for number, width in enumerate((4, 8, 12))
    ]
    write_explored(run, make, places={one.architecture.key: [0, 1] for one in trials})
    (run / "trials.db").unlink()
    make.write_run(run, None, trials)
    text = page_of(run)
    assert "<script>x" not in text
    assert "<script>x</script>" in values_of(text)["items"][6][1]


def test_the_map_has_all_trials_and_the_way_from_the_source(run, make):
    from archpress.report.content import gather
    from archpress.report.record import read_result

    trials = make.some_trials()
    points = gather(read_result(run), make.source, make.compressed, trials).points
    explorer = read_explorer(run, read_result(run), points, trials)
    for theme in (LIGHT, DARK):
        figure = map_figure(explorer, theme)
        tried, path = figure.data
        assert list(tried.customdata) == [6 + number for number in range(len(points))]
        assert list(tried.marker.color) == [round(100 * point.accuracy, 2) for point in points]
        assert list(path.customdata) == [5, 5, 4, 3, 2, 1, 0]
        assert path.x[0] == 3.0
        smallest, largest = min(tried.marker.size), max(tried.marker.size)
        assert (smallest, largest) == (5, 15)
        (ring,) = figure.layout.shapes
        assert (ring.xanchor, ring.yanchor) == (1.0, -0.5)


def merged(value, change):
    """What the page makes of a figure and what differs in another theme."""
    if not isinstance(change, dict) or not isinstance(value, dict | list):
        return change
    made = dict(enumerate(value)) if isinstance(value, list) else dict(value)
    for key, one in change.items():
        place = int(key) if isinstance(value, list) else key
        made[place] = merged(made.get(place), one)
    return list(made.values()) if isinstance(value, list) else made


def test_a_figure_in_another_theme_is_what_differs(run, make):
    from archpress.report.content import gather
    from archpress.report.page import draw
    from archpress.report.record import read_result

    content = gather(read_result(run), make.source, make.compressed, make.some_trials())
    for one in draw(content):
        themes = json.loads(one.themes)
        dark = merged(themes["light"], themes["dark"])
        assert len(json.dumps(themes["dark"])) < len(json.dumps(themes["light"]))
        assert dark["layout"]["font"]["color"] == DARK.ink
        assert themes["light"]["layout"]["font"]["color"] == LIGHT.ink
        assert changed(dark, dark) == {}
