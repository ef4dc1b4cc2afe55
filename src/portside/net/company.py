"""The connections that share another's life: what a handler opens for its peer, such as FTP's for data."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portside.contracts import Connection
    from portside.net.stream import Stream


class Company:
    """The companions of one connection, each with how long it may be idle, and what those before them have moved.

    The conductor's threads look at it while the handler's comes and goes: each step is a single one of a dict.
    """

    __slots__ = ("_gone_bytes_in", "_gone_bytes_out", "_idle_s")

    def __init__(self) -> None:
        self._idle_s: dict[Stream, float] = {}
        self._gone_bytes_in = 0
        self._gone_bytes_out = 0

    def __bool__(self) -> bool:
        return bool(self._idle_s)

    def join(self, companion: Stream, idle_s: float) -> None:
        companion.swept_bytes = -1  # its time begins now
        self._idle_s[companion] = idle_s

    def leave(self, companion: Stream) -> None:
        if self._idle_s.pop(companion, None) is not None:
            self._gone_bytes_in += companion.bytes_in
            self._gone_bytes_out += companion.bytes_out

    def members(self) -> list[tuple[Stream, float]]:
        return list(self._idle_s.items())

    @property
    def bytes_in(self) -> int:
        """What they have received, those that left included."""
        return self._gone_bytes_in + sum([companion.bytes_in for companion, _ in self.members()])

    @property
    def bytes_out(self) -> int:
        return self._gone_bytes_out + sum([companion.bytes_out for companion, _ in self.members()])


class Accompanied:
    """What ``with connection.accompany(companion)`` enters and leaves: FTP does so for each file."""

    __slots__ = ("_companion", "_connection", "_idle_s")

    def __init__(self, connection: Stream, companion: Connection, idle_s: float) -> None:
        self._connection, self._companion, self._idle_s = connection, companion, idle_s

    def __enter__(self) -> None:
        self._connection.join(self._companion, self._idle_s)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.part(self._companion)
