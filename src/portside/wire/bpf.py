"""Classic BPF: the small programs with which the kernel decides, before it copies anything, whether a packet is wanted.

A condition is a tree of comparisons; ``build_bpf`` makes the program of it. Offsets are counted from the packet's
network header, whatever the link, and what the link said comes from the kernel's own notes: one program serves every
interface.

Source: linux/filter.h, linux/bpf_common.h; Documentation/networking/filter.rst.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

INSTRUCTIONS_MAX: Final = 4_096  # BPF_MAXINSNS
KEEP_BYTES: Final = 262_144  # of a packet that passes: more than any has

_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter: code, jumps if true and if false, and a number

# Where to load from: the kernel takes negative offsets for these (SKF_NET_OFF, SKF_AD_OFF).
_NETWORK: Final = -0x10_0000
_NOTES: Final = -0x1000
NOTE_PROTOCOL: Final = 0
NOTE_PACKET_TYPE: Final = 4
NOTE_HARDWARE: Final = 28

_LOAD: Final = {1: 0x30, 2: 0x28, 4: 0x20}  # BPF_LD | BPF_ABS with BPF_B, BPF_H, BPF_W
_LOAD_INDEXED: Final = {1: 0x50, 2: 0x48, 4: 0x40}  # BPF_LD | BPF_IND
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_SHIFT_LEFT: Final = 0x64  # BPF_ALU | BPF_LSH | BPF_K
_TO_INDEX: Final = 0x07  # BPF_MISC | BPF_TAX
_JUMP: Final = 0x05  # BPF_JMP | BPF_JA
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K


@dataclass(frozen=True, slots=True)
class Compare:
    """Whether a number of 1, 2 or 4 bytes equals ``value`` under ``mask``.

    ``place`` says what ``offset`` is counted from: the network header, what is behind IPv4's header with its options,
    or the kernel's notes about the packet, of which ``offset`` is one.
    """

    value: int
    offset: int
    size_bytes: Literal[1, 2, 4] = 2
    mask: int | None = None
    place: Literal["network", "behind IPv4", "notes"] = "network"


@dataclass(frozen=True, slots=True)
class AllOf:
    """True if all parts are; without any, true."""

    parts: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True if one of the parts is; without any, false."""

    parts: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


Condition: TypeAlias = Compare | AllOf | AnyOf | Not


def build_bpf(condition: Condition) -> bytes:
    """Return the program that keeps the packets for which the condition is true: an array of struct sock_filter.

    A load past the packet's end rejects it. Raises: ValueError for more than 4,096 instructions.
    """
    program = _Program()
    keep, drop = program.new_label(), program.new_label()
    program.add_condition(condition, keep, drop, following=keep)
    program.place(keep)
    program.add(_RETURN, KEEP_BYTES)
    program.place(drop)
    program.add(_RETURN, 0)
    return program.assemble()


@dataclass(slots=True)
class _Program:
    """Instructions in the making: a jump's number is a label until all of them have their place."""

    _code: list[tuple[int, int, int, int, bool]] = field(default_factory=list)
    _places: list[int] = field(default_factory=list)

    def new_label(self) -> int:
        self._places.append(0)
        return len(self._places) - 1

    def place(self, label: int) -> None:
        self._places[label] = len(self._code)

    def add(self, code: int, number: int = 0, if_true: int = 0, if_false: int = 0) -> None:
        self._code.append((code, if_true, if_false, number & 0xFFFF_FFFF, False))

    def jump(self, label: int) -> None:
        self._code.append((_JUMP, 0, 0, label, True))

    def add_condition(self, condition: Condition, yes: int, no: int, *, following: int) -> None:
        """Add what goes to ``yes`` or to ``no``, one of which is placed right behind it: ``following``."""
        match condition:
            case Compare():
                self._add_compare(condition, yes, no, following)
            case Not(part):
                self.add_condition(part, no, yes, following=following)
            case AllOf(parts):
                self._add_parts(parts, yes, no, following, decided_by=no)
            case AnyOf(parts):
                self._add_parts(parts, yes, no, following, decided_by=yes)

    def _add_parts(self, parts: tuple[Condition, ...], yes: int, no: int, following: int, *, decided_by: int) -> None:
        """Add the parts one after the other: any that goes to ``decided_by`` decides, the last one in any case."""
        otherwise = no if decided_by == yes else yes
        if not parts:
            if otherwise != following:
                self.jump(otherwise)
            return
        for part in parts[:-1]:
            further = self.new_label()
            ends = (yes, further) if decided_by == yes else (further, no)
            self.add_condition(part, *ends, following=further)
            self.place(further)
        self.add_condition(parts[-1], yes, no, following=following)

    def _add_compare(self, compare: Compare, yes: int, no: int, following: int) -> None:
        match compare.place:
            case "notes":
                self.add(_LOAD[compare.size_bytes], _NOTES + compare.offset)
            case "network":
                self.add(_LOAD[compare.size_bytes], _NETWORK + compare.offset)
            case "behind IPv4":
                # The low four bits of its first byte count words of four bytes. There is one instruction for all of
                # this, but only for packets that begin with their network header.
                self.add(_LOAD[1], _NETWORK)
                self.add(_AND, 0x0F)
                self.add(_SHIFT_LEFT, 2)
                self.add(_TO_INDEX)
                self.add(_LOAD_INDEXED[compare.size_bytes], _NETWORK + compare.offset)
        if compare.mask is not None:
            self.add(_AND, compare.mask)
        # A conditional jump reaches 255 instructions, an unconditional one any: so the first only skips the second.
        if following == yes:
            self.add(_JUMP_EQUAL, compare.value, if_true=1)
            self.jump(no)
        else:
            self.add(_JUMP_EQUAL, compare.value, if_false=1)
            self.jump(yes)

    def assemble(self) -> bytes:
        if len(self._code) > INSTRUCTIONS_MAX:
            raise ValueError(f"BPF: {len(self._code)} instructions are more than {INSTRUCTIONS_MAX}")
        instructions = []
        for at, (code, if_true, if_false, number, is_label) in enumerate(self._code):
            operand = self._places[number] - at - 1 if is_label else number
            instructions.append(_INSTRUCTION.pack(code, if_true, if_false, operand))
        return b"".join(instructions)
