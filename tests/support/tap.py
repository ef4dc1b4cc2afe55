"""A TAP in a network namespace of its own, and sockets of the kernel's within it."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from portside.sim.tap import TapPort
from support.namespaces import Namespace

DEVICE = "tap0"
KERNEL_MAC = 0x02_00_00_00_00_02
KERNEL = "10.9.0.2"
KERNEL_V6 = "fd00:9::2"
CLONE_NEWNET = 0x4000_0000

# What would hide an answer: the kernel bounds errors and challenges to so many a second.
SETTINGS = {
    "net/ipv4/icmp_ratelimit": 0,
    "net/ipv6/icmp/ratelimit": 0,
    "net/ipv4/tcp_invalid_ratelimit": 0,
    "net/ipv4/tcp_no_metrics_save": 1,  # each connection begins without what was learned by the one before
    "net/ipv6/conf/all/router_solicitations": 0,
    "net/ipv6/conf/default/router_solicitations": 0,
}

T = TypeVar("T")


def inside(namespace: Namespace, make: Callable[[], T]) -> T:
    """Return what a function returns in a thread that is in the namespace: sockets made there stay there."""
    made: list[T] = []
    raised: list[BaseException] = []

    def enter_and_make() -> None:
        try:
            _enter(f"/proc/{namespace.keeper.pid}/ns/net")
            made.append(make())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=enter_and_make)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return made[0]


def _enter(path: str) -> None:
    """Move this thread into a namespace: setns(2), which ``os`` has since 3.12."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def make_tap(namespace: Namespace, mtu: int = 1_500) -> TapPort:
    """Return the other end of an interface of the namespace that is up and has addresses; skip where it may not be."""
    try:
        tap = inside(namespace, lambda: TapPort(DEVICE))
    except OSError as error:
        pytest.skip(f"no TAP device: {error}")
    inside(namespace, _adjust)
    namespace.run("ip", "link", "set", DEVICE, "address", KERNEL_MAC.to_bytes(6).hex(":"), "mtu", str(mtu), "up")
    namespace.run("ip", "address", "add", f"{KERNEL}/16", "dev", DEVICE)
    namespace.run("ip", "address", "add", f"{KERNEL_V6}/64", "dev", DEVICE, "nodad")
    return tap


def _adjust() -> None:
    for name, value in SETTINGS.items():
        path = Path("/proc/sys", name)
        if path.exists():
            path.write_text(str(value))
