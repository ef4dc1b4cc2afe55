"""``portside resolve`` through the system's resolver."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from portside.address import InternetAddress
from portside.cli import resolve as module
from portside.cli.main import main
from portside.net.resolve import Resolution

V4 = Resolution(InternetAddress("192.0.2.1", 80), "ipv4", "stream", "tcp", "host.example")
V6 = Resolution(InternetAddress("2001:db8::1", 80), "ipv6", "stream", "tcp", "host.example")


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    status = main(["resolve", *arguments, "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    rows = json.loads(out)
    assert isinstance(rows, list)
    return rows


def seen(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    status = main(["resolve", *arguments])
    out, err = capsys.readouterr()
    assert status == 0, err
    return out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    assert main(["resolve", *arguments]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("portside: ")
    return err.removeprefix("portside: ").rstrip("\n")


# ── the system's resolver ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_address_resolves_to_itself_with_every_kind_of_socket(capsys: pytest.CaptureFixture[str]) -> None:
    rows = told(capsys, "127.0.0.1")
    assert [(row["family"], row["type"], row["protocol"]) for row in rows][:2] == [
        ("IPv4", "stream", "tcp"),
        ("IPv4", "datagram", "udp"),
    ]
    assert rows[0] == {
        "family": "IPv4",
        "type": "stream",
        "protocol": "tcp",
        "address": {"host": "127.0.0.1", "port": None},
        "canonical_name": "127.0.0.1",
        "name": None,
    }


def test_a_port_goes_with_each_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert {row["address"]["port"] for row in told(capsys, "127.0.0.1", "8080")} == {8080}
    assert seen(capsys, "::1", "443")[1].split() == ["IPv6", "stream", "tcp", "[::1]:443"]


def test_a_port_that_does_not_exist_is_not_cut_to_one_that_does(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["127.0.0.1", "99999"], ["--reverse", "127.0.0.1", "65536"]):
        said = refused(capsys, *arguments, status=2)
        assert said == f"'{arguments[-1]}' is not a port: a port is a number from 0 to 65535"


def test_the_resolvers_order_is_kept_and_its_question_is_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def resolve(*arguments: object, **options: object) -> list[Resolution]:
        asked.append((arguments, options))
        return [V6, V4]

    monkeypatch.setattr(module.resolver, "resolve", resolve)
    lines = seen(capsys, "www.example", "http")
    assert lines[0] == "canonical name: host.example"
    assert [line.split()[-1] for line in lines[3:]] == ["[2001:db8::1]:80", "192.0.2.1:80"]
    for options, family in ((["--ipv4"], "ipv4"), (["--ipv6"], "ipv6"), (["--ipv4", "--ipv6"], None)):
        told(capsys, "www.example", *options)
        assert asked[-1] == (("www.example", 0), {"family": family, "canonical_name": True})
    assert asked[0][0] == ("www.example", "http")


def test_a_canonical_name_that_is_the_name_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module.resolver, "resolve", lambda *_, **__: [V4])
    assert seen(capsys, "Host.Example.")[0].startswith("FAMILY")


def test_reverse_names_each_address(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module.resolver, "resolve", lambda *_, **__: [V6, V4])
    monkeypatch.setattr(module.resolver, "name_of", lambda address: "host.example" if ":" in address.host else None)
    rows = told(capsys, "--reverse", "www.example")
    assert [(row["address"]["host"], row["name"]) for row in rows] == [
        ("2001:db8::1", "host.example"),
        ("192.0.2.1", None),
    ]
    assert [line.split() for line in seen(capsys, "--reverse", "www.example")] == [
        ["ADDRESS", "NAME"],
        ["2001:db8::1", "host.example"],
        ["192.0.2.1", "-"],
    ]


def test_the_name_of_this_machines_loopback(capsys: pytest.CaptureFixture[str]) -> None:
    expected = module.resolver.name_of(InternetAddress("127.0.0.1", 0))
    if expected is None:
        assert refused(capsys, "--reverse", "127.0.0.1").startswith("cannot resolve 127.0.0.1: ")
    else:
        assert seen(capsys, "--reverse", "127.0.0.1")[1].split() == ["127.0.0.1", expected]


def test_an_address_without_a_name_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module.resolver, "resolve", lambda *_, **__: [V6, V4])
    monkeypatch.setattr(module.resolver, "name_of", lambda address: None)
    said = refused(capsys, "--reverse", "www.example")
    assert said == "cannot resolve www.example: no name is registered for any of its addresses"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a..b"], "cannot resolve a..b: "),
        (["x" * 64], "cannot resolve " + "x" * 64 + ": "),
        (["127.0.0.1", "no-such-service"], "cannot resolve no-such-service: there is no such service"),
        (["", ""], "cannot resolve : "),
    ],
)
def test_what_the_resolver_refuses_is_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert refused(capsys, *arguments).startswith(why)


def test_a_resolver_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end = threading.Event()
    monkeypatch.setattr(module.resolver, "resolve", lambda *_, **__: end.wait() and [])
    try:
        assert refused(capsys, "slow.example", "--timeout", "50ms") == (
            "cannot resolve slow.example: no answer within 0.05 s"
        )
    finally:
        end.set()


@pytest.mark.parametrize("text", ["0", "-1", "soon"])
def test_a_timeout_is_a_duration(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(["resolve", "x", "--timeout", text]) == 2
    assert capsys.readouterr().err
