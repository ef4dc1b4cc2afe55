"""A request's body on its way from the client to the application: bounded, and waited for no longer than is allowed."""

from __future__ import annotations

from portside.protocols.http.limits import BODY_HELD_BYTES_MAX, UNREAD_BYTES_MAX, HttpLimits
from portside.protocols.http.requests import RequestHead


class RequestBody:
    """What has come of a body and was not yet asked for. ``is_whole`` when all of it has come.

    ``wants_continue`` says that the client waits to be told to send it.
    """

    __slots__ = (
        "_bytes_in",
        "_held_bytes",
        "_length",
        "_limits",
        "_pieces",
        "_unread_bytes",
        "is_told",
        "is_whole",
        "waited_s",
        "wants_continue",
    )

    def __init__(self, head: RequestHead, limits: HttpLimits) -> None:
        self._limits = limits
        self._length = head.framing.length
        self._pieces: list[bytes] = []
        self._held_bytes = self._bytes_in = self._unread_bytes = 0
        self.waited_s = 0.0  # by the application, in all
        self.wants_continue = head.framing.expects_continue
        self.is_whole = False
        self.is_told = False  # the application has the last of it

    @property
    def is_there(self) -> bool:
        """Whether there is something to tell the application."""
        return bool(self._pieces) or (self.is_whole and not self.is_told)

    @property
    def is_full(self) -> bool:
        """Whether the application is to take of it first before more is read."""
        return self._held_bytes >= BODY_HELD_BYTES_MAX

    @property
    def patience_s(self) -> float:
        """How much longer the application may wait for it."""
        return self._limits.body_s + self._bytes_in / self._limits.body_bytes_per_s - self.waited_s

    def feed(self, piece: bytes, *, is_last: bool) -> None:
        self.is_whole = is_last
        if piece:
            self.wants_continue = False  # it did not wait to be told
            self._bytes_in += len(piece)
            self._held_bytes += len(piece)
            self._pieces.append(piece)

    def take(self) -> bytes:
        """Return what has come."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._held_bytes = 0
        self.is_told = self.is_whole
        return body

    def drop(self, piece: bytes = b"", *, is_last: bool) -> bool:
        """Throw away what comes when the response is over; False if that gets too much."""
        self._pieces.clear()
        self._held_bytes = 0
        self.is_whole = is_last
        self._bytes_in += len(piece)
        self._unread_bytes += len(piece)
        return is_last or self._unread_bytes <= UNREAD_BYTES_MAX

    @property
    def bars_the_way(self) -> bool:
        """Whether what is left of it stands in the way of a next request.

        A client that waits to be told to continue may send its body or not when it is not told: nobody knows what the
        next bytes are. Source: RFC 9110 section 10.1.1.
        """
        if self.is_whole:
            return False
        return self.wants_continue or (self._length or 0) - self._bytes_in > UNREAD_BYTES_MAX
