"""What a command asks for that takes more than words: values that the session makes and the visit carries out.

Paths are from the account's root and resolved; permissions have been checked. What the visit does with each of them
is in ``visit`` and ``transfers``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from portside.address import InternetAddress
from portside.protocols.ftp.replies import Reply

# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class LogIn:
    """Let the user in, if the password is right."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class LogOut:
    """REIN: forget who it is, and begin anew. A transfer under way was waited for."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Say 234, and begin TLS on the control connection."""


@dataclass(frozen=True, slots=True)
class StopTls:
    """Say 200, and go on in the clear on the control connection (RFC 4217 section 12.3)."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Say goodbye and close."""


# ── data connections ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for the next data connection, and say where: by EPSV, or by PASV's older form."""

    extended: bool


@dataclass(frozen=True, slots=True)
class Call:
    """Make the next data connection to the client's address."""

    address: InternetAddress


# ── transfers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Retrieve:
    path: str
    offset: int


@dataclass(frozen=True, slots=True)
class Store:
    """``offset`` None appends. With ``unique`` the path is only where to begin looking for a free name."""

    path: str
    offset: int | None
    unique: bool = False


ListingForm: TypeAlias = Literal["LIST", "NLST", "MLSD"]


@dataclass(frozen=True, slots=True)
class SendListing:
    """``argument`` is as it was typed: options and a pattern, which only LIST and NLST have."""

    form: ListingForm
    argument: str


@dataclass(frozen=True, slots=True)
class Abort:
    """ABOR: end a transfer that is under way, and forget what was prepared for the next."""


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ChangeDirectory:
    path: str


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    path: str


@dataclass(frozen=True, slots=True)
class RemoveDirectory:
    path: str


@dataclass(frozen=True, slots=True)
class Delete:
    path: str


@dataclass(frozen=True, slots=True)
class RenameFrom:
    """RNFR: say whether there is such a file."""

    path: str


@dataclass(frozen=True, slots=True)
class Rename:
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class TellSize:
    path: str


@dataclass(frozen=True, slots=True)
class TellModified:
    path: str


@dataclass(frozen=True, slots=True)
class SetModified:
    """``answer`` is the form of the reply: MFMT tells the fact and the name, SITE UTIME only that it is done."""

    path: str
    modified_ns: int
    answer: Literal["MFMT", "UTIME"] = "MFMT"
    typed: str = ""


@dataclass(frozen=True, slots=True)
class SetMode:
    path: str
    mode: int


@dataclass(frozen=True, slots=True)
class TellFacts:
    """MLST: the facts of one file over the control connection. ``typed`` is what the client called it."""

    path: str
    typed: str


@dataclass(frozen=True, slots=True)
class TellDigest:
    """HASH, or one of its older forms, which answer with the digits alone."""

    path: str
    algorithm: str
    typed: str
    verb: str


@dataclass(frozen=True, slots=True)
class TellStatus:
    """STAT: of a path, as LIST over the control connection; without one of the session and its transfer."""

    argument: str


@dataclass(frozen=True, slots=True)
class Allocate:
    """ALLO: say whether there is room for so many bytes."""

    size_bytes: int


Act: TypeAlias = (
    LogIn
    | LogOut
    | StartTls
    | StopTls
    | Quit
    | Listen
    | Call
    | Retrieve
    | Store
    | SendListing
    | Abort
    | ChangeDirectory
    | MakeDirectory
    | RemoveDirectory
    | Delete
    | RenameFrom
    | Rename
    | TellSize
    | TellModified
    | SetModified
    | SetMode
    | TellFacts
    | TellDigest
    | TellStatus
    | Allocate
)

Outcome: TypeAlias = Reply | Act
