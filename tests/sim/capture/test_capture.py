"""Captures of worlds: what is in the files, in which order, and that the run does not notice them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from portside.sim import World
from portside.sim.capture import Capture
from portside.sim.host_clock import WORLD_BEGAN_NS
from portside.wire.captured import CapturedPacket, Interface, Item, Names, Secrets, Section
from portside.wire.pcapng_reading import PcapngReader


async def _sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _serve() -> None:
    async with await asyncio.start_server(_sink, port=9) as server:
        await server.serve_forever()


async def _send(size: int) -> None:
    _, writer = await asyncio.open_connection("bob", 9)
    writer.write(bytes(size))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def run(path: Path | None, *, size: int = 20_000, loss: str = "2%", secrets: str = "") -> str:
    """Run two hosts, captured if there is a path, and return the run's digest."""
    with World(seed=3) as world:
        alice, bob = world.host("alice"), world.host("bob")
        world.link(alice, bob, delay="5ms", rate="10Mbit/s", loss=loss)

        async def main() -> None:
            bob.spawn(_serve())
            await alice.spawn(_send(size))

        if path is None:
            world.play(main())
        else:
            with Capture.of(world, path, secrets=bool(secrets)) as capture:
                world.play(main())
                if secrets:
                    capture.add_secrets(secrets)
        return world.digest()


def items(path: Path) -> list[Item]:
    reader = PcapngReader()
    found = reader.feed(path.read_bytes())
    reader.finish()
    return found


def test_a_capture_has_interfaces_names_and_every_frame_with_direction_and_nanoseconds(tmp_path: Path) -> None:
    run(tmp_path / "run.pcapng", loss="0%")
    found = items(tmp_path / "run.pcapng")
    assert isinstance(found[0], Section)
    assert [item.name for item in found if isinstance(item, Interface)] == ["alice:eth0", "bob:eth0"]
    names = next(item for item in found if isinstance(item, Names))
    assert [name for _, each in names.names for name in each] == ["alice", "bob"]
    packets = [item for item in found if isinstance(item, CapturedPacket)]
    first, second = packets[:2]  # the ARP request as it leaves and as it comes: 42 bytes at 10 Mbit/s, and 5 ms
    assert (first.interface.name, first.direction, second.interface.name, second.direction) == (
        "alice:eth0",
        "out",
        "bob:eth0",
        "in",
    )
    assert first.data == second.data
    assert first.time_ns == WORLD_BEGAN_NS
    assert second.time_ns is not None
    assert second.time_ns - WORLD_BEGAN_NS == 42 * 8 * 100 + 5_000_000


def test_a_capture_changes_nothing_about_the_run_and_is_the_same_each_time(tmp_path: Path) -> None:
    one, other = tmp_path / "one.pcapng", tmp_path / "other.pcapng"
    assert run(one) == run(other) == run(None)
    assert one.read_bytes() == other.read_bytes()


def test_secrets_stand_before_the_packets(tmp_path: Path) -> None:
    line = f"CLIENT_RANDOM {'ab' * 32} {'cd' * 48}"
    run(tmp_path / "plain.pcapng")
    run(tmp_path / "secret.pcapng", secrets=line)
    found = items(tmp_path / "secret.pcapng")
    kinds = [type(item) for item in found]
    assert kinds.index(Secrets) < kinds.index(CapturedPacket)
    assert found[kinds.index(Secrets)] == Secrets(0x544C_534B, f"{line}\n".encode())
    assert [item for item in found if not isinstance(item, Secrets)] == items(tmp_path / "plain.pcapng")


def test_a_capture_that_streams_takes_no_secrets(tmp_path: Path) -> None:
    with World() as world:
        world.host("alice")
        with Capture.of(world, tmp_path / "run.pcapng") as capture, pytest.raises(ValueError, match="secrets=True"):
            capture.add_secrets(b"CLIENT_RANDOM 00 00")


def test_the_ports_of_chosen_hosts_only(tmp_path: Path) -> None:
    with World() as world:
        alice, bob = world.host("alice"), world.host("bob")
        world.link(alice, bob)
        with Capture.of(world, tmp_path / "run.pcapng", ["bob"]):
            pass
    assert [item.name for item in items(tmp_path / "run.pcapng") if isinstance(item, Interface)] == ["bob:eth0"]


def test_wireshark_finds_no_fault_with_a_capture(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("there is no tshark here")
    run(tmp_path / "run.pcapng")
    wrong = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0"
    checks = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
    said = subprocess.run(
        [tshark, "-r", str(tmp_path / "run.pcapng"), *checks, "-Y", wrong], capture_output=True, text=True, check=True
    )
    assert said.stdout == ""
