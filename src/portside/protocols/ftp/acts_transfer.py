"""Carrying out the acts that move files and listings over a data connection, and those said in the middle of it."""

from __future__ import annotations

import logging
import secrets
from functools import partial
from typing import Final, Protocol

from portside import events
from portside.contracts import Connection
from portside.errors import PortsideError
from portside.protocols.ftp import acts
from portside.protocols.ftp.acts_files import digest_of, entry_at
from portside.protocols.ftp.listings import Listing, open_listing
from portside.protocols.ftp.quota import add_usage, room_bytes
from portside.protocols.ftp.rates import Pacer, Rate
from portside.protocols.ftp.refusals import reply_to
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import Refused
from portside.protocols.ftp.transfers import (
    LEFT,
    TRUNCATED,
    Failed,
    Representation,
    Transfer,
    receive_stored,
    send_pieces,
    send_stored,
)
from portside.protocols.ftp.visit import Visit, carries_out
from portside.storage import paths
from portside.storage.contract import NoSuchFile, Storage, StorageError, Stored, Upload, Withdrawn
from portside.storage.failures import storage_error

log = logging.getLogger("portside")

UNIQUE_NAME_BYTES: Final = 8  # of chance in a name that STOU makes: nobody else has it
STATUS_LINES_MAX: Final = 1_000  # of a listing on the control connection

DIGEST: Final = "SHA-256"  # of the records


class Exchange(Protocol):
    """What one transfer moves, whichever way, and what follows from how it ends."""

    title: str
    path: str

    async def move(self, data: Connection, how: Representation) -> None:
        """Move the bytes over the data connection, to the end of the stream."""

    async def complete(self, data: Connection) -> Reply:
        """Everything has moved: make it last, and return the reply. Raises: Failed, StorageError."""

    async def give_up(self, why: str) -> None:
        """It did not come about, for whatever reason."""

    async def close(self) -> None:
        """Let go of everything, after either of the two."""


# ── the course of a transfer ─────────────────────────────────────────────────────────────────────────────────────────


async def begin(visit: Visit, exchange: Exchange, opening: str, rates: tuple[Rate, ...]) -> None:
    """Say 150, and have the exchange go on beside the conversation. Raises: Refused."""
    try:
        way = visit.take_way()
    except Refused as refusal:
        await exchange.give_up(str(refusal.reply))
        await exchange.close()
        raise
    session = visit.session
    how = Representation(
        is_binary=session.is_binary,
        deflate_level=session.deflate_level if session.is_deflated else None,
        tls=visit.protection,
        pacer=Pacer(visit.network, visit.server.counters, rates),
    )
    transfer = visit.transfer = Transfer(visit.control, way, exchange.title)
    transfer.begin(visit.network.start(_conduct(visit, transfer, exchange, opening, how)))


async def _conduct(visit: Visit, transfer: Transfer, exchange: Exchange, opening: str, how: Representation) -> None:
    """A transfer from its first reply to its last. Says the latter before it closes: some clients read that first."""
    try:
        await visit.say(Reply(150, (opening,)))
        await visit.say(await _reply_of(visit, transfer, exchange, how))
    except PortsideError:
        raise
    except Exception:  # a bug of ours, which the visit hears of when it waits: the client must not wait as well
        await visit.say(Reply(451, ("Something went wrong here.",)))
        raise
    finally:
        await exchange.close()
        await transfer.close()


async def _reply_of(visit: Visit, transfer: Transfer, exchange: Exchange, how: Representation) -> Reply:
    bounds = visit.server.bounds
    failure: Failed | StorageError
    try:
        data = await transfer.carry_out(
            lambda data: exchange.move(data, how),
            how,
            opens_within_s=bounds.opens_within_s,
            stalls_after_s=bounds.stalls_after_s,
        )
        return await exchange.complete(data)
    except (Failed, StorageError) as error:
        failure = error
    except OSError as error:
        failure = storage_error(error, exchange.path)
    except BaseException as error:
        await exchange.give_up(str(error) or type(error).__name__)
        raise
    await exchange.give_up(failure.why)
    return reply_to(failure)


# ── downloads ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Download:
    """RETR: a file on its way to the client."""

    def __init__(self, visit: Visit, path: str, stored: Stored, offset: int) -> None:
        self.title = f"RETR {path}"
        self.path = path
        self._visit = visit
        self._stored = stored
        self._offset = offset
        self._started_s = visit.network.now_s()

    async def move(self, data: Connection, how: Representation) -> None:
        await send_stored(data, self._stored.file, self._offset, self._stored.entry.size_bytes, how)

    async def complete(self, data: Connection) -> Reply:
        visit = self._visit
        if events.listening(events.FileActed):
            digest = await told_digest(visit, self.path) if not self._offset else None
            visit.tell_act(
                "download",
                self.path,
                size_bytes=data.bytes_out,
                duration_s=visit.network.now_s() - self._started_s,
                digest=digest,
            )
        return Reply(226, ("The file is sent.",))

    async def give_up(self, why: str) -> None:
        self._visit.tell_act("download", self.path, failed=why)

    async def close(self) -> None:
        self._stored.close()


@carries_out(acts.Retrieve)
async def _retrieve(visit: Visit, act: acts.Retrieve) -> Reply | None:
    stored = visit.storage.open_nowait(act.path)
    if stored is None:
        stored = await visit.run_blocking(visit.storage.open, act.path)
    size_bytes = stored.entry.size_bytes
    if act.offset > size_bytes:
        stored.close()
        raise Refused(554, f"The file has only {size_bytes} bytes.")
    mode = "BINARY" if visit.session.is_binary else "ASCII"
    opening = f"Opening {mode} mode data connection for {paths.split(act.path)[1]} ({size_bytes} bytes)."
    rates = visit.server.rates_out(visit.control, visit.account)
    await begin(visit, Download(visit, act.path, stored, act.offset), opening, rates)
    return None


async def told_digest(visit: Visit, path: str) -> str | None:
    """Return the digest of a file for the records, where the operator wants it."""
    if not visit.server.digests:
        return None
    try:
        _, digest = await visit.run_blocking(digest_of, visit.storage, path, DIGEST)
    except StorageError:
        return None  # gone again already
    return f"{DIGEST.lower()}:{digest}"


# ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Reception:
    """STOR, STOU and APPE: a file on its way from the client."""

    def __init__(
        self,
        visit: Visit,
        act: events.FileAct,
        path: str,
        upload: Upload,
        *,
        room_bytes: int | None,
        replaced_bytes: int,
    ) -> None:
        self.title = f"STOR {path}"
        self.path = path
        self._visit = visit
        self._act = act
        self._upload: Upload | None = upload
        self._room_bytes = room_bytes
        self._replaced_bytes = replaced_bytes
        self._received_bytes = 0
        self._started_s = visit.network.now_s()

    async def move(self, data: Connection, how: Representation) -> None:
        assert self._upload is not None
        self._received_bytes = await receive_stored(data, self._upload.file, self._room_bytes, how)

    async def complete(self, data: Connection) -> Reply:
        """Commit the upload, if its end is the client's own word and not the end of the client."""
        if data.is_truncated:
            raise Failed(426, TRUNCATED)
        assert self._upload is not None
        try:
            await self._visit.run_blocking(partial(self._upload.commit, is_withdrawn=self._client_is_gone))
        except Withdrawn as error:
            raise Failed(426, LEFT) from error
        self._upload = None
        add_usage(self._visit, self._received_bytes - self._replaced_bytes)
        await self._tell()
        return Reply(226, ("The file is stored.",))

    def _client_is_gone(self) -> bool:
        """Tell whether the end of the data was the end of the client.

        One that is killed ends both connections alike, a moment apart, and half a file must not pass for a whole one.
        So this is asked as late as can be; whoever wants a file stored waits to hear that it is.
        """
        return self._visit.control.peer_has_ended

    async def _tell(self) -> None:
        visit = self._visit
        if visit.server.hook is None and not events.listening(events.FileActed):
            return
        event = visit.tell_act(
            self._act,
            self.path,
            size_bytes=self._received_bytes,
            duration_s=visit.network.now_s() - self._started_s,
            digest=await told_digest(visit, self.path),
        )
        visit.start_hook(event)

    async def give_up(self, why: str) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            await self._visit.run_blocking(partial(upload.abandon, keep=True))
        self._visit.tell_act(self._act, self.path, failed=why)

    async def close(self) -> None:
        """Either of the two has let go of the upload."""


@carries_out(acts.Store)
async def _store(visit: Visit, act: acts.Store) -> Reply | None:
    path = await _unique(visit, act.path) if act.unique else act.path
    room = await room_bytes(visit)
    replaced_bytes = 0
    if room is not None and act.offset == 0:
        replaced_bytes = await visit.run_blocking(_bytes_at, visit.storage, path)
        room += replaced_bytes
    upload = await visit.run_blocking(partial(visit.storage.upload, path, offset=act.offset))
    kind: events.FileAct = "append" if act.offset is None else "upload"
    reception = Reception(visit, kind, path, upload, room_bytes=room, replaced_bytes=replaced_bytes)
    name = paths.split(path)[1]
    opening = f"FILE: {name}" if act.unique else f"Ready for {name}."  # STOU's form: RFC 1123 section 4.1.2.9
    await begin(visit, reception, opening, visit.server.rates_in(visit.control, visit.account))
    return None


def _bytes_at(storage: Storage, path: str) -> int:
    try:
        return storage.stat(path).size_bytes
    except StorageError:
        return 0


async def _unique(visit: Visit, path: str) -> str:
    """Return a name that nothing has: the one asked for if it is free, or with some chance behind it."""
    try:
        await entry_at(visit, path)
    except NoSuchFile:
        return path
    return f"{path}.{secrets.token_hex(UNIQUE_NAME_BYTES)}"


# ── listings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Directory:
    """LIST, NLST and MLSD: names on their way to the client."""

    def __init__(self, visit: Visit, act: acts.SendListing, listing: Listing) -> None:
        self.title = f"{act.form} {act.argument}".rstrip()
        self.path = act.argument
        self._visit = visit
        self._listing = listing

    async def move(self, data: Connection, how: Representation) -> None:
        await send_pieces(data, self._next_piece, how)

    async def _next_piece(self) -> bytes:
        first, self._listing.first = self._listing.first, b""
        if first or self._listing.is_over:
            return first
        return await self._visit.run_blocking(self._listing.next_piece)

    async def complete(self, data: Connection) -> Reply:
        return Reply(226, ("The listing is sent.",))

    async def give_up(self, why: str) -> None:
        """A listing leaves nothing behind."""

    async def close(self) -> None:
        self._listing.close()


@carries_out(acts.SendListing)
async def _send_listing(visit: Visit, act: acts.SendListing) -> Reply | None:
    listing = await _open_listing(visit, act.form, act.argument)
    rates = visit.server.rates_out(visit.control, visit.account)
    await begin(visit, Directory(visit, act, listing), "Here comes the listing.", rates)
    return None


async def _open_listing(visit: Visit, form: acts.ListingForm, argument: str) -> Listing:
    session = visit.session
    return await visit.run_blocking(
        partial(
            open_listing,
            visit.storage,
            session.directory,
            form,
            argument,
            facts=session.facts,
            permissions=visit.account.permissions,
        )
    )


# ── in the middle of it ──────────────────────────────────────────────────────────────────────────────────────────────


@carries_out(acts.Abort)
async def _abort(visit: Visit, act: acts.Abort) -> Reply | None:
    """RFC 959 section 4.1.3: the transfer says 426 for itself, and this 226 is for ABOR."""
    transfer, visit.transfer = visit.transfer, None
    if transfer is not None:
        await transfer.abort()
    await visit.prepare(None)
    return Reply(226, ("Nothing is under way any more.",))


@carries_out(acts.TellStatus)
async def _tell_status(visit: Visit, act: acts.TellStatus) -> Reply | None:
    if act.argument:
        return await _status_of_path(visit, act.argument)
    return Reply(211, ("Portside FTP", *(f" {line}" for line in _status_lines(visit)), "End"))


async def _status_of_path(visit: Visit, argument: str) -> Reply:
    listing = await _open_listing(visit, "LIST", argument)
    try:
        lines: list[str] = []
        piece = listing.first
        while piece and len(lines) < STATUS_LINES_MAX:
            lines += piece.decode("utf-8", "surrogateescape").removesuffix("\r\n").split("\r\n")
            piece = await visit.run_blocking(listing.next_piece) if not listing.is_over else b""
    finally:
        listing.close()
    if len(lines) > STATUS_LINES_MAX:
        lines = [*lines[:STATUS_LINES_MAX], "… and more, which LIST shows."]
    return Reply(213, ("Status:", *lines, "End"))


def _status_lines(visit: Visit) -> list[str]:
    session, transfer = visit.session, visit.transfer
    lines = [f"Connected from {visit.control.peer}"]
    if session.account is not None:
        lines.append(f"Logged in as {session.account.name}")
    lines.append(f"TYPE: {'Image' if session.is_binary else 'ASCII Nonprint'}; STRU: File")
    lines.append(f"MODE: {'Deflate' if session.is_deflated else 'Stream'}")
    lines.append(f"Control connection: {'protected' if session.is_protected else 'in the clear'}")
    lines.append(f"Data connections: {'protected' if session.protects_data else 'in the clear'}")
    if transfer is not None and not transfer.is_over:
        lasted_s = visit.network.now_s() - transfer.started_s
        lines.append(f"{transfer.title}: {transfer.moved_bytes} bytes in {lasted_s:.1f} s")
    else:
        lines.append("No transfer is under way")
    return lines
