"""`WatchServer`: answers browsers of this machine; reads only."""

import errno
import hashlib
import json
import socketserver
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from archpress.errors import ArchpressError, reason
from archpress.watching.explorer_process import ExplorerProcess
from archpress.watching.page import page_files
from archpress.watching.watched import PAGES, Watched

ADDRESS = "127.0.0.1"
NAMES = (
    "127.0.0.1",
    "localhost",
    "[::1]",
)  # by which a browser may call it: DNS can be made to lie
IDLE_SECONDS = 60.0  # that a connection may wait for its next request
LIMIT_DIGITS = 15  # of a limit on parameters
NOTHING_ELSE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    + NOTHING_ELSE
)
PAGE_POLICY = (  # of finished pages, which hold their scripts
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    f"img-src data: blob:; {NOTHING_ELSE}"
)


class WatchServer(ThreadingHTTPServer):
    """Serves the page of a run on 127.0.0.1.

    Args:
        watched: the run.
        port: 0 is any that is free.

    Raises:
        ArchpressError: the port cannot be used.
    """

    daemon_threads = True
    allow_reuse_address = sys.platform != "win32"  # there it would share a port that is taken

    def __init__(self, watched: Watched, port: int = 0) -> None:
        self.watched = watched
        self.files = page_files(watched.folder.resolve().name)
        self.explorer = ExplorerProcess(watched.folder)
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken" if taken else f"cannot be used: {error.strerror or error}"
            raise ArchpressError(
                f"port {port} of {ADDRESS} {why}; give another by --port"
            ) from None
        names = {f"{name}:{self.server_port}" for name in NAMES}
        self.hosts = names | set(NAMES) if self.server_port == 80 else names

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def server_bind(self) -> None:
        """Without the look-up of a name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def server_close(self) -> None:
        """Also end the process that explores, if there is one."""
        super().server_close()
        self.explorer.close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A viewer that goes away is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer
    protocol_version = "HTTP/1.1"  # connections stay open between two questions
    server_version, sys_version = "archpress", ""
    timeout = IDLE_SECONDS

    def parse_request(self) -> bool:
        """The door: reads only, and only for who called this machine by its own name."""
        if not super().parse_request():
            return False
        hosts = [host.strip().lower() for host in self.headers.get_all("Host", [])]
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            told = f"This page is served as {self.server.url} only."
            return self._refuse(HTTPStatus.FORBIDDEN, told)
        if self.command not in ("GET", "HEAD"):
            told = "This page can only be read."
            return self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, told, {"Allow": "GET, HEAD"})
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # what follows is not read, and is no next question
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """For what is no request at all."""
        self._refuse(HTTPStatus(code), message or HTTPStatus(code).phrase)

    def do_GET(self) -> None:
        """The page, its files, its state, and pages that the run has written."""
        try:
            self._answer()
        except ConnectionError:
            raise
        except OSError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"cannot read: {reason(error)}")

    def do_HEAD(self) -> None:
        """The same without content."""
        self.do_GET()

    def _answer(self) -> None:
        try:
            address = urlsplit(self.path)
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST, "This is no address.")
            return
        if address.path == "/state.json":
            since = parse_qs(address.query).get("since", [""])[0]
            tag, body = self.server.watched.answer(since, self.headers.get("If-None-Match", ""))
            self._send("application/json", body, tag)
        elif address.path == "/explorer.json":
            self._explore(parse_qs(address.query).get("limit", [""])[0])
        elif address.path in self.server.files:
            kind, content = self.server.files[address.path]
            self._send_known(kind, content)
        elif (name := address.path.removeprefix("/")) in PAGES:
            path = self.server.watched.folder / name
            if path.is_file():
                self._send_known("text/html; charset=utf-8", path.read_bytes(), PAGE_POLICY)
            else:
                self._refuse(HTTPStatus.NOT_FOUND, f"The run has no {name} yet.")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")

    def _explore(self, limit: str) -> None:
        """What can be explored, or the net for a limit; asked for by the page alone."""
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            self._refuse(HTTPStatus.FORBIDDEN, "Other pages must not ask for this.")
        elif not limit:
            self._send_json(self.server.explorer.answer())
        elif limit.isdecimal() and len(limit) <= LIMIT_DIGITS and int(limit):
            self._send_json(self.server.explorer.answer(int(limit)))
        else:
            told = "The limit must be a number of parameters, such as 20000."
            self._refuse(HTTPStatus.BAD_REQUEST, told)

    def _send_json(self, value: object) -> None:
        self._send_known("application/json", json.dumps(value).encode())

    def _send_known(self, kind: str, content: bytes, policy: str = POLICY) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        known = tag in self.headers.get("If-None-Match", "")
        self._send(kind, None if known else content, tag, policy)

    def _send(self, kind: str, content: bytes | None, tag: str, policy: str = POLICY) -> None:
        """An answer; without content the viewer has it already."""
        self.send_response(HTTPStatus.NOT_MODIFIED if content is None else HTTPStatus.OK)
        self.send_header("ETag", tag)
        self.send_header("Cache-Control", "no-cache")
        self._send_guards(policy)
        if content is not None:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if content is not None and self.command != "HEAD":
            self.wfile.write(content)

    def _send_guards(self, policy: str = POLICY) -> None:
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")

    def _refuse(
        self, status: HTTPStatus, sentence: str, headers: dict[str, str] | None = None
    ) -> bool:
        content = f"{sentence}\n".encode()
        self.close_connection = True
        self.send_response(status)
        self._send_guards()
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        return False

    def log_message(self, *_: object) -> None:
        """Nothing: every viewer asks every few seconds."""
