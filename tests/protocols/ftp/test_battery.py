"""What an operator may say to the FTP battery, and what comes of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from portside.accounts.passwords import hash_password
from portside.contracts import Battery
from portside.errors import UsageError
from portside.protocols.ftp.battery import ftp_battery
from portside.protocols.ftp.replies import ReplyReader
from portside.testing.conversations import feed
from support.certificates import Certificates


def said_by(battery: Battery, *lines: str) -> list[int]:
    """Return the codes of what the battery says to a client who says the lines, the greeting first."""
    assert battery.stream is not None
    heard = feed(battery.stream, "".join(f"{line}\r\n" for line in lines).encode())
    replies = ReplyReader()
    found = [reply for line in heard.split(b"\n")[:-1] if (reply := replies.feed(line)) is not None]
    return [reply.code for reply in found]


class Identity:
    """A certificate; what it is under does not matter before a handshake."""

    def __init__(self, certificates: Certificates) -> None:
        self.context = certificates.server_context(certificates.issue("ftp.example"))

    def new_context(self) -> Any:
        return self.context


def test_a_battery_without_a_word_lets_anybody_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    battery = ftp_battery(str(tmp_path))
    assert (battery.name, battery.port) == ("ftp", 21)
    assert said_by(battery, "USER anonymous", "PASS x", "SIZE a", "DELE a") == [220, 331, 230, 213, 550]
    assert (tmp_path / "a").exists()


def test_a_login_has_all_rights_and_nobody_else_gets_in(tmp_path: Path) -> None:
    battery = ftp_battery(str(tmp_path), login=("anna:secret",))
    assert said_by(battery, "USER anna", "PASS secret", "MKD d", "RMD d") == [220, 331, 230, 257, 250]
    assert said_by(battery, "USER anonymous", "PASS x") == [220, 331, 530]


def test_anonymous_beside_a_login(tmp_path: Path) -> None:
    battery = ftp_battery(str(tmp_path), login=("anna:secret",), anonymous=True)
    assert said_by(battery, "USER anna", "PASS secret", "MKD d") == [220, 331, 230, 257]
    assert said_by(battery, "USER anonymous", "PASS x", "MKD e") == [220, 331, 230, 550]


def test_users_from_a_file_beside_logins(tmp_path: Path) -> None:
    file = tmp_path / "users.toml"
    file.write_text(f'[user.bob]\npassword = "{hash_password("hunter2")}"\npermissions = ["list"]\n')
    file.chmod(0o600)
    battery = ftp_battery(str(tmp_path), users=str(file))
    assert said_by(battery, "USER bob", "PASS hunter2", "MKD d", "SIZE users.toml") == [220, 331, 230, 550, 213]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"root": "none"}, r"none cannot be served: there is no such file or directory"),
        ({"root": "a"}, r"a cannot be served: it is not a directory"),
        ({"anonymous": False}, "nobody could log in: give --login, --users or --anonymous"),
        ({"tls_policy": "optional"}, "the TLS policy optional needs a certificate"),
        ({"tls_policy": "data"}, "the TLS policy data needs a certificate"),
        ({"login": ("anna",)}, "there is no colon"),
        ({"login": ("anna:a", "anna:b")}, "two logins"),
        ({"users": "none.toml"}, "none.toml"),
        ({"passive_ports": "50100-50000"}, "is no range of ports"),
        ({"passive_ports": "0-70000"}, "is no range of ports"),
        ({"advertise": ("2001:db8::1",)}, "PASV has words for IPv4 alone"),
        ({"advertise": ("10.0.0.0/33=10.0.0.1",)}, "10.0.0.0/33"),
        ({"on_upload": "no_such_module:run"}, "the hook no_such_module:run cannot be loaded"),
        ({"on_upload": " "}, "on_upload is MODULE:FUNCTION or a command"),
        ({"login_attempts": 0}, "login_attempts is at least 1"),
        ({"rate_in": 0.0}, "a rate of 0 would let nothing pass"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").touch()
    with pytest.raises(UsageError, match=why):
        ftp_battery(**{"root": ".", **options})


@pytest.mark.parametrize(
    ("policy", "has_tls", "codes"),
    [
        (None, False, [220, 502, 331]),
        (None, True, [220, 504, 331]),
        ("off", True, [220, 502, 331]),
        ("optional", True, [220, 504, 331]),
        ("login", True, [220, 504, 530]),
        ("data", True, [220, 504, 530]),
    ],
)
def test_the_policy_follows_the_certificate_unless_it_is_said(
    tmp_path: Path, certificates: Certificates, policy: Any, has_tls: bool, codes: list[int]
) -> None:
    battery = ftp_battery(str(tmp_path), tls_policy=policy, tls=Identity(certificates) if has_tls else None)
    assert said_by(battery, "AUTH X", "USER anonymous") == codes


def test_active_mode_may_be_switched_off(tmp_path: Path) -> None:
    battery = ftp_battery(str(tmp_path), active=False)
    assert said_by(battery, "USER ftp", "PASS x", "PORT 198,51,100,7,200,0")[-1] == 502


def test_failures_ban_and_are_counted_by_what_was_said(tmp_path: Path) -> None:
    battery = ftp_battery(str(tmp_path), login=("anna:secret",), login_attempts=2, ban=5.0)
    assert said_by(battery, *("USER anna", "PASS wrong") * 3) == [220, 331, 530, 331, 421]
    assert said_by(battery, "USER anna", "PASS secret") == [421]


def test_the_refusal_is_a_reply(tmp_path: Path) -> None:
    refusal = ftp_battery(str(tmp_path)).refusal
    assert refusal is not None
    assert refusal("the server stops") == b"421 The server stops.\r\n"


def test_a_battery_is_made_before_the_fork_without_a_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    ftp_battery(str(tmp_path), login=("anna:secret",), on_upload="true")
    assert threading.active_count() == before
    assert os.listdir(tmp_path) == []
