"""Unix sockets: modes, stale and live paths, what is removed and what never is."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from portside import errors
from portside.address import UnixAddress, parse_endpoint
from portside.net.sockets import Socket, bind, open_slot, remove_path
from support.sockets import bound_to


def test_a_unix_path_has_its_mode_from_the_start_and_goes_at_the_end(opened: list[Socket], tmp_path: Path) -> None:
    path = tmp_path / "s"
    bound = bound_to(opened, f"unix:{path}?mode=600")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bound.address == UnixAddress(str(path))
    assert str(bound.endpoint) == f"unix:{path}"
    assert remove_path(bound)
    assert not path.exists()
    assert not remove_path(bound)


def test_a_stale_path_is_replaced(opened: list[Socket], tmp_path: Path) -> None:
    path = tmp_path / "s"
    old = bound_to(opened, f"unix:{path}")
    old.socket.close()
    new = bound_to(opened, f"unix:{path}")
    assert not remove_path(old)  # its inode's number may be the new one's
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert remove_path(new)


def test_a_path_that_somebody_replaced_is_left_alone(opened: list[Socket], tmp_path: Path) -> None:
    path = tmp_path / "s"
    ours = bound_to(opened, f"unix:{path}")
    path.unlink()
    theirs = bound_to(opened, f"unix:{path}")
    assert not remove_path(ours)
    assert path.exists()
    assert remove_path(theirs)


def test_a_live_path_is_in_use_and_names_its_owner(opened: list[Socket], tmp_path: Path) -> None:
    bound_to(opened, f"unix:{tmp_path}/s")
    with pytest.raises(errors.AddressInUse) as caught:
        bind(parse_endpoint(f"unix:{tmp_path}/s"))
    assert str(os.getpid()) in (caught.value.owner or "")


def test_a_full_backlog_is_alive(opened: list[Socket], tmp_path: Path) -> None:
    bound_to(opened, f"unix:{tmp_path}/s?backlog=0")
    for _ in range(2):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        client.connect_ex(f"{tmp_path}/s")
        opened.append(client)
    with pytest.raises(errors.AddressInUse):
        bind(parse_endpoint(f"unix:{tmp_path}/s"))


def test_a_datagram_socket_at_the_path_is_alive(opened: list[Socket], tmp_path: Path) -> None:
    other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    opened.append(other)
    other.bind(f"{tmp_path}/s")
    with pytest.raises(errors.AddressInUse):
        bind(parse_endpoint(f"unix:{tmp_path}/s"))


def test_a_file_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(errors.AddressInUse, match="not a socket"):
        bind(parse_endpoint(f"unix:{path}"))
    assert path.read_text() == "data"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.LocalError, match="directory does not exist"):
        bind(parse_endpoint(f"unix:{tmp_path}/none/s"))


def test_abstract(opened: list[Socket]) -> None:
    name = f"unix:@portside-test-{os.getpid()}"
    bound = bound_to(opened, name)
    assert str(bound.endpoint) == name
    assert isinstance(bound.address, UnixAddress)
    assert f"unix:{bound.address.path}" == name
    with pytest.raises(errors.AddressInUse) as caught:
        bind(parse_endpoint(name))
    assert str(os.getpid()) in (caught.value.owner or "")
    assert not remove_path(bound)


def test_a_slot_of_a_unix_path_is_the_same_socket(opened: list[Socket], tmp_path: Path) -> None:
    bound = bound_to(opened, f"unix:{tmp_path}/s")
    slot = open_slot(bound)
    opened.append(slot.socket)
    assert slot.address == bound.address
    assert not remove_path(slot)  # the path is the first one's
    assert remove_path(bound)
