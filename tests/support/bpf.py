"""A machine for classic BPF, as the kernel's manual describes it: enough to run what ``wire.bpf`` builds."""

from __future__ import annotations

import struct
from collections.abc import Mapping

_SIZES = {0x00: 4, 0x08: 2, 0x10: 1}
NETWORK, NOTES = -0x10_0000, -0x1000


def run(program: bytes, packet: bytes, notes: Mapping[int, int], steps_max: int = 10_000) -> int:
    """Return how many bytes of a packet the program keeps; ``packet`` begins with its network header."""
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = index = at = 0
    for _ in range(steps_max):
        code, if_true, if_false, number = instructions[at]
        at += 1
        signed = number - (1 << 32) if number >> 31 else number
        match code & 0x07:
            case 0:  # a load: absolute or indexed
                size, place = _SIZES[code & 0x18], signed + (index if code & 0xE0 == 0x40 else 0)
                if NOTES <= place < 0:
                    accumulator = notes[place - NOTES]
                    continue
                start = place - NETWORK
                if not 0 <= start <= len(packet) - size:
                    return 0
                accumulator = int.from_bytes(packet[start : start + size], "big")
            case 4:
                accumulator = accumulator & number if code & 0xF0 == 0x50 else accumulator << number
            case 5 if code & 0xF0 == 0x00:
                at += number
            case 5:
                at += if_true if accumulator == number else if_false
            case 6:
                return int(number)
            case 7:
                index = accumulator
    raise AssertionError("the program goes in circles")
