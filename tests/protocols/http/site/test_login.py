"""Logins: who sees what, who is asked to say who they are, and what guessing costs."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest

from portside import events
from portside.accounts.account import READ_ONLY, Account
from portside.accounts.book import Login, MemoryBook
from portside.accounts.counters import LocalCounters
from portside.accounts.doorkeeper import Doorkeeper
from portside.protocols.http.site import exchange, login
from portside.protocols.http.site.login import Gate, parse_basic
from portside.storage.contract import Storage
from support.accounts import login as login_of
from support.site import CLIENT, HTML, Answer, Asking

ATTEMPTS = 3
BAN_S = 120.0


class Turns:
    """Time that passes when somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.time_s = 1_000.0
        self.slept: list[float] = []

    def now_s(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time_s += seconds
        await asyncio.sleep(0)

    async def run_blocking(self, function: Callable[..., Any], *arguments: Any, pool: Executor | None = None) -> Any:
        return function(*arguments)


@pytest.fixture(autouse=True)
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    made = Turns()
    monkeypatch.setattr(login, "TURNS", made)
    monkeypatch.setattr(exchange, "TURNS", made)
    return made


def gate_of(*logins: Login, anonymous: bool = False) -> Callable[[Storage], Gate]:
    def make(storage: Storage) -> Gate:
        counters = LocalCounters()
        doorkeeper = Doorkeeper(MemoryBook(logins), counters, attempts=ATTEMPTS, ban_s=BAN_S)
        return Gate(storage, doorkeeper, counters, anonymous=anonymous, ban_s=BAN_S)

    return make


def basic(name: str, password: str = "geheim", encoding: str = "utf-8") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode(encoding)).decode()}


@pytest.fixture
def tree(root: Path) -> Path:
    (root / "x.txt").write_text("hello")
    (root / "anna").mkdir()
    (root / "anna" / "own.txt").write_text("hers")
    return root


ANNA = login_of("anna", root="/anna")
BOB = login_of("bob", permissions=READ_ONLY)


@pytest.fixture
def site(make_site: Any, tree: Path) -> Asking:
    made: Asking = make_site(gate=gate_of(ANNA, BOB), uploads=True)
    return made


def is_asked(answer: Answer) -> bool:
    return answer.status == 401 and answer.fields["www-authenticate"] == 'Basic realm="files", charset="UTF-8"'


def test_nobody_gets_in_without_saying_who_they_are(site: Asking, tree: Path) -> None:
    for method, target in (("GET", "/x.txt"), ("GET", "/"), ("GET", "/nothing"), ("PUT", "/y"), ("MKCOL", "/y")):
        assert is_asked(site(method, target)), target
    assert b"hello" not in site.get("/x.txt").body
    assert is_asked(site.get("/", HTML))
    assert sorted(path.name for path in tree.iterdir()) == ["anna", "x.txt"]


def test_who_knows_the_password_gets_in(site: Asking) -> None:
    assert site.get("/x.txt", basic("bob")).body == b"hello"
    assert site("HEAD", "/x.txt", basic("bob")).status == 200


def test_everybody_sees_their_own_root(site: Asking, tree: Path) -> None:
    assert site.get("/own.txt", basic("anna")).body == b"hers"
    assert site.get("/x.txt", basic("anna")).status == 404
    assert site.get("/../x.txt", basic("anna")).status == 404
    assert site("PUT", "/new", basic("anna"), b"x").status == 201
    assert (tree / "anna" / "new").exists()


def test_a_root_that_is_not_there_lets_nobody_in(make_site: Any, tree: Path) -> None:
    site = make_site(gate=gate_of(login_of("carl", root="/carl")))
    assert site.get("/x.txt", basic("carl")).status == 403
    (tree / "carl").mkdir()
    assert site.get("/", basic("carl")).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        basic("bob", "wrong"),
        basic("nobody"),
        basic(""),
        {"authorization": "Basic"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"authorization": "Bearer token"},
        {"authorization": ""},
    ],
)
def test_who_does_not_know_it_is_asked_again(site: Asking, fields: dict[str, str]) -> None:
    assert is_asked(site.get("/x.txt", fields))


def test_a_wrong_password_takes_its_time_and_many_ban_the_address(site: Asking, turns: Turns) -> None:
    for _ in range(ATTEMPTS - 1):
        assert is_asked(site.get("/x.txt", basic("bob", "wrong")))
    assert turns.slept == [1.0, 2.0]
    banned = site.get("/x.txt", basic("bob", "wrong"))
    assert (banned.status, banned.fields["retry-after"]) == (429, "120")
    assert site.get("/x.txt", basic("bob")).status == 429  # whoever knows it waits as well


def test_no_password_is_no_wrong_one(site: Asking) -> None:
    """A browser asks without one first, each time."""
    for _ in range(ATTEMPTS + 1):
        assert is_asked(site.get("/x.txt"))
        assert site.get("/x.txt", basic("bob")).status == 200


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Basic YTpi", ("a", "b")),
        (b"basic   YTpi  ", ("a", "b")),
        (b"Basic YTpiOmM=", ("a", "b:c")),
        (b"Basic " + base64.b64encode("ä:ö".encode()), ("ä", "ö")),
        (b"Basic " + base64.b64encode("ä:ö".encode("latin-1")), ("ä", "ö")),
        (b"Basic Og==", ("", "")),
        (b"Basic YTpi YTpi", None),
        (b"Basic YTp", None),
        (b"Digest x", None),
        (b"", None),
    ],
)
def test_what_an_authorization_says(value: bytes, expected: tuple[str, str] | None) -> None:
    assert parse_basic(value) == expected


def test_names_and_passwords_are_utf_8_or_what_old_clients_send(make_site: Any, tree: Path) -> None:
    site = make_site(gate=gate_of(login_of("größe", "pässwort")))
    assert site.get("/x.txt", basic("größe", "pässwort")).status == 200
    assert site.get("/x.txt", basic("größe", "pässwort", "latin-1")).status == 200


# ── reading without a login ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def open_site(make_site: Any, tree: Path) -> Asking:
    """A site that anybody may read, and anna may add to."""
    made: Asking = make_site(gate=gate_of(login_of("anna"), anonymous=True), uploads=True)
    return made


def test_anybody_reads_and_who_may_adds(open_site: Asking, tree: Path) -> None:
    assert open_site.get("/x.txt").status == 200
    assert is_asked(open_site("PUT", "/new", body=b"x"))
    assert is_asked(open_site("MKCOL", "/new"))
    assert not (tree / "new").exists()
    assert open_site("PUT", "/new", basic("anna"), b"x").status == 201


def test_a_wrong_password_is_not_as_good_as_none(open_site: Asking) -> None:
    assert is_asked(open_site.get("/x.txt", basic("anna", "wrong")))


def test_a_page_offers_what_whoever_looks_at_it_may(open_site: Asking) -> None:
    strangers, hers = open_site.get("/", HTML).text, open_site.get("/", {**HTML, **basic("anna")}).text
    assert ('href="?login"' in strangers, 'id="upload"' in strangers) == (True, False)
    assert ('href="?login"' in hers, 'id="upload"' in hers) == (False, True)


def test_who_wants_to_log_in_is_asked(open_site: Asking) -> None:
    assert is_asked(open_site.get("/?login", HTML))
    assert 'id="upload"' in open_site.get("/?login", {**HTML, **basic("anna")}).text
    without_logins = Asking(open_site.storage)
    assert without_logins.get("/?login").status == 200


@pytest.mark.parametrize(
    ("permissions", "statuses"),
    [
        (frozenset({"read"}), {"/x.txt": 200, "/": 403, "/?zip": 403, "/anna/": 200}),
        (frozenset({"list"}), {"/x.txt": 403, "/": 200, "/?zip": 403, "/anna/": 403}),
        (frozenset({"list", "read"}), {"/x.txt": 200, "/": 200, "/?zip": 200, "/anna/": 200}),
    ],
)
def test_what_each_permission_is_for(
    make_site: Any, tree: Path, permissions: frozenset[Any], statuses: dict[str, int]
) -> None:
    (tree / "anna" / "index.html").write_text("page")
    site = make_site(gate=gate_of(login_of("bob", permissions=permissions)))
    assert {target: site.get(target, basic("bob")).status for target in statuses} == statuses


# ── rates and records ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_a_user_s_rates_hold(make_site: Any, tree: Path, turns: Turns, size: int) -> None:
    carl = login_of("carl", bytes_in_per_s=size / 4, bytes_out_per_s=size / 4)
    site = make_site(gate=gate_of(carl), uploads=True)
    for ask in (
        lambda: site("PUT", "/y", basic("carl"), [bytes(size // 2)] * 2),
        lambda: site.get("/y", basic("carl")),
        lambda: site.get("/y", {**basic("carl"), "range": f"bytes=1-{size - 1}"}),
    ):
        began_s = turns.time_s
        assert ask().status in {200, 201, 206}
        assert 3.0 <= turns.time_s - began_s <= 5.0


def test_logins_are_told_and_passwords_are_not(site: Asking) -> None:
    told: list[Any] = []
    stop = events.subscribe(told.append, events.LoginTried)
    try:
        site.get("/x.txt")
        site.get("/x.txt", basic("bob", "wrong"))
        for _ in range(3):
            site.get("/x.txt", basic("bob"))
    finally:
        stop()
    assert [(one.user, one.refused, one.peer.host) for one in told] == [
        ("bob", "the name or the password is wrong", CLIENT[0]),
        ("bob", None, CLIENT[0]),  # once, and not for each of its requests
    ]
    assert "geheim" not in repr(told)


def test_acts_are_told_from_the_service_s_root(site: Asking) -> None:
    told: list[Any] = []
    stop = events.subscribe(told.append, events.FileActed)
    try:
        site("PUT", "/new", basic("anna"), b"x")
    finally:
        stop()
    assert [(one.user, one.path) for one in told] == [("anna", "/anna/new")]


def test_a_login_that_was_verified_is_quick(make_site: Any, tree: Path) -> None:
    from portside.accounts.passwords import hash_password

    site = make_site(gate=gate_of(Login(Account("anna"), hash_password("geheim"))))
    site.get("/x.txt", basic("anna"))
    began_s = time.process_time()
    for _ in range(10):
        assert site.get("/x.txt", basic("anna")).status == 200
    assert time.process_time() - began_s < 1.0  # a hash takes a tenth of a second


def test_pages_of_other_sites_may_ask_before_anybody_has_logged_in(make_site: Any, tree: Path) -> None:
    site = make_site(gate=gate_of(BOB), cors=True)
    assert site("OPTIONS", "/x.txt", {"access-control-request-method": "GET"}).status == 204
    assert is_asked(site.get("/x.txt"))
