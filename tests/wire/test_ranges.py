"""Special ranges against the IANA registries' text, and what addresses hide."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import parse_ip
from portside.wire.ranges import (
    PORT_RANGES,
    address_class,
    embedded_ipv4,
    interface_mac,
    is_handed_out,
    multicast_scope,
    port_range,
    special_ranges,
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0.0.0.0", ["this host (any address of its own)", "this network"]),
        ("0.1.2.3", ["this network"]),
        ("10.255.255.255", ["private"]),
        ("11.0.0.0", []),
        ("100.63.255.255", []),
        ("100.64.0.0", ["carrier-grade NAT (shared address space)"]),
        ("100.127.255.255", ["carrier-grade NAT (shared address space)"]),
        ("100.128.0.0", []),
        ("127.0.0.1", ["loopback"]),
        ("128.143.67.11", []),
        ("169.254.1.1", ["link-local"]),
        ("172.15.255.255", []),
        ("172.16.0.1", ["private"]),
        ("172.31.255.255", ["private"]),
        ("172.32.0.0", []),
        ("192.0.0.9", ["Port Control Protocol anycast", "IETF protocol assignments"]),
        ("192.0.0.171", ["NAT64/DNS64 discovery", "IETF protocol assignments"]),
        ("192.0.2.1", ["documentation (TEST-NET-1)"]),
        ("192.88.99.1", ["6to4 relay anycast (deprecated)"]),
        ("192.168.1.1", ["private"]),
        ("198.17.255.255", []),
        ("198.19.255.255", ["benchmarking"]),
        ("198.20.0.0", []),
        ("198.51.100.7", ["documentation (TEST-NET-2)"]),
        ("203.0.113.7", ["documentation (TEST-NET-3)"]),
        ("224.0.0.5", ["multicast, link scope (never forwarded)", "multicast"]),
        ("224.0.0.251", ["multicast, multicast DNS", "multicast, link scope (never forwarded)", "multicast"]),
        ("232.1.1.1", ["multicast, source-specific", "multicast"]),
        ("239.255.1.1", ["multicast, site-local scope", "multicast, administrative scope", "multicast"]),
        ("239.195.1.1", ["multicast, organization-local scope", "multicast, administrative scope", "multicast"]),
        ("240.0.0.1", ["reserved"]),
        ("255.255.255.255", ["limited broadcast", "reserved"]),
        ("::", ["unspecified"]),
        ("::1", ["loopback"]),
        ("::2", ["IPv4-compatible (deprecated)"]),
        ("::ffff:192.0.2.1", ["IPv4-mapped"]),
        ("64:ff9b::c000:201", ["NAT64"]),
        ("64:ff9b:1::1", ["NAT64, local use"]),
        ("100::1", ["discard only"]),
        ("100:0:0:1::1", ["dummy prefix"]),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", ["Teredo", "IETF protocol assignments"]),
        ("2001:2::1", ["benchmarking", "IETF protocol assignments"]),
        ("2001:2:1::1", ["IETF protocol assignments"]),
        ("2001:20::1", ["ORCHIDv2", "IETF protocol assignments"]),
        ("2001:db8::1", ["documentation"]),
        ("2001:4860:4860::8888", []),
        ("2002:c000:204::1", ["6to4"]),
        ("3ffe:ffff::1", []),
        ("3fff:fff::1", ["documentation"]),
        ("3fff:1000::1", []),
        ("5f00::1", ["segment routing (SRv6)"]),
        ("fc00::1", ["unique local"]),
        ("fdff::1", ["unique local"]),
        ("fe7f::1", []),
        ("fe80::1%eth0", ["link-local"]),
        ("febf::1", ["link-local"]),
        ("fec0::1", ["site-local (deprecated)"]),
        ("ff02::1", ["multicast, all nodes of the link", "multicast"]),
        ("ff02::1:ff12:3456", ["multicast, solicited node", "multicast"]),
        ("ff0e::1", ["multicast"]),
    ],
)
def test_an_address_lies_in_its_special_ranges_the_narrowest_first(text: str, names: list[str]) -> None:
    assert [special.name for special in special_ranges(parse_ip(text))] == names


@given(st.ip_addresses())
def test_the_ranges_found_hold_the_address_and_get_wider(ip: IPv4Address | IPv6Address) -> None:
    found = special_ranges(ip)
    assert all(ip in special.network for special in found)
    prefixes = [special.network.prefixlen for special in found]
    assert prefixes == sorted(prefixes, reverse=True)


@given(st.ip_addresses())
def test_the_standard_library_calls_no_more_addresses_special_than_we_do(ip: IPv4Address | IPv6Address) -> None:
    if ip.is_loopback or ip.is_multicast or ip.is_link_local or ip.is_private:
        assert special_ranges(ip)


@pytest.mark.parametrize(
    ("text", "said"), [("1.1.1.1", True), ("2001:4860::1", True), ("4000::1", False), ("1000::", False)]
)
def test_ordinary_addresses_come_from_what_is_handed_out(text: str, said: bool) -> None:
    assert is_handed_out(parse_ip(text)) is said


@pytest.mark.parametrize(
    ("text", "number", "name", "flags"),
    [
        ("ff01::1", 1, "interface-local", (False, False, False)),
        ("ff02::fb", 2, "link-local", (False, False, False)),
        ("ff05::2", 5, "site-local", (False, False, False)),
        ("ff18::1", 8, "organization-local", (True, False, False)),
        ("ff3e:40:2001:db8::1", 14, "global", (True, True, False)),
        ("ff7e:140:2001:db8::1", 14, "global", (True, True, True)),
        ("ff06::1", 6, "unassigned", (False, False, False)),
    ],
)
def test_a_multicast_group_has_scope_and_flags(
    text: str, number: int, name: str, flags: tuple[bool, bool, bool]
) -> None:
    scope = multicast_scope(parse_ip(text))
    assert scope is not None
    assert (scope.number, scope.name) == (number, name)
    assert (scope.is_transient, scope.is_from_prefix, scope.has_rendezvous) == flags


@pytest.mark.parametrize("text", ["224.0.0.1", "fe80::1", "::"])
def test_other_addresses_have_no_ipv6_multicast_scope(text: str) -> None:
    assert multicast_scope(parse_ip(text)) is None


@pytest.mark.parametrize(
    ("text", "kind", "ipv4"),
    [
        ("::ffff:128.143.67.11", "IPv4-mapped", "128.143.67.11"),
        ("::128.143.67.11", "IPv4-compatible", "128.143.67.11"),
        ("64:ff9b::192.0.2.33", "NAT64", "192.0.2.33"),
        ("2002:c000:221::1", "6to4", "192.0.2.33"),
    ],
)
def test_an_ipv4_address_is_found_inside(text: str, kind: str, ipv4: str) -> None:
    found = embedded_ipv4(parse_ip(text))
    assert found is not None
    assert (found.kind, str(found.ipv4), found.server) == (kind, ipv4, None)


def test_teredo_is_decoded() -> None:
    # The address of the example in Wikipedia's and many other texts: client 192.0.2.45 port 40000 at 65.54.227.120.
    found = embedded_ipv4(parse_ip("2001:0000:4136:e378:8000:63bf:3fff:fdd2"))
    assert found is not None
    assert (found.kind, str(found.ipv4), str(found.server)) == ("Teredo", "192.0.2.45", "65.54.227.120")
    assert (found.port, found.is_cone) == (40_000, True)


@pytest.mark.parametrize("text", ["1.2.3.4", "::", "::1", "2001:db8::1", "fe80::1"])
def test_other_addresses_carry_none(text: str) -> None:
    assert embedded_ipv4(parse_ip(text)) is None


@given(st.ip_addresses(v=6))
def test_the_standard_library_finds_the_same_inside(ip: IPv6Address) -> None:
    found = embedded_ipv4(ip)
    assert ip.sixtofour == (found.ipv4 if found and found.kind == "6to4" else None)
    if ip.teredo:
        assert found is not None
        assert (found.server, found.ipv4) == ip.teredo


@given(st.binary(min_size=6, max_size=6), st.sampled_from(["fe80::/64", "2001:db8:1:2::/64", "fd00::/64"]))
def test_the_ethernet_address_is_found_in_the_identifier_made_of_it(mac: bytes, network: str) -> None:
    identifier = bytes((mac[0] ^ 2, mac[1], mac[2], 0xFF, 0xFE, *mac[3:]))  # RFC 4291 appendix A
    ip = IPv6Network(network)[int.from_bytes(identifier, "big")]
    assert interface_mac(ip) == mac


@pytest.mark.parametrize(
    "text", ["1.2.3.4", "fe80::1", "::ff:fe00:1", "ff02::1:00ff:fe00:1", "2001:0:4136:e378:0:ff:fe00:1"]
)
def test_other_identifiers_were_not_made_of_one(text: str) -> None:
    assert interface_mac(parse_ip(text)) is None


@pytest.mark.parametrize(
    ("text", "letter", "network"),
    [
        ("0.0.0.0", "A", "0.0.0.0/8"),
        ("127.1.2.3", "A", "127.0.0.0/8"),
        ("128.143.67.11", "B", "128.143.0.0/16"),
        ("191.255.0.1", "B", "191.255.0.0/16"),
        ("192.168.1.1", "C", "192.168.1.0/24"),
        ("223.255.255.255", "C", "223.255.255.0/24"),
        ("224.0.0.1", "D", None),
        ("239.255.255.255", "D", None),
        ("240.0.0.0", "E", None),
        ("255.255.255.255", "E", None),
    ],
)
def test_the_class_of_old(text: str, letter: str, network: str | None) -> None:
    found = address_class(IPv4Address(text))
    assert (found.letter, found.network) == (letter, ipaddress.ip_network(network) if network else None)


@pytest.mark.parametrize(
    ("port", "name"),
    [
        (0, "well-known"),
        (1_023, "well-known"),
        (1_024, "registered"),
        (49_151, "registered"),
        (49_152, "dynamic"),
        (65_535, "dynamic"),
    ],
)
def test_ports_have_ranges(port: int, name: str) -> None:
    assert port_range(port).name == name


def test_the_port_ranges_cover_every_port_once() -> None:
    assert [known.first for known in PORT_RANGES] == [0, *(known.last + 1 for known in PORT_RANGES[:-1])]
    assert PORT_RANGES[-1].last == 65_535
