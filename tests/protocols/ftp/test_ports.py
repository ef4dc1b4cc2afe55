"""Where data connections go, in both of FTP's ways to write it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import InternetAddress, parse_ip
from portside.protocols.ftp.commands import MalformedCommand
from portside.protocols.ftp.ports import (
    EpsvArgument,
    build_eprt,
    build_epsv_reply,
    build_pasv_reply,
    build_port,
    parse_eprt,
    parse_epsv,
    parse_epsv_reply,
    parse_pasv_reply,
    parse_port,
)
from portside.protocols.ftp.replies import MalformedReply

ports = st.integers(1, 65_535)
ipv4 = st.builds(InternetAddress, st.ip_addresses(v=4).map(str), ports)
ipv6 = st.builds(InternetAddress, st.ip_addresses(v=6).filter(lambda ip: ip.ipv4_mapped is None).map(str), ports)


# ── PORT and PASV ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("argument", "host", "port"),
    [
        ("132,235,1,2,24,131", "132.235.1.2", 6275),  # the address of RFC 2428's example, in PORT's words
        ("127,0,0,1,0,20", "127.0.0.1", 20),
        ("127,0,0,1,255,255", "127.0.0.1", 65_535),
        ("010,001,000,009,004,001", "10.1.0.9", 1_025),  # decimal, whatever zeros stand before it
    ],
)
def test_port_is_six_bytes(argument: str, host: str, port: int) -> None:
    assert parse_port(argument) == InternetAddress(host, port)


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "1,2,3,4,5",
        "1,2,3,4,5,6,7",
        "1,2,3,4,5,6,",
        "256,2,3,4,5,6",
        "1,2,3,4,5,256",
        "1,2,3,4,0,0",
        "1,2,3,4,-5,6",
        "1,2,3,4,+5,6",
        "1,2,3,4, 5,6",
        "1,2,3,4,5,6\n",
        "1,2,3,4,5,٣",
        "1,2,3,4,5,²",
        "1.2.3.4,5,6",
        "0001,2,3,4,5,6",
        "0x1,2,3,4,5,6",
        "1," * 10_000,
    ],
)
def test_what_is_not_six_bytes_is_501(argument: str) -> None:
    with pytest.raises(MalformedCommand) as caught:
        parse_port(argument)
    assert caught.value.code == 501


@given(ipv4)
def test_an_ipv4_address_goes_through_port_and_pasv(address: InternetAddress) -> None:
    assert parse_port(build_port(address)) == address
    assert parse_pasv_reply(build_pasv_reply(address)) == address


def test_ipv6_has_no_words_in_port() -> None:
    with pytest.raises(ValueError, match="is no IPv4 address"):
        build_port(InternetAddress("::1", 1_025))


@pytest.mark.parametrize(
    "text",
    [
        "Entering Passive Mode (192,0,2,1,4,1).",
        "Entering Passive Mode (192,0,2,1,4,1)",
        "Entering Passive Mode. 192,0,2,1,4,1",
        "=192,0,2,1,4,1",
        "Passive Mode 2 (192,0,2,1,4,1) for client 7",
        "192,0,2,1,4,1",
    ],
)
def test_the_numbers_of_227_are_found_wherever_they_stand(text: str) -> None:
    assert parse_pasv_reply(text) == InternetAddress("192.0.2.1", 1_025)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Entering Passive Mode",
        "(1,2,3,4,5)",
        "(256,0,2,1,4,1)",
        "(192,0,2,1,0,0)",
        "(1,2,3,4,5,6666)",
        "1" * 10_000,
    ],
)
def test_a_227_without_numbers_is_refused(text: str) -> None:
    with pytest.raises(MalformedReply):
        parse_pasv_reply(text)


# ── EPRT and EPSV ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("argument", "host", "port"),
    [
        # RFC 2428 section 2
        ("|1|132.235.1.2|6275|", "132.235.1.2", 6275),
        ("|2|1080::8:800:200C:417A|5282|", "1080::8:800:200c:417a", 5282),
        ("!1!132.235.1.2!6275!", "132.235.1.2", 6275),
        ("~2~::1~1~", "::1", 1),
        ("|2|::ffff:192.0.2.1|1025|", "192.0.2.1", 1_025),  # one machine, whichever way it is written
        ("|1|127.0.0.1|00021|", "127.0.0.1", 21),
    ],
)
def test_eprt_names_any_address(argument: str, host: str, port: int) -> None:
    assert parse_eprt(argument) == InternetAddress(host, port)


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("", 501),
        ("|", 501),
        ("|1|132.235.1.2|6275", 501),
        ("|1|132.235.1.2|6275||", 501),
        ("|1|132.235.1.2|6275|x", 501),
        (" |1|132.235.1.2|6275|", 501),
        ("111132.235.1.2162751", 501),  # a delimiter that is in the address as well
        (" 1 132.235.1.2 6275 ", 501),  # the delimiter is a printing character
        ("é1é132.235.1.2é6275é", 501),
        ("|1|132.235.1.2|0|", 501),
        ("|1|132.235.1.2|65536|", 501),
        ("|1|132.235.1.2|-1|", 501),
        ("|1|132.235.1.2||", 501),
        ("|1|132.235.1|6275|", 501),
        ("|1|0132.235.1.2|6275|", 501),
        ("|1|::1|6275|", 501),
        ("|2|132.235.1.2|6275|", 501),
        ("|2|fe80::1%eth0|6275|", 501),
        ("|2|[::1]|6275|", 501),
        ("|2|localhost|6275|", 501),
        ("||132.235.1.2|6275|", 501),
        ("|x|132.235.1.2|6275|", 501),
        ("|3|132.235.1.2|6275|", 522),
        ("|0|132.235.1.2|6275|", 522),
        ("|" * 10_000, 501),
        ("|1|132.235.1.2|" + "9" * 10_000 + "|", 501),
    ],
)
def test_what_eprt_cannot_mean_is_refused(argument: str, code: int) -> None:
    with pytest.raises(MalformedCommand) as caught:
        parse_eprt(argument)
    assert caught.value.code == code


@given(ipv4 | ipv6)
def test_any_address_goes_through_eprt(address: InternetAddress) -> None:
    assert parse_eprt(build_eprt(address)) == address


def test_a_zone_does_not_travel() -> None:
    assert build_eprt(InternetAddress("fe80::1%eth0", 1_025)) == "|2|fe80::1|1025|"


@pytest.mark.parametrize(
    ("argument", "wanted"), [("", None), ("1", 1), ("2", 2), ("ALL", "ALL"), ("all", "ALL"), ("01", 1)]
)
def test_epsv_asks_for_a_family_or_for_nothing_else(argument: str, wanted: EpsvArgument) -> None:
    assert parse_epsv(argument) == wanted


@pytest.mark.parametrize(
    ("argument", "code"), [("3", 522), ("0", 522), ("99999", 522), ("x", 501), ("-1", 501), ("1 ", 501), ("²", 501)]
)
def test_epsv_of_no_known_family_is_refused(argument: str, code: int) -> None:
    with pytest.raises(MalformedCommand) as caught:
        parse_epsv(argument)
    assert caught.value.code == code


@given(ports)
def test_a_port_goes_through_epsv(port: int) -> None:
    assert parse_epsv_reply(build_epsv_reply(port)) == port


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("Entering Extended Passive Mode (|||6446|)", 6446),  # RFC 2428 section 3
        ("Extended Passive mode (you, there): (!!!6446!).", 6446),
        ("(|||1|)", 1),
    ],
)
def test_the_port_of_229_is_found(text: str, port: int) -> None:
    assert parse_epsv_reply(text) == port


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(|||0|)",
        "(|||65536|)",
        "(|||6446)",
        "|||6446|",
        "(||6446|)",
        "(|!|6446|)",
        "(|||x|)",
        "(|||٣|)",
        "(" * 10_000,
    ],
)
def test_a_229_without_a_port_is_refused(text: str) -> None:
    with pytest.raises(MalformedReply):
        parse_epsv_reply(text)


@given(st.text(max_size=40) | st.text("|!,.:()0129afx%", max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for parse in (parse_port, parse_eprt, parse_pasv_reply):
        with suppress(MalformedCommand, MalformedReply):
            address = parse(text)
            assert parse_ip(address.host)
            assert 0 < address.port <= 65_535
    with suppress(MalformedCommand):
        assert parse_epsv(text) in (None, 1, 2, "ALL")
    with suppress(MalformedReply):
        assert 0 < parse_epsv_reply(text) <= 65_535
