"""One client's session, without any I/O: commands go in, replies and acts come out.

The session knows who is logged in, where they are and what they have set, and in which order commands make sense. A
command that needs only words is answered here by a reply; any other becomes an act (``acts``), which the visit carries
out. What each verb does is in the tables of ``verbs_access``, ``verbs_transfer`` and ``verbs_files``.

Source: RFC 959, 1123 section 4.1, 2228, 2389, 2428, 2577, 2640, 3659, 4217, 7151.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from portside.accounts.account import Account, Permission
from portside.address import Address, InternetAddress
from portside.protocols.ftp.acts import Outcome
from portside.protocols.ftp.commands import VERBS, Command
from portside.protocols.ftp.deflate import LEVEL_DEFAULT
from portside.protocols.ftp.digests import ALGORITHMS
from portside.protocols.ftp.facts import FACTS
from portside.protocols.ftp.replies import Reply
from portside.storage import paths
from portside.storage.contract import StorageError

TlsPolicy: TypeAlias = Literal["off", "optional", "login", "data"]
"""Whether TLS may or must be used: ``login`` before a user is named, ``data`` for data connections as well."""


NOT_TAKEN: Final = 550  # RFC 959 section 4.2: "Requested action not taken. File unavailable"
NAME_NOT_TAKEN: Final = 553  # "Requested action not taken. File name not allowed"
GIVE_NAMES: Final = frozenset({"STOR", "STOU", "RNTO"})  # their lists have 553 where those of other verbs have 550


@dataclass(frozen=True, slots=True)
class Policy:
    """What a server allows all its sessions."""

    tls: TlsPolicy = "off"
    anonymous: bool = False
    active: bool = True

    @property
    def has_tls(self) -> bool:
        return self.tls != "off"


class Refused(Exception):
    """A command cannot be carried out: the reply says why."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__(code, *lines)
        self.reply = Reply(code, lines)


def fitted(reply: Reply, verb: str) -> Reply:
    """Return the reply with the code that the verb's list in RFC 959 section 5.4 has for what it says."""
    if reply.code == NOT_TAKEN and verb in GIVE_NAMES:
        return Reply(NAME_NOT_TAKEN, reply.lines)
    return reply


class Session:
    """What one control connection has said so far."""

    __slots__ = (
        "account",
        "deflate_level",
        "directory",
        "facts",
        "hash_algorithm",
        "is_binary",
        "is_deflated",
        "is_protected",
        "offset",
        "only_epsv",
        "peer",
        "policy",
        "protects_data",
        "rename_source",
        "said_pbsz",
        "server_name",
        "user",
    )

    def __init__(self, policy: Policy, peer: Address, *, is_protected: bool = False, server_name: str | None = None):
        self.policy = policy
        self.peer = peer
        self.is_protected = is_protected  # the control connection is under TLS
        self.server_name = server_name  # that TLS was asked for, if any
        # Implicit FTPS: from the first byte all was under TLS, and its clients expect the data to be so too.
        self.said_pbsz = self.protects_data = is_protected
        self.user: str | None = None
        self.account: Account | None = None
        self._begin()

    def _begin(self) -> None:
        self.directory = "/"
        self.is_binary = False  # RFC 959 section 5.1: the defaults are ASCII Non-print, File, Stream
        self.is_deflated = False
        self.deflate_level = LEVEL_DEFAULT
        self.offset = 0
        self.rename_source: str | None = None
        self.only_epsv = False
        self.facts: tuple[str, ...] = FACTS
        self.hash_algorithm = ALGORITHMS[0]

    # ── the turn of a command ────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, command: Command) -> Outcome:
        """Return the reply to the command, or the act that it asks for."""
        try:
            return self._receive(command)
        except Refused as refusal:
            return fitted(refusal.reply, command.verb)
        except StorageError as error:  # a path that cannot be meant
            return fitted(Reply(NOT_TAKEN, (f"{error.why[:1].upper()}{error.why[1:]}.",)), command.verb)

    def _receive(self, command: Command) -> Outcome:
        source, self.rename_source = self.rename_source, None
        verb = VERBS.get(command.verb)
        act = TABLE.get(command.verb)
        if verb is None:
            raise Refused(500, "There is no such command; HELP lists those there are.")
        if act is None:
            raise Refused(502, f"{command.verb} is not implemented.")
        if verb.needs_login and self.account is None:
            raise Refused(530, "Log in first: USER, then PASS.")
        if verb.needs_argument and not command.argument:
            raise Refused(501, f"Something is missing: {verb.syntax}")
        if verb.needs_argument is False and command.argument.strip():
            raise Refused(501, f"{command.verb} takes no argument.")
        if command.verb == "RNTO":
            self.rename_source = source  # the one command that may follow RNFR: RFC 959 section 5.4
        return act(self, command)

    # ── what verbs ask ───────────────────────────────────────────────────────────────────────────────────────────────

    def path(self, typed: str) -> str:
        """Return the path that is meant. Raises: StorageError."""
        return paths.resolve(self.directory, typed)

    def need(self, permission: Permission) -> None:
        if self.account is None or not self.account.may(permission):
            raise Refused(NOT_TAKEN, f"You have no permission to {WORDS_OF[permission]} here.")

    def may_move_data(self) -> None:
        """Check that a data connection may be opened as things are set. RFC 4217 section 10.2."""
        if self.policy.tls == "data" and not self.protects_data:
            raise Refused(521, "Data connections must be protected here: PBSZ 0, then PROT P.")

    def take_offset(self) -> int:
        """Return where the next transfer begins, which holds for one only."""
        offset, self.offset = self.offset, 0
        return offset

    @property
    def peer_host(self) -> str:
        """The client's address, empty on a unix socket."""
        return self.peer.host if isinstance(self.peer, InternetAddress) else ""

    # ── what the visit tells ─────────────────────────────────────────────────────────────────────────────────────────

    def logged_in(self, account: Account) -> None:
        self._begin()
        self.account = account

    def logged_out(self) -> None:
        """Nobody is named any more; TLS and its protection stay."""
        self._begin()
        self.user = self.account = None

    def tls_started(self, server_name: str | None) -> None:
        """The control connection is under TLS now: who it is must be said again (RFC 2228 section 3, AUTH)."""
        self.logged_out()
        self.is_protected = True
        self.server_name = server_name

    def tls_stopped(self) -> None:
        self.is_protected = False


WORDS_OF: Final[Mapping[Permission, str]] = {
    "list": "list files",
    "read": "read files",
    "write": "write files",
    "append": "append to files",
    "delete": "delete files",
    "rename": "rename files",
    "mkdir": "make or remove directories",
    "chmod": "change modes",
}

Act: TypeAlias = Callable[[Session, Command], Outcome]

TABLE: Final[dict[str, Act]] = {}
"""What each verb does; the modules of verbs fill it when the package is imported."""


def verb(*names: str) -> Callable[[Act], Act]:
    """Enter what these verbs do into the table."""

    def enter(act: Act) -> Act:
        for name in names:
            TABLE[name] = act
        return act

    return enter
