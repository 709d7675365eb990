import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from archpress.data.places import DataFiles, download
from archpress.errors import DataError

CONTENT = gzip.compress(bytes(100_000))
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/data/file.gz"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(CONTENT)) if found else "0")
        self.end_headers()
        if found:
            self.wfile.write(CONTENT)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def address(monkeypatch):
    """A server on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/data/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_is_checked_kept_and_shown_on_standard_error(address, tmp_path, capsys):
    download(address, "file.gz", MD5, tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    output = capsys.readouterr()
    assert "file.gz" in output.err
    assert output.out == ""


def test_a_download_with_another_checksum_is_refused_and_not_kept(address, tmp_path):
    with pytest.raises(ValueError, match="hash"):
        download(address, "file.gz", "0" * 32, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_download_of_what_is_not_there_is_an_os_error(address, tmp_path):
    with pytest.raises(OSError, match="404"):
        download(address, "gone.gz", MD5, tmp_path)


def test_a_file_that_is_nowhere_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no gone or gone\.gz"):
        DataFiles(tmp_path).read("gone")
