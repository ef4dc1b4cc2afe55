"""What is measured of FTP servers: for each case the options of the generator, and what its rate counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ftp_load import Options, Slice
from portside.units import show_size

MIB = 1 << 20
SMALL_BYTES = 1024
ONE_BYTES = 1 * MIB
LOGINS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; the defaults are what the targets speak of."""

    large_bytes: int = 1024 * MIB
    files: int = 10_000
    sessions: int = 200
    idle_sessions: int = 1_000
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure; an operation of the generator is ``per_operation`` units of the rate."""

    name: str
    title: str
    unit: str
    options: Options = field(default_factory=dict)
    per_operation: float = 1.0
    has_new_servers: bool = False  # each server is started anew, and there is one slice

    def amount(self, one: Slice) -> float:
        """Return how many units the slice did."""
        return one.operations * self.per_operation

    def rate(self, one: Slice) -> float:
        """Return units a second, 0 if nothing was done."""
        return self.amount(one) / one.seconds if one.seconds else 0.0


def download(sizes: Sizes) -> Case:
    """One large file to one session."""
    options: Options = {"mode": "get", "folder": "big", "size": sizes.large_bytes, "count": 1}
    return Case("download", f"download of {show_size(sizes.large_bytes)}", "MiB", options, sizes.large_bytes / MIB)


def upload(sizes: Sizes) -> Case:
    """One large file from one session."""
    options: Options = {"mode": "put", "folder": "big", "size": sizes.large_bytes, "count": 1}
    return Case("upload", f"upload of {show_size(sizes.large_bytes)}", "MiB", options, sizes.large_bytes / MIB)


def small(sizes: Sizes, mode: str) -> Case:
    """Files of 1 KiB on one control connection, one after the other."""
    options: Options = {
        **{"mode": mode, "folder": "small", "files": sizes.files, "size": SMALL_BYTES},
        "seconds": sizes.seconds,
    }
    way = {"get": "down", "put": "up"}[mode]
    return Case(f"small-{way}", f"{sizes.files:,} files of 1 KiB {way}, one session", "files", options)


def login(sizes: Sizes) -> Case:
    """Connect, USER, PASS, TYPE, QUIT."""
    options: Options = {"mode": "login", "connections": LOGINS_AT_ONCE, "seconds": sizes.seconds}
    return Case("login", f"logins, {LOGINS_AT_ONCE} at a time", "logins", options)


def listing(sizes: Sizes, command: str) -> Case:
    """One folder, again and again."""
    options: Options = {
        **{"mode": "list", "list": command, "folder": "small", "files": sizes.files},
        "seconds": sizes.seconds,
    }
    return Case(command.lower(), f"{command} of {sizes.files:,} entries", "entries", options, sizes.files)


def sessions(sizes: Sizes) -> Case:
    """Many sessions are logged in, and all download at once."""
    options: Options = {"mode": "get", "folder": "one", "size": ONE_BYTES, "connections": sizes.sessions, "count": 1}
    return Case("sessions", f"{sizes.sessions:,} sessions at once, 1 MiB to each", "MiB", options, ONE_BYTES / MIB)


def idle(sizes: Sizes) -> Case:
    """Sessions that have logged in, and say nothing more."""
    options: Options = {"mode": "idle", "connections": sizes.idle_sessions}
    title = f"{sizes.idle_sessions:,} idle sessions, newly started servers"
    return Case("idle", title, "logins", options, has_new_servers=True)


def under_tls(case: Case) -> Case:
    """Return the same with both connections under TLS; the data connections resume the control connection's session."""
    options: Options = {**case.options, "tls": 1}
    return Case(f"{case.name}-tls", f"{case.title}, FTPS", case.unit, options, case.per_operation, case.has_new_servers)


CASES: dict[str, Callable[[Sizes], Case]] = {
    "download": download,
    "download-tls": lambda sizes: under_tls(download(sizes)),
    "upload": upload,
    "upload-tls": lambda sizes: under_tls(upload(sizes)),
    "small-down": lambda sizes: small(sizes, "get"),
    "small-up": lambda sizes: small(sizes, "put"),
    "small-down-tls": lambda sizes: under_tls(small(sizes, "get")),
    "small-up-tls": lambda sizes: under_tls(small(sizes, "put")),
    "login": login,
    "login-tls": lambda sizes: under_tls(login(sizes)),
    "list": lambda sizes: listing(sizes, "LIST"),
    "mlsd": lambda sizes: listing(sizes, "MLSD"),
    "sessions": sessions,
    "sessions-tls": lambda sizes: under_tls(sessions(sizes)),
    "idle": idle,
    "idle-tls": lambda sizes: under_tls(idle(sizes)),
}
# What the targets speak of; the others are there to be asked for.
USUAL = (
    *("download", "download-tls", "upload", "upload-tls", "small-down", "small-up"),
    *("login", "list", "mlsd", "sessions", "idle"),
)
