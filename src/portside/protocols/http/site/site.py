"""The site as an ASGI application: which answer a request gets, and what is said when there is none.

Starlette brings the lifespan, the errors and the mounting; a request for nothing but a small file goes by it
(``plain``), because there are many of these.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response

from portside.protocols.http.site.accepting import form_of_problem
from portside.protocols.http.site.archives import AT_ONCE
from portside.protocols.http.site.conditions import Fields
from portside.protocols.http.site.exchange import Exchange, Places
from portside.protocols.http.site.files import answer_file, open_stored
from portside.protocols.http.site.folders import answer_application, answer_folder, redirect_to_folder
from portside.protocols.http.site.forms import answer_form
from portside.protocols.http.site.heads import Heads
from portside.protocols.http.site.login import Gate
from portside.protocols.http.site.origins import check_origin
from portside.protocols.http.site.pages import CONTENT_POLICY, Link, build_problem_page
from portside.protocols.http.site.plain import PlainFiles
from portside.protocols.http.site.problems import NOT_THERE, Problem, problem_of
from portside.protocols.http.site.rules import PREFLIGHT, RawFields, Rules
from portside.protocols.http.site.targets import is_concealed, parse_target
from portside.protocols.http.site.uploads import make_folder, put_file
from portside.protocols.http.statuses import phrase_of
from portside.storage.contract import IsDirectory, NoSuchFile, NotDirectory, NotRegular, StorageError
from portside.storage.paths import split

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

NOT_FOUND_PAGE: Final = "/404.html"

_CHANGES: Final[dict[str, Callable[[Exchange], Awaitable[None]]]] = {
    "MKCOL": make_folder,
    "POST": answer_form,
    "PUT": put_file,
}


def site_application(gate: Gate, rules: Rules) -> ASGIApp:
    """Return the site as an application of its own, which another may mount."""
    problems, heads = _Problems(rules), Heads(rules)
    application = Starlette(
        exception_handlers={
            HTTPException: problems.show,
            StorageError: problems.show_refusal,
            Exception: problems.show_failure,
        }
    )
    # No route: the patterns of routes know names without a line feed only, and a file may have any.
    application.router.default = Site(gate, rules, heads)
    return PlainFiles(application, gate, rules, heads)


class Site:
    """Answers the requests of one site. Raises: Problem, StorageError, for Starlette to make responses of."""

    def __init__(self, gate: Gate, rules: Rules, heads: Heads) -> None:
        self._gate = gate
        self._rules = rules
        self._heads = heads
        self._archives = Places(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        fields = fields_of(scope["headers"])
        gate = self._gate
        if scope["method"] == "OPTIONS":
            account, storage = gate.nobody, gate.storage  # a browser asks before it says who somebody is
        else:
            account, storage = await gate.admit(scope, fields)
        exchange = Exchange(
            scope,
            receive,
            send,
            self._rules,
            self._heads,
            fields,
            parse_target(scope),
            account,
            storage,
            self._archives,
            gate.counters,
            gate.service,
            gate.challenge if b"authorization" not in fields else None,
        )
        if scope["method"] in {"GET", "HEAD"}:
            await self._show(exchange)
        else:
            await self._change(exchange)

    async def _change(self, exchange: Exchange) -> None:
        rules = self._rules
        if exchange.method == "OPTIONS":
            is_preflight = rules.cors and b"access-control-request-method" in exchange.fields
            await exchange.answer(204, [(b"allow", rules.methods), *(PREFLIGHT if is_preflight else ())])
            return
        act = _CHANGES.get(exchange.method) if rules.uploads else None
        if act is None:
            sentence = f"{exchange.method} is not for this site."
            raise Problem(405, sentence, {"allow": rules.methods.decode("ascii")})
        check_origin(exchange.fields)
        await act(exchange)

    # ── GET and HEAD ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _show(self, exchange: Exchange) -> None:
        try:
            if "/." in exchange.path and is_concealed(exchange.path) and not self._rules.hidden:
                raise NoSuchFile(exchange.path)
            if exchange.target.is_folder:
                await self._show_folder(exchange)
            else:
                await self._show_file(exchange)
        except (NoSuchFile, NotDirectory, NotRegular):
            await self._show_other(exchange)

    async def _show_file(self, exchange: Exchange) -> None:
        path = exchange.path
        try:
            stored = await open_stored(exchange.storage, path)
        except IsDirectory:
            await redirect_to_folder(exchange)
            return
        await answer_file(exchange, path, stored)

    async def _show_folder(self, exchange: Exchange) -> None:
        # Whoever has said it sees the folder at once: sent elsewhere, a browser may not say it again.
        if exchange.challenge is not None and "login" in exchange.query:
            raise Problem(401, "Please log in.", {"www-authenticate": exchange.challenge.decode("ascii")})
        await answer_folder(exchange)

    async def _show_other(self, exchange: Exchange) -> None:
        """Answer where there is nothing: with the application, with the site's own page for it, or with ours."""
        accepts_page = b"text/html" in exchange.fields.get(b"accept", b"")
        if self._rules.spa and (accepts_page or "." not in split(exchange.path)[1]):
            await answer_application(exchange)
            return
        if accepts_page and exchange.may("read"):
            try:
                stored = await open_stored(exchange.storage, NOT_FOUND_PAGE)
            except StorageError:
                pass
            else:
                await answer_file(exchange, NOT_FOUND_PAGE, stored, status=404)
                return
        raise Problem(404, NOT_THERE)


def fields_of(headers: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return the header as a table; what comes in several lines is joined, RFC 9110 section 5.3."""
    pairs = list(headers)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        for name in fields:
            fields[name] = b", ".join(value for other, value in pairs if other == name)
    return fields


class _Problems:
    """Tells people and programs what is wrong."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def show(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self._respond(request, error.status_code, str(error.detail), error.headers or {})

    async def show_refusal(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, StorageError)
        return await self.show(request, problem_of(error))

    async def show_failure(self, request: Request, error: Exception) -> Response:
        return self._respond(request, 500, "The server has failed; its log says why.", {})

    def _respond(self, request: Request, status: int, sentence: str, headers: Mapping[str, str]) -> Response:
        form = form_of_problem(request.headers.get("accept", "").encode("latin-1"))
        fields: RawFields = [*self._rules.always, (b"cache-control", b"no-store"), (b"vary", b"accept")]
        if form == "html":
            fields += [(b"content-type", b"text/html; charset=utf-8"), *CONTENT_POLICY]
            body = build_problem_page(status, sentence, links=_ways_from(request, status))
        elif form == "json":
            fields.append((b"content-type", b"application/json"))
            body = json.dumps({"status": status, "problem": phrase_of(status), "why": sentence}).encode("utf-8")
        else:
            fields.append((b"content-type", b"text/plain; charset=utf-8"))
            body = f"{status} {phrase_of(status)}: {sentence}\n".encode()
        fields += [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        response = Response(status_code=status)
        response.body = body
        response.raw_headers = [(b"content-length", b"%d" % len(body)), *fields]
        return response


def _ways_from(request: Request, status: int) -> list[Link]:
    """Return where one may go from an address where something is wrong."""
    if status in {401, 429}:
        return []
    root: str = request.scope.get("root_path", "")
    names = [name for name in request.scope["path"].removeprefix(root).split("/") if name]
    above = [Link("../" if request.scope["path"].endswith("/") else "./", "To the folder above")]
    return [*(above if len(names) > 1 else []), Link(f"{root}/", "To the beginning")]
