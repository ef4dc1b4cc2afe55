"""An exchange as it goes over the line: the request line by line, then the answer, as the lectures show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from portside.cli.http_url import HttpUrl
from portside.cli.output import harmless, styled
from portside.errors import EndOfStream, LineTooLong, PeerError

if TYPE_CHECKING:
    import ssl

    from portside.cli.duplex import Sink
    from portside.contracts import Connection, Network

HEAD_BYTES_MAX: Final = 65_536


def build_request(url: HttpUrl, headers: Sequence[tuple[str, str]]) -> list[str]:
    """Return the lines of the request, without their CR LF. Source: RFC 9112 section 2.1 and 3."""
    given = {name.lower() for name, _ in headers}
    own = [("Host", url.authority), ("User-Agent", "portside"), ("Accept", "*/*"), ("Connection", "close")]
    fields = [*(one for one in own if one[0].lower() not in given), *headers]
    return [f"GET {url.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]


async def show_exchange(
    network: Network,
    url: HttpUrl,
    headers: Sequence[tuple[str, str]],
    out: Sink,
    *,
    tls: ssl.SSLContext | None,
    timeout_s: float,
) -> None:
    """Ask for the URL and print both sides: the request's lines behind ``>``, the answer's head behind ``<``, then the
    body as it comes. Raises: what connecting does; PeerError for an answer without an end of its head.
    """
    from portside.address import Endpoint

    endpoint = Endpoint("tcp", host=url.host, port=url.port)
    async with await network.connect(endpoint, timeout_s=timeout_s, tls=tls, server_name=url.host) as connection:
        lines = build_request(url, headers)
        await _show(out, ">", lines)
        await connection.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode("utf-8", "surrogateescape"))
        await _show(out, "<", await _head(connection, timeout_s))
        while data := await connection.read(timeout_s=timeout_s):
            await out.write(data)


async def _head(connection: Connection, timeout_s: float) -> list[str]:
    try:
        head = await connection.read_until(b"\r\n\r\n", HEAD_BYTES_MAX, timeout_s)
    except EndOfStream as error:
        head = error.received  # whatever it is, it is what was said
    except LineTooLong as error:
        raise PeerError(f"the head of the answer has no end within {HEAD_BYTES_MAX} bytes") from error
    return head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")


async def _show(out: Sink, sign: str, lines: Sequence[str]) -> None:
    import sys

    text = "".join(f"{styled(sign, 'dim', stream=sys.stdout)} {harmless(line)}\n" for line in [*lines, ""])
    await out.write(text.encode("utf-8", "backslashreplace"))
