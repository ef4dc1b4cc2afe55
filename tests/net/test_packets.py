"""Packets of a real kernel, in a network namespace: the ring, its program, and what the kernel counts."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from portside.errors import LocalError, NetworkError, NotPermitted
from portside.net import packets
from portside.net.packets import PacketSocket
from support.namespaces import Namespace
from support.server import environment

TESTS = Path(__file__).parents[1]

# What runs within the namespace: opens the socket, makes traffic, and prints what came as JSON.
PRELUDE = """
import json, select, socket, sys
from ipaddress import ip_network
from portside.net.packets import PacketSocket
from portside.observe.packets.wanted import Wanted
from portside.wire.bpf import build_bpf

def program(ports=(), networks=(), protocols=()):
    wanted = Wanted(frozenset(ports), tuple(map(ip_network, networks)), frozenset(protocols))
    return build_bpf(wanted.condition)

def read(sock, count):
    found = []
    while len(found) < count:
        assert select.select([sock], [], [], 20)[0], found
        found += sock.read()
    return found

def told(packet):
    return {**packet._asdict(), "data": packet.data.hex(), "address": packet.address.hex()}

def udp(port, payload=b"hello", host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.sendto(payload, (host, port))
"""


def run(namespace: Namespace, body: str) -> Any:
    """Run the body within the namespace, and return what it says."""
    done = subprocess.run(
        [*namespace.prefix, sys.executable, "-c", PRELUDE + body],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_each_packet_on_loopback_comes_once_with_its_time_and_link(namespace: Namespace) -> None:
    said = run(
        namespace,
        """
sock = PacketSocket("lo", program(protocols=["udp"]))
import time
before = time.time_ns()
udp(9)
udp(10, b"")
found = read(sock, 2)
print(json.dumps([before, time.time_ns(), socket.if_nametoindex("lo"), [told(packet) for packet in found]]))
""",
    )
    before, after, number, (first, second) = said
    frame = bytes.fromhex(first["data"])
    assert (frame[12:14].hex(), frame[14:15].hex(), frame[42:]) == ("0800", "45", b"hello")
    assert first["length_bytes"] == len(frame) == 47
    assert before <= first["time_ns"] <= second["time_ns"] <= after
    assert (first["interface"], first["packet_type"], first["hardware"], first["protocol"]) == (number, 0, 772, 0x0800)
    assert (first["link_bytes"], first["address"]) == (14, "00" * 6)


def test_the_kernel_agrees_with_the_filter(namespace: Namespace) -> None:
    """Each filter sees its own packets of the same traffic; an ICMP error is kept for whoever asks for ports."""
    said = run(
        namespace,
        """
wanted = {
    "port": {"ports": [9]},
    "other port": {"ports": [10]},
    "host": {"networks": ["127.0.0.9"]},
    "network": {"networks": ["127.0.0.8/29"], "protocols": ["udp"]},
    "host 6": {"networks": ["::1"], "protocols": ["udp"]},
    "port 6": {"networks": ["::1"], "ports": [9]},
    "tcp": {"protocols": ["tcp"]},
    "icmp": {"protocols": ["icmp"]},
    "dns": {"protocols": ["dns"]},
    "all": {},
}
socks = {name: PacketSocket("lo", program(**each), blocks=4) for name, each in wanted.items()}
udp(9)
udp(10, host="127.0.0.9")
udp(9, host="::1")
udp(53, host="::1")
socket.socket().connect_ex(("127.0.0.1", 9))
read(socks["all"], 10)
print(json.dumps({name: sock.statistics()[0] for name, sock in socks.items()}))
""",
    )
    # Each datagram is answered by "port unreachable", each SYN by RST.
    assert said == {
        "port": 2 + 2 + 4,
        "other port": 1 + 4,
        "host": 2,
        "network": 1,
        "host 6": 2,
        "port 6": 1 + 2,
        "tcp": 2,
        "icmp": 4,
        "dns": 1,
        "all": 10,
    }


def test_all_interfaces_at_once_and_a_tag_that_the_kernel_took_out(namespace: Namespace) -> None:
    namespace.run("ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
    namespace.run("ip", "link", "set", "left", "up")
    namespace.run("ip", "link", "set", "right", "up")
    said = run(
        namespace,
        """
everything, right = PacketSocket(None, program(protocols=["arp"])), PacketSocket("right", program(protocols=["arp"]))
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind(("left", 0))
tagged = bytes.fromhex("ffffffffffff" "020000000001" "8100" "6007" "0806") + bytes(28)
sender.send(tagged)
plain = tagged[:12] + tagged[16:]
sender.send(plain)
names = {name: number for number, name in socket.if_nameindex()}
seen = []
while len(seen) < 4:
    seen += [
        [packet.interface, packet.packet_type, packet.data.hex()]
        for packet in read(everything, 1)
        if packet.data in {tagged, plain}
    ]
ours = []
while len(ours) < 2:  # a link that has just come up may have something to say of its own
    ours += [told(packet) for packet in read(right, 1) if packet.data in {tagged, plain}]
print(json.dumps([ours, names, seen, tagged.hex(), plain.hex()]))
""",
    )
    (first, second), names, seen, tagged, plain = said
    assert (first["data"], first["length_bytes"], first["link_bytes"]) == (tagged, 46, 18)
    assert (second["data"], second["length_bytes"], second["link_bytes"]) == (plain, 42, 14)
    assert (first["packet_type"], first["protocol"], first["address"]) == (1, 0x0806, "020000000001")
    assert [each for each in seen if each[2] == plain] == [[names["left"], 4, plain], [names["right"], 1, plain]]
    assert [each for each in seen if each[2] == tagged] == [[names["left"], 4, tagged], [names["right"], 1, tagged]]


def test_what_comes_when_the_ring_is_full_is_counted(namespace: Namespace) -> None:
    said = run(
        namespace,
        """
sock = PacketSocket("lo", program(protocols=["udp"]), blocks=2)
for _ in range(20):
    udp(9, bytes(60_000))
before = sock.statistics()
found = read(sock, before[0] - before[1])
print(json.dumps([before, sock.statistics(), len(found), sock.read()]))
""",
    )
    (received, dropped), again, found, left = said
    assert received == 20
    assert 0 < dropped < 20
    assert found == received - dropped
    assert again == [received, dropped]
    assert left == []


def test_the_ring_goes_round(namespace: Namespace) -> None:
    said = run(
        namespace,
        """
sock = PacketSocket("lo", program(protocols=["udp"]), blocks=2)
numbers = []
for at in range(40):
    udp(9, at.to_bytes(2, "big") + bytes(20_000))
    if at % 10 == 9:
        numbers += [int.from_bytes(packet.data[42:44], "big") for packet in read(sock, 10)]
print(json.dumps([numbers, sock.statistics()]))
""",
    )
    assert said == [list(range(40)), [40, 0]]


def test_an_interface_that_goes_down_is_told(namespace: Namespace) -> None:
    said = run(
        namespace,
        """
import subprocess
from portside.errors import NetworkError
sock = PacketSocket("lo", program())
subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
select.select([sock], [], [], 20)
try:
    said = sock.read()
except NetworkError as error:
    said = str(error)
print(json.dumps([said, sock.read()]))
""",
    )
    assert said == ["the interface: the network is down", []]


def test_a_socket_for_whole_packets_needs_a_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(protocol: int) -> None:
        raise NotPermitted("packets: Operation not permitted")

    monkeypatch.setattr(packets, "open_packets", refuse)
    with pytest.raises(NotPermitted, match="needs the capability CAP_NET_RAW"):
        PacketSocket("lo", b"")


def test_an_interface_that_is_not_there_is_an_error_of_this_machine() -> None:
    with contextlib.suppress(NotPermitted), pytest.raises(LocalError, match="capturing on nowhere0: No such device"):
        PacketSocket("nowhere0", bytes.fromhex("0600000000000400"))
    assert not issubclass(LocalError, NetworkError)
