"""Carrying out the acts that move files and listings over a data connection, and those said in the middle of it."""

from __future__ import annotations

from functools import partial
from typing import Final

from portside import events
from portside.contracts import Connection
from portside.protocols.ftp import acts
from portside.protocols.ftp.acts_files import told_digest
from portside.protocols.ftp.exchanges import begin, why
from portside.protocols.ftp.listings import Listing, open_listing
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import Refused
from portside.protocols.ftp.transfers import SHORT_BYTES, Representation, send_pieces, send_stored
from portside.protocols.ftp.visit import Visit, carries_out
from portside.storage import paths
from portside.storage.contract import NotDirectory, Stored

STATUS_LINES_MAX: Final = 1_000  # of a listing on the control connection


# ── downloads ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Download:
    """RETR: a file on its way to the client."""

    def __init__(self, visit: Visit, path: str, stored: Stored, offset: int) -> None:
        self.verb = "RETR"
        self.path = path
        self._visit = visit
        self._stored = stored
        self._offset = offset
        self.is_short = stored.entry.size_bytes - offset <= SHORT_BYTES and visit.session.is_binary
        self._started_s = visit.network.now_s()

    async def move(self, data: Connection, how: Representation) -> None:
        await send_stored(data, self._stored, self._offset, how)

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

    async def give_up(self, error: BaseException) -> None:
        self._visit.tell_act("download", self.path, failed=why(error))

    async def close(self) -> None:
        self._stored.close()


@carries_out(acts.Retrieve)
async def _retrieve(visit: Visit, act: acts.Retrieve) -> Reply | None:
    visit.need_way()
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


# ── listings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Directory:
    """LIST, NLST and MLSD: names on their way to the client."""

    def __init__(self, visit: Visit, act: acts.SendListing, listing: Listing) -> None:
        self.verb: str = act.form
        self.path = act.argument
        self._visit = visit
        self._listing = listing
        self.is_short = listing.is_over and len(listing.first) <= SHORT_BYTES

    async def move(self, data: Connection, how: Representation) -> None:
        await send_pieces(data, self._next_piece, how)

    async def _next_piece(self) -> bytes:
        first, self._listing.first = self._listing.first, b""
        if first or self._listing.is_over:
            return first
        return await self._visit.run_blocking(self._listing.next_piece)

    async def complete(self, data: Connection) -> Reply:
        return Reply(226, ("The listing is sent.",))

    async def give_up(self, error: BaseException) -> None:
        """A listing leaves nothing behind."""

    async def close(self) -> None:
        self._listing.close()


@carries_out(acts.SendListing)
async def _send_listing(visit: Visit, act: acts.SendListing) -> Reply | None:
    visit.need_way()
    try:
        listing = await _open_listing(visit, act.form, act.argument)
    except NotDirectory as error:
        if act.form != "MLSD":
            raise
        raise Refused(501, "It is not a directory.") from error  # RFC 3659 section 7.2.1
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
