"""``portside resolve`` through name servers of our own, and from a root of our own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dns.message", reason="dnspython is not installed")

from portside.address import InternetAddress
from portside.cli import resolve_dns as module
from portside.cli.main import main
from portside.errors import NetworkError
from support.nameserver import NameServers, referring, silence, status, zone


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


# ── name servers ─────────────────────────────────────────────────────────────────────────────────────────────────────

EXAMPLE = zone(
    "example.",
    """
    @      300 IN SOA ns.example. root.example. 1 2 3 4 5
    www    300 IN A   192.0.2.1
    www    300 IN AAAA 2001:db8::1
    four   300 IN A   192.0.2.4
    alias  300 IN CNAME www.example.
    @      300 IN MX  10 mail.example.
    evil   300 IN TXT "\\027[2J"
    """,
)
REVERSE = zone(".", "1.2.0.192.in-addr.arpa. 60 IN PTR www.example.\n")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with NameServers({"127.0.0.1": EXAMPLE}) as servers:
        yield f"127.0.0.1:{servers.port}"


def test_a_server_is_asked_for_both_families(capsys: pytest.CaptureFixture[str], server: str) -> None:
    rows = told(capsys, "www.example", "--server", server)
    host, _, port = server.partition(":")
    assert rows == [
        {
            "name": "www.example.",
            "ttl_s": 300,
            "type": kind,
            "data": data,
            "server": {"host": host, "port": int(port)},
            "transport": "udp",
        }
        for kind, data in (("A", "192.0.2.1"), ("AAAA", "2001:db8::1"))
    ]


def test_one_family_is_enough(capsys: pytest.CaptureFixture[str], server: str) -> None:
    assert [row["type"] for row in told(capsys, "four.example", "--server", server)] == ["A"]
    assert [row["type"] for row in told(capsys, "www.example", "--ipv6", "--server", server)] == ["AAAA"]
    said = refused(capsys, "four.example", "--ipv6", "--server", server)
    assert said.startswith("cannot resolve four.example: the name exists, but has no AAAA record")


def test_an_alias_is_told_once(capsys: pytest.CaptureFixture[str], server: str) -> None:
    assert [line.split() for line in seen(capsys, "alias.example", "--server", server)] == [
        ["NAME", "TTL", "TYPE", "DATA"],
        ["alias.example.", "300", "CNAME", "www.example."],
        ["www.example.", "300", "A", "192.0.2.1"],
        ["www.example.", "300", "AAAA", "2001:db8::1"],
    ]


def test_records_of_any_type(capsys: pytest.CaptureFixture[str], server: str) -> None:
    (row,) = told(capsys, "example", "--type", "MX", "--server", server)
    assert (row["type"], row["data"]) == ("MX", "10 mail.example.")
    assert {row["type"] for row in told(capsys, "example", "--type", "any", "--server", server)} == {"MX", "SOA"}
    assert {row["type"] for row in told(capsys, "example", "--type", "MX,SOA", "--server", server)} == {"MX", "SOA"}


def test_a_record_that_would_command_the_terminal_is_shown_harmless(
    capsys: pytest.CaptureFixture[str], server: str
) -> None:
    lines = seen(capsys, "evil.example", "--type", "TXT", "--server", server)
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("options", [["--reverse"], ["--type", "PTR"], []])
def test_an_address_is_looked_up_by_its_reverse_name(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    with NameServers({"127.0.0.1": REVERSE}) as servers:
        (row,) = told(capsys, "192.0.2.1", *options, "--server", f"127.0.0.1:{servers.port}")
    assert (row["name"], row["data"]) == ("1.2.0.192.in-addr.arpa.", "www.example.")


def test_failures_are_one_sentence_each(capsys: pytest.CaptureFixture[str], server: str) -> None:
    assert refused(capsys, "nothing.example", "--server", server) == (
        f"cannot resolve nothing.example: there is no such name (NXDOMAIN from {server})"
    )
    assert refused(capsys, "www.example", "--type", "TXT", "--server", server) == (
        f"cannot resolve www.example: the name exists, but has no TXT record (says {server})"
    )
    assert refused(capsys, "a..b", "--server", server).startswith("cannot resolve a..b: this is no domain name")
    with NameServers({"127.0.0.1": status("SERVFAIL")}) as servers:
        said = refused(capsys, "www.example", "--type", "A", "--server", f"127.0.0.1:{servers.port}")
    assert said.endswith("it failed to find out (SERVFAIL)")


def test_silence_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    with NameServers({"127.0.0.1": silence}) as servers:
        where = f"127.0.0.1:{servers.port}"
        said = refused(capsys, "www.example", "--type", "A", "--server", where, "--timeout", "100ms")
    assert said == f"cannot resolve www.example: no answer within 0.1 s from {where}"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["x", "--type", "MXX"], "there is no record type 'MXX'; did you mean MX?"),
        (["x", "http", "--type", "A"], "SERVICE is for the system's resolver"),
        (["x", "--ipv4", "--type", "A"], "--ipv4 and --ipv6 stand for --type A and AAAA"),
        (["192.0.2.1", "--reverse", "--type", "MX"], "--reverse asks for PTR records"),
        (["localhost", "--reverse", "--server", "127.0.0.1"], "'localhost' is not an address"),
        (["x", "--server", "127.0.0.1:99999"], "a port is a number from 0 to 65535"),
        (["x", "--server", ":53"], "the name server's host is missing"),
    ],
)
def test_what_does_not_go_together_is_a_mistake(
    capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert why in refused(capsys, *arguments, status=2)


def test_a_servers_name_is_looked_up_by_the_system(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    port = int(server.partition(":")[2])

    def addresses_of(host: str, port: int) -> list[InternetAddress]:
        return [InternetAddress("127.0.0.1" if host == "ns.example" else host, port)]

    monkeypatch.setattr(module.resolver, "addresses_of", addresses_of)
    assert told(capsys, "www.example", "--server", f"ns.example:{port}")


def test_the_systems_name_servers_are_asked_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    host, _, port = server.partition(":")
    monkeypatch.setattr(module, "system_servers", lambda: [InternetAddress(host, int(port))])
    assert told(capsys, "example", "--type", "MX")[0]["server"] == {"host": host, "port": int(port)}


def test_a_system_without_name_servers_says_what_to_do(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path / "empty"):
        (tmp_path / "empty").write_text("search example\n", encoding="utf-8")
        with pytest.raises(NetworkError, match="names no name server: give one with --server"):
            module.system_servers(str(path))
    (tmp_path / "full").write_text("nameserver 192.0.2.53\n", encoding="utf-8")
    assert module.system_servers(str(tmp_path / "full")) == [InternetAddress("192.0.2.53", 53)]


def test_without_dnspython_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Everything that holds a part of it is forgotten, and dnspython cannot be found again.
    for name in list(sys.modules):
        if name.split(".")[0] == "dns" or name.startswith(("portside.protocols.dns", "portside.cli.resolve_dns")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dns", None)
    assert "pip install 'portside[dns]'" in refused(capsys, "x", "--type", "MX", status=3)


# ── from the root ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    delegation = referring("example.", [("ns.example.", "127.0.0.2"), ("ns.far.", None)])
    with NameServers({"127.0.0.1": delegation, "127.0.0.2": EXAMPLE}) as servers:
        yield f"127.0.0.1:{servers.port}"


def test_a_trace_tells_each_step(capsys: pytest.CaptureFixture[str], root: str) -> None:
    host, _, port = root.partition(":")
    first, second = told(capsys, "www.example", "--trace", "--type", "A", "--server", root)
    assert list(first) == [
        "depth",
        "zone",
        "name",
        "type",
        "server",
        "server_name",
        "outcome",
        "sentence",
        "records",
        "took_s",
    ]
    assert (first["depth"], first["zone"], first["name"], first["type"]) == (0, ".", "www.example.", "A")
    assert first["server"] == {"host": host, "port": int(port)}
    assert (first["server_name"], first["outcome"], first["sentence"]) == (None, "referral", "refers to example.")
    assert {(record["type"], record["data"]) for record in first["records"]} == {
        ("NS", "ns.example."),
        ("NS", "ns.far."),
        ("A", "127.0.0.2"),
    }
    assert first["took_s"] > 0
    assert (second["zone"], second["server"]["host"], second["outcome"]) == ("example.", "127.0.0.2", "answer")
    assert second["records"] == [{"name": "www.example.", "ttl_s": 300, "type": "A", "data": "192.0.2.1"}]


def test_a_trace_reads_from_the_root_down(capsys: pytest.CaptureFixture[str], root: str) -> None:
    lines = seen(capsys, "www.example", "--trace", "--server", root)
    assert lines[0].startswith(f"the root: asked {root} for www.example. A, ")
    assert lines[1].startswith("  refers to example.: ns.")
    assert lines[1].endswith(" (1 address told along)")
    assert lines[2].startswith("example.: asked ns.example. (127.0.0.2:")
    assert lines[3] == "  www.example.  300  A  192.0.2.1"
    # For the second question the walk begins where the first one led.
    assert lines[4].startswith("example.: asked ns.example. (127.0.0.2:")
    assert lines[5] == "  www.example.  300  AAAA  2001:db8::1"


def test_a_trace_that_fails_shows_how_far_it_came(capsys: pytest.CaptureFixture[str], root: str) -> None:
    assert main(["resolve", "nothing.example", "--trace", "--type", "A", "--server", root]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "  there is no such name"
    assert err.startswith("portside: cannot resolve nothing.example: there is no such name (NXDOMAIN from 127.0.0.2:")
    assert main(["resolve", "nothing.example", "--trace", "--type", "A", "--server", root, "--json"]) == 1
    assert [row["outcome"] for row in json.loads(capsys.readouterr().out)] == ["referral", "no such name"]


def test_a_trace_fits_the_terminal() -> None:
    from portside.protocols.dns.client import Record
    from portside.protocols.dns.walk import Step

    step = Step(
        depth=1,
        zone="example.",
        name="www.a-rather-long-name.example.",
        type="AAAA",
        server=InternetAddress("2001:db8:1111:2222:3333:4444:5555:6666", 53),
        server_name="a-name-server-with-a-name.example.",
        outcome="referral",
        sentence="refers to a-rather-long-name.example.",
        records=tuple(Record("x.", 1, "NS", f"name-server-{number}.example.") for number in range(9)),
        took_s=0.0123,
    )
    lines = list(module.step_lines(step, 80))
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("    ") for line in lines)
    assert "12 ms" in " ".join(lines)
    assert " ".join(" ".join(lines).split()).endswith("name-server-8.example. (no addresses told along)")
