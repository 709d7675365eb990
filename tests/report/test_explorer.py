import base64
import json
import re
import shlex
import zlib
from dataclasses import replace

import pytest

from archpress.architecture import Architecture
from archpress.cli.arguments import read_net
from archpress.report import run_figures, write_report
from archpress.report.drawing import changed
from archpress.report.map_figure import map_figure
from archpress.report.page import read_explorer
from archpress.report.record import read_result
from archpress.report.themes import DARK, LIGHT


def page_of(run):
    return write_report(run).read_text(encoding="utf-8")


def values_of(text):
    packed = re.search(r'id="values">(.*?)</script>', text)[1]
    return json.loads(zlib.decompress(base64.b64decode(packed)))


@pytest.fixture(scope="module")
def run(tmp_path_factory, make):
    return make.write_explored(tmp_path_factory.mktemp("runs") / "run")


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
    content, _ = make.explored()
    assert 'type="range" id="explorer-limit" min="0" max="5" step="1" value="2"' in text
    assert '<label for="explorer-limit">' in text
    assert "--at: 0.4000" in text
    assert f"that of the run is {content['own_limit']:,}" in text


def test_the_panel_has_each_net_with_exact_costs_and_its_layers(text, make):
    content, nets = make.explored()
    values = values_of(text)
    for item, told, net in zip(values["limits"], content["nets"], nets, strict=True):
        say = item["say"]
        assert item["title"] == f"At most {told['limit']:,} parameters"
        assert item["costs"][:2] == [f"{net.parameters:,}", f"{net.macs:,}"]
        rows = [values["rows"][index] for index in item["layers"]]
        assert len(rows) == len(net.layers)
        assert sum(int(row[2].replace(",", "")) for row in rows) == net.parameters
        assert sum(int(row[3].replace(",", "")) for row in rows) == net.macs
        assert item["place"] == told["place"]
        assert "a brief trial reaches" in say
        assert "a final training reaches another accuracy" in say
        assert item["costs"][3].endswith("(70.0 % to 90.0 %)")


def test_the_command_trains_a_file_that_is_there(run, text, make):
    _, nets = make.explored()
    for item, net in zip(values_of(text)["limits"], nets, strict=True):
        words = shlex.split(item["command"])
        assert words[:2] == ["archpress", "train"]
        assert Architecture.load(run / words[2]) == net
        assert words[3:7] == ["--data", "fashion-mnist-sample", "--epochs", "20"]


def test_each_trial_has_its_place_and_its_layers(text, make):
    values = values_of(text)
    columns = values["columns"]
    content, nets = make.explored()
    places = zip(columns["across"], columns["up"], strict=True)
    assert [list(place) for place in places] == list(content["places"].values())
    tried = reversed(make.some_trials())  # the store keeps the first of each net
    trials = {trial.architecture.key[:12]: trial for trial in tried}
    for number, key in enumerate(columns["key"]):
        net = trials[key].architecture
        rows = [values["rows"][index] for index in values["layers"][number]]
        assert len(rows) == len(net.layers)
        assert sum(int(row[2].replace(",", "")) for row in rows) == net.parameters
        assert columns["macs"][number] == net.macs
        assert columns["accuracy"][number] == round(100 * trials[key].accuracy, 3)
    source = values["limits"][len(nets) - 1]
    assert "It is trial 1, which reached 87.40\u00a0%." in source["say"]
    assert "not trained yet" in values["limits"][0]["say"]


def test_the_command_of_a_trial_trains_its_net(run, text, make):
    values = values_of(text)
    key = values["columns"]["key"][0]
    words = shlex.split(values["command"].replace("KEY", key))
    assert words[:2] == ["archpress", "train"]
    assert read_net(f"{run}/{words[2]}") == make.source
    assert words[3:] == [
        *("--data", "fashion-mnist-sample", "--epochs", "20", "--augment", "mirror"),
        *("--out", f"trained-{key}"),
    ]


def test_the_nets_are_also_in_a_table(text, make):
    content, _ = make.explored()
    table = text.split("All 6 limits as a table")[1].split("</table>")[0]
    assert all(f"{net['limit']:,}" in table for net in content["nets"])
    assert table.count("70.0 % to 90.0 %") == 6


def test_images_without_a_name_are_left_to_the_reader(tmp_path, make):
    result = make.result()
    result["data"]["name"] = "my images; rm -rf <b>"
    text = page_of(make.write_explored(tmp_path / "run", result))
    assert "with your images as <code>DATA</code>" in text
    assert "--data DATA --epochs" in values_of(text)["limits"][0]["command"]
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
    run = make.write_explored(tmp_path / "run")
    next((run / "explorer").iterdir()).unlink()
    assert "one of its nets cannot be read" in page_of(run)


def test_what_trials_are_called_is_escaped(tmp_path, make):
    run = tmp_path / "run"
    trials = [
        make.trial(make.narrow(8, width), 0.5, number, origin="</script><script>x</script>")
        for number, width in enumerate((4, 8, 12))
    ]
    make.write_explored(run, places={one.architecture.key: [0, 1] for one in trials})
    (run / "trials.db").unlink()
    make.write_run(run, None, trials)
    text = page_of(run)
    assert "<script>x" not in text
    assert "<script>x</script>" in values_of(text)["columns"]["origin"][0]


def test_the_map_has_all_trials_and_the_way_from_the_source(run, make):
    from archpress.report.content import gather

    trials = make.some_trials()
    points = gather(read_result(run), make.source, make.compressed, trials).points
    explorer = read_explorer(run, read_result(run), points)
    for theme in (LIGHT, DARK):
        figure = map_figure(explorer, theme)
        tried, path = figure.data
        assert list(tried.customdata) == list(range(len(points)))
        assert list(tried.marker.color) == [round(100 * point.accuracy, 3) for point in points]
        assert list(path.customdata) == [5, 5, 4, 3, 2, 1, 0]
        assert path.x[0] == 3.0
        smallest, largest = min(tried.marker.size), max(tried.marker.size)
        assert (smallest, largest) == (5, 15)
        (ring,) = figure.layout.shapes
        assert (ring.xanchor, ring.yanchor) == (1.0, -0.5)


def test_the_map_shows_a_descent_where_one_was_kept(run, make):
    explorer = read_explorer(run, read_result(run), ())
    known = {"path": ((3.0, 0.0), (2.0, 1.0)), "path_every": 4}
    record = explorer.record.model_copy(update=known)
    _, walked, _ = map_figure(replace(explorer, record=record), LIGHT).data
    assert list(walked.x) == [3.0, 2.0]
    assert walked.meta["also"]["step"] == [0, 4]


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

    content = gather(read_result(run), make.source, make.compressed, make.some_trials())
    for one in draw(content):
        themes = json.loads(one.themes)
        dark = merged(themes["light"], themes["dark"])
        assert len(json.dumps(themes["dark"])) < len(json.dumps(themes["light"]))
        assert dark["layout"]["font"]["color"] == DARK.ink
        assert themes["light"]["layout"]["font"]["color"] == LIGHT.ink
        assert changed(dark, dark) == {}
