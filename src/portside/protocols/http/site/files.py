"""Answering for a file: whole, in parts, or not at all where the client has it already."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from portside.protocols.http.site.conditions import is_range_current, judge
from portside.protocols.http.site.delivery import send_part, send_whole
from portside.protocols.http.site.encodings import Coding, codings_taken
from portside.protocols.http.site.heads import Head
from portside.protocols.http.site.media import is_compressible, media_type_of
from portside.protocols.http.site.problems import Problem
from portside.protocols.http.site.ranges import (
    Part,
    Unsatisfiable,
    build_content_range,
    build_part_head,
    build_parts_end,
    build_unsatisfied_range,
    parse_range,
)
from portside.protocols.http.site.rules import RawFields
from portside.protocols.http.site.turns import run_blocking
from portside.storage.contract import Storage, StorageError, Stored
from portside.storage.paths import split

if TYPE_CHECKING:
    from portside.protocols.http.site.exchange import Exchange

_CONDITIONS: Final = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"}
)
# A compressed file may be older than the plain one by what it takes to copy both.
_OLDER_NS_MAX: Final = 2_000_000_000


async def open_stored(storage: Storage, path: str) -> Stored:
    """Open a file, without a thread where no disk need be waited for. Raises: StorageError."""
    stored = storage.open_nowait(path)
    return await run_blocking(storage.open, path) if stored is None else stored


async def answer_file(exchange: Exchange, path: str, stored: Stored, *, status: int = 200) -> None:
    """Answer with an open file, or with a compressed one beside it, and close it.

    With another ``status`` than 200 it is a page that says so, and no conditions apply. Raises: Problem.
    """
    coding = None
    try:
        exchange.check("read")
        taken = await _compressed(exchange, path, stored)
        if taken is not None:
            stored.close()
            coding, stored = taken
        head = exchange.heads.of(split(path)[1], stored.entry, coding)
        if status != 200 or _CONDITIONS.isdisjoint(exchange.fields):
            await _answer_whole(exchange, stored, head, status)
        else:
            await _answer_conditionally(exchange, stored, head)
    finally:
        stored.close()


async def _compressed(exchange: Exchange, path: str, stored: Stored) -> tuple[Coding, Stored] | None:
    """Return the compressed file that the client likes best and that is not older than the plain one, opened."""
    accepted = exchange.fields.get(b"accept-encoding")
    if accepted is None or not exchange.rules.precompressed or not is_compressible(media_type_of(split(path)[1])):
        return None
    for coding in codings_taken(accepted):
        with suppress(StorageError):
            beside = await open_stored(exchange.storage, path + coding.suffix)
            if beside.entry.modified_ns + _OLDER_NS_MAX >= stored.entry.modified_ns:
                return coding, beside
            beside.close()
    return None


async def _answer_whole(exchange: Exchange, stored: Stored, head: Head, status: int = 200) -> None:
    await exchange.send({"type": "http.response.start", "status": status, "headers": head.whole})
    if exchange.is_head:
        await exchange.send({"type": "http.response.body", "body": b""})
    else:
        await send_whole(exchange, stored, stored.entry.size_bytes)


async def _answer_conditionally(exchange: Exchange, stored: Stored, head: Head) -> None:
    fields = exchange.fields
    refusal = judge(exchange.method, fields, head.validators)
    if refusal == 304:
        await exchange.send({"type": "http.response.start", "status": 304, "headers": head.lasting})
        await exchange.send({"type": "http.response.body", "body": b""})
        return
    if refusal is not None:
        raise Problem(refusal, "The file is not as you expect it to be.")
    parts = _parts_of(exchange, stored, head)
    if parts is None:
        await _answer_whole(exchange, stored, head)
    elif len(parts) == 1:
        await _answer_part(exchange, stored, head, parts[0])
    else:
        await _answer_parts(exchange, stored, head, parts)


def _parts_of(exchange: Exchange, stored: Stored, head: Head) -> tuple[Part, ...] | None:
    """Return which parts are wanted, None for the whole. Raises: Problem."""
    wanted = exchange.fields.get(b"range")
    # A range is defined for GET alone, RFC 9110 section 14.2.
    if wanted is None or exchange.method != "GET":
        return None
    if not is_range_current(exchange.fields.get(b"if-range"), head.validators, time.time()):
        return None
    size_bytes = stored.entry.size_bytes
    try:
        return parse_range(wanted, size_bytes)
    except Unsatisfiable:
        there = build_unsatisfied_range(size_bytes).decode("ascii")
        raise Problem(416, f"The file has {size_bytes} bytes.", {"content-range": there}) from None


async def _answer_part(exchange: Exchange, stored: Stored, head: Head, part: Part) -> None:
    fields: RawFields = [
        (b"content-type", head.content_type),
        (b"content-range", build_content_range(part, stored.entry.size_bytes)),
        (b"content-length", b"%d" % (part.end - part.start)),
        *head.lasting,
    ]
    await exchange.send({"type": "http.response.start", "status": 206, "headers": fields})
    await send_part(exchange, stored, part, more=False)


async def _answer_parts(exchange: Exchange, stored: Stored, head: Head, parts: tuple[Part, ...]) -> None:
    boundary = secrets.token_hex(16).encode("ascii")
    size_bytes = stored.entry.size_bytes
    heads = [build_part_head(part, size_bytes, head.content_type, boundary) for part in parts]
    end = build_parts_end(boundary)
    length = sum(map(len, heads)) + sum(part.end - part.start for part in parts) + len(end)
    fields: RawFields = [
        (b"content-type", b"multipart/byteranges; boundary=%b" % boundary),
        (b"content-length", b"%d" % length),
        *head.lasting,
    ]
    await exchange.send({"type": "http.response.start", "status": 206, "headers": fields})
    for part_head, part in zip(heads, parts, strict=True):
        await exchange.send({"type": "http.response.body", "body": part_head, "more_body": True})
        await send_part(exchange, stored, part, more=True)
    await exchange.send({"type": "http.response.body", "body": end})
