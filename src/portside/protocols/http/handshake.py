"""The opening handshake of WebSocket: a request in, and the head of the answer out. Source: RFC 6455 section 4.2."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from websockets.datastructures import Headers
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol

from portside.protocols.http.refusals import RequestRefused
from portside.protocols.http.requests import RequestHead
from portside.protocols.http.responses import MalformedResponse, ResponseWriter
from portside.protocols.http.statuses import status_line

# Half the windows that zlib would take: 64 KiB less memory for each connection, and hardly longer messages.
_DEFLATE: Final = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)
_OURS: Final = frozenset({b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol", b"upgrade"})


@dataclass(frozen=True, slots=True)
class Handshake:
    """A request that can be accepted: fields of the answer, and the extensions that both sides know."""

    fields: tuple[tuple[bytes, bytes], ...]
    extensions: tuple[Extension, ...]


def wants_websocket(head: RequestHead) -> bool:
    """Whether the client would rather speak WebSocket."""
    return head.framing.upgrade == b"websocket"


def check(head: RequestHead, *, compresses: bool) -> Handshake:
    """Return the handshake that the request asks for. Raises: RequestRefused for one that is not right."""
    if head.framing.length != 0:
        raise RequestRefused(400, "a request to speak WebSocket has no body")
    headers = Headers([(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers])
    if head.method != "GET":
        raise RequestRefused(405, "a request to speak WebSocket is a GET")
    protocol = ServerProtocol(extensions=[_DEFLATE] if compresses else None)
    response = protocol.accept(Request(head.path.decode("ascii"), headers))
    if response.status_code != 101:
        why = protocol.handshake_exc
        raise RequestRefused(400, f"the request to speak WebSocket is malformed: {why}")
    fields = [(name.lower(), value.encode("ascii")) for name, value in response.headers.raw_items()]
    ours = [(name.encode("ascii"), value) for name, value in fields if name != "date"]
    return Handshake(tuple(ours), tuple(protocol.extensions))


def build_acceptance(
    handshake: Handshake, subprotocol: str | None, fields: Iterable[tuple[bytes, bytes]], date: bytes
) -> bytes:
    """Return the head that switches protocols, with the application's own fields. Raises: MalformedResponse."""
    if subprotocol is not None and not subprotocol.isascii():
        raise MalformedResponse(f"{subprotocol!r} is no name of a subprotocol")
    chosen = [] if subprotocol is None else [(b"sec-websocket-protocol", subprotocol.encode("ascii"))]
    writer = ResponseWriter("1.1", is_head=True, keeps_alive=True)  # which sees that nothing breaks out of its line
    writer.start(200, [*(field for field in fields if field[0].lower() not in _OURS), *chosen], date)
    own = writer.frame(0, more=True)[0].partition(b"\r\n")[2]
    lines = [b"%b: %b\r\n" % field for field in handshake.fields]
    return b"".join((status_line(101), *lines, own))
