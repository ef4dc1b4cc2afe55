"""Everything that can go wrong, sorted by whose fault it is.

Code branches on the class, people read the sentence. The facts of a failure are fields of its error, and an error of
the operating system is translated once, in ``net``, and kept as ``__cause__``.

    PortsideError
      PeerError       the other side: it vanished, sent too much, or sent nonsense
      NetworkError    the way between: no route, nobody listens, no such name
      LocalError      this machine or its operator: port in use, no permission, no descriptors left
      UsageError      what somebody typed: a URL, an option, a configuration file
      HandlerError    the handler's code

A timeout that a caller asked for is the built-in ``TimeoutError``.
"""

from __future__ import annotations

from collections.abc import Callable


class PortsideError(Exception):
    """The root: whatever Portside raises on purpose, except the built-in ``TimeoutError``."""


class PeerError(PortsideError):
    """The other side of a connection misbehaved or went away. An event, never a traceback."""


class ConnectionLost(PeerError):
    """The connection broke: reset by the peer, cut by the network, or written to after the peer had left."""


class ConnectionEnded(ConnectionLost):
    """We ended the connection ourselves, from outside its handler: an idle or life limit, a stop, an operator."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the connection was ended by this server: {reason}")
        self.reason = reason


class EndOfStream(PeerError):
    """The peer's stream ended in the middle of something that was asked for whole."""

    def __init__(self, received: bytes, expected: str) -> None:
        super().__init__(f"the stream ended after {len(received)} bytes, expected {expected}")
        self.received = received
        self.expected = expected


class LineTooLong(PeerError):
    """The peer sent more bytes without the delimiter than the limit allows. What was read stays readable."""

    def __init__(self, got_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"no end of line within {got_bytes} bytes, the limit is {limit_bytes}")
        self.got_bytes = got_bytes
        self.limit_bytes = limit_bytes


class MalformedMessage(PeerError):
    """Bytes that are not what their format says: the sentence names the format, the clause and what came."""


class TlsFailed(PeerError):
    """The TLS handshake or a record failed: no shared version, a certificate nobody vouches for, plain bytes."""


class NetworkError(PortsideError):
    """The way to the other side failed before a connection stood."""


class ConnectFailed(NetworkError):
    """No address of the target accepted. ``attempts`` pairs each address tried with what it answered."""

    def __init__(self, target: str, attempts: tuple[tuple[str, str], ...]) -> None:
        if len(attempts) == 1:
            said = attempts[0][1] if attempts[0][0] == target else f"{attempts[0][0]} says {attempts[0][1]}"
        else:
            said = "; ".join(f"{address}: {answer}" for address, answer in attempts)
        super().__init__(f"cannot connect to {target}: {said}")
        self.target = target
        self.attempts = attempts


class NameNotFound(NetworkError):
    """The name has no address (or the address no name), or the resolver could not say."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"cannot resolve {name}: {why}")
        self.name = name
        self.why = why


class LocalError(PortsideError):
    """This machine or its set-up refuses: nothing the peer did."""


class AddressInUse(LocalError):
    """Another socket holds the address. ``owner`` names its process where the kernel lets us see it.

    It is looked for when somebody asks: that takes milliseconds, and who only tries the next port never does.
    """

    def __init__(self, endpoint: str, owner: str | Callable[[], str | None] | None = None) -> None:
        super().__init__(endpoint)
        self.endpoint = endpoint
        self._owner = owner

    @property
    def owner(self) -> str | None:
        if callable(self._owner):
            self._owner = self._owner()
        return self._owner

    def __str__(self) -> str:
        return f"{self.endpoint} is in use" + (f" by {self.owner}" if self.owner else "")


class NotPermitted(LocalError):
    """The operating system denies it: a low port, a file, another user's identity."""


class AddressNotAvailable(LocalError):
    """The address to bind is not one of this machine's."""


class OutOfDescriptors(LocalError):
    """The process or the machine has no file descriptor left (EMFILE, ENFILE)."""


class MissingExtra(LocalError):
    """A feature needs an optional package that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional package: pip install 'portside[{extra}]'")
        self.feature = feature
        self.extra = extra


class UsageError(PortsideError):
    """What was typed cannot be meant: the sentence says what is wrong, where, and the nearest right word."""


class MalformedAddress(UsageError):
    """Text or a number that is no Internet address, or no port of one."""

    def __init__(self, text: str, why: str, *, wanted: str = "an address") -> None:
        super().__init__(f"{text!r} is not {wanted}: {why}")
        self.text = text
        self.why = why


class MalformedEndpoint(UsageError):
    """Text that is no endpoint URL."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"{text!r} is not an endpoint: {why}")
        self.text = text
        self.why = why


class HandlerError(PortsideError):
    """The handler's code cannot go on."""


class ForeignAwait(HandlerError):
    """A handler awaited something only an event loop can give, under a model that has none."""

    def __init__(self, handler: str, model: str, awaited: str) -> None:
        super().__init__(
            f"handler {handler} awaited {awaited}, which needs an event loop; "
            f"the {model} model has none: use --model event, or await only the connection and its network"
        )
        self.handler = handler
        self.model = model
        self.awaited = awaited


class ConnectionClosed(HandlerError):
    """The handler used a connection after closing it, or wrote after ``write_eof``."""
