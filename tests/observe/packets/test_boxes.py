"""Packets drawn: boxes within boxes that fit every terminal, and one drawing as people see it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.observe.packets.boxes import COLUMNS_MAX, INNER_COLUMNS_MIN, Boxes
from portside.observe.packets.dissect import dissect
from portside.wire import numbers
from portside.wire.icmp import Unreachable, build_icmp
from portside.wire.ipv4 import IPv4Packet, build_ipv4
from portside.wire.udp import Datagram, build_udp
from support.capturing import A, B, captured, four, frame, tcp, udp
from support.packets_frames import frames

DRAWING = """\
╭──────────┬──────────┬─────────┬──────────────────────────────────────────────╮
│ Ethernet │ IPv4     │ UDP     │ data                                         │
│ 14 bytes │ 20 bytes │ 8 bytes │ 5 bytes                                      │
╰──────────┴──────────┴─────────┴──────────────────────────────────────────────╯
╭─ Ethernet ──────────────────────────────────────────────────────── 14 bytes ─╮
│ 02 00 00 00 00 02        target  02:00:00:00:00:02                           │
│ 02 00 00 00 00 01        source  02:00:00:00:00:01                           │
│ 08 00                    type    0x0800 IPv4                                 │
│ ╭─ IPv4 ──────────────────────────────────────────────────────── 20 bytes ─╮ │
│ │ 45                       version, length  4, 5 words = 20 bytes          │ │
│ │ 00                       service          DSCP 0 best effort, no ECN     │ │
│ │ 00 21                    total length     33 bytes                       │ │
│ │ 00 00                    identification   0                              │ │
│ │ 00 00                    flags, offset    no flags, offset 0             │ │
│ │ 40                       time to live     64                             │ │
│ │ 11                       protocol         17 UDP                         │ │
│ │ f6 c8                    checksum         0xf6c8, right                  │ │
│ │ c0 00 02 01              source           192.0.2.1                      │ │
│ │ c0 00 02 02              target           192.0.2.2                      │ │
│ │ ╭─ UDP ────────────────────────────────────────────────────── 8 bytes ─╮ │ │
│ │ │ 9c 40                    source port  40000                          │ │ │
│ │ │ 00 09                    target port  9                              │ │ │
│ │ │ 00 0d                    length       13 bytes                       │ │ │
│ │ │ 9b b4                    checksum     0x9bb4, right                  │ │ │
│ │ │ ╭─ data ───────────────────────────────────────────────── 5 bytes ─╮ │ │ │
│ │ │ │ 68 65 6c 6c 6f hello                                             │ │ │ │
│ │ │ ╰──────────────────────────────────────────────────────────────────╯ │ │ │
│ │ ╰──────────────────────────────────────────────────────────────────────╯ │ │
│ ╰──────────────────────────────────────────────────────────────────────────╯ │
│ 00 00 00 00 00 00 00 00  padding  13 bytes                                   │
│ 00 00 00 00 00                                                               │
╰──────────────────────────────────────────────────────────────────────────────╯
"""
COLOURING = re.compile("\x1b\\[[0-9;]*m")


def drawn(data: bytes, columns: int = 80, **more: bool) -> list[str]:
    return Boxes(columns, **more).lines(dissect(captured(data)))


def test_a_packet_as_it_is_seen() -> None:
    assert "\n".join(drawn(udp(b"hello") + bytes(13))) + "\n" == DRAWING


def test_the_page_shows_what_is_drawn() -> None:
    page = (Path(__file__).parents[3] / "docs" / "observe.md").read_text(encoding="utf-8")
    assert "\n".join(drawn(udp(b"hello"))) in page


@given(frames() | st.binary(max_size=100), st.integers(20, 200), st.booleans())
def test_every_line_is_as_wide_as_the_drawing(data: bytes, columns: int, shows_all: bool) -> None:
    width = min(max(columns, INNER_COLUMNS_MIN), COLUMNS_MAX)
    lines = drawn(data, columns, shows_all=shows_all)
    assert all(len(line) == width for line in lines if not line.startswith("malformed") and line[0] in "╭│╰"), lines
    assert all(len(line) <= width for line in lines)
    assert sum(line.count("╭") for line in lines) == sum(line.count("╰") for line in lines)


@given(frames())
def test_colours_change_nothing_but_colours(data: bytes) -> None:
    assert [COLOURING.sub("", line) for line in drawn(data, colours=True)] == drawn(data)


def header_bytes(lines: list[str]) -> bytes:
    """Return the bytes that stand before the fields, in their order; without those of the data."""
    found, is_data = "", False
    for line in lines:
        content = re.sub("^(│ )+", "", line)
        is_data = (is_data or content.startswith("╭─ data")) and not content.startswith("╰")
        if not is_data and re.fullmatch("[0-9a-f]{2}( [0-9a-f]{2})* *", content[:23]) and content[23:25] == "  ":
            found += content[:23]
    return bytes.fromhex(found)


@given(frames())
def test_no_byte_of_a_header_is_left_out_where_all_are_asked_for(data: bytes) -> None:
    last = dissect(captured(data)).layers[-1]
    assert header_bytes(drawn(data, 80, shows_all=True)).startswith(data[: last.body])


def test_long_data_is_shown_by_its_beginning() -> None:
    lines = drawn(tcp(bytes(1_000)))
    assert any("and 936 bytes more (-vv shows them)" in line for line in lines)
    assert len(drawn(tcp(bytes(1_000)), shows_all=True)) == len(lines) - 5 + 63


def test_a_quoted_packet_is_drawn_within_its_error() -> None:
    quoted = build_ipv4(IPv4Packet(B, A, numbers.UDP, build_udp(Datagram(7, 9, b"hello"), source=B, target=A)))
    lines = drawn(four(numbers.ICMP, build_icmp(Unreachable(3, quoted))))
    assert "quoted packet" in lines[1]
    assert any("╭─ quoted IPv4 ─" in line for line in lines)
    assert any("╭─ quoted UDP ─" in line for line in lines)


def test_boxes_that_would_be_too_narrow_stand_below_each_other() -> None:
    packet = udp(b"hello")[14:]
    for _ in range(8):
        packet = build_ipv4(IPv4Packet(A, B, numbers.IPV4, packet))
    lines = drawn(frame(0x0800, packet), 80)
    assert {len(line) for line in lines} == {80}
    tops = [line.index("╭") for line in lines if "╭─ IPv4" in line]
    assert tops == [2, 4, 6, 8, 10, 10, 10, 10, 10]
    assert lines[0].startswith("╭─ Ethernet")  # the row above would be too long


def test_what_is_wrong_stands_where_it_is() -> None:
    lines = drawn(udp(b"hello")[:-1])
    assert lines[-2].strip("│ ").startswith("╰") or "malformed" in "".join(lines)
    assert any("malformed: IPv4: 32 bytes came of 33" in line for line in lines)


@pytest.mark.parametrize(("columns", "per_row"), [(80, 8), (99, 8), (100, 16)])
def test_wide_terminals_have_sixteen_bytes_in_a_row_where_a_field_has(columns: int, per_row: int) -> None:
    lines = drawn(frame(0x86DD, b"\x60" + bytes(5) + b"\x3b" + bytes(33)), columns)
    assert any(f" {'00 ' * per_row} source" in line for line in lines)
    assert any(f" {'02 00 00 00 00 01':<23}  source" in line for line in drawn(udp(b"hello"), columns))


def test_words_of_others_are_harmless() -> None:
    assert not any("\x1b" in line for line in drawn(udp(b"\x1b[31mhello")))
