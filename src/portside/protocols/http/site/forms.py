"""POST: what a page's form sends, several files or the name of a folder (RFC 7578). It works without any script."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from portside.protocols.http.site.accepting import form_of_problem
from portside.protocols.http.site.pages import CONTENT_POLICY, Link, build_problem_page
from portside.protocols.http.site.problems import Problem
from portside.protocols.http.site.receiving import ClientDisconnect, Reception, body_of, check_name
from portside.protocols.http.site.records import tell
from portside.protocols.http.site.targets import shown
from portside.protocols.http.site.turns import run_blocking
from portside.protocols.http.site.uploads import make_folder_at
from portside.storage.contract import NoSuchFile, Storage
from portside.storage.paths import join

if TYPE_CHECKING:
    from portside.protocols.http.site.exchange import Exchange

PARTS_MAX: Final = 1_000
VALUE_BYTES_MAX: Final = 4_096  # of what is no file


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of one file or folder: its name, and what is wrong where it has not come about."""

    name: str
    problem: Problem | None = None


async def answer_form(exchange: Exchange) -> None:
    """Answer POST to a folder. Raises: Problem."""
    if not exchange.may("mkdir"):
        exchange.check("write")
    parser = PushMultipartParser(_boundary_of(exchange), max_segment_count=PARTS_MAX)
    form = _Form(exchange)
    try:
        with parser:
            async for piece in body_of(exchange):
                for event in parser.parse(piece):
                    await form.take(event)
    except ClientDisconnect:
        return
    except MultipartError as error:
        raise Problem(400, f"The form cannot be read: {error}.") from error
    finally:
        await form.close()
    if not form.outcomes:
        raise Problem(400, "The form has no file and no folder in it.")
    await _answer_outcomes(exchange, form.outcomes)


def _boundary_of(exchange: Exchange) -> str:
    kind, parameters = parse_options_header(exchange.fields.get(b"content-type", b"").decode("latin-1"))
    boundary: str = parameters.get("boundary", "")
    if kind != "multipart/form-data" or not boundary:
        raise Problem(415, "Files come in a form, as multipart/form-data.")
    return boundary


class _Form:
    """A form while it comes: each part goes to where it belongs. ``close`` it in any case."""

    def __init__(self, exchange: Exchange) -> None:
        self.outcomes: list[Outcome] = []
        self._exchange = exchange
        self._replaces = False
        self._name = ""
        self._file: _File | None = None
        self._value: bytearray | None = None

    async def take(self, event: MultipartSegment | bytearray | bytes | None) -> None:
        """Take what the parser gives: the head of a part, a piece of it, or None at its end."""
        if isinstance(event, MultipartSegment):
            self._name = event.name or ""
            if event.filename is None:
                self._value = bytearray()
            elif event.filename:  # a form that nobody has chosen a file in has one without a name
                self._file = _File(self._exchange, name_in(event.filename), replaces=self._replaces)
                await self._file.begin()
        elif event is None:
            await self._end_part()
        elif self._file is not None:
            await self._file.write(bytes(event))
        elif self._value is not None:
            self._value += event
            if len(self._value) > VALUE_BYTES_MAX:
                raise Problem(413, "A value in the form is too long.")

    async def _end_part(self) -> None:
        file, self._file = self._file, None
        value, self._value = self._value, None
        if file is not None:
            self.outcomes.append(await file.end())
        elif value is not None and self._name == "replace":
            self._replaces = bool(value)
        elif value is not None and self._name == "folder":
            self.outcomes.append(await self._make_folder(bytes(value).decode("utf-8", "replace").strip()))

    async def _make_folder(self, name: str) -> Outcome:
        try:
            self._exchange.check("mkdir")
            path = path_of(self._exchange, name)
            await make_folder_at(self._exchange, path)
        except Problem as problem:
            return Outcome(name, Problem(409, str(problem.detail)) if problem.status_code == 405 else problem)
        return Outcome(name)

    async def close(self) -> None:
        if self._file is not None:
            await self._file.give_up("the client has left before the end")


class _File:
    """One file of a form. What goes wrong with it is its own affair: the others still come."""

    def __init__(self, exchange: Exchange, name: str, *, replaces: bool) -> None:
        self._exchange = exchange
        self._name = name
        self._replaces = replaces
        self._path = ""
        self._reception: Reception | None = None
        self._problem: Problem | None = None

    async def begin(self) -> None:
        try:
            self._exchange.check("write")
            self._path = path_of(self._exchange, self._name)
            if not self._replaces and await run_blocking(_is_there, self._exchange.storage, self._path):
                raise Problem(409, "The name is taken already.")
            self._reception = await Reception.begin(self._exchange, self._path)
        except Problem as problem:
            await self._fail(problem)

    async def write(self, piece: bytes) -> None:
        if self._reception is not None:
            try:
                await self._reception.write(piece)
            except Problem as problem:
                await self._fail(problem)

    async def end(self) -> Outcome:
        if self._reception is not None:
            storage, path = self._exchange.storage, self._path
            try:
                entry = await self._reception.commit(None if self._replaces else lambda: _is_there(storage, path))
                self._reception = None
                tell(self._exchange, "upload", path, size_bytes=entry.size_bytes)
            except Problem as problem:
                await self._fail(Problem(409, "The name is taken already.") if problem.status_code == 412 else problem)
        return Outcome(self._name, self._problem)

    async def _fail(self, problem: Problem) -> None:
        self._problem = problem
        await self.give_up(str(problem.detail))

    async def give_up(self, why: str) -> None:
        reception, self._reception = self._reception, None
        if reception is not None:
            await reception.abandon()
        if self._path:
            tell(self._exchange, "upload", self._path, failed=why)


def name_in(filename: str) -> str:
    """Return the name itself: some browsers send the folder that it was in too, on whichever system."""
    return filename.replace("\\", "/").rpartition("/")[2]


def path_of(exchange: Exchange, name: str) -> str:
    """Return the path of a name in the folder that is asked for. Raises: Problem for what is no name."""
    if not name or name in {".", ".."} or "/" in name or not name.isprintable():
        raise Problem(400, "That is no name.")
    path = join(exchange.path, name)
    check_name(exchange, path)
    return path


def _is_there(storage: Storage, path: str) -> bool:
    try:
        storage.stat(path)
    except NoSuchFile:
        return False
    return True


# ── what has become of it ────────────────────────────────────────────────────────────────────────────────────────────


async def _answer_outcomes(exchange: Exchange, outcomes: list[Outcome]) -> None:
    problems = [outcome.problem for outcome in outcomes if outcome.problem is not None]
    form = form_of_problem(exchange.fields.get(b"accept", b""))
    if form == "html" and not problems:
        await exchange.answer(303, [(b"location", b"./")])
        return
    status = problems[0].status_code if problems else 201
    if form == "html":
        await exchange.answer(
            status,
            [(b"content-type", b"text/html; charset=utf-8"), *CONTENT_POLICY],
            _build_page(status, outcomes),
        )
    elif form == "json":
        facts = [
            {"name": shown(outcome.name), "stored": outcome.problem is None, "why": _why(outcome)}
            for outcome in outcomes
        ]
        body = json.dumps({"files": facts}, ensure_ascii=False).encode("utf-8")
        await exchange.answer(status, [(b"content-type", b"application/json")], body)
    else:
        lines = "".join(f"{shown(outcome.name)}: {_why(outcome) or 'stored'}\n" for outcome in outcomes)
        await exchange.answer(status, [(b"content-type", b"text/plain; charset=utf-8")], lines.encode("utf-8"))


def _why(outcome: Outcome) -> str | None:
    return None if outcome.problem is None else str(outcome.problem.detail)


def _build_page(status: int, outcomes: list[Outcome]) -> bytes:
    failed = [outcome for outcome in outcomes if outcome.problem is not None]
    stored = len(outcomes) - len(failed)
    sentence = "Not everything has come about." if stored else "That has not come about."
    details = [f"{shown(outcome.name)}: {_why(outcome)}" for outcome in failed]
    if stored:
        details.append(f"The other {stored} came about." if stored > 1 else "The other one came about.")
    return build_problem_page(status, sentence, links=[Link("./", "Back to the folder")], details=details)
