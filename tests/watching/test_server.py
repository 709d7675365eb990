import http.client
import json
import re
import socket

import pytest

from archpress.errors import ArchpressError
from archpress.watching import Watched, WatchServer
from archpress.watching.server import NAMES


def ask(server, path="/", method="GET", **headers):
    """(status, headers, text) of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    try:
        connection.request(
            method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def raw(server, text):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as connection:
        connection.sendall(text.encode())
        return connection.makefile("rb").read().decode()


def test_the_page_and_its_files_are_there(server):
    status, headers, page = ask(server)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r'(?:src|href)="([^"#]+\.\w+)"', page)
    assert sorted(named) == ["watch.css", "watch.js"]
    for name in [*named, "charts.js", "explore.js", "saving.js"]:
        assert ask(server, f"/{name}")[0] == 200


def test_the_page_asks_no_one_else_for_anything(server):
    for name in ("", "watch.css", "watch.js", "charts.js", "explore.js", "saving.js"):
        text = ask(server, f"/{name}")[2].replace("http://www.w3.org/2000/svg", "")  # only a name
        assert not re.search(r"https?:|//\w+\.|url\(|@import|eval\(|innerHTML", text)


def test_names_are_escaped(server):
    page = ask(server)[2]
    assert "run &lt;b&gt;" in page
    assert "<b>" not in page


def test_errors_are_data_and_never_markup(server):
    _, headers, text = ask(server, "/state.json")
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(text)["reasons"] == [["RuntimeError: <script>alert(1)</script>", 1]]


@pytest.mark.parametrize("path", ["/", "/state.json", "/nothing", "/report.html"])
def test_every_answer_is_guarded(server, path):
    headers = ask(server, path)[1]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


def test_nothing_is_sent_twice(server):
    for path in ("/", "/watch.js", "/state.json"):
        tag = ask(server, path)[1]["ETag"]
        status, headers, text = ask(server, path, If_None_Match=tag)
        assert (status, text, headers["ETag"]) == (304, "", tag)
        assert ask(server, path, If_None_Match='"other"')[0] == 200


def test_a_viewer_tells_what_it_knows(server, run, make):
    first = json.loads(ask(server, "/state.json")[2])
    make.add(run, make.trial(9, 0.7, 9))
    more = json.loads(ask(server, f"/state.json?since={first['next']}")[2])
    assert (more["first"], len(more["points"])) == (2, 1)


def test_a_connection_serves_many_questions(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    for _ in range(3):
        connection.request("GET", "/state.json")
        used = connection.sock
        assert connection.getresponse().read()
        assert connection.sock is used
    connection.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_only_reading_is_allowed(server, method):
    status, headers, text = ask(server, "/state.json", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert text == "This page can only be read.\n"


def test_head_has_the_headers_alone(server):
    for path, status in (("/", 200), ("/state.json", 200), ("/nothing", 404)):
        found, headers, text = ask(server, path, "HEAD")
        assert (found, text) == (status, "")
        assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.:{port}",
             "127.0.0.1:{port}.evil.example", "", "[::1]"],
)  # fmt: skip
def test_who_calls_it_by_another_name_is_refused(server, host):
    status, _, text = ask(server, "/state.json", Host=host.format(port=server.server_port))
    assert status == 403
    assert text == f"This page is served as {server.url} only.\n"


@pytest.mark.parametrize("name", [*NAMES, "LocalHost"])
def test_its_own_names_are_answered(server, name):
    assert ask(server, "/state.json", Host=f"{name}:{server.server_port}")[0] == 200


def test_no_name_two_names_and_no_request_are_refused(server):
    host = f"Host: 127.0.0.1:{server.server_port}\r\n"
    assert raw(server, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n").startswith("HTTP/1.1 403")
    assert raw(server, f"GET / HTTP/1.1\r\n{host}{host}\r\n").startswith("HTTP/1.1 403")
    assert raw(server, "GET / nonsense\r\n\r\n") == "Bad request version ('nonsense')\n"


def test_what_follows_a_question_with_a_body_is_no_question(server):
    host = f"Host: 127.0.0.1:{server.server_port}\r\n"
    hidden = "GET /watch.js HTTP/1.1\r\n\r\n"
    text = f"GET /state.json HTTP/1.1\r\n{host}Content-Length: {len(hidden)}\r\n\r\n{hidden}"
    assert raw(server, text).count("HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "path", ["/trials.db", "/run.json", "/../run.json", "/%2e%2e/run.json", "/..", "/report.html/",
             "http://evil.example/"],
)  # fmt: skip
def test_no_other_file_is_served(server, run, path):
    (run.parent / "run.json").write_text("secret")
    (run / "report.html").write_text("the report")
    if path.startswith("http"):
        host = f"Host: 127.0.0.1:{server.server_port}\r\nConnection: close\r\n"
        assert "archpress watch" in raw(server, f"GET {path} HTTP/1.1\r\n{host}\r\n")
    else:
        assert ask(server, path)[0] == 404


def test_the_report_is_served_when_it_is_there(server, run):
    assert ask(server, "/report.html")[0] == 404
    (run / "report.html").write_text("<p>all of it", encoding="utf-8")
    status, headers, text = ask(server, "/report.html")
    assert (status, text) == (200, "<p>all of it")
    assert "connect-src" not in headers["Content-Security-Policy"]  # so none, by default
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_a_port_that_is_taken_is_one_sentence(server, run):
    with pytest.raises(ArchpressError, match=f"port {server.server_port} of 127.0.0.1 is taken"):
        WatchServer(Watched(run), server.server_port)


class Answers:
    """In the place of the process that explores."""

    def __init__(self):
        self.asked = []

    def answer(self, limit=None):
        self.asked.append(limit)
        return {"limit": limit}

    def close(self):
        pass


def test_the_explorer_is_asked_for_limits_that_are_numbers(server):
    server.explorer = Answers()
    assert json.loads(ask(server, "/explorer.json")[2]) == {"limit": None}
    assert json.loads(ask(server, "/explorer.json?limit=20000")[2]) == {"limit": 20000}
    for limit in ("0", "-3", "2e4", "many", "9" * 16, "%D9%A3%"):
        status, _, text = ask(server, f"/explorer.json?limit={limit}")
        assert status == 400
        assert "must be a number of parameters" in text
    assert server.explorer.asked == [None, 20000]


def test_other_pages_do_not_make_it_explore(server):
    server.explorer = Answers()
    for site in ("cross-site", "same-site"):
        assert ask(server, "/explorer.json", Sec_Fetch_Site=site)[0] == 403
    assert ask(server, "/explorer.json", Sec_Fetch_Site="same-origin")[0] == 200
    assert server.explorer.asked == [None]
