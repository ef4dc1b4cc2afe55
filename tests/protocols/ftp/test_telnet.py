"""Telnet in lines of the control connection: RFC 854's commands, negotiations, and the byte 255 itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.ftp.telnet import INTERRUPT, build_refusals, double_iac, remove_telnet


@pytest.mark.parametrize(
    ("line", "own"),
    [
        (b"NOOP", b"NOOP"),
        (b"\xff\xf4\xff\xf2ABOR", b"ABOR"),  # IP, DM: RFC 959 section 4.1.3
        (b"\xf2\x80\x80\x80", b"\xf2\x80\x80\x80"),  # U+80000, and no DM
        (b"\xff\xf1NO\xff\xf6OP", b"NOOP"),  # NOP, AYT
        (b"\xff\xfb\x01USER anna", b"USER anna"),  # WILL ECHO
        (b"\xff\xfd\xff\xff\xfe\x18QUIT", b"QUIT"),  # an option may be number 255
        (b"RETR \xff\xfa\x18\x01\xff\xf0x", b"RETR x"),  # a subnegotiation
        (b"RETR \xff\xfa\x18\xff\xff\xf0\xff\xf0x", b"RETR x"),  # with a doubled 255, and a 240 that ends nothing
        (b"RETR \xff\xfanever ended", b"RETR "),
        (b"RETR \xff\xff", b"RETR \xff"),
        (b"RETR \xff\xff\xff\xff", b"RETR \xff\xff"),
        (b"RETR \xffle", b"RETR \xffle"),  # not doubled: no command of Telnet begins with "l"
        (b"RETR \xff", b"RETR \xff"),
        (b"RETR \xff\xfb", b"RETR "),  # the option is missing
        (b"", b""),
    ],
)
def test_telnet_is_taken_out_of_a_line(line: bytes, own: bytes) -> None:
    assert remove_telnet(line) == own


def test_an_interrupt_goes_before_abor() -> None:
    assert INTERRUPT.hex(" ") == "ff f4 ff f2"
    assert remove_telnet(INTERRUPT + b"ABOR") == b"ABOR"


@given(st.binary(max_size=60))
def test_a_doubled_text_comes_back_as_it_was(text: bytes) -> None:
    assert remove_telnet(b"RETR " + double_iac(text)) == b"RETR " + text


@given(st.binary(max_size=60))
def test_lines_without_iac_stay_as_they_are(text: bytes) -> None:
    line = b"RETR " + text.replace(b"\xff", b"")
    assert remove_telnet(line) == line


@given(st.lists(st.sampled_from([b"\xff", b"\xf0", b"\xfa", b"\xfb", b"\xf2", b"A", b" "]), max_size=40).map(b"".join))
def test_taking_out_never_adds_a_byte(line: bytes) -> None:
    own = remove_telnet(line)
    assert len(own) <= len(line)
    assert set(own) <= set(line)


@pytest.mark.parametrize(
    ("line", "refusals"),
    [
        (b"NOOP", b""),
        (b"\xff\xfb\x01\xff\xfd\x03USER x", b"\xff\xfe\x01\xff\xfc\x03"),  # WILL → DONT, DO → WONT
        (b"\xff\xfc\x01\xff\xfe\x03USER x", b""),  # WONT and DONT are what they should be
        (b"RETR \xff\xff\xfb\x01", b""),  # a doubled 255, then bytes of a name
        (b"\xff\xff\xff\xfd\x01", b"\xff\xfc\x01"),
        (b"\xff\xfb", b""),
    ],
)
def test_options_are_refused(line: bytes, refusals: bytes) -> None:
    assert build_refusals(line) == refusals
