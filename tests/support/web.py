"""A web server of the standard library for clients to talk to, in a thread: ranges, uploads, redirects, logins."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODIFIED = formatdate(1_700_000_000, usegmt=True)
LATER = formatdate(1_700_000_060, usegmt=True)


@dataclass
class Web:
    """What the server has, and what it was asked. ``cut_after`` ends the next answer's body early."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    modified: str = MODIFIED
    headers: dict[str, dict[str, str]] = field(default_factory=dict)  # more of an answer, by path
    redirects: dict[str, str] = field(default_factory=dict)
    logins: dict[str, str] = field(default_factory=dict)  # user:password, by path
    cut_after: int | None = None
    failures: list[int] = field(default_factory=list)  # statuses of the next answers
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def web_server(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Serve until the end of the block, on a free port of the loopback."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            self._note()
            if not self._is_refused():
                self._send_file(web.files[self.path])

        def do_PUT(self) -> None:
            self._note()
            length = self.headers.get("content-length")
            body = self._chunks() if length is None else self.rfile.read(int(length))
            if not self._is_refused(known=False):
                web.files[self.path] = body
                self._answer(201, b"")

        def _note(self) -> None:
            fields = {name.lower(): value for name, value in self.headers.items()}
            web.asked.append((self.command, self.path, fields))

        def _is_refused(self, *, known: bool = True) -> bool:
            login = web.logins.get(self.path)
            if web.failures:
                self._answer(web.failures.pop(0), b"not now")
            elif self.path in web.redirects:
                self._answer(302, b"", {"location": web.redirects[self.path]})
            elif login and self.headers.get("authorization") != f"Basic {base64.b64encode(login.encode()).decode()}":
                self._answer(401, b"", {"www-authenticate": 'Basic realm="x"'})
            elif known and self.path not in web.files:
                self._answer(404, b"there is no such file", {"content-type": "text/plain"})
            else:
                return False
            return True

        def _send_file(self, content: bytes) -> None:
            more = {"last-modified": web.modified, **web.headers.get(self.path, {})}
            wanted = self.headers.get("range", "")
            if wanted and self.headers.get("if-range") == web.modified:
                first = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if first >= len(content):
                    self._answer(416, b"", {"content-range": f"bytes */{len(content)}"})
                else:
                    span = f"bytes {first}-{len(content) - 1}/{len(content)}"
                    self._answer(206, content[first:], {**more, "content-range": span})
            else:
                self._answer(200, content, more)

        def _answer(self, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **(more or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            cut, web.cut_after = web.cut_after, None
            self.wfile.write(body[:cut])
            self.close_connection = self.close_connection or cut is not None

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    web.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
