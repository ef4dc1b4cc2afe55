"""How connections end: whose doing it was, and a sentence where there is more to say."""

from __future__ import annotations

from typing import cast

from portside.errors import ConnectionEnded, ForeignAwait, HandlerError, LocalError, PeerError, TlsFailed
from portside.events import EndReason
from portside.net.stream import Stream


def how_it_ended(connection: Stream, error: BaseException | None) -> tuple[EndReason, str | None]:
    """Return the reason a connection is over, and a sentence where there is more to say.

    What ended it from outside comes first, whatever the handler made of that; then whose fault the error is.
    """
    if connection.ended_because is not None:
        return connection.ended_because, None
    match error:
        case None:
            return "done", None
        case ConnectionEnded():
            return cast("EndReason", error.reason), None
        case TlsFailed():
            return "tls", str(error)
        case PeerError():
            return "peer", str(error)
        case TimeoutError():
            return "timeout", str(error) or None
        case ForeignAwait():
            return "handler", None  # its own record names the handler and says what to do; one does
        case HandlerError() | LocalError():
            return "handler", str(error)
    return "handler", f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
