"""``portside capture --wire`` in a network namespace: real packets, as people and files get them, and how it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from portside.cli.capture import Course
from portside.cli.capture_files import read_items
from portside.cli.capture_wire import Stop, framed
from portside.net.packets import PassingPacket
from portside.observe.packets.wanted import Wanted
from portside.wire.captured import ETHERNET, LINUX_SLL2, RAW, CapturedPacket, Interface, Statistics
from portside.wire.sll import CookedPacket, parse_sll2
from support.namespaces import Namespace
from support.peers import program
from support.server import COMMAND, environment, portside
from support.waiting import WITHIN_S, wait_until

# A conversation on loopback: the handshake, "hello" there and its echo back, both ends; then a datagram to nobody.
TRAFFIC = """
import socket
with socket.create_server(("127.0.0.1", 8000)) as listener:
    with socket.create_connection(("127.0.0.1", 8000)) as client, listener.accept()[0] as server:
        client.sendall(b"hello")
        server.sendall(server.recv(5))
        client.recv(5)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.sendto(b"x", ("127.0.0.1", 9))
"""


class Capture:
    """A running ``portside capture`` within a namespace, ready when it says so."""

    def __init__(self, namespace: Namespace, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*namespace.prefix, *COMMAND, "capture", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self.process.stderr is not None
        self.ready = self.process.stderr.readline()
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._lines += self.process.stdout

    def lines(self, count: int) -> list[str]:
        """Return what it has said, once it is so much."""
        return wait_until(lambda: self._lines if len(self._lines) >= count else [], f"{count} lines")

    def end(self, number: int = signal.SIGINT, status: int = 0) -> tuple[list[str], str]:
        """Tell it to stop, and return all that it said on standard output and, behind the ready line, on error."""
        if number:
            self.process.send_signal(number)
        assert self.process.wait(WITHIN_S) == status
        self._reader.join(WITHIN_S)
        assert self.process.stderr is not None
        return [line.rstrip("\n") for line in self._lines], self.process.stderr.read()

    def destroy(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def capture(namespace: Namespace) -> Iterator[Any]:
    started: list[Capture] = []

    def start(*arguments: str) -> Capture:
        started.append(Capture(namespace, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.destroy()


def make_traffic(namespace: Namespace) -> None:
    namespace.run(sys.executable, "-c", TRAFFIC)


def without_times(lines: list[str]) -> list[str]:
    return [line.split(" ", 1)[1] for line in lines]


def test_a_conversation_is_shown_packet_by_packet(namespace: Namespace, capture: Any) -> None:
    running = capture("--wire", "lo", "--protocol", "tcp")
    assert running.ready == "capturing on lo (protocol tcp), until Ctrl-C\n"
    make_traffic(namespace)
    lines, errors = running.end()
    flags = [line.split("TCP ")[1].split(" seq")[0] for line in lines]
    assert flags[:3] == ["SYN", "SYN ACK", "ACK"]
    assert flags.count("PSH ACK") == 2
    assert sum("FIN" in each for each in flags) == 2
    data = [line for line in lines if "PSH" in line]
    assert [line.split("TCP ")[1] for line in data] == [
        "PSH ACK seq=1 ack=1 win=65536 len=5",
        "PSH ACK seq=1 ack=6 win=65536 len=5",
    ]
    assert errors == f"{len(lines)} packets, 0 dropped by the kernel\n"


def test_lines_come_while_it_runs(namespace: Namespace, capture: Any) -> None:
    running = capture("--wire", "lo", "--port", "9")
    make_traffic(namespace)
    first, second = running.lines(2)
    assert "UDP len=1" in first
    assert "ICMP port unreachable, for UDP" in second
    assert len(running.end(signal.SIGTERM)[0]) == 2


def test_a_count_ends_it(namespace: Namespace, capture: Any) -> None:
    running = capture("--wire", "lo", "--count", "3", "--json")
    make_traffic(namespace)
    lines, errors = running.end(0)
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3]
    assert errors == "3 packets, 0 dropped by the kernel\n"


def test_a_time_ends_it_with_all_that_came_before(namespace: Namespace, capture: Any) -> None:
    running = capture("--wire", "lo", "--seconds", "500ms")
    lines, errors = running.end(0)
    assert (lines, errors) == ([], "0 packets, 0 dropped by the kernel\n")


def test_a_file_has_every_packet_the_interface_and_the_counts(
    namespace: Namespace, capture: Any, tmp_path: Path
) -> None:
    path = tmp_path / "lo.pcapng"
    running = capture("--wire", "lo", "--host", "127.0.0.1", "-w", str(path))
    make_traffic(namespace)
    lines, errors = running.end()
    items = list(read_items(str(path)))
    packets = [item for item in items if isinstance(item, CapturedPacket)]
    assert lines == []
    assert errors == f"{len(packets)} packets written to {path}, 0 dropped by the kernel\n"
    (interface,) = [item for item in items if isinstance(item, Interface)]
    assert (interface.name, interface.link_type, interface.filter) == ("lo", 1, "host 127.0.0.1")
    assert isinstance(items[-1], Statistics)
    assert (items[-1].received, items[-1].dropped_by_system) == (len(packets), 0)
    times = [packet.time_ns for packet in packets]
    assert times == sorted(times)  # type: ignore[type-var]
    assert {packet.direction for packet in packets} == {None}


def test_tshark_finds_the_conversation_in_the_file(namespace: Namespace, capture: Any, tmp_path: Path) -> None:
    """No malformed packet, and the streams that were sent."""
    path = tmp_path / "lo.pcapng"
    running = capture("--wire", "lo", "-w", str(path))
    make_traffic(namespace)
    running.end()
    done = subprocess.run(
        [program("tshark"), "-n", "-r", path, "-T", "pdml", "-o", "ip.check_checksum:TRUE"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    root = ElementTree.fromstring(done.stdout)
    names = [field.get("name") for field in root.iter("field")] + [proto.get("name") for proto in root.iter("proto")]
    assert "_ws.malformed" not in names
    assert names.count("tcp.payload") == 2
    follow = [program("tshark"), "-n", "-r", path, "-q", "-z", "follow,tcp,ascii,0"]
    told = subprocess.run(follow, capture_output=True, text=True, timeout=60, check=True).stdout
    assert told.count("hello") == 2


def test_a_killed_capture_leaves_a_file_that_can_be_read(namespace: Namespace, capture: Any, tmp_path: Path) -> None:
    path = tmp_path / "lo.pcapng"
    running = capture("--wire", "lo", "-w", str(path), "--json")
    make_traffic(namespace)
    shown = len(running.lines(12))
    running.end(signal.SIGKILL, status=-signal.SIGKILL)
    packets = [item for item in read_items(str(path)) if isinstance(item, CapturedPacket)]
    assert len(packets) >= shown - 256  # what was shown of the last batch may not have been written yet
    assert len(packets) > 0


def test_all_interfaces_at_once_have_their_names(namespace: Namespace, capture: Any, tmp_path: Path) -> None:
    for command in (
        "ip link add left type veth peer name right",
        "ip addr add 192.0.2.1/24 dev left",
        "ip link set left up",
        "ip link set right up",
    ):
        namespace.run(*command.split())
    path = tmp_path / "any.pcapng"
    running = capture("--wire", "any", "--protocol", "arp", "--protocol", "udp", "-w", str(path), "--json")
    make_traffic(namespace)
    namespace.run(sys.executable, "-c", "import socket\nsocket.socket(2, 2).sendto(b'x', ('192.0.2.2', 9))")
    rows = [json.loads(line) for line in running.lines(3)]
    running.end()
    seen = {(row["interface"], row["protocol"], row["direction"]) for row in rows}
    assert {("lo", "UDP", None), ("left", "ARP", "out"), ("right", "ARP", "in")} <= seen
    interfaces = {item.name for item in read_items(str(path)) if isinstance(item, Interface)}
    assert interfaces == {"lo", "left", "right"}


def test_packets_of_a_tunnel_have_no_header_of_a_link(namespace: Namespace, capture: Any) -> None:
    try:
        namespace.run("ip", "tuntap", "add", "dev", "tun9", "mode", "tun")
    except subprocess.CalledProcessError:
        pytest.skip("this kernel has no tunnels")
    namespace.run("ip", "addr", "add", "192.0.2.1/24", "dev", "tun9")
    namespace.run("ip", "link", "set", "tun9", "up")
    running = capture("--wire", "tun9", "--seconds", "100ms", "--json")
    running.end(0)


def test_an_interface_that_goes_down_ends_it_with_what_came_before(
    namespace: Namespace, capture: Any, tmp_path: Path
) -> None:
    path = tmp_path / "lo.pcapng"
    running = capture("--wire", "lo", "-w", str(path), "--json")
    make_traffic(namespace)
    running.lines(12)
    namespace.run("ip", "link", "set", "lo", "down")
    lines, errors = running.end(0, status=1)
    assert errors.splitlines()[-1] == "portside: the interface: the network is down"
    assert sum(isinstance(item, CapturedPacket) for item in read_items(str(path))) == len(lines)


def test_the_missing_capability_is_named(namespace: Namespace) -> None:
    program("setpriv")
    drop = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    done = subprocess.run(
        [*namespace.prefix, *drop, *COMMAND, "capture", "--wire", "lo"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "portside: capturing packets needs the capability CAP_NET_RAW: run it as root\n"


def test_more_ports_than_a_program_has_room_for_are_decided_here(namespace: Namespace, capture: Any) -> None:
    ports = [word for port in range(1_000) for word in ("--port", str(port))]
    running = capture("--wire", "lo", *ports)
    make_traffic(namespace)
    lines = running.lines(2)
    assert "UDP len=1" in lines[0]
    assert len(running.end()[0]) == 2


def passing(hardware: int, **more: Any) -> PassingPacket:
    fields = {"packet_type": 0, "protocol": 0x0800, "link_bytes": 4, "address": b"\1\2\3\4", **more}
    return PassingPacket(interface=3, time_ns=0, data=b"linkpacket", length_bytes=110, hardware=hardware, **fields)


def test_links_that_files_have_a_type_for_keep_their_header_and_others_get_one() -> None:
    assert framed(passing(1)) == (ETHERNET, b"linkpacket", 110)
    assert framed(passing(772)) == (ETHERNET, b"linkpacket", 110)
    assert framed(passing(0xFFFE)) == (RAW, b"packet", 106)
    link_type, data, length = framed(passing(776, packet_type=4, address=bytes(16)))
    assert (link_type, length) == (LINUX_SLL2, 126)
    assert parse_sll2(data) == CookedPacket(4, 776, bytes(8), 0x0800, b"packet", 3)


def test_signals_are_noted_and_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    course = Course(Wanted(), None, None, None)
    with Stop() as stop:
        course.stop = stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert select.select([stop], [], [], WITHIN_S)[0]
        assert (stop.signals, course.is_over) == (1, False)
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.signals, course.is_over) == (2, True)
    assert signal.getsignal(signal.SIGINT) is before


def test_help_says_how() -> None:
    done = portside("capture", "--help")
    assert "portside capture --wire lo --port 8000" in done.stdout
