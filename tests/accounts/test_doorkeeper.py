"""Who gets in, how long that takes, and what guessing costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest

from portside.accounts import doorkeeper as module
from portside.accounts.account import Account
from portside.accounts.book import Login, MemoryBook, read_logins
from portside.accounts.counters import LocalCounters
from portside.accounts.doorkeeper import HASHES_AT_ONCE, Doorkeeper, LoginRefused
from portside.accounts.files import open_user_file
from portside.accounts.passwords import NOBODY
from portside.accounts.sqlite_book import SqliteBook
from portside.accounts.toml_book import TomlBook
from portside.net.blocking import NETWORK
from portside.net.drive import drive
from portside.net.event_network import EventNetwork
from portside.testing.memory import MemoryNetwork
from support.accounts import login, quick_hash

PEER = "192.0.2.1"
WRONG = "the name or the password is wrong"


class Network(MemoryNetwork):
    """A network whose time passes when somebody sleeps, and only then; it says how long each did."""

    def __init__(self) -> None:
        super().__init__()
        self.time_s = 1_000.0
        self.slept: list[float] = []
        self.pools: list[Executor | None] = []

    def now_s(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time_s += seconds

    async def run_blocking(self, function: Callable[..., Any], *arguments: Any, pool: Executor | None = None) -> Any:
        self.pools.append(pool)
        return function(*arguments)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Which password was verified against which hash, in that order."""
    calls: list[tuple[str, str]] = []
    real = module.verify_password

    def verify(password: str, stored: str) -> bool:
        calls.append((password, stored))
        return real(password, stored)

    monkeypatch.setattr(module, "verify_password", verify)
    return calls


def keeper(network: Network, book: Any = None, **options: Any) -> Doorkeeper:
    counters = LocalCounters(clock=network.now_s)
    return Doorkeeper(
        MemoryBook([login("anna"), login("bert", "anders")]) if book is None else book, counters, **options
    )


def admit(door: Doorkeeper, network: Network, name: str, password: str, peer: str = PEER) -> Account:
    return drive(door.admit(network, peer, name, password), handler="admit", model="thread")


def refuse(
    door: Doorkeeper, network: Network, name: str = "anna", password: str = "?", peer: str = PEER
) -> LoginRefused:
    with pytest.raises(LoginRefused) as caught:
        admit(door, network, name, password, peer)
    return caught.value


# ── getting in ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_whoever_knows_the_password_gets_in(network: Network) -> None:
    door = keeper(network)
    assert admit(door, network, "anna", "geheim") == Account("anna")
    assert admit(door, network, "bert", "anders") == Account("bert")
    assert network.slept == []


@pytest.mark.parametrize(("name", "password"), [("anna", "anders"), ("anna", ""), ("carl", "geheim"), ("", "\udc80")])
def test_nobody_else_does_and_the_answer_is_the_same(network: Network, name: str, password: str) -> None:
    refusal = refuse(keeper(network), network, name, password)
    assert (str(refusal), refusal.reason, refusal.is_banned) == (WRONG, WRONG, False)
    assert network.slept == [1.0]


def test_hashes_are_verified_in_a_pool_of_their_own(network: Network) -> None:
    door = keeper(network)
    admit(door, network, "anna", "geheim")
    (pool,) = network.pools
    assert pool is door._pool
    assert pool._max_workers == HASHES_AT_ONCE  # type: ignore[attr-defined]
    assert pool._threads == set(), "a process that forks has no thread of it"  # type: ignore[attr-defined]


def test_what_verifies_at_once_needs_no_thread(network: Network) -> None:
    door = keeper(network, read_logins(["anna:geheim"]))
    assert admit(door, network, "anna", "geheim") == Account("anna")
    refuse(door, network, "anna", "anders")
    refuse(door, network, "carl", "geheim")
    assert network.pools == []


# ── as long for nobody as for somebody ───────────────────────────────────────────────────────────────────────────────


def test_a_name_that_nobody_has_costs_one_hash_of_the_same_strength(
    network: Network, verified: list[tuple[str, str]]
) -> None:
    door = keeper(network)
    refuse(door, network, "anna", "?")
    refuse(door, network, "carl", "?")
    somebody, nobody = (stored.split("$")[:3] for _, stored in verified)
    assert somebody == nobody


def test_the_password_of_the_decoy_opens_nothing(network: Network, verified: list[tuple[str, str]]) -> None:
    door = keeper(network, MemoryBook([login("anna")]))
    refuse(door, network, "carl", "geheim")
    assert verified == [("geheim", quick_hash("geheim"))]


def test_where_nobody_is_it_takes_as_long_as_a_new_hash(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(module, "verify_password", lambda password, stored: asked.append(stored) or False)
    refuse(keeper(network, MemoryBook(())), network)
    assert asked == [NOBODY]


# ── remembering ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_comes_again_does_not_pay_again(network: Network, verified: list[tuple[str, str]]) -> None:
    door = keeper(network)
    for _ in range(3):
        admit(door, network, "anna", "geheim")
    assert len(verified) == 1
    network.time_s += 300.0
    admit(door, network, "anna", "geheim")
    assert len(verified) == 2


def test_what_was_wrong_is_never_remembered(network: Network, verified: list[tuple[str, str]]) -> None:
    door = keeper(network)
    admit(door, network, "anna", "geheim")
    for _ in range(3):
        refuse(door, network, "anna", "anders")
        refuse(door, network, "carl", "anders")
    assert len(verified) == 7


def test_a_changed_password_is_not_remembered(network: Network, tmp_path: Path) -> None:
    path = str(tmp_path / "users.toml")
    file = open_user_file(path)
    file.add(login("anna"))
    door = keeper(network, TomlBook(path))
    admit(door, network, "anna", "geheim")
    file.change("anna", lambda old: login("anna", "neu", sessions_max=3))
    refuse(door, network, "anna", "geheim")
    assert admit(door, network, "anna", "neu") == Account("anna", sessions_max=3)
    file.change("anna", lambda old: login("anna", "neu", sessions_max=4))
    assert admit(door, network, "anna", "neu") == Account("anna", sessions_max=4), "what is remembered are no rights"
    file.remove("anna")
    refuse(door, network, "anna", "neu")


# ── guessing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_guesses_get_slower_and_then_the_address_is_banned(network: Network) -> None:
    door = keeper(network, attempts=6)
    refusals = [refuse(door, network, peer=PEER) for _ in range(6)]
    assert network.slept == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert [refusal.is_banned for refusal in refusals] == [False] * 5 + [True]
    assert door.is_banned(PEER)
    assert door.is_banned(f"::ffff:{PEER}")
    assert not door.is_banned("192.0.2.2")
    assert refuse(door, network, "anna", "geheim").is_banned, "with the right password too"
    assert admit(door, network, "anna", "geheim", "192.0.2.2") == Account("anna")
    network.time_s += 600.0
    assert not door.is_banned(PEER)
    assert admit(door, network, "anna", "geheim") == Account("anna")


def test_a_banned_address_costs_no_hash(network: Network, verified: list[tuple[str, str]]) -> None:
    door = keeper(network, attempts=1)
    refuse(door, network)
    before = len(verified)
    refuse(door, network)
    assert len(verified) == before


def test_all_addresses_of_a_customer_are_one(network: Network) -> None:
    door = keeper(network, attempts=3)
    for host in range(3):
        refuse(door, network, peer=f"2001:db8::{host}")
    assert door.is_banned("2001:db8::ffff:1:2:3")
    assert not door.is_banned("2001:db8:0:1::")


def test_a_success_makes_the_next_failure_quick_again_but_for_others(network: Network) -> None:
    door = keeper(network)
    refuse(door, network)
    refuse(door, network)
    refuse(door, network, peer="192.0.2.2")
    admit(door, network, "anna", "geheim")
    network.slept.clear()
    refuse(door, network)
    refuse(door, network, peer="192.0.2.2")
    assert network.slept == [1.0, 2.0]


def test_processes_that_share_counters_count_together(network: Network) -> None:
    counters = LocalCounters(clock=network.now_s)
    one, other = (Doorkeeper(MemoryBook([login("anna")]), counters, attempts=2) for _ in range(2))
    refuse(one, network)
    assert refuse(other, network).is_banned
    assert one.is_banned(PEER)


# ── side by side ─────────────────────────────────────────────────────────────────────────────────────────────────────


class BusyNetwork(Network):
    """A network where verifying takes some turns of the loop, and sleeping one; it knows how many verify at once."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once = self.at_once_most = 0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    async def run_blocking(self, function: Callable[..., Any], *arguments: Any, pool: Executor | None = None) -> Any:
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        try:
            for _ in range(5):
                await asyncio.sleep(0)
            return function(*arguments)
        finally:
            self.at_once -= 1


def run_all(*logins: Awaitable[Account]) -> list[Account | BaseException]:
    async def run() -> list[Account | BaseException]:
        return await asyncio.gather(*logins, return_exceptions=True)

    return asyncio.run(run())


def test_guesses_side_by_side_are_no_more_than_one_after_another(verified: list[tuple[str, str]]) -> None:
    network = BusyNetwork()
    door = keeper(network, attempts=10)
    answers = run_all(*(door.admit(network, PEER, "anna", f"guess {number}") for number in range(100)))
    assert len(verified) == 10
    assert all(isinstance(answer, LoginRefused) for answer in answers)
    assert sum(answer.is_banned for answer in answers if isinstance(answer, LoginRefused)) >= 91


def test_many_who_are_right_at_once_all_get_in() -> None:
    network = BusyNetwork()
    book = MemoryBook([login(f"user{number}", f"secret{number}") for number in range(100)])
    door = keeper(network, book, attempts=10)
    answers = run_all(*(door.admit(network, PEER, f"user{number}", f"secret{number}") for number in range(100)))
    assert answers == [Account(f"user{number}") for number in range(100)]
    assert network.at_once_most == 10


def test_many_connections_of_one_client_wait_for_one_hash(verified: list[tuple[str, str]]) -> None:
    network = BusyNetwork()
    door = keeper(network, attempts=10)
    answers = run_all(*(door.admit(network, PEER, "anna", "geheim") for _ in range(200)))
    assert answers == [Account("anna")] * 200
    assert len(verified) == 1


def test_a_login_that_is_cancelled_gives_its_place_back() -> None:
    network = BusyNetwork()
    door = keeper(network, attempts=1)

    async def run() -> Account:
        gone = asyncio.ensure_future(door.admit(network, PEER, "anna", "?"))
        await asyncio.sleep(0)
        assert network.at_once == 1
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await door.admit(network, PEER, "anna", "geheim")

    assert asyncio.run(run()) == Account("anna")


# ── books that fail ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteBook]:
    path = str(tmp_path / "users.db")
    open_user_file(path).add(login("anna"))
    book = SqliteBook(path)
    yield book
    book.close()


def test_a_database_is_asked_where_it_holds_nobody_up(network: Network, database: SqliteBook) -> None:
    door = keeper(network, database)
    assert admit(door, network, "anna", "geheim") == Account("anna")
    assert network.pools == [None, door._pool]
    assert admit(door, network, "anna", "geheim") == Account("anna")
    assert network.pools == [None, door._pool, None]


def test_a_database_that_fails_is_logged_and_is_no_guess(
    network: Network, database: SqliteBook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    door = keeper(network, database, attempts=1)
    database._database.current().close()
    refusal = refuse(door, network, "anna", "geheim")
    assert (str(refusal), refusal.is_banned) == ("users cannot be looked up at the moment", False)
    assert "nobody can log in: the database of users" in caplog.text
    assert not door.is_banned(PEER)
    assert network.slept == []


def test_a_hash_that_cannot_be_verified_lets_nobody_in(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    door = keeper(network, MemoryBook([Login(Account("anna"), "in the clear")]))
    assert str(refuse(door, network, "anna", "in the clear")) == WRONG
    assert "a user's password cannot be verified" in caplog.text
    assert "in the clear" not in caplog.text


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_user_has_so_many_sessions_and_no_more(network: Network) -> None:
    door = keeper(network)
    anna, bert = Account("anna", sessions_max=2), Account("bert", sessions_max=1)
    assert [door.hold(anna), door.hold(anna), door.hold(anna), door.hold(bert)] == [True, True, False, True]
    door.let_go(anna)
    assert door.hold(anna)


def test_without_a_limit_nothing_is_counted(network: Network) -> None:
    door = keeper(network)
    assert all(door.hold(Account("anna")) for _ in range(1_000))
    door.let_go(Account("anna"))


# ── the networks there are ───────────────────────────────────────────────────────────────────────────────────────────


def test_it_works_over_the_kernel_s_networks_with_and_without_a_loop() -> None:
    async def run() -> Account:
        async with EventNetwork() as network:
            return await Doorkeeper(MemoryBook([login("anna")]), LocalCounters()).admit(network, PEER, "anna", "geheim")

    assert asyncio.run(run()) == Account("anna")
    door = Doorkeeper(MemoryBook([login("anna")]), LocalCounters())
    for _ in range(2):
        admitted = drive(door.admit(NETWORK, PEER, "anna", "geheim"), handler="admit", model="thread")
        assert admitted == Account("anna")
