"""One request on its way through the site: what it is for, who asks, and the way back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qs

from portside.accounts.account import Account, Permission
from portside.accounts.quota import Quota
from portside.accounts.rates import Pacer, Rate
from portside.contracts import Counters
from portside.protocols.http.site.conditions import Fields
from portside.protocols.http.site.problems import NOT_ALLOWED, Problem
from portside.protocols.http.site.rules import RawFields, Rules
from portside.protocols.http.site.targets import Target
from portside.protocols.http.site.turns import TURNS, run_blocking
from portside.storage.contract import Storage

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from portside.protocols.http.site.heads import Heads

QUERY_FIELDS_MAX: Final = 32


class Places:
    """So many of something at once."""

    def __init__(self, places: int) -> None:
        self._free = places

    def begin(self) -> bool:
        """Take a place; False if there is none."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def end(self) -> None:
        self._free += 1


@dataclass(slots=True)
class Exchange:
    """A request and its way back.

    ``storage`` is what the account may see, and ``target`` a path in it. ``heads`` and ``archives`` are the site's.
    """

    scope: Scope
    receive: Receive
    send: Send
    rules: Rules
    heads: Heads
    fields: Fields
    target: Target
    account: Account
    storage: Storage
    archives: Places
    counters: Counters
    service: str = "http"
    challenge: bytes | None = None  # what may be said to somebody who has not said who they are

    @property
    def method(self) -> str:
        method: str = self.scope["method"]
        return method

    @property
    def is_head(self) -> bool:
        return self.method == "HEAD"

    @property
    def path(self) -> str:
        return self.target.path

    @property
    def query(self) -> dict[str, str]:
        """The fields of the query; the first of each name, empty where it has no value."""
        text: bytes = self.scope.get("query_string", b"")
        if not text:
            return {}
        try:
            found = parse_qs(text.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
        except ValueError as error:
            raise Problem(400, "The query of the address has too many fields.") from error
        return {name: values[0] for name, values in found.items()}

    @property
    def quota(self) -> Quota:
        """What bounds how much the account may store."""
        return Quota(self.account, self.counters, partial(run_blocking, self.storage.usage_bytes))

    async def let_pass(self, way: Literal["in", "out"], count: int) -> None:
        """Return when so many bytes may pass, by the account's rate."""
        account = self.account
        bytes_per_s = account.bytes_in_per_s if way == "in" else account.bytes_out_per_s
        if bytes_per_s is None:
            return
        pacer = Pacer(TURNS, self.counters, (Rate(f"{way} of user {account.name}", bytes_per_s),))
        while count > 0:
            piece = min(count, pacer.piece_bytes)
            await pacer.let_pass(piece)
            count -= piece

    def may(self, permission: Permission) -> bool:
        return self.account.may(permission)

    def check(self, *permissions: Permission) -> None:
        """Raise Problem unless the account has all of them; who has not said yet who they are, is asked to."""
        if all(map(self.account.may, permissions)):
            return
        if self.challenge is not None:
            raise Problem(401, "Please log in.", {"www-authenticate": self.challenge.decode("ascii")})
        raise Problem(403, NOT_ALLOWED)

    async def answer(self, status: int, fields: Iterable[tuple[bytes, bytes]], body: bytes = b"") -> None:
        """Send a whole response; to HEAD without its body."""
        head: RawFields = [*self.rules.always, *fields]
        if status not in {204, 304}:
            head.append((b"content-length", b"%d" % len(body)))
        await self.send(_start(status, head))
        await self.send({"type": "http.response.body", "body": b"" if self.is_head else body})


def _start(status: int, fields: RawFields) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": fields}
