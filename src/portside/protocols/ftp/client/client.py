"""A client's session with an FTP server: each act one call, each refusal an error.

    async with await FtpClient.connect(network, "ftp://anna@files.example/", password="secret") as ftp:
        async for entry in ftp.list("reports"):
            ...
        with open("report.pdf", "wb") as file:
            await ftp.download("reports/report.pdf", file)

Paths are the server's; those that begin without a slash start where the login has put us. One thing is done after the
other; for several files at once there are several clients.
"""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Final, Self

from portside.contracts import Connection, Network
from portside.errors import PortsideError
from portside.protocols.ftp.client import login
from portside.protocols.ftp.client.channel import Channels
from portside.protocols.ftp.client.entries import RemoteEntry, parse_fact_line
from portside.protocols.ftp.client.errors import Aborted, Incomplete, Unavailable, refusal
from portside.protocols.ftp.client.listing import Listing
from portside.protocols.ftp.client.session import Session
from portside.protocols.ftp.client.transfer import (
    Mover,
    Progress,
    Receiver,
    Sender,
    Source,
    Target,
    Transfer,
    carry,
    commit_s,
)
from portside.protocols.ftp.client.url import FtpUrl, parse_url
from portside.protocols.ftp.client.words import Features, algorithms_of, parse_path, parse_size
from portside.protocols.ftp.digests import ALGORITHMS, X_FORMS, HashReply, parse_hash_reply, parse_x_reply
from portside.protocols.ftp.replies import MalformedReply
from portside.protocols.ftp.times import build_time, parse_time

TIMEOUT_S: Final = 30.0  # for connecting, for each answer, and for a silence in a transfer
QUIT_S: Final = 2.0  # nobody needs the answer to a goodbye


class FtpClient:
    """A session, logged in. Make one with ``connect``."""

    def __init__(self, session: Session, url: FtpUrl) -> None:
        self._session = session
        self.url = url

    @classmethod
    async def connect(
        cls,
        network: Network,
        url: FtpUrl | str,
        *,
        user: str | None = None,
        password: str | None = None,
        account: str | None = None,
        tls: ssl.SSLContext | bool | None = None,
        active: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """Connect to the URL's server and log in; the URL's path is left to the caller.

        ``user`` and ``password`` go before the URL's; without either the user is anonymous. TLS begins as the scheme
        says (``ftpes://`` by AUTH TLS, ``ftps://`` at once), by ``tls=True`` on ``ftp://`` too; a context replaces the
        default one, which verifies. ``active``: the server opens the data connections. ``timeout_s`` is for
        connecting, each answer, and a silence in a transfer.
        Raises: NetworkError, TlsFailed, TimeoutError; LoginRefused and other kinds of Refused; UsageError.
        """
        url = parse_url(url) if isinstance(url, str) else url
        security, context = login.security_of(url, tls)
        user = url.user if user is None else user
        password = url.password if password is None else password
        if user is None:
            user, password = login.ANONYMOUS, password or login.ANONYMOUS_PASSWORD
        control = await login.connect(network, url, security=security, context=context, timeout_s=timeout_s)
        try:
            await login.log_in(control, user, password, account)
            protection = None if context is None else await login.protect(control, context, url.host)
            channels = Channels(control, active=active, protection=protection)
            session = Session(control, channels, await login.learn_features(control))
        except BaseException:
            control.connection.abort()
            raise
        return cls(session, url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.quit()
        else:
            self.close()

    @property
    def connection(self) -> Connection:
        """The control connection: who the server is, and what TLS agreed on."""
        return self._session.control.connection

    @property
    def features(self) -> Features:
        """What the server said it can do."""
        return self._session.features

    async def quit(self) -> None:
        """Say goodbye and close. A server that does not answer is left all the same."""
        control = self._session.control
        try:
            await self._session.abort()
            await control.ask("QUIT", timeout_s=min(QUIT_S, control.timeout_s))
        except (PortsideError, TimeoutError):
            control.connection.abort()
        await control.connection.close()

    def close(self) -> None:
        """Close at once, without a word."""
        self._session.control.connection.abort()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def home(self) -> str:
        """Return the path of the directory in which the login has put us."""
        return parse_path(await self._session.ask("PWD"))

    async def stat(self, path: str) -> RemoteEntry:
        """Return what the server tells of a path. Raises: Refused, of the class Unavailable when it is not there.

        A server without MLST is asked for the size, which files have, and then whether it is a directory.
        """
        name = path.rstrip("/").rpartition("/")[2] or "/"
        reply = await self._session.try_("MLST", path)
        if reply is not None:
            lines = [line for line in reply.lines[1:-1] or reply.lines if "=" in line]
            if not lines:
                raise MalformedReply(f"a reply to MLST has a line of facts; this one said {reply.text[:80]!r}")
            entry = parse_fact_line(lines[0], name=name)
            assert entry is not None
            return entry
        size_bytes = await self.size(path)
        if size_bytes is not None:
            modified_ns = await self.modified(path)
            return RemoteEntry(name, "file", size_bytes, modified_ns, is_exact=modified_ns is not None)
        await self._session.go_to(path)
        return RemoteEntry(name, "directory")

    def list(self, path: str = "") -> Listing:
        """Return an asynchronous iterator over the entries of a directory, without itself and the one above it."""
        return Listing(self._session, path)

    async def size(self, path: str) -> int | None:
        """Return the size of a file in bytes, None where the server does not tell it or the path is no file."""
        await self._session.set_type("I")
        try:
            reply = await self._session.try_("SIZE", path)
        except Unavailable:
            return None
        return None if reply is None else parse_size(reply)

    async def modified(self, path: str) -> int | None:
        """Return when a file was modified, in nanoseconds since 1970-01-01 00:00 UTC; None as with ``size``."""
        try:
            reply = await self._session.try_("MDTM", path)
        except Unavailable:
            return None
        return None if reply is None else parse_time(reply.text.strip())

    async def digest(
        self, path: str, algorithms: tuple[str, ...] = ALGORITHMS, *, size_bytes: int = 0
    ) -> HashReply | None:
        """Return the file's digest by the first of the algorithms that the server has; None where it has none of them.

        It reads the whole file for that: ``size_bytes`` says how much patience that takes.
        Source: HASH, draft-bryan-ftpext-hash-02; the older XSHA256, XSHA1, XMD5 and XCRC.
        """
        session = self._session
        wait_s = max(session.control.timeout_s, commit_s(size_bytes))
        offered = algorithms_of(self.features)
        chosen = next((name for name in algorithms if name in offered), None)
        if chosen is not None:
            await session.set_type("I")
            await session.ask("OPTS", f"HASH {chosen}")
            return parse_hash_reply((await session.ask("HASH", path, timeout_s=wait_s)).text)
        for verb, algorithm in X_FORMS.items():
            if verb in self.features and algorithm in algorithms:
                reply = await session.ask(verb, path, timeout_s=wait_s)
                return HashReply(algorithm, parse_x_reply(reply.text, algorithm))
        return None

    # ── transfers ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def download(
        self,
        path: str,
        target: Target,
        *,
        offset: int = 0,
        size_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> Transfer:
        """Bring the file's bytes from ``offset`` on to the target, at its position.

        It is complete when the data connection has ended as it should, the server has said so, and the size is the one
        that SIZE told before; ``size_bytes`` saves asking.
        Raises: Incomplete; Refused; TimeoutError when nothing moves; ConnectionLost; what the target raises.
        """
        await self._session.settle()
        await self._session.set_type("I")
        if size_bytes is None:
            size_bytes = await self.size(path)
        transfer, mover = await self._carry("RETR", path, offset, progress, target=target)
        if mover.is_truncated:
            raise Incomplete(path, transfer.size_bytes, size_bytes, "its end was not TLS's own (close_notify)")
        if size_bytes is not None and transfer.size_bytes != size_bytes:
            raise Incomplete(path, transfer.size_bytes, size_bytes)
        return transfer

    async def upload(
        self,
        path: str,
        source: Source,
        *,
        offset: int = 0,
        append: bool = False,
        progress: Progress | None = None,
    ) -> Transfer:
        """Bring the source's bytes from ``offset`` on to the server, as the file at ``path``.

        With an offset the file there is continued at that place; with ``append`` behind whatever is there.
        Raises: as ``download`` does; NoSpace.
        """
        await self._session.settle()
        await self._session.set_type("I")
        verb, restart = ("APPE", 0) if append else ("STOR", offset)
        transfer, _ = await self._carry(verb, path, restart, progress, source=source, source_offset=offset)
        return transfer

    async def _carry(
        self,
        verb: str,
        path: str,
        restart: int,
        progress: Progress | None,
        *,
        target: Target | None = None,
        source: Source | None = None,
        source_offset: int = 0,
    ) -> tuple[Transfer, Mover]:
        session = self._session
        network = session.control.network
        began_s = network.now_s()
        underway = await session.begin(verb, path, offset=restart)
        channel = underway.channel
        mover: Mover
        if target is not None:
            mover = Receiver(channel, target)
        else:
            assert source is not None
            mover = Sender(channel, source, source_offset)
        underway.is_carried = True
        try:
            reply = await carry(session.control, mover, channel, progress, heard=underway.final)
            session.finished(underway, reply)
        finally:
            underway.is_carried = False
        if underway.is_aborted:
            await session.hear_rest(underway)
            raise Aborted(path)
        if mover.local_failure is not None:
            raise mover.local_failure
        if reply.is_negative:
            raise refusal(underway.words, reply)
        if mover.failure is not None:
            raise mover.failure
        return Transfer(mover.moved_bytes, source_offset or restart, network.now_s() - began_s, reply), mover

    async def abort(self) -> None:
        """Abort the transfer that is under way, if there is one: the call that carries it raises Aborted."""
        await self._session.abort()

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def delete(self, path: str) -> None:
        await self._session.ask("DELE", path)

    async def rename(self, source: str, target: str) -> None:
        await self._session.ask("RNFR", source)
        await self._session.ask("RNTO", target)

    async def make_directory(self, path: str) -> None:
        await self._session.ask("MKD", path)

    async def remove_directory(self, path: str) -> None:
        await self._session.ask("RMD", path)

    async def set_modified(self, path: str, modified_ns: int) -> bool:
        """Set when a file was modified, to the second; False where the server cannot.

        Source: draft-somers-ftp-mfxx-04 (MFMT).
        """
        return await self._session.try_("MFMT", f"{build_time(modified_ns)} {path}") is not None
