"""Who we are on a server, and where the password comes from."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from portside.cli import transfer_login
from portside.cli.transfer_login import Login, Logins, from_netrc, password_from_input
from portside.errors import UsageError
from portside.protocols.ftp.client import parse_url

NETRC = "machine h login anna password secret\nmachine open login anonymous password me@\nmachine bare login bob\n"


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of passwords, the reader's own."""
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".netrc"
    path.write_text(NETRC)
    path.chmod(0o600)
    return path


@pytest.fixture
def no_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))


def login(url: str, **how: object) -> Login:
    logins = Logins(**how)  # type: ignore[arg-type]
    logins.find(parse_url(url))
    return logins.of(parse_url(url))


def test_the_url_says_it_all(netrc: Path) -> None:
    assert login("ftp://bob:other@h/") == Login("bob", "other")
    assert login("ftp://bob:@h/") == Login("bob", "")


def test_netrc_knows_hosts_and_their_users(netrc: Path) -> None:
    assert login("ftp://anna@h/") == Login("anna", "secret")
    assert login("ftp://h/") == Login("anna", "secret")
    assert from_netrc("h", "bob") is None
    assert from_netrc("elsewhere", None) is None
    assert from_netrc("bare", None) is None


def test_netrc_may_be_elsewhere(netrc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = netrc.rename(netrc.with_name("secrets"))
    assert from_netrc("h", None) is None
    monkeypatch.setenv("NETRC", str(moved))
    assert from_netrc("h", None) == Login("anna", "secret")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_netrc_that_others_can_read_is_not_used(netrc: Path, mode: int) -> None:
    netrc.chmod(mode)
    with pytest.raises(UsageError, match="is not yours alone, so it is not used: chmod 600"):
        from_netrc("h", "anna")
    assert from_netrc("elsewhere", None) is None  # nobody's secret is told


def test_a_netrc_of_somebody_else_is_not_used(netrc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: netrc.stat().st_uid + 1)
    with pytest.raises(UsageError, match="is not yours alone"):
        from_netrc("h", "anna")


def test_a_netrc_that_makes_no_sense_is_said_so(netrc: Path) -> None:
    netrc.write_text("machine h login anna pass word secret\n")
    with pytest.raises(UsageError, match="cannot be understood"):
        from_netrc("h", "anna")


def test_a_person_is_asked_once_for_a_server(no_netrc: None) -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "secret"

    logins = Logins(ask=ask)
    for path in ("a", "b"):
        logins.find(parse_url(f"ftp://anna@h/{path}"))
    assert logins.of(parse_url("ftp://anna@h/")) == Login("anna", "secret")
    assert asked == ["password of anna at h: "]


def test_where_nobody_can_be_asked_it_is_said_how_to_give_it(no_netrc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_login, "_is_person_there", lambda: False)
    with pytest.raises(UsageError, match=r"ftp://anna@h/ needs a password: write it to ~/\.netrc"):
        login("ftp://anna@h/")


def test_without_a_user_we_are_anonymous(no_netrc: None) -> None:
    assert login("ftp://h/") == Login()


class Input(io.TextIOWrapper):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))


@pytest.mark.parametrize(("data", "password"), [(b"secret\n", "secret"), (b"secret\r\n", "secret"), (b" s ", " s ")])
def test_standard_input_may_say_it(data: bytes, password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Input(data))
    assert login("ftp://anna@h/", from_input=True) == Login("anna", password)


@pytest.mark.parametrize("data", [b"", b"\n", b"one\ntwo\n"])
def test_what_is_no_password_is_refused(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Input(data))
    with pytest.raises(UsageError, match="takes one line"):
        password_from_input()


def test_standard_input_needs_a_user() -> None:
    with pytest.raises(UsageError, match="needs a user"):
        login("ftp://h/", from_input=True)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Login("anna", "secret"))
