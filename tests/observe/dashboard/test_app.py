"""The dashboard's application without a server: who is answered what, and what is asked for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from portside.observe.dashboard.access import COOKIE, Access
from portside.observe.dashboard.app import Admin, Dashboard
from portside.observe.dashboard.asking import Refused, Silent

TOKEN = "the-token-of-these-tests"
LOCAL = {"host": "127.0.0.1:8099"}
JSON = {"content-type": "application/json"}
Headers = dict[str, str]


@dataclass(slots=True)
class Server:
    """Answers what is asked of it, and remembers that it was."""

    is_ready: bool = True
    failure: Exception | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def ask(self, request: dict[str, Any]) -> Any:
        self.asked.append(request)
        if self.failure is not None:
            raise self.failure
        match request["do"]:
            case "health":
                return {"state": "running" if self.is_ready else "stopping", "ready": self.is_ready}
            case "end":
                return None
        raise AssertionError(request)


@dataclass(slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    app: Callable[..., Any],
    method: str,
    target: str,
    headers: Headers | None = None,
    body: bytes = b"",
) -> Response:
    """Send a request to the application and return its whole response."""
    path, _, query = target.partition("?")
    said = {**LOCAL, **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in said.items()],
    }
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    start, *rest = sent
    fields = {name.decode(): value.decode() for name, value in start["headers"]}
    return Response(start["status"], fields, b"".join(message["body"] for message in rest))


def dashboard(server: Server | None = None, token: str | None = None) -> Dashboard:
    return Dashboard((server or Server()).ask, Access(token), frozenset({"dashboard"}))


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_and_all_it_names_come_from_here() -> None:
    app = dashboard()
    page = call(app, "GET", "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert b"<script>" not in page.body
    assert b" style=" not in page.body
    names = [part.partition(b'"')[0].decode() for part in page.body.split(b'"./assets/')[1:]]
    assert {"main.js", "style.css", "icon.svg"} <= set(names)
    for name in names:
        assert call(app, "GET", f"/assets/{name}").status == 200


def test_scripts_import_only_each_other() -> None:
    app = dashboard()
    seen, waiting = set[str](), ["main.js"]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            script = call(app, "GET", f"/assets/{name}").body.decode()
            waiting += [part.partition('"')[0] for part in script.split(' from "./')[1:]]
            assert "innerHTML" not in script
            assert "://" not in script.replace("http://www.w3.org/2000/svg", "").replace("[::]", "")
    assert len(seen) > 10


def test_a_file_that_is_known_is_not_sent_again() -> None:
    app = dashboard()
    first = call(app, "GET", "/assets/main.js")
    again = call(app, "GET", "/assets/main.js", {"if-none-match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status, again.body) == (304, b"")
    assert call(app, "GET", "/assets/main.js", {"if-none-match": '"other"'}).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/assets/", 404),
        ("GET", "/assets/../app.py", 404),
        ("GET", "/assets/%2e%2e/app.py", 404),
        ("PUT", "/", 405),
        ("POST", "/metrics", 405),
        ("DELETE", "/api/connections/1-1/close", 404),
        ("HEAD", "/", 200),
    ],
)
def test_what_is_not_there_is_said_so(method: str, path: str, status: int) -> None:
    assert call(dashboard(), method, path).status == status


# ── programs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_health_and_readiness_are_two_things() -> None:
    app = dashboard(Server(is_ready=False))
    assert call(app, "GET", "/health").status == 200
    ready = call(app, "GET", "/ready")
    assert (ready.status, ready.json) == (503, {"state": "stopping", "ready": False})
    assert call(dashboard(), "GET", "/ready").status == 200


def test_a_silent_server_is_neither_healthy_nor_ready() -> None:
    app = dashboard(Server(failure=Silent("the server does not answer")))
    assert [call(app, "GET", path).status for path in ("/health", "/ready")] == [503, 503]


def test_admin_shows_no_page_and_changes_nothing() -> None:
    server = Server()
    app = Admin(server.ask, Access())
    assert call(app, "GET", "/").status == 404
    assert call(app, "GET", "/events").status == 404
    assert call(app, "POST", "/api/connections/1-1/close", JSON, b"{}").status == 404
    assert server.asked == []
    assert call(app, "GET", "/health").status == 200


# ── acts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_closing_asks_the_server_for_it() -> None:
    server = Server()
    assert call(dashboard(server), "POST", "/api/connections/17-4/close", JSON, b"{}").json == {"ok": None}
    assert server.asked == [{"do": "end", "connection": "17-4"}]


def test_a_refusal_is_told_in_the_server_s_words() -> None:
    app = dashboard(Server(failure=Refused("there is no connection 1-1")))
    answer = call(app, "POST", "/api/connections/1-1/close", JSON, b"{}")
    assert (answer.status, answer.json) == (409, {"error": "there is no connection 1-1"})


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"sec-fetch-site": "cross-site", **JSON}, b"{}", 403),
        ({"sec-fetch-site": "same-site", **JSON}, b"{}", 403),
        ({"origin": "http://evil.example", **JSON}, b"{}", 403),
        ({"origin": "null", **JSON}, b"{}", 403),
        ({"origin": "http://127.0.0.1:1", **JSON}, b"{}", 403),
        ({"origin": "http://evil.example", "host": "evil.example", **JSON}, b"{}", 421),
        ({"content-type": "text/plain"}, b"{}", 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", 415),
        ({}, b"{}", 415),
        (JSON, b"{", 400),
        (JSON, b"[]", 400),
        (JSON, b'"' + b"x" * 5_000 + b'"', 413),
    ],
)
def test_nothing_is_changed_at_the_word_of_others_or_by_what_cannot_be_read(
    headers: Headers, body: bytes, status: int
) -> None:
    server = Server()
    assert call(dashboard(server), "POST", "/api/connections/1-1/close", headers, body).status == status
    assert server.asked == []


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": "http://127.0.0.1:8099"}])
def test_our_own_page_may(headers: Headers) -> None:
    assert call(dashboard(), "POST", "/api/connections/1-1/close", {**headers, **JSON}, b"{}").status == 200


def test_a_wish_of_a_page_that_is_gone_is_said_so() -> None:
    assert call(dashboard(), "POST", "/api/pages/x", JSON, b'{"conversation": null}').status == 404


# ── who may look ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("host", "is_believed"),
    [
        ("localhost", True),
        ("localhost:8099", True),
        ("LOCALHOST:8099", True),
        ("app.localhost:8099", True),
        ("127.0.0.1", True),
        ("127.9.9.9:1", True),
        ("[::1]:8099", True),
        ("", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:8099", False),
        ("192.0.2.1:8099", False),
        ("[::2]:8099", False),
        ("[::1", False),
        ("1.2.3", False),
    ],
)
def test_only_names_of_loopback_are_believed_without_a_token(host: str, is_believed: bool) -> None:
    status = call(dashboard(), "GET", "/health", {"host": host}).status
    assert status == (200 if is_believed else 421)


def test_an_admin_page_that_listens_elsewhere_has_whatever_name_it_is_given() -> None:
    app = Admin(Server().ask, Access(checks_host=False))
    assert call(app, "GET", "/ready", {"host": "metrics.example"}).status == 200


@pytest.mark.parametrize("path", ["/events", "/metrics", "/api/session", "/assets/main.js", "/nothing"])
def test_nothing_is_shown_without_the_token(path: str) -> None:
    app = dashboard(token=TOKEN)
    expected = 404 if path == "/nothing" else 401
    assert call(app, "GET", path).status == expected
    assert call(app, "GET", path, {"authorization": "Bearer wrong"}).status == expected


def test_acts_need_the_token_too() -> None:
    server = Server()
    assert call(dashboard(server, TOKEN), "POST", "/api/connections/1-1/close", JSON, b"{}").status == 401
    assert server.asked == []


def test_whoever_asks_is_shown_where_to_log_in() -> None:
    page = call(dashboard(token=TOKEN), "GET", "/", {"host": "portside.example"})
    assert (page.status, b'name="token"' in page.body) == (401, True)
    assert call(dashboard(token=TOKEN), "GET", "/assets/style.css").status == 200


def test_probes_need_no_token() -> None:
    assert call(dashboard(token=TOKEN), "GET", "/ready", {"host": "10.0.0.7:8099"}).status == 200


def test_the_token_is_exchanged_for_a_cookie_that_does_not_hold_it() -> None:
    app = dashboard(token=TOKEN)
    answer = call(app, "GET", f"/?token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, "./")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly; SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert call(app, "GET", "/", {"cookie": f"other=1; {cookie.partition(';')[0]}"}).status == 200
    assert call(app, "GET", "/", {"cookie": f"{COOKIE}={TOKEN}"}).status == 401
    assert call(dashboard(token=TOKEN + "2"), "GET", "/", {"cookie": cookie.partition(";")[0]}).status == 401


def test_the_form_does_the_same() -> None:
    app = dashboard(token=TOKEN)
    form = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
    assert call(app, "POST", "/login", form, f"token={TOKEN}".encode()).status == 303
    assert (
        call(app, "POST", "/login", {**form, "sec-fetch-site": "cross-site"}, f"token={TOKEN}".encode()).status == 403
    )


def test_a_wrong_token_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portside.observe.dashboard.app.WRONG_TOKEN_S", 0.0)
    app = dashboard(token=TOKEN)
    for answer in (call(app, "GET", "/?token=wrong"), call(app, "POST", "/login", {}, b"token=wrong")):
        assert (answer.status, "set-cookie" in answer.headers) == (403, False)


def test_a_bearer_of_the_token_may_scrape() -> None:
    assert call(dashboard(token=TOKEN), "GET", "/api/session", {"authorization": f"Bearer {TOKEN}"}).status == 200


def test_another_site_s_page_may_not_listen() -> None:
    assert call(dashboard(), "GET", "/events", {"sec-fetch-site": "cross-site"}).status == 403


def test_a_websocket_is_turned_away() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(dashboard()({"type": "websocket"}, send, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close"}]
