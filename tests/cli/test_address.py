"""``portside address``: what is understood, what is told, and how it looks."""

from __future__ import annotations

import json
import sys
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.cli.address import lines_of
from portside.cli.address_facts import Typed, describe, parse_typed
from portside.cli.main import main
from portside.errors import MalformedAddress


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["address", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def seen(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["address", *arguments]) == 0
    return capsys.readouterr().out


# ── what is understood ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("128.143.67.11", "128.143.67.11", None),
        ("128.143.67.11:80", "128.143.67.11", 80),
        ("2156872459", "128.143.67.11", None),
        ("0x808f430b", "128.143.67.11", None),
        ("0X808F430B", "128.143.67.11", None),
        ("0x808f430b:80", "128.143.67.11", 80),
        ("2156872459:0", "128.143.67.11", 0),
        ("0", "0.0.0.0", None),
        ("0x0", "0.0.0.0", None),
        ("1", "0.0.0.1", None),
        ("4294967295", "255.255.255.255", None),
        ("4294967296", "::1:0:0", None),
        ("0x000000001", "::1", None),
        ("340282366920938463463374607431768211455", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
        ("::1", "::1", None),
        ("[::1]", "::1", None),
        ("[::1]:443", "::1", 443),
        ("::1:443", "::1:443", None),
        ("[fe80::1%3]:443", "fe80::1%3", 443),
        ("::ffff:1.2.3.4", "::ffff:102:304", None),
    ],
)
def test_addresses_are_understood_in_every_form(text: str, address: str, port: int | None) -> None:
    typed = parse_typed(text)
    assert (typed.ip, typed.port) == (parse_typed(address).ip, port)


@given(st.ip_addresses(), st.one_of(st.none(), st.integers(0, 65_535)))
def test_an_address_goes_in_as_it_came_out(ip: IPv4Address | IPv6Address, port: int | None) -> None:
    said = describe(Typed(ip, port))
    forms = [said.address, said.full, said.hex]
    if ip.version == 4 or said.integer >= 1 << 32:
        forms.append(str(said.integer))
    for form in forms:
        host = f"[{form}]" if ":" in form else form
        assert parse_typed(host if port is None else f"{host}:{port}") == Typed(ip, port)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1.2.3", "'1.2.3' is not an address: an IPv4 address has four parts, this has 3"),
        ("1.2.3:80", "'1.2.3' is not an address: an IPv4 address has four parts, this has 3"),
        ("01.2.3.4", "the part '01' starts with a zero, which some programs read as octal"),
        ("012", "the number starts with a zero, which some programs read as octal"),
        ("1.2.3.256", "the part '256' is above 255"),
        ("", "it is empty"),
        (":80", "the address before the port is missing"),
        ("1.2.3.4:", "the port after ':' is missing"),
        ("1.2.3.4:65536", "a port is a number from 0 to 65535"),
        ("1.2.3.4:http", "'http' is not a port: a port is a number from 0 to 65535"),
        ("[::1]80", "comes an IPv6 address"),
        ("[1.2.3.4]:80", "comes an IPv6 address"),
        ("0x", "after 0x come hexadecimal digits"),
        ("0x_1", "after 0x come hexadecimal digits"),
        ("0x" + "f" * 33, "an address has at most 128 bits"),
        ("340282366920938463463374607431768211456", "an address has at most 128 bits"),
        ("9" * 5_000, "an address has at most 128 bits"),
        ("tcp://1.2.3.4:80", "it is a URL; an address stands without a scheme"),
        ("10.0.0.0/8", "it is a network; an address has no prefix length"),
        ("fe80::/10", "it is a network; an address has no prefix length"),
        ("localhost", "it looks like a name; portside resolve localhost lists its addresses"),
        ("example.org:80", "it looks like a name; portside resolve example.org lists its addresses"),
        ("1::2::3", "At most one '::' permitted"),
        ("fe80::1%", "is not an address"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(capsys: pytest.CaptureFixture[str], text: str, why: str) -> None:
    assert main(["address", text]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert why in err
    assert err.count("\n") == 1


@given(st.text(max_size=50))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        typed = parse_typed(text)
    except MalformedAddress:
        return
    assert list(lines_of(describe(typed), 80))


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_address_of_the_lectures(capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = told(capsys, "128.143.67.11:80")
    assert said["address"] == "128.143.67.11"
    assert said["version"] == 4
    assert said["integer"] == 2156872459
    assert said["hex"] == "0x808f430b"
    assert said["binary"] == "10000000100011110100001100001011"
    assert said["address_class"] == {"letter": "B", "network": "128.143.0.0/16"}
    assert said["ranges"] == []
    assert said["mapped"] == "::ffff:128.143.67.11"
    assert said["reverse_name"] == "11.67.143.128.in-addr.arpa"
    assert said["sockaddr"]["struct"] == "sockaddr_in"
    assert said["sockaddr"]["size_bytes"] == 16
    fields = {field["name"]: (field["offset"], field["hex"], field["order"]) for field in said["sockaddr"]["fields"]}
    assert fields == {
        "sin_family": (0, (2).to_bytes(2, sys.byteorder).hex(), "host"),
        "sin_port": (2, "0050", "network"),
        "sin_addr": (4, "808f430b", "network"),
        "sin_zero": (8, "0000000000000000", None),
    }
    assert [said[key] for key in ("multicast", "embedded", "mac", "zone", "ipv4")] == [None] * 5


def test_the_keys_are_the_documented_ones(capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = told(capsys, "::1")
    assert list(said) == [
        "address",
        "version",
        "full",
        "mapped",
        "integer",
        "hex",
        "binary",
        "address_class",
        "ranges",
        "is_handed_out",
        "multicast",
        "embedded",
        "mac",
        "zone",
        "reverse_name",
        "port",
        "sockaddr",
        "ipv4",
    ]


def test_a_range_is_told_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = told(capsys, "100.64.0.1")
    assert said["ranges"] == [
        {
            "network": "100.64.0.0/10",
            "name": "carrier-grade NAT (shared address space)",
            "source": "RFC 6598",
            "is_global": False,
        }
    ]


def test_a_mapped_address_is_told_with_both_its_faces(capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = told(capsys, "[::ffff:128.143.67.11]:80")
    assert (said["address"], said["version"]) == ("::ffff:128.143.67.11", 6)
    assert said["embedded"]["kind"] == "IPv4-mapped"
    assert said["sockaddr"]["struct"] == "sockaddr_in6"
    assert said["ipv4"]["integer"] == 2156872459
    assert said["ipv4"]["port"]["number"] == 80
    assert said["ipv4"]["sockaddr"]["struct"] == "sockaddr_in"
    shown = seen(capsys, "::ffff:128.143.67.11")
    assert "struct sockaddr_in6, 28 bytes" in shown
    assert "struct sockaddr_in, 16 bytes" in shown


def test_a_zone_becomes_the_scope_of_the_structure(capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = told(capsys, "fe80::1%lo")
    assert said["zone"]["name"] == "lo"
    index = said["zone"]["index"]
    assert index is not None
    scope = said["sockaddr"]["fields"][-1]
    assert scope["hex"] == index.to_bytes(4, sys.byteorder).hex()
    assert said["full"] == "fe80:0000:0000:0000:0000:0000:0000:0001"
    assert said["reverse_name"].endswith("0.8.e.f.ip6.arpa")


def test_a_zone_of_another_machine_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = told(capsys, "fe80::1%nosuchif0")
    assert said["zone"] == {"name": "nosuchif0", "index": None}
    assert "nosuchif0, no interface of this machine" in seen(capsys, "fe80::1%nosuchif0")


def test_a_teredo_address_is_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    shown = seen(capsys, "2001:0:4136:e378:8000:63bf:3fff:fdd2")
    assert "client 192.0.2.45 port 40000, server 65.54.227.120, cone NAT (Teredo)" in shown


def test_an_interface_identifier_tells_the_ethernet_address(capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = told(capsys, "fe80::250:56ff:fea1:1")
    assert said["mac"] == "00:50:56:a1:00:01"


@pytest.mark.parametrize(("port", "known"), [(443, "well-known"), (8_080, "registered"), (50_000, "dynamic")])
def test_a_port_is_told_with_its_range(capsys: pytest.CaptureFixture[str], port: int, known: str) -> None:
    (said,) = told(capsys, f"127.0.0.1:{port}")
    assert (said["port"]["number"], said["port"]["range"]) == (port, known)
    assert said["port"]["first"] <= port <= said["port"]["last"]


def test_several_addresses_are_one_listing(capsys: pytest.CaptureFixture[str]) -> None:
    assert [said["address"] for said in told(capsys, "127.0.0.1", "::1")] == ["127.0.0.1", "::1"]
    shown = seen(capsys, "127.0.0.1", "::1")
    assert shown.startswith("127.0.0.1\n")
    assert "\n\n::1\n" in shown


# ── how it looks ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_byte_order_is_made_visible(capsys: pytest.CaptureFixture[str]) -> None:
    shown = seen(capsys, "128.143.67.11:80")
    assert "00 50                    sin_port    network  80" in shown
    assert "80 8f 43 0b              sin_addr    network  128.143.67.11" in shown
    if sys.byteorder == "little":
        words = " ".join(shown.split())
        assert "sin_port is 20480 until ntohs() makes it 80" in words
        assert "sin_addr is 188977024 until ntohl() makes it 2156872459" in words


@pytest.mark.parametrize("columns", [40, 60, 72, 80, 120])
@given(ip=st.ip_addresses(), port=st.one_of(st.none(), st.integers(0, 65_535)))
def test_no_line_is_wider_than_the_terminal(columns: int, ip: IPv4Address | IPv6Address, port: int | None) -> None:
    lines = list(lines_of(describe(Typed(ip, port)), columns))
    assert max(len(line) for line in lines) <= max(columns, 54)
    if columns >= 72:
        assert max(len(line) for line in lines) <= columns


def test_hostile_zones_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in seen(capsys, "fe80::1%\x1b[2J")


def test_without_an_address_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["address"]) == 2
    assert "missing argument" in capsys.readouterr().err
