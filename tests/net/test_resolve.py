"""The system's resolver as values: what can be asked without a network, and every reason for no answer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import InternetAddress, UnixAddress
from portside.errors import NameNotFound
from portside.net import resolve as names
from portside.net import sockets
from portside.net.resolve import Resolution, addresses_of, name_of, order, port_of, resolve, reverse, service_of

LOCALHOST = InternetAddress("127.0.0.1", 80)


def test_an_answer_tells_family_kind_and_protocol() -> None:
    assert resolve("127.0.0.1", 80, kind="stream") == [Resolution(LOCALHOST, "ipv4", "stream", "tcp")]
    assert resolve("::1", 80, kind="datagram") == [Resolution(InternetAddress("::1", 80), "ipv6", "datagram", "udp")]


def test_without_a_kind_each_address_comes_once_per_kind() -> None:
    answers = resolve("127.0.0.1", 80)
    assert [answer.kind for answer in answers] == ["stream", "datagram", "raw"]
    assert [answer.protocol for answer in answers] == ["tcp", "udp", "ip"]


def test_service_names_become_ports() -> None:
    assert resolve("127.0.0.1", "http", kind="stream") == [Resolution(LOCALHOST, "ipv4", "stream", "tcp")]
    with pytest.raises(NameNotFound, match="cannot resolve no-such-service: there is no such service"):
        resolve("127.0.0.1", "no-such-service", kind="stream")


def test_the_canonical_name_goes_to_every_answer() -> None:
    answers = resolve("127.0.0.1", 80, canonical_name=True)
    assert {answer.canonical_name for answer in answers} == {"127.0.0.1"}


def test_a_family_narrows_the_question() -> None:
    assert {answer.family for answer in resolve("localhost", 80, family="ipv4")} == {"ipv4"}
    with pytest.raises(NameNotFound) as caught:
        resolve("127.0.0.1", 80, family="ipv6")
    assert caught.value.why in {"the name exists, but has no address of this family", "there is no such name"}


def test_addresses_to_bind() -> None:
    hosts = {answer.address.host for answer in resolve("", 80, kind="stream", passive=True)}
    assert "0.0.0.0" in hosts


def test_numeric_refuses_names() -> None:
    with pytest.raises(NameNotFound, match="no such name"):
        resolve("localhost", 80, numeric=True)


def test_a_zone_is_kept() -> None:
    (answer,) = resolve("fe80::1%1", 80, kind="stream")
    assert answer.address.host.startswith("fe80::1%")


def test_an_ipv4_mapped_address_is_shown_as_ipv4() -> None:
    (answer,) = resolve("::ffff:127.0.0.1", 80, kind="stream")
    assert answer.address == LOCALHOST


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..b", "localhost\0.example", "\N{SNOWMAN}" * 70])
def test_what_is_no_host_name(name: str) -> None:
    with pytest.raises(NameNotFound, match="no host name"):
        resolve(name)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (sockets.EAI_NONAME, "there is no such name"),
        (sockets.EAI_NODATA, "has no address"),
        (sockets.EAI_AGAIN, "it may work later"),
        (sockets.EAI_FAIL, "refuse or fail"),
        (-99, "as the system says"),
    ],
)
def test_every_reason_has_words(code: int, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sockets.gaierror(code, "as the system says")

    monkeypatch.setattr(sockets, "getaddrinfo", fail)
    monkeypatch.setattr(sockets, "getnameinfo", fail)
    with pytest.raises(NameNotFound, match=f"cannot resolve example.org: .*{why}"):
        resolve("example.org")
    if code != sockets.EAI_NONAME:
        with pytest.raises(NameNotFound, match=why):
            reverse(LOCALHOST)
    assert name_of(LOCALHOST) is None


def test_addresses_are_interleaved_and_come_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = ["2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8::3", "192.0.2.1"]
    answers = [
        Resolution(InternetAddress(host, 80), "ipv6" if ":" in host else "ipv4", "stream", "tcp") for host in hosts
    ]
    monkeypatch.setattr(names, "resolve", lambda *_, **__: answers)
    assert [address.host for address in addresses_of("example.org", 80)] == [
        "2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3",
    ]  # fmt: skip
    answers.clear()
    with pytest.raises(NameNotFound, match="has no address"):
        addresses_of("example.org", 80)


@given(st.lists(st.builds(InternetAddress, st.ip_addresses().map(str), st.just(80)), max_size=12))
def test_order_takes_turns_and_keeps_each_family_in_its_order(addresses: list[InternetAddress]) -> None:
    ordered = order(addresses)
    assert ordered[:1] == addresses[:1]
    for version in (4, 6):
        assert [a for a in ordered if a.ip.version == version] == [a for a in addresses if a.ip.version == version]
    versions = [address.ip.version for address in ordered]
    turns = 2 * min(versions.count(4), versions.count(6))
    assert all(one != next_one for one, next_one in pairwise(versions[:turns]))


def test_the_name_of_this_machine_s_loopback() -> None:
    assert name_of(InternetAddress("127.0.0.1", 80)) == reverse(InternetAddress("127.0.0.1", 0))


def test_no_name_for_a_unix_socket() -> None:
    assert name_of(UnixAddress("/run/x")) is None
    with pytest.raises(NameNotFound, match="a unix socket has no host name"):
        reverse(UnixAddress("/run/x"))


def test_services_both_ways() -> None:
    assert (port_of("http"), service_of(80)) == (80, "http")
    assert port_of("domain", "udp") == 53
    assert service_of(1, "no-such-protocol") is None
    assert service_of(70_000) is None
    with pytest.raises(NameNotFound, match="no-such-service/tcp: there is no such service"):
        port_of("no-such-service")
