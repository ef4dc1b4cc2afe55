"""Capture files: what is written is read again, cut anywhere, by tshark too; and nothing forged is believed."""

from __future__ import annotations

import json
import struct
import subprocess
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedMessage
from portside.wire.captured import (
    CapturedPacket,
    Interface,
    Item,
    Names,
    Secrets,
    Section,
    Statistics,
    link_name,
)
from portside.wire.malformed import Truncated
from portside.wire.pcap import PcapReader, reader_for
from portside.wire.pcapng import TLS_KEY_LOG, PcapngWriter, build_names, build_packet, build_section
from portside.wire.pcapng_reading import PcapngReader
from support.packets import ipv4s, ipv6s, unsigned
from support.peers import program

NOW_NS = 1_700_000_000_123_456_789
LO = Interface("lo", 1, 262_144, "loopback", "port 80", ("no place like it",))


def written(*, packets: int = 2) -> tuple[bytes, list[Item]]:
    """Return a file with a block of every kind, and what it tells."""
    blocks: list[bytes] = []
    section = Section("a machine", "Linux", "portside", ("made for a test",))
    writer = PcapngWriter(blocks.append, section)
    number = writer.add_interface(LO)
    writer.names({IPv4Address("192.0.2.1"): ["one.example", "also.example"], IPv6Address("::1"): ["localhost"]})
    writer.secrets(b"CLIENT_RANDOM 00 11\n")
    expected: list[Item] = [
        section,
        LO,
        Names(((IPv4Address("192.0.2.1"), ("one.example", "also.example")), (IPv6Address("::1"), ("localhost",)))),
        Secrets(TLS_KEY_LOG, b"CLIENT_RANDOM 00 11\n"),
    ]
    for at in range(packets):
        data = bytes(60 + at)
        writer.packet(number, NOW_NS + at, data, length_bytes=100, direction="in", reception="unicast", comments=["hm"])
        expected.append(CapturedPacket(LO, NOW_NS + at, data, 100, "in", "unicast", ("hm",)))
    writer.statistics(number, NOW_NS, received=7, dropped_by_system=3)
    expected.append(Statistics(LO, NOW_NS, 7, None, 3))
    return b"".join(blocks), expected


def read(data: bytes, size: int = 1 << 20) -> list[Item]:
    """Return what a file tells that is fed in pieces of that size."""
    reader = reader_for(data[:4])
    items = [item for at in range(0, len(data), size) for item in reader.feed(data[at : at + size])]
    reader.finish()
    return items


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_what_is_written_is_read_however_it_is_cut(size: int) -> None:
    data, expected = written()
    assert read(data, size) == expected


def test_each_write_is_a_whole_block() -> None:
    blocks: list[bytes] = []
    writer = PcapngWriter(blocks.append)
    writer.packet(writer.add_interface(LO), NOW_NS, b"abc")
    for at in range(1, len(blocks) + 1):
        read(b"".join(blocks[:at]))
    assert [int.from_bytes(block[:4], "little") for block in blocks] == [0x0A0D0D0A, 1, 6]


@pytest.mark.parametrize("direction", ["in", "out"])
def test_many_packets_of_one_direction_are_written_as_each_alone(direction: Any) -> None:
    one: list[bytes] = []
    many: list[bytes] = []
    for blocks in (one, many):
        writer = PcapngWriter(blocks.append)
        interface = writer.add_interface(LO)
        put = writer.packets_of(interface, direction)
        for size in range(5):
            if blocks is one:
                writer.packet(interface, NOW_NS, bytes(size), direction=direction)
            else:
                put(NOW_NS, bytes(size))
    assert one == many
    assert len(one) == 7


def test_a_packet_byte_by_byte() -> None:
    assert build_packet(0, NOW_NS, b"abc").hex() == (
        "06000000"
        "24000000"
        "00000000" + struct.pack("<II", NOW_NS >> 32, NOW_NS & 0xFFFFFFFF).hex() + "03000000"
        "03000000"
        "61626300"
        "24000000"
    )


@given(
    st.lists(
        st.tuples(
            unsigned(64),
            st.binary(max_size=40),
            unsigned(32),
            st.sampled_from([None, "in", "out"]),
            st.sampled_from([None, "unicast", "multicast", "broadcast", "promiscuous"]),
            st.lists(st.text(max_size=10).filter(lambda text: text.isprintable()), max_size=2),
        ),
        max_size=4,
    )
)
def test_packets_are_read_as_they_were_written(packets: list[Any]) -> None:
    blocks: list[bytes] = []
    writer = PcapngWriter(blocks.append)
    number = writer.add_interface(LO)
    for time_ns, data, length, direction, reception, comments in packets:
        writer.packet(
            number, time_ns, data, length_bytes=length, direction=direction, reception=reception, comments=comments
        )
    found = read(b"".join(blocks))[2:]
    assert found == [CapturedPacket(LO, *packet[:5], tuple(packet[5])) for packet in packets]


@given(st.dictionaries(ipv4s | ipv6s, st.lists(st.sampled_from(["a", "b.example", "ü"]), max_size=3), max_size=3))
def test_names_are_read_as_they_were_written(names: dict[Any, list[str]]) -> None:
    (_, found) = read(build_section(Section()) + build_names(names))
    assert isinstance(found, Names)
    assert dict(found.names) == {ip: tuple(each) for ip, each in names.items()}


@given(st.data())
def test_a_file_that_was_cut_off_is_read_up_to_there(data: st.DataObject) -> None:
    whole, expected = written()
    cut = data.draw(st.integers(0, len(whole) - 1))
    reader = PcapngReader()
    found = reader.feed(whole[:cut])
    assert found == expected[: len(found)]
    blocks = [len(b"")]
    at = 0
    while at < len(whole):
        at += int.from_bytes(whole[at + 4 : at + 8], "little")
        blocks.append(at)
    if cut in blocks:
        reader.finish()
    else:
        with pytest.raises(Truncated, match="the last block"):
            reader.finish()


@given(st.data())
def test_changed_bytes_are_values_or_refused(data: st.DataObject) -> None:
    changed = bytearray(written()[0])
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(changed))
    except MalformedMessage:
        return


@given(st.binary(max_size=100))
def test_any_bytes_are_a_capture_or_refused(data: bytes) -> None:
    for reader in (PcapngReader(), PcapReader()):
        try:
            reader.feed(data)
            reader.finish()
        except MalformedMessage:
            continue


# ── what others write ────────────────────────────────────────────────────────────────────────────────────────────────


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    total = 12 + len(body)
    return struct.pack(f"{order}II", kind, total) + body + struct.pack(f"{order}I", total)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("options", "time_ns"),
    [
        ([], 1_000_000 * 1_000),  # microseconds, if nothing is said
        ([(9, b"\x03")], 1_000_000 * 1_000_000),
        ([(9, b"\x09")], 1_000_000),
        ([(9, b"\x94")], 1_000_000 * 10**9 // 2**20),  # a power of two
        ([(9, b"\x00"), (14, -1)], 999_999 * 10**9),  # an offset in seconds
    ],
)
def test_times_of_every_resolution_in_both_byte_orders(order: str, options: list[Any], time_ns: int) -> None:
    raw = [(code, struct.pack(f"{order}q", value) if isinstance(value, int) else value) for code, value in options]
    description = struct.pack(f"{order}HHI", 1, 0, 0) + b"".join(option(code, value, order) for code, value in raw)
    packet = struct.pack(f"{order}IIIII", 0, 0, 1_000_000, 3, 5) + b"abc\0"
    old = struct.pack(f"{order}HHIIII", 0, 9, 0, 1_000_000, 3, 5) + b"abc\0"
    data = section(order) + block(1, description, order) + block(6, packet, order) + block(2, old, order)
    _, interface, *packets = read(data)
    assert packets == [CapturedPacket(interface, time_ns, b"abc", 5)] * 2  # type: ignore[arg-type]
    assert not packets[0].is_whole  # type: ignore[union-attr]


def test_simple_packets_have_no_time_and_are_cut_at_the_interfaces_limit() -> None:
    data = section() + block(1, struct.pack("<HHI", 1, 0, 3)) + block(3, struct.pack("<I", 5) + b"abc\0")
    _, interface, packet = read(data)
    assert packet == CapturedPacket(interface, None, b"abc", 5)  # type: ignore[arg-type]


def test_interfaces_are_counted_anew_in_each_section() -> None:
    data = section() + block(1, struct.pack("<HHI", 1, 0, 0)) + section(">") + block(6, bytes(20), ">")
    with pytest.raises(MalformedMessage, match="there is no interface 0 in this section"):
        read(data)


def test_blocks_of_other_kinds_are_passed_over() -> None:
    assert read(section() + block(0xBAD, b"custom!!") + block(4, option(0, b"") + b"junk")) == [Section(), Names(())]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (block(1, bytes(8)), "begins with a section header"),
        (section().replace(b"\x4d\x3c\x2b\x1a", b"\0\0\0\0"), "tells the byte order"),
        (section()[:-4] + bytes(4), "another length at its end"),
        (section()[:4] + struct.pack("<I", 8) + section()[8:], "a block cannot have 8 bytes"),
        (section()[:4] + struct.pack("<I", 29) + section()[8:], "a block cannot have 29 bytes"),
        (section()[:4] + struct.pack("<I", 1 << 30) + section()[8:], "a block cannot have 1073741824 bytes"),
        (block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)), "version 2 is not known"),
        (section() + block(6, bytes(20)), "there is no interface 0"),
        (section() + block(1, bytes(4)), "a block: 4 bytes came of 8"),
        (
            section() + block(1, bytes(8)) + block(6, struct.pack("<IIIII", 0, 0, 0, 9, 9)),
            "a packet: 0 bytes came of 9",
        ),
        (section() + block(1, bytes(8) + struct.pack("<HH", 2, 9)), "an option: 0 bytes came of 9"),
        (section() + block(4, option(1, b"abc")), "the names of an address: 3 bytes came of 4"),
        (section() + block(10, struct.pack("<II", 1, 9)), "secrets: 0 bytes came of 9"),
    ],
)
def test_files_that_cannot_be(data: bytes, said: str) -> None:
    reader = PcapngReader()
    with pytest.raises(MalformedMessage, match=said):
        reader.feed(data)


def test_what_does_not_fit_is_not_written() -> None:
    writer = PcapngWriter(lambda block: None)
    with pytest.raises(ValueError, match="there are 0 interfaces"):
        writer.packet(0, NOW_NS, b"")
    number = writer.add_interface(LO)
    for change in ({"time_ns": 1 << 64}, {"time_ns": -1}, {"comments": ["x" * 65_536]}):
        with pytest.raises(ValueError, match="pcapng"):
            writer.packet(number, **{"time_ns": 0, "data": b"", **change})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pcapng"):
        writer.add_interface(Interface(link_type=65_536))


# ── classic pcap ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit_ns"), [(0xA1B2C3D4, 1_000), (0xA1B23C4D, 1)])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_classic_files_of_both_byte_orders_and_resolutions(order: str, magic: int, unit_ns: int, size: int) -> None:
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 96, 0x0400_0000 | 113)
    record = struct.pack(f"{order}IIII", 1_700_000_000, 5, 3, 60) + b"abc"
    lo = Interface(link_type=113, snap_bytes=96)
    time_ns = 1_700_000_000 * 10**9 + 5 * unit_ns
    assert read(head + record * 2, size) == [lo, *[CapturedPacket(lo, time_ns, b"abc", 60)] * 2]
    for cut in (*range(4, 24), 25, 39, 41):
        with pytest.raises(Truncated):
            read((head + record)[:cut])
    assert read(head) == [lo]


def test_a_classic_packet_of_gigabytes_is_refused() -> None:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 96, 1)
    with pytest.raises(MalformedMessage, match="a packet cannot have 1073741824 bytes"):
        read(head + struct.pack("<IIII", 0, 0, 1 << 30, 1 << 30))


@pytest.mark.parametrize("magic", [b"", b"\n\r\r", b"GET ", b"\x1f\x8b\x08\0", b"\xd4\xc3\xb2\xa2"])
def test_other_files_are_neither(magic: bytes) -> None:
    with pytest.raises(MalformedMessage, match="this is neither pcapng nor pcap"):
        reader_for(magic)


def test_link_types_have_words() -> None:
    assert (link_name(1), link_name(147)) == ("Ethernet", "link type 147")


# ── tshark ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tshark_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "all.pcapng"
    path.write_bytes(written()[0])
    arguments = [
        "-r",
        str(path),
        "-T",
        "json",
        "-e",
        "frame.time_epoch",
        "-e",
        "frame.interface_name",
        "-e",
        "frame.len",
    ]
    arguments += ["-e", "frame.cap_len", "-e", "frame.comment", "-e", "frame.interface_description"]
    done = subprocess.run([program("tshark"), *arguments], capture_output=True, text=True, timeout=60, check=True)
    fields = [packet["_source"]["layers"] for packet in json.loads(done.stdout)]
    assert [each["frame.time_epoch"] for each in fields] == [["1700000000.123456789"], ["1700000000.123456790"]]
    assert [each["frame.interface_name"] for each in fields] == [["lo"], ["lo"]]
    assert [(each["frame.len"], each["frame.cap_len"]) for each in fields] == [(["100"], ["60"]), (["100"], ["61"])]
    assert [each.get("frame.comment") for each in fields] == [["hm"], ["hm"]]


def test_what_tshark_writes_we_read(tmp_path: Path) -> None:
    """In its own pcapng, and in both kinds of pcap."""
    ours = tmp_path / "ours.pcapng"
    ours.write_bytes(written()[0])
    for form, unit_ns in (("pcapng", 1), ("nsecpcap", 1), ("pcap", 1_000)):
        theirs = tmp_path / form
        subprocess.run(
            [program("tshark"), "-r", ours, "-w", theirs, "-F", form], capture_output=True, timeout=60, check=True
        )
        packets = [item for item in read(theirs.read_bytes()) if isinstance(item, CapturedPacket)]
        assert [packet.time_ns for packet in packets] == [(NOW_NS + at) // unit_ns * unit_ns for at in range(2)]
        assert [(len(packet.data), packet.length_bytes) for packet in packets] == [(60, 100), (61, 100)]
