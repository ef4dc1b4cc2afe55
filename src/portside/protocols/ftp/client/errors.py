"""What can go wrong between a client and its server, beside the network: the server says no, or not all of it came.

    Refused             the server's answer was a refusal; the reply is kept, and the class says of which kind
      LoginRefused        not with this name and password
      NotSupported        it does not know the command, or not this form of it
      Unavailable         no such file, or not for us
      NoSpace             its disk or our quota is full
      Leaving             it says goodbye (421): too many visitors, idle for too long, a shutdown
    UnexpectedReply     a reply that is no answer to what was asked
    Incomplete          bytes are missing, or may be
    Aborted             a transfer was stopped because somebody asked for it

Each is a PeerError. A server that says nothing is the built-in ``TimeoutError``.
"""

from __future__ import annotations

from portside.errors import PeerError
from portside.protocols.ftp.replies import Reply


class Refused(PeerError):
    """The server refused ``command`` with ``reply``. The command's words hold no password."""

    def __init__(self, command: str, reply: Reply) -> None:
        super().__init__(f"the server refuses {command}: {shown(reply)}")
        self.command = command
        self.reply = reply

    @property
    def is_temporary(self) -> bool:
        """Whether the same may go well later: RFC 959 section 4.2.1, 4yz."""
        return self.reply.code // 100 == 4


class LoginRefused(Refused):
    """The server does not let this user in: a wrong name or password, or one is missing."""


class NotSupported(Refused):
    """The server does not know the command, or not this way of using it."""


class Unavailable(Refused):
    """The file is not there, or the user may not do this with it."""


class NoSpace(Refused):
    """The server has no room for the file: its disk is full, or the user's quota."""


class Leaving(Refused):
    """The server ends the session (421). Another one may go well, perhaps later."""


class UnexpectedReply(PeerError):
    """The server gave a reply that RFC 959 does not know as an answer to the command."""

    def __init__(self, command: str, reply: Reply) -> None:
        super().__init__(f"the server answers {command} with something else: {shown(reply)}")
        self.command = command
        self.reply = reply


class Incomplete(PeerError):
    """A transfer ended before, or after, all of it came. ``expected_bytes`` is None where nobody knows how many."""

    def __init__(self, path: str, got_bytes: int, expected_bytes: int | None, why: str | None = None) -> None:
        what = why or f"{got_bytes} bytes came of {expected_bytes}"
        super().__init__(f"{path}: the transfer is not complete: {what}")
        self.path = path
        self.got_bytes = got_bytes
        self.expected_bytes = expected_bytes


class Aborted(PeerError):
    """The transfer was aborted, as ``abort`` asked."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: the transfer was aborted")
        self.path = path


_BY_CODE: dict[int, type[Refused]] = {
    421: Leaving,
    430: LoginRefused,
    450: Unavailable,
    452: NoSpace,
    500: NotSupported,
    502: NotSupported,
    504: NotSupported,
    522: NotSupported,  # RFC 2428 section 2: this network protocol is not supported
    530: LoginRefused,
    532: LoginRefused,
    534: NotSupported,  # RFC 2228 section 5.1: policy; RFC 4217 section 12.1 for AUTH
    536: NotSupported,  # … and for PROT
    550: Unavailable,
    552: NoSpace,
    553: Unavailable,
}


def refusal(command: str, reply: Reply) -> Refused:
    """Return the error of the class that the reply's code means."""
    return _BY_CODE.get(reply.code, Refused)(command, reply)


def shown(reply: Reply) -> str:
    """Return the reply as one line for people: its code and its last words."""
    words = next((line for line in reversed(reply.lines) if line.strip()), "")
    return f"{reply.code} {words.strip()}".rstrip()
