"""A port by chance, where any will do: one that the kernel might have chosen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from portside import errors
from portside.address import parse_endpoint
from portside.net import any_port as module
from portside.net import sockets
from portside.net.any_port import any_port


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with what the kernel says of its ports, to be written."""
    monkeypatch.setattr(module, "_SETTINGS", f"{tmp_path}/")
    module._ports.cache_clear()
    yield tmp_path
    module._ports.cache_clear()


def say(settings: Path, ports: str, reserved: str = "") -> None:
    (settings / "ip_local_port_range").write_text(f"{ports}\n")
    (settings / "ip_local_reserved_ports").write_text(f"{reserved}\n")


def test_it_is_one_of_the_kernels_own_range(settings: Path) -> None:
    say(settings, "40000\t40003")
    assert {any_port() for _ in range(200)} == {40_001, 40_003}


def test_reserved_ports_are_left_to_whom_they_are_reserved_for(settings: Path) -> None:
    say(settings, "40000 40007", "40001,40004-40005,50000")
    assert {any_port() for _ in range(300)} == {0, 40_003, 40_007}


@pytest.mark.parametrize("ports", ["", "40000", "all of them", "40001 40000"])
def test_where_the_system_does_not_tell_the_kernel_chooses(settings: Path, ports: str) -> None:
    assert any_port() == 0
    module._ports.cache_clear()
    say(settings, ports)
    assert any_port() == 0


def test_a_listener_takes_the_next_where_the_first_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    (taken,) = sockets.bind(parse_endpoint("tcp://127.0.0.1:0"))
    tries = iter([taken.endpoint.port, taken.endpoint.port, 0])
    monkeypatch.setattr(sockets, "any_port", lambda: next(tries))
    (bound,) = sockets.bind(parse_endpoint("tcp://127.0.0.1:0"))
    assert bound.endpoint.port not in {0, taken.endpoint.port}
    assert bound.address == sockets.local_address(bound.socket)
    assert list(tries) == []
    for one in (taken, bound):
        one.socket.close()


def test_the_kernel_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    (taken,) = sockets.bind(parse_endpoint("tcp://127.0.0.1:0"))
    monkeypatch.setattr(sockets, "any_port", lambda: taken.endpoint.port)
    (bound,) = sockets.bind(parse_endpoint("tcp://127.0.0.1:0"))
    assert bound.endpoint.port != taken.endpoint.port
    for one in (taken, bound):
        one.socket.close()


def test_who_holds_an_address_is_looked_for_when_somebody_asks() -> None:
    asked: list[str] = []

    def find() -> str:
        asked.append("who")
        return "process echo (pid 7)"

    error = errors.AddressInUse("tcp://127.0.0.1:80", find)
    assert asked == []
    assert str(error) == "tcp://127.0.0.1:80 is in use by process echo (pid 7)"
    assert error.owner == "process echo (pid 7)"
    assert asked == ["who"]
    assert str(errors.AddressInUse("tcp://127.0.0.1:80", lambda: None)) == "tcp://127.0.0.1:80 is in use"
