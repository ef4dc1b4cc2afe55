"""One host under test, Linux's or ours, to which tests speak raw frames; its programs' calls are the same for both."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from typing import Any, Protocol

from portside.errors import MalformedMessage
from portside.sim.addresses import is_v4, parse_network, to_int, to_ip
from portside.sim.chance import stream
from portside.sim.clock import Scheduler
from portside.sim.encoding import decode, encode, open_packet
from portside.sim.frame import AnyFrame, ArpFrame, IcmpFrame, OpaqueFrame, RawFrame
from portside.sim.ip.stack import Stack
from portside.sim.profile import LINUX
from portside.sim.tap import TapPort
from portside.sim.tcp import Tcp
from portside.wire.arp import Arp
from portside.wire.ethernet import MacAddress
from portside.wire.icmpv6 import NeighborAdvertisement, NeighborSolicitation
from portside.wire.neighbor import LinkLayerAddress
from support.namespaces import Namespace
from support.talkers import Talker
from support.tap import KERNEL, KERNEL_MAC, KERNEL_V6, inside

PEER_MAC = KERNEL_MAC
PEER, PEER_V6 = to_int(KERNEL), to_int(KERNEL_V6)
OUR_MAC = 0x02_00_00_00_00_01
SOON_S = 0.02  # nothing has come by then: both answer within the call that hands them a frame


class Stream(Protocol):
    """What a program has of a connection."""

    def send(self, data: bytes) -> None: ...
    def read(self) -> bytes: ...
    def shutdown(self) -> None: ...
    def close(self) -> None: ...


class Host(Protocol):
    """A host under test."""

    def now_s(self) -> float: ...
    def put(self, data: bytes) -> None: ...
    def get(self, within_s: float) -> bytes | None: ...
    def listen(self, port: int, version: int = 4) -> None: ...
    def accept(self, port: int) -> Stream: ...
    def connect(self, address: int, port: int) -> Stream: ...
    def udp(self, port: int) -> None: ...
    def datagrams(self, port: int) -> list[bytes]: ...


class _KernelStream:
    def __init__(self, made: socket.socket) -> None:
        self._socket = made
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send, self.close = made.send, made.close

    def read(self) -> bytes:
        try:
            return self._socket.recv(1 << 20)
        except BlockingIOError:
            return b""

    def shutdown(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)


class Kernel:
    """Linux, over a TAP: its answers to a frame are there when the frame is written."""

    def __init__(self, namespace: Namespace, tap: TapPort) -> None:
        self._namespace, self._tap = namespace, tap
        self._sockets: dict[int, socket.socket] = {}
        self._streams: list[Any] = []
        while tap.read() is not None:
            pass  # what the test before has left

    def _make(self, kind: int, version: int) -> socket.socket:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        made = inside(self._namespace, lambda: socket.socket(family, kind))
        made.setblocking(False)
        return made

    def now_s(self) -> float:
        return time.monotonic()

    def put(self, data: bytes) -> None:
        self._tap.write(RawFrame(data))

    def get(self, within_s: float) -> bytes | None:
        ends = time.monotonic() + within_s
        while True:
            frame = self._tap.read()
            if frame is not None:
                return frame.data
            left = ends - time.monotonic()
            if left <= 0 or not select.select([self._tap], [], [], left)[0]:
                return None

    def listen(self, port: int, version: int = 4) -> None:
        made = self._sockets[port] = self._make(socket.SOCK_STREAM, version)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", port))
        made.listen(10)

    def accept(self, port: int) -> Stream:
        found = _KernelStream(self._sockets[port].accept()[0])
        self._streams.append(found)
        return found

    def connect(self, address: int, port: int) -> Stream:
        made = self._make(socket.SOCK_STREAM, 4 if is_v4(address) else 6)
        made.connect_ex((str(to_ip(address)), port))
        found = _KernelStream(made)
        self._streams.append(found)
        return found

    def udp(self, port: int) -> None:
        self._sockets[port] = made = self._make(socket.SOCK_DGRAM, 6)
        made.bind(("", port))

    def datagrams(self, port: int) -> list[bytes]:
        found = []
        while select.select([self._sockets[port]], [], [], 0)[0]:
            found.append(self._sockets[port].recv(65_536))
        return found

    def close(self) -> None:
        for one in (*self._streams, *self._sockets.values()):
            one.close()


class _OurStream:
    def __init__(self, talker: Talker) -> None:
        self._talker = talker

    def send(self, data: bytes) -> None:
        self._talker.connection.send(data)

    def read(self) -> bytes:
        if self._talker.errors:
            raise OSError(self._talker.errors[-1], "told to the user")
        data: bytes = self._talker.connection.receive(1 << 20)
        return data

    def shutdown(self) -> None:
        self._talker.connection.shutdown()

    def close(self) -> None:
        self._talker.connection.close()


class _Datagrams:
    def __init__(self) -> None:
        self.got: list[bytes] = []

    def received(self, data: bytes, *_: object) -> None:
        self.got.append(data)

    def failed(self, error: OSError) -> None:
        raise error


class Ours:
    """Our stack with the profile of Linux, in virtual time."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.stack = Stack("peer", self.scheduler, stream(1, "peer"), LINUX)
        networks = [parse_network(f"{KERNEL}/16"), parse_network(f"{KERNEL_V6}/64")]
        self._port = self.stack.add_interface("eth0", PEER_MAC, networks).port
        self.stack.attach_tcp(Tcp(self.stack))
        self._port.plug(self._take)
        self._frames: deque[bytes] = deque()
        self._listeners: dict[int, Any] = {}
        self._udp: dict[int, _Datagrams] = {}

    def _take(self, frame: AnyFrame) -> None:
        self._frames.append(encode(frame))
        self.scheduler.stop()

    def now_s(self) -> float:
        return self.scheduler.now / 1e9

    def put(self, data: bytes) -> None:
        self._port.deliver(RawFrame(data))

    def get(self, within_s: float) -> bytes | None:
        if not self._frames:
            self.scheduler.run(self.scheduler.now + round(within_s * 1e9))
        return self._frames.popleft() if self._frames else None

    def listen(self, port: int, version: int = 4) -> None:
        self._listeners[port] = self.stack.tcp.listen((0, port), 10, lambda: None)

    def accept(self, port: int) -> Stream:
        talker = Talker(reads=False)
        talker.attach(self._listeners[port].accept())
        return _OurStream(talker)

    def connect(self, address: int, port: int) -> Stream:
        talker = Talker(reads=False)
        talker.connection = self.stack.tcp.connect(talker, (address, port))
        return _OurStream(talker)

    def udp(self, port: int) -> None:
        self._udp[port] = _Datagrams()
        self.stack.udp.open(self._udp[port], (0, port))

    def datagrams(self, port: int) -> list[bytes]:
        got, self._udp[port].got = self._udp[port].got, []
        return got

    def close(self) -> None:
        """Nothing is held."""


class Wire:
    """The tester's end. It answers for its own addresses, and has each test's own, so that no test knows another's."""

    def __init__(self, host: Any, number: int) -> None:
        self.host = host
        self.ours = to_int(f"10.9.{1 + number // 200}.{1 + number % 200}")
        self.ours_v6 = to_int(f"fd00:9::1:{number:x}")

    def send(self, frame: AnyFrame) -> None:
        frame.source_mac, frame.target_mac = OUR_MAC, PEER_MAC
        self.host.put(encode(frame))

    def send_bytes(self, data: bytes) -> None:
        self.host.put(data)

    def heard(self, kind: type, within_s: float = 5.0) -> Any:
        """Return the next frame of a kind that is for us; fail if none comes."""
        found = self.next(kind, within_s)
        assert found is not None, f"no {kind.__name__} within {within_s} s"
        return found

    def silent(self, kind: type, within_s: float = SOON_S) -> bool:
        return self.next(kind, within_s) is None

    def next(self, kind: type, within_s: float) -> Any:
        """Return the next frame of a kind that is for us, None if none comes within that time, whatever else does."""
        ends_s = self.host.now_s() + within_s
        while (data := self.host.get(max(ends_s - self.host.now_s(), 0.0))) is not None:
            frame = self._open(data)
            if frame is None or self._answered(frame):
                continue
            if isinstance(frame, kind) and getattr(frame, "target", self.ours) in {self.ours, self.ours_v6}:
                return frame
        return None

    @staticmethod
    def _open(data: bytes) -> AnyFrame | None:
        try:
            frame = decode(data)
            whole = isinstance(frame, OpaqueFrame) and not frame.is_fragment
            return open_packet(frame) if whole and isinstance(frame, OpaqueFrame) else frame
        except MalformedMessage as error:
            raise AssertionError(f"the host sent what is malformed: {error}") from error

    def _answered(self, frame: AnyFrame) -> bool:
        """Answer who asks for our MAC address."""
        mac = MacAddress(OUR_MAC.to_bytes(6))
        if isinstance(frame, ArpFrame) and frame.message.operation == 1 and frame.message.target_ip == to_ip(self.ours):
            asked = frame.message
            self.send(ArpFrame(0, 0, Arp(2, mac, asked.target_ip, asked.sender_mac, asked.sender_ip)))
            return True
        if isinstance(frame, IcmpFrame) and isinstance(frame.message, NeighborSolicitation):
            if frame.message.target != to_ip(self.ours_v6):
                return True
            told = NeighborAdvertisement(
                frame.message.target,
                is_solicited=True,
                is_override=True,
                options=(LinkLayerAddress(mac, is_target=True),),
            )
            self.send(IcmpFrame(self.ours_v6, frame.source, told, 32, 255))
            return True
        return False
