"""BPF programs say what their conditions say, whatever the tree, however long; a test in net asks the kernel too."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.wire.bpf import (
    INSTRUCTIONS_MAX,
    KEEP_BYTES,
    NOTE_HARDWARE,
    NOTE_PACKET_TYPE,
    NOTE_PROTOCOL,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Not,
    build_bpf,
)
from support.bpf import run

PACKET = bytes([0x46, *range(1, 60)])  # of six words of four bytes, as IPv4's header may have
NOTES = {NOTE_PROTOCOL: 0x0800, NOTE_PACKET_TYPE: 4, NOTE_HARDWARE: 772}


def truth(condition: Condition) -> bool:
    """Return what the condition means for the packet above."""
    match condition:
        case Compare(value, offset, size, mask, place):
            start = offset + (24 if place == "behind IPv4" else 0)
            found = NOTES[offset] if place == "notes" else int.from_bytes(PACKET[start : start + size], "big")
            return (found if mask is None else found & mask) == value
        case AllOf(parts):
            return all(map(truth, parts))
        case AnyOf(parts):
            return any(map(truth, parts))
        case Not(part):
            return not truth(part)


compares = st.one_of(
    st.builds(Compare, st.just(0x0800) | st.just(1), st.just(NOTE_PROTOCOL), place=st.just("notes")),
    st.builds(
        lambda offset, place, right: Compare(
            PACKET[offset + (24 if place == "behind IPv4" else 0)] if right else 0xEE, offset, 1, place=place
        ),
        st.integers(0, 20),
        st.sampled_from(["network", "behind IPv4"]),
        st.booleans(),
    ),
    st.builds(lambda mask: Compare(0x01020304 & mask, 1, 4, mask), st.integers(0, 0xFFFFFFFF)),
    st.builds(lambda value: Compare(value, 1, 2), st.sampled_from([0x0102, 0x0103])),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    compares,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: AllOf(tuple(parts))),
        st.lists(inner, max_size=4).map(lambda parts: AnyOf(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=12,
)


@given(conditions)
def test_a_program_says_what_its_condition_says(condition: Condition) -> None:
    assert run(build_bpf(condition), PACKET, NOTES) == (KEEP_BYTES if truth(condition) else 0)


@given(conditions)
def test_a_program_ends_with_a_decision_and_jumps_only_ahead_within_it(condition: Condition) -> None:
    """What the kernel checks before it takes a program."""
    program = list(struct.iter_unpack("=HBBI", build_bpf(condition)))
    assert program[-1][0] == 0x06
    for at, (code, if_true, if_false, number) in enumerate(program):
        if code == 0x05:
            assert at + 1 + number < len(program)
        if code == 0x15:
            assert at + 1 + max(if_true, if_false) < len(program)


def test_a_program_byte_by_byte() -> None:
    """ldh #protocol; jeq #0x800, 1; ja drop; ret #262144; ret #0."""
    program = list(struct.iter_unpack("=HBBI", build_bpf(Compare(0x0800, NOTE_PROTOCOL, place="notes"))))
    assert program == [
        (0x28, 0, 0, 0xFFFFF000),
        (0x15, 1, 0, 0x800),
        (0x05, 0, 0, 1),
        (0x06, 0, 0, 262_144),
        (0x06, 0, 0, 0),
    ]


@pytest.mark.parametrize("wanted", [0x0102, 0xEEEE])
def test_jumps_reach_across_a_thousand_comparisons(wanted: int) -> None:
    """A conditional jump has eight bits for its way, and that is not enough here."""
    many = AnyOf((Compare(wanted, 1), *(Compare(0xE000 + at, 1) for at in range(1_000))))
    assert bool(run(build_bpf(AllOf((many, Compare(4, 4, 1)))), PACKET, NOTES)) == (wanted == 0x0102)
    assert bool(run(build_bpf(Not(many)), PACKET, NOTES)) == (wanted != 0x0102)


def test_a_load_past_the_end_rejects() -> None:
    assert run(build_bpf(Not(Compare(0, 59, 2))), PACKET, NOTES) == 0
    assert run(build_bpf(Not(Compare(0, 59, 1))), PACKET, NOTES) == KEEP_BYTES


def test_a_program_that_the_kernel_would_not_take_is_not_built() -> None:
    with pytest.raises(ValueError, match=f"instructions are more than {INSTRUCTIONS_MAX}"):
        build_bpf(AnyOf((Compare(0, 0),) * 2_000))
