"""What the supervisor and a worker say to each other, over a pair of sockets that only they hold.

Shape:  a length of four bytes in network order, then one JSON object whose ``type`` names the message.
The end of the stream says that the other process is gone, however it went.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from portside.address import Address, InternetAddress, UnixAddress
from portside.errors import ConnectionLost
from portside.net.sockets import Socket, socketpair

LENGTH_BYTES: Final = 4
MESSAGE_BYTES_MAX: Final = 16 * 1_024 * 1_024
ROWS_A_PAGE: Final = 250  # connections in one message: some 50 KB, which fits the socket's buffer


class Message(msgspec.Struct, tag_field="type", tag=str.lower):
    """The root of all messages."""


# ── from the worker ──────────────────────────────────────────────────────────────────────────────────────────────────


class Ready(Message):
    """It accepts connections."""


class Failed(Message):
    """It could not be born: ``usage`` if what was asked for cannot be meant, else this machine refuses."""

    usage: bool
    sentence: str


class Leaving(Message):
    """It was told by a signal of its own to go, and will when its connections have ended."""


class Changed(Message):
    """Code that it runs has changed on disk (``--reload``)."""

    files: list[str]


class Row(msgspec.Struct, frozen=True):
    """A live connection as ``ps`` shows it."""

    id: str
    peer: dict[str, str | int]
    local: dict[str, str | int]
    started_at: str
    age_s: float
    bytes_in: int
    bytes_out: int
    state: str
    tls: str | None = None


class Rows(Message):
    """A page of its live connections, in answer to the question ``ask``; ``more`` pages follow when asked for."""

    ask: int
    rows: list[Row]
    more: bool


class Ended(Message):
    """Whether it had the connection that it was asked to end."""

    ask: int
    found: bool


class Over(Message):
    """A child of the fork model is done: what it counted, by the names of ``ledger.Tally``."""

    tally: dict[str, int]


# ── from the supervisor ──────────────────────────────────────────────────────────────────────────────────────────────


class Retire(Message):
    """Accept no more; keep the connections until they end."""


class Drain(Message):
    """Accept no more; say goodbye, and cut off what is left after so many seconds."""

    deadline_s: float


class ListConnections(Message):
    """Answer with the next page of Rows; ``first`` starts anew."""

    ask: int
    first: bool


class EndConnection(Message):
    """End the connection and answer with Ended."""

    ask: int
    id: str
    reason: Literal["stopped", "drained"] = "stopped"


FromWorker: TypeAlias = Ready | Failed | Leaving | Changed | Rows | Ended | Over
ToWorker: TypeAlias = Retire | Drain | ListConnections | EndConnection

_encode: Final = msgspec.json.Encoder().encode


def address_json(address: Address) -> dict[str, str | int]:
    """Return the address as listings show it: ``host`` and ``port``, or ``path``."""
    if isinstance(address, InternetAddress):
        return {"host": address.host, "port": address.port}
    return {"path": address.path}


def address_of(shown: dict[str, str | int]) -> Address:
    """Return the address that a listing shows."""
    if "path" in shown:
        return UnixAddress(str(shown["path"]))
    return InternetAddress(str(shown["host"]), int(shown["port"]))


class Channel:
    """One end of the pair. Nothing here waits: what the socket does not take is kept and sent with the next ``flush``.

    ``hears`` is the type of what comes from the other end.
    """

    def __init__(self, sock: Socket, hears: object) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._decoder = msgspec.json.Decoder(hears)
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def backlog_bytes(self) -> int:
        """What waits to be sent."""
        return len(self._outgoing)

    def send(self, message: FromWorker | ToWorker) -> None:
        """Send the message, now or with a later ``flush``. Raises: ConnectionLost."""
        body = _encode(message)
        self._outgoing += len(body).to_bytes(LENGTH_BYTES, "big") + body
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it. Raises: ConnectionLost."""
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError as error:
                raise ConnectionLost("the other end of the channel is gone") from error
            del self._outgoing[:sent]

    def receive(self) -> list[FromWorker | ToWorker]:
        """Return the messages that have come. Raises: ConnectionLost when the other process is gone."""
        gone = False
        while True:
            try:
                data = self._socket.recv(65_536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                gone = True
                break
            self._incoming += data
        messages = []
        while len(self._incoming) >= LENGTH_BYTES:
            length = int.from_bytes(self._incoming[:LENGTH_BYTES], "big")
            if length > MESSAGE_BYTES_MAX:
                raise ConnectionLost(f"the channel speaks nonsense: a message of {length} bytes")
            if len(self._incoming) < LENGTH_BYTES + length:
                break
            messages.append(self._decoder.decode(self._incoming[LENGTH_BYTES : LENGTH_BYTES + length]))
            del self._incoming[: LENGTH_BYTES + length]
        if gone and not messages:
            raise ConnectionLost("the other end of the channel is gone")
        return messages

    def close(self) -> None:
        self._socket.close()


def open_channel() -> tuple[Channel, Channel]:
    """Return the supervisor's end and the worker's."""
    ours, theirs = socketpair()
    return Channel(ours, FromWorker), Channel(theirs, ToWorker)
