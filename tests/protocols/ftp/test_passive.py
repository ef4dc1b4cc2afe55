"""Where data connections come in, and what clients behind NAT are told for it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import InternetAddress
from portside.errors import AddressInUse, LocalError, NameNotFound, NotPermitted, UsageError
from portside.protocols.ftp.passive import (
    NAME_LASTS_S,
    PORT_TRIES,
    Advertised,
    Advertisement,
    listen,
    parse_advertised,
    parse_passive_ports,
)
from portside.testing.memory import MemoryListener, MemoryNetwork
from support import virtual_time

LOCAL, PEER = InternetAddress("192.0.2.1", 21), InternetAddress("198.51.100.7", 50_000)


# ── ports ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("50000-50100", range(50_000, 50_101)),
        (" 50000 - 50100 ", range(50_000, 50_101)),
        ("50000", range(50_000, 50_001)),
        ("1-65535", range(1, 65_536)),
    ],
)
def test_a_range_of_ports(text: str, ports: range) -> None:
    assert parse_passive_ports(text) == ports


@pytest.mark.parametrize(
    "text", ["", "-", "a-b", "50100-50000", "0-10", "1-65536", "50000-", "-50000", "1-2-3", "٥-٦", "50000:50100"]
)
def test_what_is_no_range_of_ports(text: str) -> None:
    with pytest.raises(UsageError, match="is no range of ports"):
        parse_passive_ports(text)


@given(st.text())
def test_any_text_is_a_range_or_refused(text: str) -> None:
    try:
        ports = parse_passive_ports(text)
    except UsageError:
        return
    assert ports
    assert 1 <= ports[0] <= ports[-1] <= 65_535


def test_every_port_of_the_range_is_used_and_not_in_order() -> None:
    ports = range(40_000, 40_032)
    network = MemoryNetwork()

    async def story() -> list[int]:
        found = [(await listen(network, LOCAL.host, ports)).address for _ in ports]
        with pytest.raises(LocalError, match="no port from 40000 to 40031 is free"):
            await listen(network, LOCAL.host, ports)
        return [address.port for address in found if isinstance(address, InternetAddress)]

    found = asyncio.run(story())
    assert sorted(found) == list(ports)
    assert found != sorted(found)  # a stranger must not guess the next; 1 of 32! is in order


def test_without_a_range_the_system_chooses() -> None:
    listener = asyncio.run(listen(MemoryNetwork(), LOCAL.host, None))
    assert isinstance(listener.address, InternetAddress)
    assert listener.address.host == LOCAL.host


class Crowded(MemoryNetwork):
    """A network where others hold every port."""

    def __init__(self, error: LocalError) -> None:
        super().__init__()
        self.asked = 0
        self.error = error

    async def listen(self, endpoint: object) -> MemoryListener:
        self.asked += 1
        raise self.error


def test_a_crowded_range_is_given_up_after_some_tries() -> None:
    network = Crowded(AddressInUse("tcp://192.0.2.1:1"))
    with pytest.raises(LocalError, match="no port from 1 to 65535 is free"):
        asyncio.run(listen(network, LOCAL.host, range(1, 65_536)))
    assert network.asked == PORT_TRIES


def test_what_is_no_matter_of_another_port_is_said_at_once() -> None:
    network = Crowded(NotPermitted("tcp://192.0.2.1:1 is for root"))
    with pytest.raises(NotPermitted):
        asyncio.run(listen(network, LOCAL.host, range(1, 1_000)))
    assert network.asked == 1


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "host", "network", "is_name"),
    [
        ("203.0.113.5", "203.0.113.5", None, False),
        ("ftp.example.org", "ftp.example.org", None, True),
        ("ftp.example.org.", "ftp.example.org.", None, True),
        ("10.0.0.0/8=10.0.0.1", "10.0.0.1", "10.0.0.0/8", False),
        (" 10.0.0.0/8 = inside.example ", "inside.example", "10.0.0.0/8", True),
        ("10.0.0.5=10.0.0.1", "10.0.0.1", "10.0.0.5/32", False),
    ],
)
def test_what_is_advertised(text: str, host: str, network: str | None, is_name: bool) -> None:
    advertised = parse_advertised(text)
    assert (advertised.host, advertised.is_name) == (host, is_name)
    assert (None if advertised.network is None else str(advertised.network)) == network


@pytest.mark.parametrize(
    "text", ["", "=", "10.0.0.0/8=", "10.0.0.1/8=10.0.0.1", "x=10.0.0.1", "a b", "..", "2001:db8::1", "[2001:db8::1]"]
)
def test_what_cannot_be_advertised(text: str) -> None:
    with pytest.raises(UsageError):
        parse_advertised(text)


def told(*texts: str, peer: InternetAddress = PEER, network: MemoryNetwork | None = None) -> str:
    advertisement = Advertisement(tuple(map(parse_advertised, texts)))
    return asyncio.run(advertisement.host_for(network or MemoryNetwork(), peer, LOCAL))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), LOCAL.host),
        (("203.0.113.5",), "203.0.113.5"),
        (("198.51.100.0/24=10.0.0.1",), "10.0.0.1"),
        (("192.168.0.0/16=192.168.0.1",), LOCAL.host),
        (("192.168.0.0/16=192.168.0.1", "203.0.113.5"), "203.0.113.5"),
        (("0.0.0.0/0=1.1.1.1", "198.51.100.0/24=2.2.2.2", "198.51.100.7/32=3.3.3.3", "4.4.4.4"), "3.3.3.3"),
        (("4.4.4.4", "0.0.0.0/0=1.1.1.1"), "1.1.1.1"),
        (("2001:db8::/32=1.1.1.1",), LOCAL.host),
    ],
)
def test_the_narrowest_network_decides(texts: tuple[str, ...], expected: str) -> None:
    assert told(*texts) == expected


class Names(MemoryNetwork):
    """A network whose names can be counted, change and vanish."""

    asked = 0

    async def resolve(self, host: str, port: int = 0) -> list[InternetAddress]:
        self.asked += 1
        if not self.names.get(host):
            raise NameNotFound(host, "it is gone")
        return self.names[host]


def test_a_name_is_looked_up_and_believed_for_a_while() -> None:
    network = Names({"ftp.example": [InternetAddress("2001:db8::1", 0), InternetAddress("203.0.113.5", 0)]})
    advertisement = Advertisement((Advertised("ftp.example"),))

    async def ask(local: str = LOCAL.host) -> str:
        return await advertisement.host_for(network, PEER, InternetAddress(local, 21))

    async def story() -> None:
        assert [await ask(), await ask(), network.asked] == ["203.0.113.5", "203.0.113.5", 1]
        network.names["ftp.example"] = [InternetAddress("203.0.113.6", 0)]
        await network.sleep(NAME_LASTS_S - 1.0)
        assert await ask() == "203.0.113.5"
        await network.sleep(1.0)
        assert [await ask(), network.asked] == ["203.0.113.6", 2]
        # What cannot be looked up keeps the address it had …
        network.names.clear()
        await network.sleep(NAME_LASTS_S)
        assert [await ask(), network.asked] == ["203.0.113.6", 3]

    virtual_time.run(story())


def test_a_name_that_never_had_an_address_leaves_each_client_the_one_it_came_to() -> None:
    network = Names({"ftp.example": []})
    advertisement = Advertisement((Advertised("ftp.example"),))

    async def story() -> None:
        for local in ("192.0.2.1", "192.0.2.2"):
            assert await advertisement.host_for(network, PEER, InternetAddress(local, 21)) == local
        assert network.asked == 1
        network.names["ftp.example"] = [InternetAddress("2001:db8::1", 0)]
        await network.sleep(NAME_LASTS_S)
        assert await advertisement.host_for(network, PEER, LOCAL) == LOCAL.host

    virtual_time.run(story())
