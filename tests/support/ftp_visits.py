"""An FTP server in memory and the clients that visit it: a world without sockets and in virtual time.

Whatever a client hears is held to the documents (``ftp_codes``), and a world that ends is searched for what was left
behind: listeners, uploads on their way, sessions that are still held, work that nobody waited for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from portside.accounts.account import Account
from portside.accounts.book import Login, MemoryBook
from portside.accounts.counters import LocalCounters
from portside.accounts.doorkeeper import Doorkeeper
from portside.accounts.passwords import keep_password
from portside.address import InternetAddress
from portside.errors import ConnectionLost, PeerError
from portside.net.stream import Stream
from portside.protocols.ftp.battery import visits_of
from portside.protocols.ftp.replies import Reply, ReplyReader
from portside.protocols.ftp.server import Server
from portside.protocols.ftp.session import Policy
from portside.storage import paths
from portside.storage.memory import MemoryStorage
from portside.storage.memory_tree import Directory
from portside.testing.memory import CLIENT, SERVER, MemoryConnection, MemoryNetwork, pair
from support import virtual_time
from support.ftp_codes import may_answer

if TYPE_CHECKING:
    import ssl

HOST: Final = CLIENT.host  # where clients come from
STRANGER: Final = "203.0.113.9"
LISTENS: Final = SERVER.host
NAME: Final = "ftp.example"
PASSWORD: Final = "secret"
NOW_S: Final = 1_795_644_000.0  # 2026-11-25 22:00:00 UTC

_PORT: Final = re.compile(r"\(\|\|\|(\d+)\|\)|\((\d+),(\d+),(\d+),(\d+),(\d+),(\d+)\)")


class World:
    """One server and whoever visits it. ``changes`` go to ``Server``; ``accounts`` have the password ``secret``."""

    def __init__(
        self,
        *accounts: Account,
        policy: Policy | None = None,
        capacity_bytes: int | None = None,
        attempts: int = 10,
        **changes: Any,
    ) -> None:
        self.network = MemoryNetwork()
        self.counters = LocalCounters(clock=self.network.now_s)
        self.storage = MemoryStorage(now_s=lambda: NOW_S, capacity_bytes=capacity_bytes)
        book = MemoryBook(Login(account, keep_password(PASSWORD)) for account in accounts or (Account("anna"),))
        self.server = Server(
            storage=self.storage,
            doorkeeper=Doorkeeper(book, self.counters, attempts=attempts),
            counters=self.counters,
            policy=Policy() if policy is None else policy,
            **changes,
        )
        self.cut: int | None = None  # into pieces of how many bytes what clients say is cut
        self._clients: list[Client] = []

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, path: str, content: bytes = b"content\n") -> None:
        """Make a file, and the directories above it, not through the server."""
        names = path.strip("/").split("/")
        for depth in range(1, len(names)):
            directory = "/" + "/".join(names[:depth])
            if not self.has(directory):
                self.storage.make_directory(directory)
        upload = self.storage.upload(path)
        upload.file.write(content)
        upload.commit()

    def content(self, path: str) -> bytes:
        """Return what is in a file, read from the storage."""
        stored = self.storage.open(path)
        try:
            return stored.file.read()
        finally:
            stored.close()

    def has(self, path: str) -> bool:
        above, name = paths.split(path)
        return any(entry.name == name for batch in self.storage.list(above) for entry in batch)

    def names(self, path: str = "/") -> set[str]:
        return {entry.name for batch in self.storage.list(path) for entry in batch}

    # ── visits ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, story: Callable[[World], Awaitable[None]], *, within_s: float = 3_600.0) -> None:
        """Let the story happen, have everybody leave, and look what is left behind."""
        virtual_time.run(self._live(story, within_s))

    async def _live(self, story: Callable[[World], Awaitable[None]], within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await story(self)
        finally:
            for client in self._clients:
                await client.leave()
        self.assert_nothing_left()

    def client(
        self,
        host: str = HOST,
        *,
        local: InternetAddress = SERVER,
        control_port: int = CLIENT.port,
        begins: bool = True,
    ) -> Client:
        """Return a client whose control connection has just been accepted. It has heard nothing yet."""
        server_end, client_end = pair(network=self.network, server=local, client=InternetAddress(host, control_port))
        client = Client(self, client_end, server_end)
        self._clients.append(client)
        if begins:
            client.begin()
        return client

    async def greeted(self, *, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None, **where: Any) -> Client:
        """Return a client that has been greeted: under ``tls``, a server's context and a client's, if there is one."""
        client = self.client(begins=tls is None, **where)
        if tls is not None:
            await asyncio.gather(
                client.served.start_tls(tls[0]),
                client.control.start_tls(tls[1], server_side=False, server_name=NAME),
            )
            client.begin()
        assert (await client.reply()).code == 220
        return client

    async def logged_in(self, user: str = "anna", **where: Any) -> Client:
        """Return a client that has logged in, and has said TYPE I."""
        client = await self.greeted(**where)
        await client.say(f"USER {user}", 331)
        await client.say(f"PASS {PASSWORD}", 230)
        await client.say("TYPE I", 200)
        return client

    async def until(self, fact: Callable[[], object]) -> None:
        """Let the others act until the fact is one; no time passes."""
        for _ in range(1_000):
            if fact():
                return
            await self.network.sleep(0)
        raise AssertionError("it never came to be so")

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def assert_nothing_left(self) -> None:
        assert self.network.listeners == {}, "somebody still listens"
        assert self.network._at_work == set(), "work goes on that nobody waits for"
        assert self.counters._places == {}, "a session is still held"
        assert _uploads_on_their_way(self.storage._root) == [], "an upload was never ended"


def _uploads_on_their_way(directory: Directory) -> list[str]:
    found = [upload.name for upload in directory.going]
    for node in directory.names.values():
        if isinstance(node, Directory):
            found += _uploads_on_their_way(node)
    return found


@dataclass
class Client:
    """Somebody at the other end of a control connection; ``served`` is the server's end of it."""

    world: World
    control: MemoryConnection
    served: MemoryConnection
    data: MemoryConnection | None = None  # to the port that was told last
    tls: ssl.SSLContext | None = None  # for data connections too, once it is set
    failure: BaseException | None = None  # what the server's handler raised, of a peer's fault
    is_broken: bool = False  # the test has seen a bug in the handler, and wants no more of it
    _replies: ReplyReader = field(default_factory=ReplyReader)
    _visit: asyncio.Task[None] | None = None

    # ── the server's side ────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        self._visit = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        try:
            async with self.served:
                await visits_of(self.world.server)(self.served)
        except PeerError as error:  # the client left, or misbehaved: an event
            self.failure = error

    def served_data(self) -> Stream | None:
        """The server's end of the data connection of a transfer that is under way."""
        companions = self.served.companions()
        return companions[0][0] if companions else None

    async def until_served(self, count: int) -> Stream:
        """Return the server's end of the data connection, when so many bytes have come there."""
        await self.world.until(lambda: (data := self.served_data()) is not None and data.bytes_in >= count)
        data = self.served_data()
        assert data is not None
        return data

    async def is_left_alone(self) -> None:
        """Return when the server has ended the visit, everything read."""
        assert self._visit is not None
        await self._visit
        assert await self.rest() == b""

    async def rest(self) -> bytes:
        return b"".join([piece async for piece in self.control])

    async def leave(self) -> None:
        """Go without a word, and wait until the server has noticed. A bug in its handler comes out here."""
        assert self._visit is not None
        await self.control.close()
        if self.data is not None:
            self.data.abort()
        if not self.is_broken:
            await self._visit

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, data: bytes | str) -> None:
        """Send bytes, or a text's lines with CR LF, cut as the world has it."""
        if isinstance(data, str):
            data = b"".join(f"{line}\r\n".encode("utf-8", "surrogateescape") for line in data.split("\n"))
        size = self.world.cut or max(1, len(data))
        for at in range(0, len(data), size):
            await self.control.write(data[at : at + size])

    async def reply(self, to: str | None = None) -> Reply:
        """Return the next reply; one to the command must be one that the documents allow."""
        while (line := await self.control.read_line()) is not None:
            reply = self._replies.feed(line)
            if reply is not None:
                verb = "" if to is None else to.partition(" ")[0]
                assert not verb or may_answer(reply.code, verb), f"{reply} may not answer {verb}"
                return reply
        raise AssertionError("the control connection has ended")

    async def say(self, line: str, *codes: int) -> Reply:
        """Say a line and return the last of its replies, which must have these codes (any, where none is given)."""
        await self.send(line)
        return await self.hear(line, *codes)

    async def hear(self, line: str, *codes: int) -> Reply:
        """Return the last of the replies to a line that was sent."""
        reply = await self.reply(line)
        heard = [reply.code]
        while len(heard) < len(codes) or (not codes and reply.is_preliminary):
            reply = await self.reply(line)
            heard.append(reply.code)
        assert tuple(heard) == codes or not codes, f"{line}: {reply}"
        return reply

    async def asks(self, *lines: str) -> list[int]:
        """Say the lines one after the other, and return the code of each one's last reply."""
        return [(await self.say(line)).code for line in lines]

    # ── data connections ─────────────────────────────────────────────────────────────────────────────────────────────

    async def passive(self, line: str = "EPSV") -> MemoryConnection:
        """Have the server listen, and connect there."""
        await self.connect_to(await self.say(line, 229 if line.startswith("EPSV") else 227))
        assert self.data is not None
        return self.data

    async def connect_to(self, reply: Reply, host: str = HOST) -> MemoryConnection:
        """Connect to where a 229 or 227 says."""
        port = port_in(reply)
        endpoint = f"tcp://{LISTENS}:{port}"
        self.data = await self.world.network.connect(endpoint, local=InternetAddress(host, 0))
        return self.data

    async def protect(self) -> None:
        """Shake hands on the data connection, if it is to be protected."""
        if self.tls is not None and self.data is not None:
            await self.data.start_tls(self.tls, server_side=False, server_name=NAME, resume=self.control)

    async def take(self, line: str, *codes: int, passive: str = "EPSV") -> bytes:
        """Ask for what comes over a data connection, and return it; the replies must have these codes."""
        data = await self.passive(passive)
        await self.send(line)
        assert (await self.reply(line)).code == 150
        await self.protect()
        came = b"".join([piece async for piece in data])
        await data.close()
        self.data = None
        await self._last(line, *codes)
        return came

    async def give(self, line: str, content: bytes, *codes: int, passive: str = "EPSV") -> Reply:
        """Send the content over a data connection, to its end; the last reply must have one of these codes."""
        data = await self.passive(passive)
        await self.send(line)
        assert (await self.reply(line)).code == 150
        await self.protect()
        try:
            await data.write(content)
            await data.close()
        except ConnectionLost:  # the server may hang up on somebody who still speaks
            data.abort()
        self.data = None
        return await self._last(line, *codes)

    async def _last(self, line: str, *codes: int) -> Reply:
        reply = await self.reply(line)
        assert reply.code in (codes or (226,)), f"{line}: {reply}"
        return reply


def port_in(reply: Reply) -> int:
    """Return the port that a 229 or a 227 tells."""
    match = _PORT.search(reply.text)
    assert match is not None, reply
    return int(match[1]) if match[1] else int(match[6]) * 256 + int(match[7])
