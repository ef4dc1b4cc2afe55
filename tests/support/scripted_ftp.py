"""An FTP server in memory and in virtual time, that says what a test wants it to say and remembers what it was told.

It knows enough to be polite: whoever wants something else replaces the answer to a command.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from portside.address import Endpoint, InternetAddress
from portside.contracts import Connection, Listener
from portside.errors import PortsideError
from portside.protocols.ftp.client import FtpClient
from portside.protocols.ftp.ports import build_port, parse_eprt, parse_port
from portside.testing.memory import MemoryNetwork
from support import virtual_time

HOST = "192.0.2.1"
URL = f"ftp://anna:secret@{HOST}/"
STRANGER = "203.0.113.9"
SOON_S = 5.0  # a timeout that is meant to pass; time is virtual, and nobody waits for it
TOO_LONG_S = 3_600.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Data:
    """A transfer: the reply that announces it, the bytes (None: as many as the client sends), how they end, the reply
    that ends it. ``early`` says the last reply before the bytes, ``silent`` is a server that stops in the middle.
    """

    content: bytes | None = None
    before: str = "150 Here it comes."
    after: str = "226 Done."
    end: str = "close"  # or reset, cut (no close_notify), hang
    early: bool = False


Answer = str | Data | Callable[["Visit", str], Awaitable[None]]

POLITE: dict[str, Answer] = {
    "": "220 Ready.",
    "USER": "331 Password, please.",
    "PASS": "230 Welcome.",
    "FEAT": "211-Features:\r\n SIZE\r\n MDTM\r\n MFMT\r\n MLST type*;size*;modify*;unique*;\r\n REST STREAM\r\n211 End",
    "TYPE": "200 Type set.",
    "PWD": '257 "/srv/anna" is the directory.',
    "CWD": "250 Changed.",
    "SYST": "215 UNIX Type: L8",
    "REST": "350 From there on.",
    "SIZE": "550 No such file.",
    "QUIT": "221 Goodbye.",
    "ABOR": "226 Aborted.",
    "PBSZ": "200 PBSZ=0",
    "PROT": "200 Protected.",
}


@dataclass
class Visit:
    """One control connection, and what was agreed on for the next data connection."""

    server: ScriptedServer
    control: Connection
    listener: Listener | None = None
    target: InternetAddress | None = None
    data: Connection | None = None
    received: bytes = b""

    async def say(self, text: str) -> None:
        await self.control.write(text.encode("utf-8", "surrogateescape") + b"\r\n")

    async def passive(self, verb: str) -> None:
        """Open a port and say where, as EPSV or PASV."""
        self.listener = await self.server.network.listen(Endpoint("tcp", host=HOST, port=0))
        address = cast(InternetAddress, self.listener.address)
        if verb == "EPSV":
            await self.say(f"229 Entering Extended Passive Mode (|||{address.port}|)")
        else:
            await self.say(f"227 Entering Passive Mode ({build_port(address)}).")

    async def connected(self, local: str = HOST) -> Connection:
        """Return the data connection, whichever way it was agreed on."""
        if self.listener is not None:
            self.data = await self.listener.accept()
            await self.listener.close()
            self.listener = None
        else:
            assert self.target is not None
            endpoint = Endpoint("tcp", host=self.target.host, port=self.target.port)
            self.data = await self.server.network.connect(endpoint, local=InternetAddress(local, 20))
        return self.data

    async def transfer(self, data: Data) -> None:
        """Carry a transfer out."""
        if self.listener is None and self.target is None:
            await self.say("425 Over which connection?")
            return
        if data.before:
            await self.say(data.before)
        connection = await self.connected()
        if self.server.tls is not None:
            await connection.start_tls(self.server.tls)
        if data.early:
            await self.say(data.after)
        if data.content is None:
            with contextlib.suppress(PortsideError):
                self.received = b"".join([piece async for piece in connection])
        else:
            await connection.write(data.content)
        await self._end(connection, data.end)
        if not data.early and data.after:
            await self.say(data.after)

    async def _end(self, connection: Connection, how: str) -> None:
        match how:
            case "close":
                await connection.close()
            case "reset":
                connection.abort()
            case "cut":
                cast(Any, connection)._outgoing.finish()
            case _:
                await asyncio.Event().wait()


@dataclass
class ScriptedServer:
    """Serves whoever comes, one after the other. ``said`` are the commands, in their order."""

    network: MemoryNetwork
    answers: Mapping[str, Answer] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    said: list[str] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)

    @property
    def received(self) -> bytes:
        """What the last upload brought."""
        return self.visits[-1].received

    async def serve(self) -> None:
        listener = await self.network.listen(Endpoint("tcp", host=HOST, port=21))
        while True:
            await self._serve(await listener.accept())

    async def _serve(self, control: Connection) -> None:
        visit = Visit(self, control)
        self.visits.append(visit)
        with contextlib.suppress(PortsideError):
            await self._answer(visit, "", "")
            while (line := await control.read_line()) is not None:
                text = line.decode("utf-8", "surrogateescape")
                self.said.append(text)
                verb, _, argument = text.partition(" ")
                await self._answer(visit, verb, argument)

    async def _answer(self, visit: Visit, verb: str, argument: str) -> None:
        line = f"{verb} {argument}".rstrip()
        answer = self.answers.get(line, self.answers.get(verb, POLITE.get(verb)))
        match answer:
            case None if verb in ("EPSV", "PASV"):
                await visit.passive(verb)
            case None if verb in ("PORT", "EPRT"):
                visit.target = parse_port(argument) if verb == "PORT" else parse_eprt(argument)
                await visit.say("200 There.")
            case None:
                await visit.say(f"502 {verb} is not known here.")
            case str():
                await visit.say(answer)
            case Data():
                await visit.transfer(answer)
            case _:
                await answer(visit, argument)


def meet(
    act: Callable[[MemoryNetwork, ScriptedServer], Coroutine[Any, Any, Result]],
    answers: Mapping[str, Answer] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> tuple[Result, ScriptedServer]:
    """Let a client act in a world with a server that gives these answers; return what came of it, and the server."""

    async def both() -> tuple[Result, ScriptedServer]:
        network = MemoryNetwork()
        server = ScriptedServer(network, answers or {}, tls)
        serving = asyncio.ensure_future(server.serve())
        await asyncio.sleep(0)  # until it listens
        try:
            async with asyncio.timeout(TOO_LONG_S):
                result = await act(network, server)
            if serving.done():
                serving.result()
            return result, server
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    return virtual_time.run(both())


def visit(
    act: Callable[[FtpClient], Coroutine[Any, Any, Result]],
    answers: Mapping[str, Answer] | None = None,
    **options: Any,
) -> tuple[Result, list[str]]:
    """Log in, act, and leave; return what came of it, and what was said in between."""

    async def whole(network: MemoryNetwork, server: ScriptedServer) -> tuple[Result, list[str]]:
        async with await FtpClient.connect(network, URL, **options) as ftp:
            server.said.clear()
            result = await act(ftp)
            said = list(server.said)
        return result, said

    (result, said), _ = meet(whole, answers)
    return result, said
