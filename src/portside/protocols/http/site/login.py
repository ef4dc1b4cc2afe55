"""Who asks: Basic authentication (RFC 7617) before the doorkeeper, and what of the site each may see."""

from __future__ import annotations

import base64
import binascii
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from portside import events
from portside.accounts.account import ANONYMOUS, Account
from portside.accounts.counters import LocalCounters
from portside.accounts.doorkeeper import Doorkeeper, LoginRefused
from portside.address import Address, InternetAddress, UnixAddress
from portside.contracts import Counters
from portside.protocols.http.site.conditions import Fields
from portside.protocols.http.site.problems import Problem
from portside.protocols.http.site.turns import TURNS, run_blocking
from portside.storage.contract import Storage, StorageError

if TYPE_CHECKING:
    from starlette.types import Scope

CHALLENGE: Final = b'Basic realm="files", charset="UTF-8"'
VIEWS_MAX: Final = 1_000  # roots of users that are kept open
TOLD_MAX: Final = 1_000

ANYBODY: Final = Account("anonymous")  # may do whatever the site itself does

connection_id: ContextVar[str] = ContextVar("connection_id", default="")
"""The connection that a request came over, for the records: an ASGI scope does not tell."""


@dataclass(slots=True)
class Gate:
    """Lets requests in. Without a doorkeeper everybody may do what the site does, as nobody in particular.

    ``anonymous`` says whether those who do not say who they are may read.
    """

    storage: Storage
    doorkeeper: Doorkeeper | None = None
    counters: Counters = field(default_factory=LocalCounters)
    anonymous: bool = True
    ban_s: float = 600.0
    service: str = "http"
    _views: dict[str, Storage] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)

    @property
    def challenge(self) -> bytes | None:
        return None if self.doorkeeper is None else CHALLENGE

    @property
    def nobody(self) -> Account:
        """Who a request is from that says nothing, and may be let in."""
        return ANYBODY if self.doorkeeper is None else ANONYMOUS

    async def admit(self, scope: Scope, fields: Fields) -> tuple[Account, Storage]:
        """Return who asks and what they may see. Raises: Problem."""
        if self.doorkeeper is None:
            return self.nobody, self.storage
        said = fields.get(b"authorization")
        if said is None:
            if self.anonymous:
                return self.nobody, self.storage
            raise _ask()
        return await self._admit(self.doorkeeper, scope, said)

    async def _admit(self, doorkeeper: Doorkeeper, scope: Scope, said: bytes) -> tuple[Account, Storage]:
        parsed = parse_basic(said)
        if parsed is None:
            raise _ask()
        name, password = parsed
        client = scope.get("client")
        host = client[0] if client else ""
        try:
            account = await doorkeeper.admit(TURNS, host, name, password)
        except LoginRefused as refusal:
            self._tell(scope, name, str(refusal))
            if refusal.is_banned:
                after = {"retry-after": f"{self.ban_s:.0f}"}
                raise Problem(429, "Too many logins from your address have failed; try again later.", after) from None
            raise _ask() from None
        self._tell(scope, name, None)
        return account, await self._view_of(account)

    async def _view_of(self, account: Account) -> Storage:
        root = f"/{account.root.strip('/')}"
        if root == "/":
            return self.storage
        view = self._views.get(root)
        if view is None:
            try:
                view = await run_blocking(self.storage.under, root)
            except StorageError as error:
                raise Problem(403, "Your files cannot be reached at the moment.") from error
            if len(self._views) < VIEWS_MAX:
                view = self._views.setdefault(root, view)
        return view

    def _tell(self, scope: Scope, user: str, refused: str | None) -> None:
        """Tell of a login: each that fails, and of those that do not the first from an address."""
        if not events.listening(events.LoginTried):
            return
        peer = peer_of(scope)
        if refused is None:
            who = (peer.host if isinstance(peer, InternetAddress) else "", user)
            if who in self._told:
                return
            if len(self._told) >= TOLD_MAX:
                self._told.clear()
            self._told.add(who)
        events.emit(events.LoginTried(self.service, connection_id.get(), peer, user, refused))


def _ask() -> Problem:
    return Problem(401, "Please log in.", {"www-authenticate": CHALLENGE.decode("ascii")})


def peer_of(scope: Scope) -> Address:
    """Return the address of whoever asks."""
    client = scope.get("client")
    return UnixAddress("") if client is None else InternetAddress(client[0], client[1])


def parse_basic(value: bytes) -> tuple[str, str] | None:
    """Return the name and the password that an Authorization has, None where it has none."""
    scheme, _, token = value.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        said = base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = said.partition(b":")
    if not colon:
        return None
    try:
        return name.decode("utf-8"), password.decode("utf-8")
    except UnicodeDecodeError:  # a client that is older than RFC 7617
        return name.decode("latin-1"), password.decode("latin-1")
