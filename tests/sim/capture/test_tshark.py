"""tshark reads what worlds capture, and finds nothing wrong: no malformed frame, no bad checksum, whole streams."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from portside.cli.simulate import serve_battery
from portside.sim import World
from portside.sim.capture import Capture
from portside.sim.nameserver import Authority, parse_zone, serve
from portside.sim.scenario import read_scenario, run_scenario
from portside.sim.scenario.traffic import SENT
from support.peers import program

WORLDS = Path(__file__).parents[3] / "examples" / "worlds"
CHECKS = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
FAULTS = (
    "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0 || udp.checksum.status == 0"
    " || icmp.checksum.status == 0 || icmpv6.checksum.status == 0"
)
ZONE = "$ORIGIN example.test.\n@ 3600 SOA ns admin 1 1 1 1 60\n@ NS ns\nns A 10.0.0.2\nweb A 10.0.0.2\n"


def tshark(file: Path, *arguments: str) -> str:
    command = [program("tshark"), "-n", "-r", str(file), *CHECKS, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("name", ["one-lost-packet", "partition", "avian-carriers"])
def test_the_worlds_of_the_examples(name: str, tmp_path: Path) -> None:
    file = tmp_path / "world.pcapng"
    outcome = run_scenario(read_scenario(WORLDS / f"{name}.toml"), capture=file)
    assert outcome.failure is None
    assert tshark(file, "-Y", FAULTS) == ""


def test_a_stream_that_lost_a_packet_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "world.pcapng"
    run_scenario(read_scenario(WORLDS / "one-lost-packet.toml"), capture=file)
    lines = tshark(seen_at(file, "bob:eth0"), "-q", "-z", "follow,tcp,raw,0").splitlines()
    told = "".join(line for line in lines if re.fullmatch(r"[0-9a-f]+", line))
    assert bytes.fromhex(told) == SENT[:20_000]
    assert tshark(file, "-Y", "tcp.analysis.fast_retransmission || tcp.analysis.retransmission") != ""


def seen_at(file: Path, interface: str) -> Path:
    """Return a file of what has passed one interface: what passes several is to tshark sent again."""
    part = file.with_name(f"{interface.replace(':', '-')}.pcapng")
    command = [program("tshark"), "-r", str(file), "-Y", f'frame.interface_name == "{interface}"', "-w", str(part)]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    return part


@pytest.mark.parametrize("interface", ["ann:eth0", "box:eth0", "box:eth1", "web:eth0"])
def test_what_a_nat_translates_is_as_whole_on_either_side(interface: str, tmp_path: Path) -> None:
    file = tmp_path / "world.pcapng"
    outcome = run_scenario(read_scenario(WORLDS / "home.toml"), serve=serve_battery, capture=file)
    assert outcome.failure is None
    part = seen_at(file, interface)
    assert tshark(part, "-Y", FAULTS) == ""
    assert "200 OK" in tshark(part, "-Y", "http.response")


def test_fragments_names_and_both_versions(tmp_path: Path) -> None:
    file = tmp_path / "world.pcapng"
    world = World(seed=3)
    alice = world.host("alice", "10.0.0.1/24", "2001:db8::1/64", servers=("10.0.0.2",), names={})
    bob = world.host("bob", "10.0.0.2/24", "2001:db8::2/64")
    world.link(alice, bob, delay="2ms")

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("10.0.0.2", 9))
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("2001:db8::2", 9))
        await (await asyncio.start_server(hear, host="2001:db8::2", port=7)).serve_forever()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    async def visit() -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("web.example.test", 80)
        assert found[0][4][0] == "10.0.0.2"
        for host, port in (("10.0.0.2", 9), ("2001:db8::2", 9), ("10.0.0.2", 99), ("2001:db8::2", 99)):
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(host, port))
            transport.sendto(bytes(4_000))
            await asyncio.sleep(0.1)
            transport.close()
        reader, writer = await asyncio.open_connection("2001:db8::2", 7)
        writer.write(bytes(5_000))
        writer.write_eof()
        assert len(await reader.read()) == 5_000
        writer.close()

    async def main() -> None:
        serve(bob.stack, Authority([parse_zone(ZONE, "example.test.")]))
        bob.spawn(listen())
        await alice.spawn(visit())

    with world, Capture.of(world, file):
        world.play(main())
    assert tshark(file, "-Y", FAULTS) == ""
    for what in ("arp", "icmpv6.type == 135", "dns.flags.response == 1", "ip.flags.mf == 1", "ipv6.fraghdr",
                 "icmp.type == 3", "icmpv6.type == 1", "ipv6 && tcp.flags.syn == 1"):  # fmt: skip
        assert tshark(file, "-Y", what) != "", what
