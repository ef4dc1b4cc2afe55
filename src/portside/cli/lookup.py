"""``portside lookup``: ask a directory server for services by name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from portside.address import Endpoint
from portside.cli import exit_status
from portside.cli.client import client_tls, parse_target, run_client, timeout_option, tls_options, within
from portside.cli.duplex import Patience, Sink, Source, run_all, standard_input, standard_output
from portside.cli.output import harmless, json_text
from portside.contracts import LINE_BYTES_MAX, Connection, Network
from portside.errors import ConnectionLost, UsageError
from portside.protocols.directory.dialogue import Answer, build_question, parse_answer, parse_question

if TYPE_CHECKING:
    import ssl

PORT: Final = 6168
SERVER: Final = f"tcp://localhost:{PORT}"
WAIT_S: Final = 10.0  # for the connection, and for each answer
NAMES_AT_ONCE: Final = 100


@click.command(short_help="ask a directory server for services by name")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option(
    "--server", default=SERVER, show_default=True, metavar="URL", help="The directory to ask: tcp, tls or unix."
)
@timeout_option("How long connecting, or an answer, may take.  [default: 10s]")
@tls_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an answer.")
def lookup(
    names: tuple[str, ...],
    *,
    server: str,
    timeout: float | None,
    tls_ca: str | None,
    tls_insecure: bool,
    as_json: bool,
) -> int:
    """Print the port and protocol of each service: name,port,protocol, or name,unknown.

    Answers come in the order asked, as they arrive. Without names they are read from standard input, one a line.
    Exits with 1 if the directory does not know one of them.
    """
    endpoint = parse_target(server, default_port=PORT)
    if endpoint.is_datagram:
        raise UsageError("a directory answers over streams: give a tcp, tls or unix endpoint")
    endpoint, context = client_tls(endpoint, wanted=False, ca_file=tls_ca, insecure=tls_insecure)
    for name in names:
        _check(name)
    wait_s = WAIT_S if timeout is None else timeout

    async def client(network: Network) -> bool:
        asked = names or standard_input()
        return await ask(network, endpoint, asked, standard_output(), timeout_s=wait_s, as_json=as_json, tls=context)

    return exit_status.OK if run_client(client) else exit_status.FAILED


def _check(name: str) -> None:
    if not name.strip() or "\n" in name:
        raise UsageError(f"{name!r} is no name to look up: a name is one line, and not empty")


async def ask(
    network: Network,
    endpoint: Endpoint,
    names: Sequence[str] | Source,
    sink: Sink,
    *,
    timeout_s: float,
    as_json: bool = False,
    tls: ssl.SSLContext | None = None,
) -> bool:
    """Ask for the names, or for those in the source's lines, and print the answers as they come.

    Returns whether every name was known.

    Raises: NetworkError, PeerError, TimeoutError when the conversation could not be carried to its end.
    """
    connecting = network.connect(endpoint, timeout_s=timeout_s, tls=tls)
    connection = await within(timeout_s, f"no connection to {endpoint}", connecting)
    async with connection:
        conversation = _Conversation(connection, sink, timeout_s=timeout_s, as_json=as_json)
        await conversation.carry(names)
        return conversation.all_known


class _Conversation:
    """The two directions of one visit to a directory: what was asked, and what has been answered."""

    def __init__(self, connection: Connection, sink: Sink, *, timeout_s: float, as_json: bool) -> None:
        self._connection = connection
        self._sink = sink
        self._patience = Patience(timeout_s, "no answer")
        self._as_json = as_json
        self._asked = 0
        self._answered = 0
        self.all_known = True

    async def carry(self, names: Sequence[str] | Source) -> None:
        source = names if isinstance(names, Source) else None
        lots = _lots_from(names) if isinstance(names, Source) else _lots_of(names)
        await run_all(self._patience, self._send(lots), self._receive(source))
        if self._answered < self._asked:
            raise ConnectionLost(f"the directory left after {self._answered} of {self._asked} answers")

    async def _send(self, lots: AsyncIterator[list[str]]) -> None:
        async for names in lots:
            self._asked += len(names)
            for _ in names:
                self._patience.begin()
            await self._connection.write(b"".join(build_question(name) for name in names))
        await self._connection.write_eof()
        self._patience.begin()  # for the end of the answers

    async def _receive(self, source: Source | None) -> None:
        while (line := await self._connection.read_line()) is not None:
            answer = parse_answer(line)
            self._answered += 1
            self._patience.end()
            self.all_known &= answer.port is not None
            with self._patience.spared():
                await self._sink.write(show(answer, as_json=self._as_json))
        if source is not None:
            source.hurry()  # nobody is left to answer what may still be typed


def show(answer: Answer, *, as_json: bool) -> bytes:
    """Return the line to print for an answer."""
    if as_json:
        return json_text(answer).encode("ascii") + b"\n"
    what = "unknown" if answer.port is None else f"{answer.port},{answer.protocol}"
    return f"{harmless(f'{answer.name},{what}')}\n".encode("utf-8", "backslashreplace")


async def _lots_of(names: Sequence[str]) -> AsyncIterator[list[str]]:
    """Yield the names in lots: a packet for each would be many, and one for all would keep the first waiting."""
    for start in range(0, len(names), NAMES_AT_ONCE):
        yield list(names[start : start + NAMES_AT_ONCE])


async def _lots_from(source: Source) -> AsyncIterator[list[str]]:
    """Yield the names of the lines, as they come; lines without one are passed over."""
    async for lines in source.lines(LINE_BYTES_MAX):
        names = [name for line in lines if (name := parse_question(line)) is not None]
        if names:
            yield names
