"""The application: which answer a request gets, and whom it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qs, unquote

import msgspec

from portside.observe.dashboard.access import COOKIE, COOKIE_S, Access, Fields, comes_from_elsewhere
from portside.observe.dashboard.answers import (
    HTML_TYPE,
    OPENMETRICS_TYPE,
    Problem,
    Receive,
    Scope,
    Send,
    answer,
    answer_json,
    answer_problem,
    read_body,
    redirect,
)
from portside.observe.dashboard.asking import Ask, Refused, Silent
from portside.observe.dashboard.files import LOGIN, PAGE, answer_file, read_files
from portside.observe.dashboard.page import Page
from portside.observe.dashboard.watch import Watch
from portside.observe.metrics import build_openmetrics

PAGES_MAX: Final = 32
BODY_BYTES_MAX: Final = 4_096
WRONG_TOKEN_S: Final = 0.5  # how long somebody waits who said a wrong one

Answer: TypeAlias = Callable[[Scope, Receive, Send, Fields], Awaitable[None]]
Wish = TypeVar("Wish")


class Wanted(msgspec.Struct):
    """What a page wants to see beside the common news."""

    conversation: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    sockets: bool = False


class Admin:
    """Metrics for a scraper, health and readiness for who restarts and routes: no page, and nothing that changes."""

    def __init__(self, ask: Ask, access: Access) -> None:
        self._ask = ask
        self._access = access
        self._open: dict[tuple[str, str], Answer] = {
            ("GET", "/health"): self._show_health,
            ("GET", "/ready"): self._show_ready,
        }
        self._guarded: dict[tuple[str, str], Answer] = {("GET", "/metrics"): self._show_metrics}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        fields = dict(scope["headers"])
        try:
            if not self._access.believes_host(fields):
                raise Problem(421, "This is not the name of this server.")
            await self._answer(scope, receive, send, fields)
        except Problem as problem:
            await answer_problem(send, problem)
        except Refused as refusal:
            await answer_problem(send, Problem(409, str(refusal)))
        except Silent as silence:
            await answer_problem(send, Problem(503, str(silence)))

    async def _answer(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        found = self._open.get((method, path))
        if found is None:
            found = self._find(method, path)
            if not self._access.admits(fields):
                found = self._refuse(method, path)
        if method != "GET" and comes_from_elsewhere(fields):
            raise Problem(403, "Another site's page may not change anything here.")
        await found(scope, receive, send, fields)

    def _find(self, method: str, path: str) -> Answer:
        """Return who answers. Raises: Problem."""
        found = self._guarded.get((method, path))
        if found is None:
            known = {other for other, at in (*self._guarded, *self._open) if at == path}
            raise Problem(
                405 if known else 404, "There is nothing here." if not known else f"{method} is not for this."
            )
        return found

    def _refuse(self, method: str, path: str) -> Answer:
        """Return who tells somebody that they are not known."""
        raise Problem(401, "A token is needed: Authorization: Bearer …, or log in at the page.")

    async def _show_health(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        await answer_json(send, {"state": (await self._ask({"do": "health"}))["state"]})

    async def _show_ready(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        health = await self._ask({"do": "health"})
        await answer_json(send, health, status=200 if health["ready"] else 503)

    async def _show_metrics(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        await answer(send, build_openmetrics(await self._ask({"do": "stats"})).encode(), OPENMETRICS_TYPE)


class Dashboard(Admin):
    """The page, its events, and the one thing it can do: end a connection."""

    def __init__(self, ask: Ask, access: Access, builtin: frozenset[str]) -> None:
        super().__init__(ask, access)
        self._watch = Watch(ask, builtin)
        self._files = read_files()
        self._pages: dict[str, Page] = {}
        self._open |= {("POST", "/login"): self._log_in, ("GET", "/assets/style.css"): self._show_file}
        self._open[("GET", "/assets/icon.svg")] = self._show_file
        self._guarded |= {
            ("GET", "/"): self._show_page,
            ("GET", "/events"): self._show_events,
            ("GET", "/api/session"): self._show_session,
        }

    def leave(self) -> None:
        """End every stream: pages come back, and meet whoever serves then."""
        for page in tuple(self._pages.values()):
            page.end()

    def _find(self, method: str, path: str) -> Answer:
        match (method, *path.strip("/").split("/")):
            case ("GET", "assets", name) if name in self._files:
                return self._show_file
            case ("POST", "api", "pages", _):
                return self._take_wish
            case ("POST", "api", "connections", _, "close"):
                return self._close_connection
        return super()._find(method, path)

    def _refuse(self, method: str, path: str) -> Answer:
        return self._show_login if (method, path) == ("GET", "/") else super()._refuse(method, path)

    # ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _show_page(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        if b"token=" in scope.get("query_string", b""):
            await self._show_login(scope, receive, send, fields)  # which takes the token out of the address
            return
        await answer_file(send, self._files[PAGE], fields)

    async def _show_file(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        await answer_file(send, self._files[scope["path"].rpartition("/")[2]], fields)

    async def _show_session(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        await answer_json(send, {"ok": None})

    # ── logging in ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _show_login(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        token = _first(parse_qs(scope.get("query_string", b"").decode("latin-1")), "token")
        if token is not None:
            await self._let_in(scope, send, token)
        else:
            await answer(send, self._files[LOGIN].body, HTML_TYPE, status=401)

    async def _log_in(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        form = parse_qs((await read_body(receive, BODY_BYTES_MAX)).decode("latin-1"))
        await self._let_in(scope, send, _first(form, "token") or "")

    async def _let_in(self, scope: Scope, send: Send, token: str) -> None:
        """Give the browser a cookie for the token, and bring it to the page without it."""
        if self._access.token is None:
            await redirect(send, b"./")
            return
        if not self._access.knows(token.strip()):
            await asyncio.sleep(WRONG_TOKEN_S)
            await answer(send, self._files[LOGIN].body, HTML_TYPE, status=403)
            return
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        cookie = f"{COOKIE}={self._access.cookie}; Path=/; Max-Age={COOKIE_S}; HttpOnly; SameSite=Strict{secure}"
        await redirect(send, b"./", (b"set-cookie", cookie.encode("ascii")))

    # ── events and acts ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _show_events(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        if comes_from_elsewhere(fields):
            raise Problem(403, "Another site's page may not listen here.")
        if len(self._pages) >= PAGES_MAX:
            raise Problem(503, f"{PAGES_MAX} pages are open already.")
        page = Page(self._ask, self._watch, send)
        self._pages[page.name] = page
        try:
            await page.run(receive)
        finally:
            del self._pages[page.name]

    async def _take_wish(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        wanted = await _read_json(receive, fields, Wanted)
        page = self._pages.get(scope["path"].rpartition("/")[2])
        if page is None:
            raise Problem(404, "There is no such page any more.")
        page.want(wanted.conversation, sockets=wanted.sockets)
        await answer_json(send, {"ok": None})

    async def _close_connection(self, scope: Scope, receive: Receive, send: Send, fields: Fields) -> None:
        await _read_json(receive, fields, dict[str, Any])
        connection = unquote(scope["raw_path"].decode("latin-1").split("/")[-2])
        await self._ask({"do": "end", "connection": connection})
        await answer_json(send, {"ok": None})


async def _read_json(receive: Receive, fields: Fields, kind: type[Wish]) -> Wish:
    """Return the body as a value. A form of another site cannot send this type. Raises: Problem."""
    if fields.get(b"content-type", b"").partition(b";")[0].strip() != b"application/json":
        raise Problem(415, "Say it in application/json.")
    try:
        return msgspec.json.decode(await read_body(receive, BODY_BYTES_MAX), type=kind)
    except msgspec.MsgspecError as error:
        raise Problem(400, f"That cannot be read: {error}") from error


def _first(form: dict[str, list[str]], name: str) -> str | None:
    return form[name][0] if form.get(name) else None
