import json
import socket
import threading
import urllib.request

import pytest

from archpress.cli import main
from archpress.watching import WatchServer


def run(*arguments):
    """Exit code of a command, in this process."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code or 0


def test_a_run_is_watched_until_ctrl_c(tmp_path, monkeypatch, capsys):
    def serve(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(WatchServer, "serve_forever", serve)
    assert run("watch", tmp_path) == 0
    captured = capsys.readouterr()
    assert f"Watching {tmp_path} at http://127.0.0.1:" in captured.out
    assert captured.err == ""
    assert list(tmp_path.iterdir()) == []


def test_the_address_that_is_told_answers(tmp_path, monkeypatch, capsys):
    told = {}

    def serve(server):
        threading.Thread(target=server.handle_request).start()
        address = capsys.readouterr().out.split(" at ")[1].split()[0]
        with urllib.request.urlopen(f"{address}state.json", timeout=5) as answer:
            told.update(json.load(answer))

    monkeypatch.setattr(WatchServer, "serve_forever", serve)
    assert run("watch", tmp_path) == 0
    assert told["state"] == "waiting"


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path, capsys):
    assert run("watch", tmp_path / "nowhere") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"archpress: {tmp_path / 'nowhere'} does not exist")
    assert len(captured.err.splitlines()) == 1


def test_a_port_that_is_taken_is_one_sentence(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run("watch", tmp_path, "--port", port) == 2
    told = f"archpress: port {port} of 127.0.0.1 is taken; give another by --port\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("port", [-1, 65536, "x"])
def test_a_number_that_is_no_port_is_refused(tmp_path, capsys, port):
    assert run("watch", tmp_path, "--port", port) == 2
    assert "--port" in capsys.readouterr().err
