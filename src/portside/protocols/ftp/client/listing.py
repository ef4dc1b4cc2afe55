"""A directory of the server, entry by entry as they come: by MLSD where the server knows it, else by LIST."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Self

from portside.contracts import LINE_BYTES_MAX, Connection
from portside.errors import ConnectionClosed, ConnectionLost
from portside.protocols.ftp.client.channel import Channel
from portside.protocols.ftp.client.control import accepted
from portside.protocols.ftp.client.entries import RemoteEntry, parse_fact_line, parse_list_line
from portside.protocols.ftp.client.errors import Aborted, Incomplete, NotSupported, Refused, Unavailable
from portside.protocols.ftp.client.session import Session, Underway
from portside.protocols.ftp.client.supervision import guarded

# vsftpd says this in a reply that means success, with an empty list: whoever believed it would take all files for gone.
_NOT_OPENED: Final = "failed to open directory"


class Listing:
    """An asynchronous iterator over a directory's entries, in the server's order.

    The session does nothing else until it is read to its end or closed; one that nobody holds any more is closed.
    Iterating raises: Refused; Incomplete when the list was cut off; MalformedMessage; TimeoutError, ConnectionLost.
    """

    def __init__(self, session: Session, path: str) -> None:
        self._session = session
        self._path = path
        self._underway: Underway | None = None
        self._connection: Connection | None = None
        self._parse: Callable[[bytes], RemoteEntry | None] = parse_fact_line
        self._is_over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RemoteEntry:
        if self._is_over:
            raise StopAsyncIteration
        try:
            entry = await self._next()
        except BaseException as error:
            self._is_over = True
            if self._underway is not None:
                self._underway.disown()
                if self._underway.is_aborted and isinstance(error, ConnectionLost | ConnectionClosed):
                    raise Aborted(self._path) from None
            raise
        if entry is None:
            self._is_over = True
            raise StopAsyncIteration
        return entry

    async def aclose(self) -> None:
        """Leave the listing, wherever it is."""
        self._is_over = True
        if self._underway is not None:
            self._underway.disown()
        await self._session.settle()

    # ── its parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _next(self) -> RemoteEntry | None:
        if self._underway is not None and self._underway.is_aborted:
            raise Aborted(self._path)  # whatever of it has come already
        if self._connection is None:
            self._underway = await self._announce()
            self._connection = await self._connected(self._underway.channel)
        while (line := await self._line(self._connection)) is not None:
            entry = self._parse(line)
            if entry is not None:
                return entry
        assert self._underway is not None
        await self._end(self._connection, self._underway)
        return None

    async def _announce(self) -> Underway:
        session = self._session
        await session.settle()
        if session.features.may_know("MLST") and "MLSD" not in session.refused:
            try:
                return await session.begin("MLSD", self._path, owner=self)
            except NotSupported:
                session.refused.add("MLSD")
        return await self._announce_for_people()

    async def _announce_for_people(self) -> Underway:
        """Begin a LIST of the directory, gone to first: as an argument its name could be a pattern or options."""
        session = self._session
        now_s = session.control.connection.started_at.timestamp()
        self._parse = partial(parse_list_line, now_s=now_s)
        await session.set_type("A")  # RFC 959 section 4.1.3
        is_unix = await session.is_unix()
        if self._path:
            await session.go_to(self._path)  # only a transfer's words may follow
        if is_unix:
            try:
                return await session.begin("LIST", "-a", owner=self)  # names that begin with a dot, too
            except Refused as refused:
                if refused.is_temporary:
                    raise
        return await session.begin("LIST", "", owner=self)

    async def _connected(self, channel: Channel) -> Connection:
        async def connect() -> None:
            await channel.connected()

        control = self._session.control
        timeout_s = control.timeout_s
        await guarded(connect(), control.network, channel.stop, timeout_s=timeout_s, what="data connection")
        assert channel.connection is not None
        return channel.connection

    async def _line(self, connection: Connection) -> bytes | None:
        timeout_s = self._session.control.timeout_s
        try:
            return await connection.read_line(LINE_BYTES_MAX, timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"nothing moved for {timeout_s:g} s") from error

    async def _end(self, connection: Connection, underway: Underway) -> None:
        is_truncated = connection.is_truncated
        await connection.close()
        reply = accepted(underway.words, await self._session.hear_final(underway))
        if _NOT_OPENED in reply.text:
            raise Unavailable(underway.words, reply)
        if is_truncated:
            raise Incomplete(self._path, connection.bytes_in, None, "its end was not TLS's own (close_notify)")
