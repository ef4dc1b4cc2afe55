"""Names, types, servers and resolv.conf(5) as they are typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("dns.message", reason="dnspython is not installed")


from portside.errors import MalformedAddress, NameNotFound, UsageError
from portside.protocols.dns.client import (
    parse_name,
    parse_resolv_conf,
    parse_type,
    reverse_name,
    split_server,
)


def test_resolv_conf_is_read_as_the_system_reads_it() -> None:
    text = "# no\n; no\nsearch example\nnameserver 192.0.2.1\nnameserver\nnameserver  fe80::1%eth0 \nnameserver x\n"
    assert [str(server) for server in parse_resolv_conf(text)] == ["192.0.2.1:53", "[fe80::1%eth0]:53"]


@given(st.text(max_size=80))
def test_any_resolv_conf_is_read(text: str) -> None:
    parse_resolv_conf(text)
    parse_resolv_conf(f"nameserver {text}")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ns.example", ("ns.example", 53)),
        ("ns.example:5353", ("ns.example", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("127.0.0.1:", ("127.0.0.1", 53)),
    ],
)
def test_servers_are_typed_with_or_without_port(text: str, parts: tuple[str, int]) -> None:
    assert split_server(text) == parts


def test_a_server_without_host_is_refused() -> None:
    with pytest.raises(MalformedAddress):
        split_server(":53")


@pytest.mark.parametrize("text", ["a", "AAAA", "mx", "ANY", "TYPE65", "HTTPS", "caa"])
def test_types_are_known_by_name_and_number(text: str) -> None:
    assert parse_type(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("MXX", "there is no record type 'MXX'; did you mean MX?"),
        ("AAA", "did you mean AAAA?"),
        ("qqqq", "there are A, AAAA, ANY, CAA"),
        ("TYPE99999", "there is no record type"),
        ("AXFR", "AXFR is not a type of records to look up"),
        ("", "there is no record type ''"),
    ],
)
def test_unknown_types_get_the_nearest_word(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_type(text)
    assert why in str(caught.value)


@pytest.mark.parametrize("text", ["", "a..b", "x" * 64, ".".join(["x" * 60] * 5), "\ud800"])
def test_what_is_no_domain_name_is_refused(text: str) -> None:
    with pytest.raises(NameNotFound, match="this is no domain name"):
        parse_name(text)


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        assert parse_name(text).is_absolute()
    except NameNotFound:
        return


def test_addresses_have_reverse_names() -> None:
    assert reverse_name("192.0.2.1").to_text() == "1.2.0.192.in-addr.arpa."
    assert reverse_name("fe80::1%eth0").to_text().endswith("8.e.f.ip6.arpa.")
    with pytest.raises(MalformedAddress):
        reverse_name("localhost")
