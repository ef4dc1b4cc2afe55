"""PUT makes a file or replaces one, MKCOL makes a folder: for programs, and for the script of our own page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.protocols.http.site.conditions import Validators, judge
from portside.protocols.http.site.heads import validators_of
from portside.protocols.http.site.problems import Problem, problem_of
from portside.protocols.http.site.receiving import ClientDisconnect, Reception, body_of, check_name, too_large
from portside.protocols.http.site.records import tell
from portside.protocols.http.site.turns import run_blocking
from portside.storage.contract import AlreadyThere, Entry, NoSuchFile, Storage, StorageError

if TYPE_CHECKING:
    from portside.protocols.http.site.exchange import Exchange

_CONDITIONS: Final = frozenset({b"if-match", b"if-none-match", b"if-unmodified-since"})


async def put_file(exchange: Exchange) -> None:
    """Answer PUT, RFC 9110 section 9.3.4: 201 for a new file, 204 for one that is replaced. Raises: Problem."""
    exchange.check("write")
    _check_put(exchange)
    path = exchange.path
    there = await run_blocking(_validators_at, exchange.storage, path)
    if judge("PUT", exchange.fields, there) is not None:
        raise _changed(there)
    reception = await Reception.begin(exchange, path)
    entry: Entry | None = None
    failed: str | None = None
    try:
        async for piece in body_of(exchange):
            await reception.write(piece)
        # Once more when only the name is missing: of two who both want to make the same file, one succeeds.
        is_conditional = not _CONDITIONS.isdisjoint(exchange.fields)
        entry = await reception.commit(
            (lambda: judge("PUT", exchange.fields, _validators_at(exchange.storage, path)) is not None)
            if is_conditional
            else None
        )
    except ClientDisconnect:
        failed = "the client has left before the end"
        return
    except Problem as problem:
        failed = problem.detail
        raise
    finally:
        if entry is None:
            await reception.abandon()
        if failed is not None:  # told last: by then nothing of it is left
            tell(exchange, "upload", path, failed=failed)
    tell(exchange, "upload", path, size_bytes=entry.size_bytes)
    await exchange.answer(201 if there is None else 204, [(b"etag", validators_of(entry).etag)])


def _check_put(exchange: Exchange) -> None:
    """Raise Problem for what cannot be put, before any of its body has come."""
    fields = exchange.fields
    if exchange.target.is_folder:
        raise Problem(409, "The name of a file does not end in a slash.")
    check_name(exchange, exchange.path)
    if b"content-range" in fields:  # RFC 9110 section 14.5: whoever ignores it makes a file of a part
        raise Problem(400, "A part of a file cannot be put.")
    if fields.get(b"content-encoding", b"identity") != b"identity":
        raise Problem(415, "A file is stored as it is, not encoded.")
    length, limit = fields.get(b"content-length", b""), exchange.rules.upload_bytes_max
    if limit is not None and length.isdigit() and int(length) > limit:
        raise too_large(limit)


def _validators_at(storage: Storage, path: str) -> Validators | None:
    """Return the validators of the file at the path, None where there is none. Raises: Problem."""
    try:
        entry = storage.stat(path)
    except NoSuchFile:
        return None
    except StorageError as error:
        raise problem_of(error) from error
    if entry.kind == "directory":
        raise Problem(409, "There is a folder of that name.")
    return validators_of(entry)


def _changed(there: Validators | None) -> Problem:
    return Problem(
        412, "There is no such file yet." if there is None else "There is another file of that name already."
    )


async def make_folder(exchange: Exchange) -> None:
    """Answer MKCOL, RFC 4918 section 9.3. Raises: Problem."""
    exchange.check("mkdir")
    check_name(exchange, exchange.path)
    if exchange.fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in exchange.fields:
        raise Problem(415, "A folder is made of nothing but its name.")
    await make_folder_at(exchange, exchange.path)
    await exchange.answer(201, [])


async def make_folder_at(exchange: Exchange, path: str) -> None:
    """Make a folder, and tell of it. Raises: Problem."""
    try:
        await run_blocking(exchange.storage.make_directory, path)
    except AlreadyThere as error:
        tell(exchange, "mkdir", path, failed=error.why)
        raise Problem(405, "The name is taken already.", {"allow": exchange.rules.methods.decode("ascii")}) from error
    except NoSuchFile as error:
        tell(exchange, "mkdir", path, failed=error.why)
        raise Problem(409, "The folder that it should be in is not there.") from error
    except StorageError as error:
        tell(exchange, "mkdir", path, failed=error.why)
        raise problem_of(error) from error
    tell(exchange, "mkdir", path)
