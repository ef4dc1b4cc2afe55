"""Our stack on a TAP, in real time, talks with the Linux kernel."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from portside.sim.addresses import parse_network, to_int
from portside.sim.chance import stream
from portside.sim.clock import Scheduler
from portside.sim.ip.stack import Stack
from portside.sim.profile import LINUX
from portside.sim.tap import RealTime, TapPort
from portside.sim.tcp import Tcp
from portside.wire.icmp import Echo, build_icmp
from support.namespaces import Namespace, end, make_namespace
from support.talkers import Talker
from support.tap import KERNEL, KERNEL_V6, inside, make_tap

OURS, OURS_V6 = "10.9.0.1", "fd00:9::1"
MEGABYTE = bytes(range(256)) * 4_096
WITHIN_S = 20.0


class Room:
    """Our host and the kernel's, one cable between."""

    def __init__(self, namespace: Namespace, tap: TapPort) -> None:
        self.namespace, self.tap = namespace, tap
        self.scheduler = Scheduler()
        self.stack = Stack("ours", self.scheduler, stream(1, "ours"), LINUX)
        networks = [parse_network(f"{OURS}/16"), parse_network(f"{OURS_V6}/64")]
        self.interface = self.stack.add_interface("eth0", 0x02_00_00_00_00_01, networks)
        self.stack.attach_tcp(Tcp(self.stack))
        tap.join(self.interface.port)
        self.time = RealTime(self.scheduler, [tap])

    def while_done(self, work: Any) -> Any:
        """Return what a function returns that another thread calls while the world runs."""
        results: list[Any] = []

        def do() -> None:
            try:
                results.append(work())
            except BaseException as error:
                results.append(error)
            self.time.post(lambda _: self.scheduler.stop())

        thread = threading.Thread(target=do)
        thread.start()
        self.time.run(WITHIN_S)
        thread.join(WITHIN_S)
        assert results, "the other side has not come to its end"
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    def run_until(self, condition: Any) -> None:
        self.time.run(WITHIN_S, condition)
        assert condition()


@pytest.fixture
def room() -> Iterator[Room]:
    namespace = make_namespace()
    try:
        with make_tap(namespace) as tap:
            made = Room(namespace, tap)
            with made.time:
                yield made
    finally:
        end(namespace.keeper)


@pytest.mark.parametrize("target", [OURS, OURS_V6])
@pytest.mark.parametrize("size", [0, 56, 1_473, 9_000])
def test_the_kernel_pings_us(room: Room, target: str, size: int) -> None:
    """Longer than the MTU, both sides cut up and put together again. The kernel computes and checks what it must."""
    family, protocol = (socket.AF_INET6, 58) if ":" in target else (socket.AF_INET, 1)
    asking = inside(room.namespace, lambda: socket.socket(family, socket.SOCK_RAW, protocol))
    asking.settimeout(WITHIN_S)
    rest = (7).to_bytes(2) + (1).to_bytes(2) + bytes(number % 251 for number in range(size))

    def ping() -> bytes:
        if family == socket.AF_INET:
            asking.sendto(build_icmp(Echo(7, 1, rest[4:])), (target, 0))
        else:
            asking.sendto(b"\x80\0\0\0" + rest, (target, 0))  # the kernel fills in ICMPv6's checksum
        while True:
            data = asking.recv(65_536)
            message = data[20:] if family == socket.AF_INET else data
            if message[0] in {0, 129}:
                return message[4:]

    with asking:
        assert room.while_done(ping) == rest


@pytest.mark.parametrize("target", [KERNEL, KERNEL_V6])
def test_we_ping_the_kernel(room: Room, target: str) -> None:
    answers: list[Any] = []
    payload = bytes(range(256)) * 20
    room.stack.icmp.ping(to_int(target), 7, 1, answers.append, payload)
    room.run_until(lambda: answers)
    assert answers[0].payload == payload
    assert answers[0].ttl == 64
    assert 0 < answers[0].rtt_ns < WITHIN_S * 1e9


def _echo(peer: socket.socket) -> None:
    while data := peer.recv(65_536):
        peer.sendall(data)
    peer.close()


@pytest.mark.parametrize("target", [KERNEL, KERNEL_V6])
def test_a_stream_of_ours_to_the_kernel_and_back(room: Room, target: str) -> None:
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    server = inside(room.namespace, lambda: socket.create_server((target, 0), family=family))

    def serve() -> None:
        peer, _ = server.accept()
        peer.settimeout(WITHIN_S)
        _echo(peer)

    with server:
        server.settimeout(WITHIN_S)
        client = Talker()
        client.connection = room.stack.tcp.connect(client, (to_int(target), server.getsockname()[1]))
        client.say(MEGABYTE, close=True)
        room.while_done(serve)
    room.run_until(lambda: client.ended)
    assert bytes(client.received) == MEGABYTE
    assert client.errors == []


class Echoing(Talker):
    """Sends back what it reads."""

    def readable(self) -> None:
        before = len(self.received)
        super().readable()
        self.say(bytes(self.received[before:]), close=self.ended)


@pytest.mark.parametrize("target", [OURS, OURS_V6])
def test_a_stream_of_the_kernels_to_us_and_back(room: Room, target: str) -> None:
    echo = Echoing()
    listener = room.stack.tcp.listen((0, 0), 10, lambda: echo.attach(listener.accept()))
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    client = inside(room.namespace, lambda: socket.socket(family, socket.SOCK_STREAM))
    client.settimeout(WITHIN_S)

    def say() -> None:
        client.sendall(MEGABYTE)
        client.shutdown(socket.SHUT_WR)

    def talk() -> bytes:
        client.connect((target, listener.local[1]))
        sender = threading.Thread(target=say)
        sender.start()
        received = b"".join(iter(lambda: client.recv(65_536), b""))
        sender.join(WITHIN_S)
        return received

    with client:
        assert room.while_done(talk) == MEGABYTE
    assert echo.ended
    assert echo.errors == []


def test_a_web_page_by_curl(room: Room) -> None:
    page = b"<h1>From a host that is not there</h1>\n" * 1_000

    class Pages(Talker):
        def readable(self) -> None:
            before = b"\r\n\r\n" in self.received
            super().readable()
            if b"\r\n\r\n" in self.received and not before:
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
                self.say(head.encode() + page, close=True)

    pages = Pages()
    listener = room.stack.tcp.listen((0, 80), 10, lambda: pages.attach(listener.accept()))

    def fetch() -> bytes:
        command = ("curl", "-sS", "--noproxy", "*", "--max-time", "10", f"http://{OURS}/")
        done = subprocess.run([*room.namespace.prefix, *command], capture_output=True, timeout=WITHIN_S, check=False)
        return done.stdout or done.stderr

    assert room.while_done(fetch) == page


def test_the_kernel_reads_why_nobody_listens(room: Room) -> None:
    client = inside(room.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    client.settimeout(WITHIN_S)
    with client, pytest.raises(ConnectionRefusedError):
        room.while_done(lambda: client.connect((OURS, 9)))


def test_the_kernel_reads_that_nobody_takes_datagrams(room: Room) -> None:
    client = inside(room.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client.settimeout(WITHIN_S)

    def ask() -> bytes:
        client.connect((OURS, 9))
        client.send(b"?")
        return client.recv(100)

    with client, pytest.raises(ConnectionRefusedError):
        room.while_done(ask)
