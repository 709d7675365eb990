"""A limit on latency and the times behind it, through the command line."""

import json

import pytest

from archpress.cli import main
from archpress.cli.arguments import with_latency
from archpress.compression import timing
from archpress.errors import ArchpressError
from archpress.evaluation import load_times
from archpress.space import Limits

COMPRESS = ["compress", "tiny", "--data", "digits", "--effort", "smoke", "--quiet"]


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code or 0


@pytest.fixture(autouse=True)
def in_haste(monkeypatch):
    for how in ("BRIEFLY", "CAREFULLY", "FINALLY"):
        monkeypatch.setattr(timing, how, (0.002, 1))


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    path = tmp_path_factory.mktemp("times") / "device.json"
    arguments = ["profile", "tiny", "--input", "1x8x8", "--nets", 30, "--out", path, "--quiet"]
    assert run(*arguments, "--batch", 8) == 0
    return path


def test_times_of_this_device_are_written_with_what_they_were_measured_with(device):
    model = load_times(device)
    assert len(model.timed) >= 30
    assert (model.conditions.batch, model.conditions.threads) == (8, 1)
    assert model.conditions.machine


def test_layers_and_the_net_are_told_as_json(tmp_path, capsys):
    arguments = ["profile", "tiny", "--input", "1x8x8", "--nets", 30, "--quiet", "--json"]
    assert run(*arguments, "--out", tmp_path / "device.json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["milliseconds"] > 0
    of_layers = sum(layer["milliseconds"] for layer in told["layers"])
    assert 0 < of_layers <= told["predicted"] + 1e-9
    assert told["fit"]["n"] >= 30


@pytest.mark.slow
def test_a_result_keeps_the_latency_and_the_report_shows_what_was_timed(tmp_path):
    folder = tmp_path / "run"
    limits = ["--max-latency", 500, "--latency-batch", 8, "--run", folder]
    assert run(*COMPRESS, *limits) == 0
    result = json.loads((folder / "result.json").read_text())
    (limit,) = result["limits"]
    assert (limit["name"], limit["limit"], limit["met"]) == ("max_latency", 500, True)
    assert limit["value"] == pytest.approx(1e3 * result["compressed"]["latency"]["median_seconds"])
    assert result["compressed"]["latency"]["batch"] == 8
    assert result["latency"]["n"] == len(load_times(folder / "times.json").timed)
    report = (folder / "report.html").read_text()
    assert "Predicted against measured latency" in report
    assert "at most 500 ms a pass" in report


@pytest.mark.slow
def test_a_limit_for_another_device_is_judged_by_its_prices(device, tmp_path):
    elsewhere = json.loads(device.read_text())
    elsewhere["conditions"]["machine"] = "a phone"
    for net in elsewhere["nets"]:
        net["milliseconds"] *= 1000
    path = tmp_path / "phone.json"
    path.write_text(json.dumps(elsewhere))
    slowest = max(net["milliseconds"] for net in elsewhere["nets"])
    folder = tmp_path / "run"
    limits = ["--max-latency", slowest, "--device-times", path, "--run", folder]
    assert run(*COMPRESS, *limits) == 0
    result = json.loads((folder / "result.json").read_text())
    assert result["latency"]["elsewhere"] is True
    here = 1e3 * result["compressed"]["latency"]["median_seconds"]
    assert result["limits"][0]["value"] > 20 * here


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-latency", 0], "max_latency must be milliseconds above 0, not 0"),
        (["--max-latency", 1, "--device-times", "nowhere.json"], "holds no times of a device"),
        (["--max-latency", 1e-9], "no net"),
    ],
)
def test_a_limit_on_latency_that_cannot_be_is_refused(capsys, tmp_path, options, said):
    assert run(*COMPRESS, *options, "--run", tmp_path / "run") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("archpress: ")
    assert said in line


def test_conditions_of_another_devices_times_are_those_of_its_file(device):
    typed = {"batch": 8, "threads": None, "backend": None}
    limits = with_latency(Limits(), "2", typed, device)
    assert (limits.max_latency, limits.latency.conditions.batch) == (2, 8)
    for other, told in [({"threads": 2}, "threads 1, so --latency-threads cannot be 2"),
                        ({"batch": 1}, "batch 8, so --latency-batch cannot be 1")]:  # fmt: skip
        with pytest.raises(ArchpressError, match=told):
            with_latency(Limits(), "2", typed | other, device)


@pytest.mark.parametrize("places", [[], ["--out", "a.json", "--pack", "b"]])
def test_profile_wants_one_place(capsys, places):
    assert run("profile", "tiny", *places) == 2
    assert "give either --out, to time nets here, or --pack" in capsys.readouterr().err
