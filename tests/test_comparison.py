"""What README.md says of others: each mark of its table that is not about us is made here.

Twisted and uvicorn are there after `./dev bench`, and their tests are skipped by name before.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.waiting import WITHIN_S

README = Path(__file__).parents[1] / "README.md"


def is_reached(host: str, port: int) -> bool:
    """Return whether somebody accepts there."""
    try:
        socket.create_connection((host, port), WITHIN_S).close()
    except ConnectionRefusedError:
        return False
    return True


# ── `[::]` ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def wait_for_visitors(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def test_asyncio_streams_on_every_address_refuse_ipv4(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> tuple[bool, bool]:
        server = await asyncio.start_server(wait_for_visitors, "::", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.to_thread(is_reached, "::1", port), await asyncio.to_thread(
                is_reached, "127.0.0.1", port
            )

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == (True, False)


@contextlib.contextmanager
def program(text: str, *arguments: str) -> Iterator[int]:
    """Run a Python program that prints its port first; gives the port."""
    with subprocess.Popen([sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


SOCKETSERVER = """
import socket, socketserver, sys
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
mixin, host = sys.argv[1:]
bases = [getattr(socketserver, mixin)] if mixin else []
family = socket.AF_INET6 if ":" in host else socket.AF_INET
kind = type("Server", (*bases, socketserver.TCPServer), {"address_family": family})
with kind((host, 0), Echo) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""


def test_socketserver_on_every_address_takes_both() -> None:
    with program(SOCKETSERVER, "", "::") as port:
        assert (is_reached("::1", port), is_reached("127.0.0.1", port)) == (True, True)


TWISTED = """
from twisted.internet import protocol, reactor
port = reactor.listenTCP(0, protocol.Factory.forProtocol(protocol.Protocol), interface="::")
print(port.getHost().port, flush=True)
reactor.run()
"""


def test_twisted_on_every_address_takes_both() -> None:
    pytest.importorskip("twisted", reason="Twisted is not installed: ./dev bench does")
    with program(TWISTED) as port:
        assert (is_reached("::1", port), is_reached("127.0.0.1", port)) == (True, True)


UVICORN = """
import asyncio, uvicorn
async def application(scope, receive, send): ...
async def main():
    server = uvicorn.Server(uvicorn.Config(application, host="::", port=0, lifespan="off", log_level="critical"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await task
asyncio.run(main())
"""


def test_uvicorn_on_every_address_refuses_ipv4() -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed: ./dev bench does")
    with program(UVICORN) as port:
        assert (is_reached("::1", port), is_reached("127.0.0.1", port)) == (True, False)


# ── a line that is too long ──────────────────────────────────────────────────────────────────────────────────────────


def test_asyncio_streams_throw_away_what_they_read_of_a_long_line() -> None:
    async def main() -> bytes:
        reader = asyncio.StreamReader(limit=8)
        reader.feed_data(b"too long a line\nnext\n")
        reader.feed_eof()
        with pytest.raises(ValueError, match=r"longer than limit|exceed"):
            await reader.readline()
        return await reader.read()

    assert asyncio.run(main()) == b"next\n"


def test_socketserver_keeps_what_it_read_of_a_long_line() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"too long a line\n")
        with ours.makefile("rb") as file:  # what StreamRequestHandler gives its handler as rfile
            assert (file.readline(8), file.readline()) == (b"too long", b" a line\n")


# ── one handler under several models ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mixin", ["", "ThreadingMixIn", "ForkingMixIn"])
def test_socketserver_has_three_models_for_a_handler(mixin: str) -> None:
    with program(SOCKETSERVER, mixin, "127.0.0.1") as port:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), WITHIN_S) as visitor:
                visitor.sendall(b"same\n")
                assert visitor.recv(100) == b"same\n"


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────

SHOWN = {  # what the tests above show, in the order of the table's columns: uvicorn Twisted asyncio socketserver xinetd
    "`[::]` takes IPv4 too": ["no", "yes", "no", "yes", "·"],
    "a line over the limit loses nothing already read": ["·", "·", "no", "yes", "·"],
    "models one handler runs under": ["·", "·", "·", "3", "·"],
}


@pytest.mark.parametrize("row", SHOWN)
def test_the_table_says_no_more_than_that(row: str) -> None:
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    _ours, *others = (cell.strip() for cell in line.split("|"))
    assert others == SHOWN[row]
