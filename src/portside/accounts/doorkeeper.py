"""Who gets in: looks names up, verifies passwords where that holds nobody up, and makes guessing slow.

Nobody learns from an answer, or from its time, whether a name exists: a password for a name that nobody has is tried
against a hash of somebody else, and the sentence is the same.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from portside.accounts.account import Account
from portside.accounts.book import AccountBook, Login
from portside.accounts.passwords import verifies_at_once, verify_password
from portside.accounts.remembered import Remembered
from portside.accounts.tries import ATTEMPTS, BAN_S, WINDOW_S, Tries, counted_as
from portside.contracts import Counters, Network
from portside.errors import LocalError, PeerError, UsageError

log = logging.getLogger("portside")

REMEMBER_S: Final = 300.0
HASHES_AT_ONCE: Final = 2  # each takes tens of megabytes and a processor
TURN_S: Final = 0.05  # between looks whether there is a place to try in: a hash takes longer


class LoginRefused(PeerError):
    """Somebody does not get in. ``is_banned``: nobody from their address does for a while, and this one may leave."""

    def __init__(self, reason: str, *, is_banned: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_banned = is_banned


class Doorkeeper:
    """Admits whoever knows a password. One for each service and process; ``counters`` make them one.

    After a failure the answer is held back for 1, 2, 4 and then 8 seconds; the failure that makes ``attempts`` within
    ``window_s`` seconds bans the address for ``ban_s``.
    """

    def __init__(
        self,
        book: AccountBook,
        counters: Counters,
        *,
        attempts: int = ATTEMPTS,
        window_s: float = WINDOW_S,
        ban_s: float = BAN_S,
        remember_s: float = REMEMBER_S,
    ) -> None:
        self._book = book
        self._counters = counters
        self._tries = Tries(counters, attempts=attempts, window_s=window_s, ban_s=ban_s)
        self._remembered = Remembered(remember_s)
        # It has no threads before something is submitted: a process that forks afterwards takes none with it.
        self._pool = ThreadPoolExecutor(HASHES_AT_ONCE, thread_name_prefix="passwords")

    # ── logins ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def is_banned(self, peer_host: str) -> bool:
        """Return whether nobody from this address is listened to now. To be asked before the first word."""
        return self._tries.is_banned(counted_as(peer_host))

    async def admit(self, network: Network, peer_host: str, name: str, password: str) -> Account:
        """Return the account that name and password open.

        Raises: LoginRefused, a second after the first failure and up to eight after later ones.
        """
        address = counted_as(peer_host)
        self._refuse_banned(address)
        login, stored = await self._look_up(network, name)
        while True:
            if login is not None and self._remembered.has(name, password, stored, network.now_s()):
                self._tries.forgive(address)
                return login.account
            if self._tries.begin(address, network.now_s()):
                break
            await network.sleep(TURN_S)  # others of the address hold the places that its failures leave
            self._refuse_banned(address)
        try:
            # For a name that nobody has it takes as long, and is wrong whatever it says.
            is_right = await self._verify(network, name, password, stored, remember=login is not None)
            delay_s = 0.0 if login is not None and is_right else self._tries.fail(address, network.now_s())
        finally:
            self._tries.end(address)
        if login is not None and is_right:
            self._tries.forgive(address)
            return login.account
        self._refuse_banned(address)
        await network.sleep(delay_s)
        raise LoginRefused("the name or the password is wrong")

    def _refuse_banned(self, address: str) -> None:
        if self._tries.is_banned(address):
            raise LoginRefused("too many logins from the address have failed", is_banned=True)

    async def _look_up(self, network: Network, name: str) -> tuple[Login | None, str]:
        """Return the login of the name, and the hash to try the password against in any case."""

        def look_up() -> tuple[Login | None, str]:
            login = self._book.find(name)
            return login, self._book.decoy(name) if login is None else login.password_hash

        try:
            return look_up() if self._book.is_at_hand else await network.run_blocking(look_up)
        except LocalError as error:  # no guess was made that could be counted
            log.error("nobody can log in: %s", error)
            raise LoginRefused("users cannot be looked up at the moment") from error

    async def _verify(self, network: Network, name: str, password: str, stored: str, *, remember: bool) -> bool:
        """Return whether it is the password of the stored hash, and remember that it is."""
        now_s = network.now_s()

        def verify() -> bool:
            # Clients that open many connections at once wait here for the first of them, and not for a hash each.
            if self._remembered.has(name, password, stored, now_s):
                return True
            is_right = verify_password(password, stored)
            if is_right and remember:
                self._remembered.add(name, password, stored, now_s)
            return is_right

        try:
            return verify() if verifies_at_once(stored) else await network.run_blocking(verify, pool=self._pool)
        except (UsageError, LocalError) as error:  # the book has it from elsewhere, or its package is gone
            log.error("a user's password cannot be verified: %s", error)
            return False

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def hold(self, account: Account) -> bool:
        """Take one of the account's sessions; False where as many are open as it may have."""
        if account.sessions_max is None:
            return True
        return self._counters.hold(_sessions(account), account.sessions_max)

    def let_go(self, account: Account) -> None:
        """Give back a session that ``hold`` gave."""
        if account.sessions_max is not None:
            self._counters.let_go(_sessions(account))


def _sessions(account: Account) -> str:
    return f"sessions {account.name}"
