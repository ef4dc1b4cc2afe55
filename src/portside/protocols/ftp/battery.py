"""The FTP battery: from what an operator says to a server that is ready for visits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from portside.accounts.book import AccountBook, MemoryBook, open_books
from portside.accounts.counters import LocalCounters
from portside.accounts.doorkeeper import Doorkeeper
from portside.contracts import Battery, Connection, Counters, TlsIdentity
from portside.errors import UsageError
from portside.protocols.ftp import (
    acts_access,
    acts_files,
    acts_transfer,
    acts_upload,
    verbs_access,
    verbs_files,
    verbs_transfer,
)
from portside.protocols.ftp.data import CONTROL_PORT
from portside.protocols.ftp.hooks import hook_of
from portside.protocols.ftp.passive import Advertisement, parse_advertised, parse_passive_ports
from portside.protocols.ftp.replies import Reply, build_reply
from portside.protocols.ftp.server import Bounds, Server
from portside.protocols.ftp.session import Policy, TlsPolicy
from portside.protocols.ftp.visit import Visit
from portside.storage.contract import StorageError
from portside.storage.disk import DiskStorage

# Imported for what they enter into the tables of verbs and acts.
TABLES = (verbs_access, verbs_transfer, verbs_files, acts_access, acts_transfer, acts_upload, acts_files)


def ftp_battery(
    root: str = ".",
    *,
    login: tuple[str, ...] = (),
    users: str | None = None,
    anonymous: bool | None = None,
    passive_ports: str | None = None,
    advertise: tuple[str, ...] = (),
    active: bool = True,
    tls_policy: TlsPolicy | None = None,
    tls_session_reuse: Literal["off", "required"] = "off",
    data_timeout: float = 30.0,
    stall_timeout: float = 60.0,
    rate_in: float | None = None,
    rate_out: float | None = None,
    server_rate_in: float | None = None,
    server_rate_out: float | None = None,
    keep_partial: float = 86_400.0,
    durable: bool = True,
    on_upload: str | None = None,
    strict_ends: bool = True,
    checksums: bool = False,
    login_attempts: int = 10,
    ban: float = 600.0,
    service: str = "ftp",
    tls: TlsIdentity | None = None,
    counters: Counters | None = None,
) -> Battery:
    """Return the FTP battery. What each argument means is in the catalogue, in the same order.

    Raises: UsageError for what cannot be served, such as a root that is not there.
    """
    try:
        storage = DiskStorage(root, durable=durable, keep_s=keep_partial)
    except (StorageError, OSError) as error:
        raise UsageError(f"{root} cannot be served: {_why(error)}") from error
    if login_attempts < 1:
        raise UsageError("login_attempts is at least 1: with 0 nobody could ever log in")
    if 0 in (rate_in, rate_out, server_rate_in, server_rate_out):
        raise UsageError("a rate of 0 would let nothing pass: leave it out for no limit")
    counters = LocalCounters() if counters is None else counters
    book = open_books(login, users)
    server = Server(
        storage=storage,
        doorkeeper=Doorkeeper(_book(book, anonymous), counters, attempts=login_attempts, ban_s=ban),
        counters=counters,
        policy=Policy(
            tls=_tls_policy(tls_policy, tls),
            anonymous=book is None if anonymous is None else anonymous,
            active=active,
        ),
        bounds=Bounds(data_timeout, stall_timeout, rate_in, rate_out, server_rate_in, server_rate_out),
        passive_ports=None if passive_ports is None else parse_passive_ports(passive_ports),
        advertisement=Advertisement(tuple(map(parse_advertised, advertise))),
        tls=tls,
        must_resume=tls_session_reuse == "required",
        hook=None if on_upload is None else hook_of(on_upload, root),
        digests=checksums,
        strict_ends=strict_ends,
        service=service,
    )
    return Battery("ftp", stream=visits_of(server), port=CONTROL_PORT, refusal=refuse, speaks=True)


def visits_of(server: Server) -> Callable[[Connection], Awaitable[None]]:
    """Return the handler of the server's control connections."""

    async def ftp(control: Connection) -> None:
        await Visit(server, control).run()

    return ftp


def refuse(why: str) -> bytes:
    """Return the words that send a client away. RFC 959 section 4.2.2: 421 may answer any command, or none."""
    return build_reply(Reply(421, (f"{why[:1].upper()}{why[1:]}.",)))


def _book(book: AccountBook | None, anonymous: bool | None) -> AccountBook:
    if book is None and anonymous is False:
        raise UsageError("nobody could log in: give --login, --users or --anonymous")
    return MemoryBook(()) if book is None else book


def _tls_policy(wanted: TlsPolicy | None, tls: TlsIdentity | None) -> TlsPolicy:
    if wanted is None:
        return "off" if tls is None else "optional"
    if wanted != "off" and tls is None:
        raise UsageError(f"the TLS policy {wanted} needs a certificate: --tls-cert and --tls-key, or --tls-self-signed")
    return wanted


def _why(error: Exception) -> str:
    if isinstance(error, StorageError):
        return error.why
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
