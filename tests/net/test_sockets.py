"""Binding addresses, who holds what is in use, slots, accepting, and what errors mean."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from portside import errors
from portside.address import Address, Endpoint, InternetAddress, SocketOptions, UnixAddress, parse_endpoint
from portside.net import sockets
from portside.net.sockets import Bound, Socket, accept_nowait, bind, open_slot, sockaddr_of, translate
from support.sockets import bound_to, connect

# ── internet ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_socket_serves_both_families(opened: list[Socket]) -> None:
    bound = bound_to(opened, "tcp://[::]:0")
    assert bound.endpoint.port > 0
    assert str(bound.endpoint) == f"tcp://[::]:{bound.endpoint.port}"
    peers = []
    for host in ("127.0.0.1", "::1"):
        connect(opened, host, bound.endpoint.port)
        accepted = accept_nowait(bound.socket)
        assert accepted is not None
        opened.append(accepted[0])
        peers.append(sockets.peer_address(accepted[0]))
    assert [peer.host for peer in peers if isinstance(peer, InternetAddress)] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "tls://[::1]:0", "udp://[::]:0", "udp://127.0.0.1:0"])
def test_the_endpoint_is_shown_as_it_came_to_be(opened: list[Socket], url: str) -> None:
    bound = bound_to(opened, url)
    assert isinstance(bound.address, InternetAddress)
    assert str(bound.endpoint) == url.removesuffix("0") + str(bound.address.port)
    assert bound.socket.getblocking() is False
    assert not os.get_inheritable(bound.socket.fileno())


def test_a_single_address_of_ipv6_does_not_take_ipv4(opened: list[Socket]) -> None:
    bound = bound_to(opened, "tcp://[::1]:0")
    again = bound_to(opened, f"tcp://127.0.0.1:{bound.endpoint.port}")
    assert again.endpoint.port == bound.endpoint.port


def test_all_addresses_of_a_name_share_one_port(opened: list[Socket], monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(0, 0, 0, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2", "::1")]
    monkeypatch.setattr(sockets, "getaddrinfo", lambda *_, **__: answers)
    found = bind(parse_endpoint("tcp://name.example:0"))
    opened.extend(bound.socket for bound in found)
    assert [bound.address.host for bound in found if isinstance(bound.address, InternetAddress)] == [
        "127.0.0.1",
        "127.0.0.2",
        "::1",
    ]
    assert len({bound.endpoint.port for bound in found}) == 1


def test_an_address_that_a_name_has_but_the_machine_has_not_is_left_out(
    opened: list[Socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [(0, 0, 0, "", (host, 0)) for host in ("192.0.2.1", "127.0.0.1")]
    monkeypatch.setattr(sockets, "getaddrinfo", lambda *_, **__: answers)
    (bound,) = bind(parse_endpoint("tcp://name.example:0"))
    opened.append(bound.socket)
    assert isinstance(bound.address, InternetAddress)
    assert bound.address.host == "127.0.0.1"


def test_a_port_that_is_free_on_one_address_only_is_not_kept(
    opened: list[Socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [(0, 0, 0, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(sockets, "getaddrinfo", lambda *_, **__: answers)
    refusals = iter([errno.EADDRINUSE, errno.EADDRINUSE])
    real = sockets._bind_and_listen

    def unlucky(sock: Socket, sockaddr: object, endpoint: Endpoint) -> None:
        if isinstance(sockaddr, tuple) and sockaddr[0] == "127.0.0.2" and (code := next(refusals, None)):
            raise OSError(code, "unlucky")
        real(sock, sockaddr, endpoint)

    monkeypatch.setattr(sockets, "_bind_and_listen", unlucky)
    found = bind(parse_endpoint("tcp://name.example:0"))
    opened.extend(bound.socket for bound in found)
    assert len(found) == 2


def test_without_ipv6_every_address_means_ipv4(opened: list[Socket], monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int = -1, *arguments: int, **options: int) -> Socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *arguments, **options)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    bound = bound_to(opened, "tcp://[::]:0")
    assert str(bound.endpoint).startswith("tcp://0.0.0.0:")
    with pytest.raises(errors.AddressNotAvailable):
        bind(parse_endpoint("tcp://[::1]:0"))


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
@pytest.mark.parametrize("first", ["[::]", "127.0.0.1"])
def test_in_use_names_the_process(opened: list[Socket], scheme: str, first: str) -> None:
    bound = bound_to(opened, f"{scheme}://{first}:0")
    url = f"{scheme}://127.0.0.1:{bound.endpoint.port}"
    with pytest.raises(errors.AddressInUse) as caught:
        bind(parse_endpoint(url))
    assert caught.value.endpoint == url
    assert caught.value.owner is not None
    assert caught.value.owner.endswith(f"(pid {os.getpid()})")
    assert caught.value.owner.startswith("process ")


def test_a_connection_is_no_owner_of_its_port(opened: list[Socket]) -> None:
    """In TIME-WAIT or still open, connections of a server before us do not stand in the way."""
    bound = bound_to(opened, "tcp://127.0.0.1:0")
    client = connect(opened, "127.0.0.1", bound.endpoint.port)
    accepted = accept_nowait(bound.socket)
    assert accepted is not None
    bound.socket.close()
    again = bound_to(opened, f"tcp://127.0.0.1:{bound.endpoint.port}")
    accepted[0].close()
    client.close()
    assert again.endpoint.port == bound.endpoint.port


def test_an_address_of_another_machine() -> None:
    with pytest.raises(errors.AddressNotAvailable, match=r"192\.0\.2\.1"):
        bind(parse_endpoint("tcp://192.0.2.1:0"))


def test_a_name_without_an_address() -> None:
    with pytest.raises(errors.NameNotFound):
        bind(parse_endpoint("tcp://nobody.invalid:0"))


def test_a_low_port_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sockets, "_bind_and_listen", denied)
    with pytest.raises(errors.NotPermitted, match="CAP_NET_BIND_SERVICE"):
        bind(parse_endpoint("tcp://127.0.0.1:80"))


def test_accepted_sockets_inherit_the_options(opened: list[Socket]) -> None:
    bound = bound_to(opened, "tcp://127.0.0.1:0?keepalive=30")
    connect(opened, "127.0.0.1", bound.endpoint.port)
    accepted = accept_nowait(bound.socket)
    assert accepted is not None
    opened.append(accepted[0])
    assert accepted[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert accepted[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert accepted[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    assert accepted[0].gettimeout() is None


def test_nagle_is_kept_for_who_asks(opened: list[Socket]) -> None:
    bound = bound_to(opened, "tcp://127.0.0.1:0?nodelay=off")
    assert not bound.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_options_on_a_unix_socket_are_harmless() -> None:
    one, other = socket.socketpair()
    with one, other:
        sockets.prepare_stream(one, SocketOptions(keepalive_s=10))


# ── slots ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("url", ["tcp://[::]:0", "tcp://127.0.0.1:0", "udp://[::]:0", "udp://127.0.0.1:0"])
def test_slots_share_an_address_and_foreigners_are_still_noticed(opened: list[Socket], url: str) -> None:
    slots = [bound_to(opened, url)]
    for _ in range(2):
        slots.append(open_slot(slots[0]))
        opened.append(slots[-1].socket)
    assert len({str(slot.endpoint) for slot in slots}) == 1
    port = slots[0].endpoint.port
    with pytest.raises(errors.AddressInUse):
        bind(slots[0].endpoint)
    taken = [0, 0, 0]
    for _ in range(60):
        if slots[0].endpoint.is_datagram:
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.sendto(b"x", ("127.0.0.1", port))
        else:
            client = socket.create_connection(("127.0.0.1", port))
        opened.append(client)
        for index, slot in enumerate(slots):
            taken[index] += take_one(slot)
    assert sum(taken) == 60
    assert all(taken)  # 60 peers on three slots by chance: never none, but once in 10^10


def take_one(slot: Bound) -> int:
    if slot.endpoint.is_datagram:
        try:
            return len(slot.socket.recv(1))
        except BlockingIOError:
            return 0
    accepted = accept_nowait(slot.socket)
    if accepted is None:
        return 0
    accepted[0].close()
    return 1


# ── accepting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_waits(opened: list[Socket]) -> None:
    assert accept_nowait(bound_to(opened, "tcp://127.0.0.1:0").socket) is None


class Failing(socket.socket):
    """A listener whose accept fails as the kernel's may."""

    code = 0

    def _accept(self) -> tuple[int, object]:  # what accept() calls
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EPROTO, errno.EHOSTUNREACH, errno.EPERM])
def test_a_peer_that_is_gone_already_is_nobody(code: int) -> None:
    with Failing() as listener:
        listener.code = code
        assert accept_nowait(listener) is None


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_out_of_descriptors(code: int) -> None:
    with Failing() as listener:
        listener.code = code
        with pytest.raises(errors.OutOfDescriptors):
            accept_nowait(listener)


# ── addresses and errors ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "family", "sockaddr"),
    [
        (InternetAddress("192.0.2.1", 80), None, ("192.0.2.1", 80)),
        (InternetAddress("192.0.2.1", 80), socket.AF_INET6, ("::ffff:192.0.2.1", 80, 0, 0)),
        (InternetAddress("2001:db8::1", 80), None, ("2001:db8::1", 80, 0, 0)),
        (InternetAddress("fe80::1%lo", 80), None, ("fe80::1", 80, 0, socket.if_nametoindex("lo"))),
        (InternetAddress("fe80::1%7", 80), None, ("fe80::1", 80, 0, 7)),
        (UnixAddress("/run/x"), None, "/run/x"),
        (UnixAddress("@name"), None, b"\0name"),
    ],
)
def test_addresses_as_the_kernel_takes_them(address: Address, family: int | None, sockaddr: object) -> None:
    assert sockaddr_of(address, family) == sockaddr


def test_an_interface_that_is_not_there() -> None:
    with pytest.raises(errors.AddressNotAvailable, match="no-such"):
        sockaddr_of(InternetAddress("fe80::1%no-such", 1))


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (errno.ECONNRESET, errors.ConnectionLost),
        (errno.EPIPE, errors.ConnectionLost),
        (errno.ETIMEDOUT, errors.ConnectionLost),
        (errno.ECONNREFUSED, errors.NetworkError),
        (errno.EHOSTUNREACH, errors.NetworkError),
        (errno.EADDRINUSE, errors.AddressInUse),
        (errno.EADDRNOTAVAIL, errors.AddressNotAvailable),
        (errno.EACCES, errors.NotPermitted),
        (errno.EMFILE, errors.OutOfDescriptors),
        (errno.ENFILE, errors.OutOfDescriptors),
        (errno.ENOSPC, errors.LocalError),
    ],
)
def test_what_errors_mean(code: int, meaning: type[errors.PortsideError]) -> None:
    cause = OSError(code, os.strerror(code))
    said = translate(cause, "tcp://192.0.2.1:80")
    assert type(said) is meaning
    assert said.__cause__ is cause
    assert str(said).startswith("tcp://192.0.2.1:80")
    assert type(translate(cause)) is meaning
