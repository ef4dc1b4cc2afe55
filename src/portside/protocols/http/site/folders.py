"""Answering for a folder: its index page, a listing for people or for programs, or all of it as one file."""

from __future__ import annotations

import gzip
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from portside.protocols.http.site.accepting import form_of_listing
from portside.protocols.http.site.archives import FORMATS, answer_archive
from portside.protocols.http.site.conditions import Validators, judge
from portside.protocols.http.site.encodings import GZIP, codings_taken
from portside.protocols.http.site.files import answer_file, open_stored
from portside.protocols.http.site.listing import build_json, parse_view, read_contents
from portside.protocols.http.site.pages import CONTENT_POLICY, Abilities, build_listing_page
from portside.protocols.http.site.problems import Problem
from portside.protocols.http.site.rules import RawFields
from portside.protocols.http.site.targets import build_reference
from portside.protocols.http.site.turns import run_blocking
from portside.storage.contract import NoSuchFile, NotRegular, StorageError, Stored
from portside.storage.paths import join, split

if TYPE_CHECKING:
    from portside.protocols.http.site.exchange import Exchange

_COMPRESSED_FROM_BYTES: Final = 1_024
_COMPRESSION_LEVEL: Final = 3  # half of what level 9 saves on lists of names, in a tenth of its time
_HANGS_ON: Final[RawFields] = [(b"cache-control", b"no-cache"), (b"vary", b"accept, accept-encoding")]


async def answer_folder(exchange: Exchange) -> None:
    """Answer for what may be a folder: its path was written as one. Raises: Problem, StorageError."""
    query = exchange.query
    wanted = next((name for name in FORMATS if name in query), None)
    if wanted is not None and exchange.rules.archives:
        exchange.check("read", "list")
        await answer_archive(exchange, FORMATS[wanted])
        return
    form = "json" if "json" in query else form_of_listing(exchange.fields.get(b"accept", b""))
    if form != "json":
        index = await open_index(exchange)
        if index is not None:
            await answer_file(exchange, *index)
            return
        if exchange.rules.spa:
            raise NoSuchFile(exchange.path)
    if not exchange.rules.listing:
        await run_blocking(exchange.storage.stat, exchange.path)  # raises, if there is nothing
        raise Problem(403, "This folder has no page to show.")
    exchange.check("list")
    await _answer_listing(exchange, query, as_json=form == "json")


async def open_index(exchange: Exchange) -> tuple[str, Stored] | None:
    """Return the path of the folder's index page, and it opened; None where it has none."""
    for name in exchange.rules.index:
        path = join(exchange.path, name)
        try:
            return path, await open_stored(exchange.storage, path)
        except (NoSuchFile, NotRegular):
            continue
        except StorageError:  # one that may not be read is no reason to show what is beside it
            raise
    return None


async def redirect_to_folder(exchange: Exchange) -> None:
    """Send a client that has left out a folder's last slash where links on its page are right.

    The reference is relative, so that it is right whatever the site is mounted under, and leads nowhere else.
    """
    query: bytes = exchange.scope.get("query_string", b"")
    reference = f"./{build_reference(split(exchange.path)[1], is_folder=True)}"
    location = reference.encode("ascii") + (b"?" + quote(query, safe="=&%+").encode("ascii") if query else b"")
    await exchange.answer(301, [(b"location", location), (b"cache-control", b"no-cache")])


async def _answer_listing(exchange: Exchange, query: dict[str, str], *, as_json: bool) -> None:
    rules, path, view = exchange.rules, exchange.path, parse_view(query)
    abilities = Abilities(
        upload=rules.uploads and exchange.may("write"),
        make_folder=rules.uploads and exchange.may("mkdir"),
        archive=rules.archives and exchange.may("read"),
        log_in=exchange.challenge is not None and rules.uploads,
    )
    taken = codings_taken(exchange.fields.get(b"accept-encoding", b""))

    def build() -> tuple[bytes, bool]:
        contents = read_contents(exchange.storage, path, view, rules)
        page = build_json(path, contents) if as_json else build_listing_page(path, view, contents, abilities)
        if GZIP in taken and len(page) >= _COMPRESSED_FROM_BYTES:
            return gzip.compress(page, _COMPRESSION_LEVEL, mtime=0), True
        return page, False

    page, is_compressed = await run_blocking(build)
    # Weak: the same folder is the same page, but for what the compression makes of it (RFC 9110 section 8.8.1).
    etag = b'W/"%b"' % blake2b(page, digest_size=16).hexdigest().encode("ascii")
    fields: RawFields = [(b"etag", etag), *_HANGS_ON]
    without_dates = {name: value for name, value in exchange.fields.items() if not name.endswith(b"-since")}
    refusal = judge(exchange.method, without_dates, Validators(etag, 0))
    if refusal == 304:
        await exchange.answer(304, fields)
        return
    if refusal is not None:
        raise Problem(refusal, "The folder is not as you expect it to be.")
    if is_compressed:
        fields.append((b"content-encoding", GZIP.token))
    if as_json:
        fields.append((b"content-type", b"application/json"))
    else:
        fields += [(b"content-type", b"text/html; charset=utf-8"), *CONTENT_POLICY]
    await exchange.answer(200, fields, page)


async def answer_application(exchange: Exchange) -> None:
    """Answer with the root's index page, whatever is asked for: the application in it knows what to make of it."""
    for name in exchange.rules.index:
        with suppress(NoSuchFile):
            stored = await open_stored(exchange.storage, f"/{name}")
            await answer_file(exchange, f"/{name}", stored)
            return
    raise Problem(404, "There is no index page for the application.")
