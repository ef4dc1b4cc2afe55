"""What the supervisor and a worker say to each other, over a pair of sockets that only they hold.

Shape:  a length of four bytes in network order, then one JSON object whose ``type`` names the message.
The end of the stream says that the other process is gone, however it went.
"""

from __future__ import annotations

import select
from time import monotonic
from typing import Any, Final, Literal, TypeAlias

import msgspec

from portside.address import Address, InternetAddress, UnixAddress
from portside.errors import ConnectionLost
from portside.net.sockets import Socket, socketpair

LENGTH_BYTES: Final = 4
MESSAGE_BYTES_MAX: Final = 16 * 1_024 * 1_024
ROWS_A_PAGE: Final = 250  # connections in one message: some 50 KB, which fits the socket's buffer
DESCRIPTORS_A_PAGE: Final = 100  # each takes a dozen system calls
WORDS_A_PAGE: Final = 250  # messages of a conversation; a worker keeps fewer unless it is told otherwise


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
    """A page of its live connections, in answer to the question ``ask``. The next page comes ``after`` a place in their
    order, where there is one.
    """

    ask: int
    rows: list[Row]
    after: int | None = None


class Ended(Message):
    """Whether it had the connection that it was asked to end."""

    ask: int
    found: bool


class Conversation(Message):
    """What it has of the conversation that was asked for, in the form of ``serve.observing``, and of its connection."""

    ask: int
    found: dict[str, Any] | None
    row: Row | None  # while it is live


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True):
    """An open file of a process, as ``fd/`` of proc(5) and the kernel tell of it.

    ``kind`` is socket, file, pipe, device, memory, epoll, or what else the kernel calls it. ``connection`` is the id of
    the live connection it belongs to; ``queued_in`` and ``queued_out`` are bytes that the kernel holds.
    """

    fd: int
    kind: str
    target: str
    protocol: str | None = None
    state: str | None = None
    local: dict[str, str | int] | None = None
    peer: dict[str, str | int] | None = None
    queued_in: int | None = None
    queued_out: int | None = None
    connection: str | None = None


class Descriptors(Message):
    """A page of its open files, by their numbers. The next page comes ``after`` a number, where there is one."""

    ask: int
    rows: list[Descriptor]
    after: int | None = None


class CaptureOver(Message):
    """Nobody listens any more to the capture that calls this address."""

    to: str


class HandlerFailed(Message):
    """One of its handlers raised what it should not, in the form of ``serve.observing``."""

    failure: dict[str, Any]


class Over(Message):
    """A child of the fork model is done: what it counted, by the names of ``ledger.Tally``."""

    tally: dict[str, int]


class Seen(Message):
    """What the observer in a child of the fork model saw, for its worker's: in the observer's own form."""

    sight: dict[str, Any]


# ── from the supervisor ──────────────────────────────────────────────────────────────────────────────────────────────


class Retire(Message):
    """Accept no more; keep the connections until they end."""


class Drain(Message):
    """Accept no more; say goodbye, and cut off what is left after so many seconds."""

    deadline_s: float


class ListConnections(Message):
    """Answer with a page of Rows: at most ``limit`` of those that come ``after`` that place in their order."""

    ask: int
    after: int = 0
    limit: int = ROWS_A_PAGE


class ListDescriptors(Message):
    """Answer with a page of Descriptors: at most ``limit`` of those whose numbers are above ``after``."""

    ask: int
    after: int = -1
    limit: int = DESCRIPTORS_A_PAGE


class ShowConversation(Message):
    """Answer with a Conversation: at most ``limit`` of the connection's messages that came after number ``after``."""

    ask: int
    id: str
    after: int = 0
    limit: int = WORDS_A_PAGE


class Watch(Message):
    """For some seconds, have the observer told the bytes of the connection, whose battery has no words for them."""

    id: str


class Capture(Message):
    """Tell what connections carry, in the form of ``serve.tapped``, to whoever listens at the unix address ``to`` and
    knows the token: of one connection, or of all whose peers are in one of the networks, or of all.
    """

    to: str
    token: str
    connection: str | None = None
    peers: list[str] = msgspec.field(default_factory=list)


class EndConnection(Message):
    """End the connection and answer with Ended."""

    ask: int
    id: str
    reason: Literal["stopped", "drained"] = "stopped"


FromWorker: TypeAlias = (
    Ready
    | Failed
    | Leaving
    | Changed
    | Rows
    | Ended
    | Conversation
    | Descriptors
    | CaptureOver
    | HandlerFailed
    | Over
    | Seen
)
ToWorker: TypeAlias = (
    Retire | Drain | ListConnections | ListDescriptors | ShowConversation | Watch | Capture | EndConnection
)

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

    def finish(self, timeout_s: float) -> None:
        """Wait until everything is sent, for so long at most: a process ends. Raises: ConnectionLost."""
        writable = select.poll()
        writable.register(self.fileno(), select.POLLOUT)
        deadline_s = monotonic() + timeout_s
        while self._outgoing and (left_s := deadline_s - monotonic()) > 0:
            writable.poll(left_s * 1_000)
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
