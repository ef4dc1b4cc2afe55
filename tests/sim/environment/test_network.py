"""The module ``socket`` in blocking code on a host: names and pairs are its own, and errors those of the C library."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from portside.sim import World
from portside.sim.environment import Escape


def on_a_host(function: Callable[[], Any]) -> Any:
    """Return what blocking code gives on a host beside another one."""
    with World() as world:
        alice = world.host("alice", "10.0.0.1/24")
        world.link(alice, world.host("bob", "10.0.0.2/24"))

        async def main() -> Any:
            return await alice.run_blocking(function)

        return world.play(main())


def test_names_are_the_hosts() -> None:
    assert on_a_host(lambda: socket.gethostbyname("bob")) == "10.0.0.2"
    assert on_a_host(lambda: socket.gethostbyname_ex("bob")) == ("bob", [], ["10.0.0.2"])
    assert on_a_host(lambda: socket.gethostbyaddr("10.0.0.2")) == ("bob", [], ["10.0.0.2"])


def test_an_address_without_a_name_and_a_name_without_an_address_are_different_errors() -> None:
    """As the C library has it: h_errno of gethostbyaddr, EAI_NONAME of getaddrinfo."""
    with pytest.raises(socket.herror) as unnamed:
        on_a_host(lambda: socket.gethostbyaddr("10.0.0.77"))
    assert unnamed.value.args == (1, "Unknown host")
    with pytest.raises(socket.gaierror):
        on_a_host(lambda: socket.gethostbyaddr("eve"))


def test_a_pair_is_of_streams() -> None:
    def talk() -> bytes:
        one, other = socket.socketpair(type=socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with one, other:
            one.sendall(b"hello")
            return other.recv(5)

    assert on_a_host(talk) == b"hello"
    with pytest.raises(Escape, match="two datagram endpoints"):
        on_a_host(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))


def test_a_descriptor_is_none_of_a_hosts() -> None:
    with pytest.raises(Escape, match=r"socket\.fromfd"):
        on_a_host(lambda: socket.fromfd(0, socket.AF_INET, socket.SOCK_STREAM))
    one, other = socket.socketpair()
    with one, other, socket.fromfd(one.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as same:
        same.sendall(b"outside")
        assert other.recv(7) == b"outside"
