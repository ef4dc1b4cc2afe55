"""Packets from an interface of this machine, until somebody or something says that it is enough."""

from __future__ import annotations

import difflib
import os
import select
import signal
import time
from collections import deque
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Final

from portside.errors import NetworkError, UsageError
from portside.net.packets import RETIRE_MS, PacketSocket, PassingPacket
from portside.net.sockets import interface_names
from portside.wire.bpf import KEEP_BYTES
from portside.wire.captured import ETHERNET, LINUX_SLL2, RAW, CapturedPacket, Direction, Interface, Reception
from portside.wire.sll import BROADCAST, FROM_US, MULTICAST, TO_OTHERS, TO_US, CookedPacket, build_sll2

ANY: Final = "any"
WAITING_BYTES_MAX: Final = 128 << 20  # of packets that the kernel has handed over, and that are not dealt with yet
PACKET_BYTES: Final = 500  # of memory that a packet takes beside its own bytes, about
BATCH_PACKETS: Final = 256  # between two looks at what the kernel has

# Kinds of hardware of net/if_arp.h: ARPHRD_ETHER, ARPHRD_LOOPBACK, and ARPHRD_NONE, where there is no link header.
_ETHER: Final = 1
_LOOPBACK: Final = 772
_NONE: Final = 0xFFFE
_RECEPTIONS: Final[dict[int, Reception]] = {
    TO_US: "unicast",
    BROADCAST: "broadcast",
    MULTICAST: "multicast",
    TO_OTHERS: "promiscuous",
}


def check_interface(name: str) -> None:
    """Raises: UsageError when this machine has no interface of the name, with the nearest one."""
    names = sorted(interface_names().values())
    if name in {ANY, *names}:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join([*names, ANY])}"
    raise UsageError(f"this machine has no interface {name!r}; {hint}")


class Stop:
    """Notes INT and TERM instead of dying of them, while it is entered: a capture then ends as if it were full.

    ``fileno`` is readable once there was one. The second one is for whoever cannot wait for what is on its way.
    """

    def __init__(self) -> None:
        self.signals = 0
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def fileno(self) -> int:
        return self._reading

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        self._wakeup = signal.set_wakeup_fd(self._writing)
        return self

    def _note(self, _: int, __: FrameType | None) -> None:
        self.signals += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reading)
        os.close(self._writing)


class WireCapture:
    """Packets of one interface, or of ``any``. Close it, or use it in a with statement."""

    def __init__(self, interface: str, program: bytes, *, filter_words: str = "") -> None:
        """Raises: NotPermitted without CAP_NET_RAW; LocalError."""
        self._filter_words = filter_words
        self._names = interface_names()
        self._interfaces: dict[tuple[int, int], Interface] = {}
        self._waiting: deque[PassingPacket] = deque()
        self._waiting_bytes = 0
        self._failure: NetworkError | None = None
        self._socket = PacketSocket(None if interface == ANY else interface, program)

    def __enter__(self) -> WireCapture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._socket.close()

    def batches(self, stop: Stop, *, seconds: float | None) -> Iterator[list[CapturedPacket]]:
        """Yield packets as they come, until the time is over, or ``stop`` says so; then those that are on their way.

        Raises: NetworkError when the interface goes down.
        """
        deadline_s = None if seconds is None else time.monotonic() + seconds

        def is_over() -> bool:
            return bool(stop.signals) or (deadline_s is not None and time.monotonic() >= deadline_s)

        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(stop, select.POLLIN)
        while not is_over():
            if not self._waiting:
                poll.poll(None if deadline_s is None else max(deadline_s - time.monotonic(), 0) * 1_000)
            self._fetch()
            if self._waiting:
                yield self._some()
        poll.unregister(stop)
        yield from self._last_batches(poll)

    def _last_batches(self, poll: select.poll) -> Iterator[list[CapturedPacket]]:
        """Yield what came before now: the kernel hands a block over some time after its first packet."""
        now_ns = time.time_ns()
        while self._waiting or poll.poll(2 * RETIRE_MS):
            self._fetch()
            batch = self._some()
            before = [packet for packet in batch if (packet.time_ns or 0) <= now_ns]
            yield before
            if len(before) < len(batch):
                return

    def _fetch(self) -> None:
        """Take what the kernel has. To do so is twenty times as fast as to show it, so bursts wait here, not there.

        Raises: NetworkError, but not before all that came has been dealt with.
        """
        try:
            while self._waiting_bytes < WAITING_BYTES_MAX and (packets := self._socket.read()):
                self._waiting += packets
                self._waiting_bytes += sum(len(packet.data) + PACKET_BYTES for packet in packets)
        except NetworkError as error:
            self._failure = error
        if self._failure is not None and not self._waiting:
            raise self._failure

    def _some(self) -> list[CapturedPacket]:
        """Return the next of the packets that wait."""
        some = [self._waiting.popleft() for _ in range(min(BATCH_PACKETS, len(self._waiting)))]
        self._waiting_bytes -= sum(len(packet.data) + PACKET_BYTES for packet in some)
        return [self._captured(packet) for packet in some]

    def statistics(self) -> tuple[int, int]:
        """Return how many packets the kernel's filter has let pass, and for how many of them it had no room."""
        return self._socket.statistics()

    def _captured(self, packet: PassingPacket) -> CapturedPacket:
        link_type, data, length = framed(packet)
        direction: Direction | None = None
        if packet.hardware != _LOOPBACK:  # where in and out are one
            direction = "out" if packet.packet_type == FROM_US else "in"
        interface = self._interface(packet.interface, link_type)
        return CapturedPacket(interface, packet.time_ns, data, length, direction, _RECEPTIONS.get(packet.packet_type))

    def _interface(self, number: int, link_type: int) -> Interface:
        found = self._interfaces.get((number, link_type))
        if found is None:
            if number not in self._names:
                self._names = interface_names()  # it is a new one
            name = self._names.get(number, f"interface {number}")
            found = Interface(name, link_type, KEEP_BYTES, filter=self._filter_words)
            self._interfaces[number, link_type] = found
        return found


def framed(packet: PassingPacket) -> tuple[int, bytes, int]:
    """Return link type, bytes and length of a packet: with its own header where files have a type for it."""
    if packet.hardware in {_ETHER, _LOOPBACK}:
        return ETHERNET, packet.data, packet.length_bytes
    payload = packet.data[packet.link_bytes :]
    length = packet.length_bytes - packet.link_bytes
    if packet.hardware == _NONE:
        return RAW, payload, length
    cooked = CookedPacket(
        packet.packet_type, packet.hardware, packet.address[:8], packet.protocol, payload, packet.interface
    )
    data = build_sll2(cooked)
    return LINUX_SLL2, data, length + len(data) - len(payload)
