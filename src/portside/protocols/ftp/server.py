"""The server: what all its sessions share, and how a visit begins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from portside import events
from portside.accounts.account import ANONYMOUS, Account
from portside.accounts.doorkeeper import Doorkeeper
from portside.accounts.rates import Rate
from portside.contracts import Connection, Counters, TlsIdentity
from portside.protocols.ftp.hooks import Hook
from portside.protocols.ftp.passive import Advertisement
from portside.protocols.ftp.session import Policy
from portside.storage.contract import Storage

if TYPE_CHECKING:
    import ssl

OPENS_WITHIN_S: Final = 30.0  # for a data connection to come about
STALLS_AFTER_S: Final = 60.0  # without a byte moved on a data connection
DIGESTS_AT_ONCE: Final = 2  # each reads a whole file


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a server allows transfers: seconds, and bytes a second for each session and for all together."""

    opens_within_s: float = OPENS_WITHIN_S
    stalls_after_s: float = STALLS_AFTER_S
    session_in: float | None = None
    session_out: float | None = None
    server_in: float | None = None
    server_out: float | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """One FTP server: its files, its users, and its rules."""

    storage: Storage
    doorkeeper: Doorkeeper
    counters: Counters
    policy: Policy = field(default_factory=Policy)
    bounds: Bounds = field(default_factory=Bounds)
    passive_ports: range | None = None
    advertisement: Advertisement = field(default_factory=lambda: Advertisement(()))
    tls: TlsIdentity | None = None
    must_resume: bool = False
    hook: Hook | None = None
    digests: bool = False  # of each file transferred, for the records and the hook
    strict_ends: bool = True  # an upload whose end may be that of its client is no whole one
    service: str = "ftp"
    # It has no threads before something is submitted: a process that forks afterwards takes none with it.
    digest_pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(DIGESTS_AT_ONCE, thread_name_prefix="portside-ftp-digest")
    )

    def tls_context(self) -> ssl.SSLContext:
        """Return the context for a control connection and all its data connections."""
        assert self.tls is not None
        # Under a context of its own, whoever resumes on a data connection was on this very control connection.
        return self.tls.new_context() if self.must_resume else self.tls.context

    def anonymous(self) -> Account:
        return ANONYMOUS

    def rates_in(self, control: Connection, account: Account) -> tuple[Rate, ...]:
        """Return what bounds the uploads of the session."""
        return self._rates(
            "in", control, account.name, self.bounds.session_in, account.bytes_in_per_s, self.bounds.server_in
        )

    def rates_out(self, control: Connection, account: Account) -> tuple[Rate, ...]:
        """Return what bounds the downloads of the session."""
        return self._rates(
            "out", control, account.name, self.bounds.session_out, account.bytes_out_per_s, self.bounds.server_out
        )

    @staticmethod
    def _rates(way: str, control: Connection, user: str, *bounds: float | None) -> tuple[Rate, ...]:
        if bounds == (None, None, None):  # as almost always, and for each file
            return ()
        keys = (f"{way} of {control.id}", f"{way} of user {user}", f"{way} of all")
        return tuple(Rate(key, bound) for key, bound in zip(keys, bounds, strict=True) if bound is not None)

    def tell_login(self, control: Connection, user: str, refused: str | None) -> None:
        if events.listening(events.LoginTried):
            events.emit(events.LoginTried(self.service, control.id, control.peer, user, refused))
