"""The PROXY protocol, fed whole and byte by byte, made and read back, and taken off real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import Address, InternetAddress, UnixAddress, unmapped
from portside.errors import ConnectionLost, EndOfStream, MalformedMessage, PeerError
from portside.net import sockets
from portside.net.proxy_protocol import (
    HEADER_BYTES_MAX,
    LINE_BYTES_MAX,
    ProxyHeader,
    build_proxy_header,
    crc32c,
    parse_proxy_header,
    take_header,
    take_header_nowait,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ANNA, SERVER = InternetAddress("192.0.2.1", 56_324), InternetAddress("192.0.2.2", 443)
ANNA6, SERVER6 = InternetAddress("2001:db8::1", 56_324), InternetAddress("2001:db8::2", 443)

ports = st.integers(0, 65_535)
addresses4 = st.builds(InternetAddress, st.ip_addresses(v=4).map(str), ports)
addresses6 = st.builds(InternetAddress, st.ip_addresses(v=6).map(lambda ip: str(unmapped(ip))), ports)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=106)
unix_addresses = st.builds(UnixAddress, st.builds(str.__add__, st.sampled_from("@/"), names) | st.just(""))
pairs = st.one_of(
    st.tuples(addresses4, addresses4),
    st.tuples(addresses6, addresses6),
    st.tuples(addresses4, addresses6),
    st.tuples(unix_addresses, unix_addresses),
    st.just((None, None)),
)
tlvs = st.lists(st.tuples(st.integers(0x04, 0xFF), st.binary(max_size=60)), max_size=4)


def parse_cut(stream: bytes, size: int) -> ProxyHeader | None:
    """Feed ever more of the stream, ``size`` bytes at a time, until there is an answer."""
    for end in range(0, len(stream) + size, size):
        header = parse_proxy_header(stream[:end])
        if header is not None:
            return header
    return None


def binary(command: int, family: int, rest: bytes, length: int | None = None) -> bytes:
    said = len(rest) if length is None else length
    return SIGNATURE + bytes((command, family)) + said.to_bytes(2, "big") + rest


BLOCK4 = bytes((192, 0, 2, 1, 192, 0, 2, 2)) + (56_324).to_bytes(2, "big") + (443).to_bytes(2, "big")


# ── version 1 ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.0\r\n\r\n", b"\r\n", b"PROXY TCP4 "])
@pytest.mark.parametrize(
    ("line", "source", "destination"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", ANNA, SERVER),
        (b"PROXY TCP6 2001:DB8::1 2001:db8:0:0:0:0:0:2 56324 443\r\n", ANNA6, SERVER6),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 56324 443\r\n", ANNA, SERVER),
        (b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n",
         InternetAddress("255.255.255.255", 65_535), InternetAddress("0.0.0.0", 0)),
        (b"PROXY UNKNOWN\r\n", None, None),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None, None),
    ],
)  # fmt: skip
def test_lines(line: bytes, source: Address | None, destination: Address | None, behind: bytes, size: int) -> None:
    assert parse_cut(line + behind, size) == ProxyHeader(source, destination, len(line))


def test_the_longest_line_of_the_specification_fits() -> None:
    whole = b"PROXY UNKNOWN " + b" ".join([b":".join([b"ffff"] * 8)] * 2) + b" 65535 65535\r\n"
    assert len(whole) == LINE_BYTES_MAX
    assert parse_proxy_header(whole) == ProxyHeader(None, None, LINE_BYTES_MAX)
    assert parse_proxy_header(whole[:-1]) is None
    with pytest.raises(MalformedMessage, match="no CR LF within 107 bytes"):
        parse_proxy_header(whole[:-2] + b"6\r")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n", "without a CR"),
        (b"PROXY TCP4\n 192.0.2.1 192.0.2.2 56324 443\r\n", "without a CR"),
        (b"PROXY  TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "none of TCP4"),
        (b"PROXY tcp4 192.0.2.1 192.0.2.2 56324 443\r\n", "none of TCP4"),
        (b"PROXY UNKNOWNS\r\n", "none of TCP4"),
        (b"PROXY \r\n", "none of TCP4"),
        (b"PROXY TCP4\r\n", "0 fields came"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n", "3 fields came"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n", "5 fields came"),
        (b"PROXY TCP4 192.0.2.1  192.0.2.2 56324 443\r\n", "5 fields came"),
        (b"PROXY TCP4 192.0.2.01 192.0.2.2 56324 443\r\n", "starts with a zero"),
        (b"PROXY TCP4 192.0.2.256 192.0.2.2 56324 443\r\n", "above 255"),
        (b"PROXY TCP4 192.0.2 192.0.2.2 56324 443\r\n", "four parts"),
        (b"PROXY TCP4 2001:db8::1 192.0.2.2 56324 443\r\n", "no IPv4 address"),
        (b"PROXY TCP6 192.0.2.1 2001:db8::2 56324 443\r\n", "no IPv6 address"),
        (b"PROXY TCP6 fe80::1%eth0 2001:db8::2 56324 443\r\n", "no IPv6 address"),
        (b"PROXY TCP6 2001::db8::1 2001:db8::2 56324 443\r\n", "not an address"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n", "'65536' is no port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 0443 443\r\n", "'0443' is no port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 +443 443\r\n", "is no port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 \xb2 443\r\n", "is no port"),
        (b"PROXY TCP4 \xe9.0.2.1 192.0.2.2 443 443\r\n", "not an address"),
    ],
)
def test_bad_lines_say_why(line: bytes, why: str) -> None:
    with pytest.raises(MalformedMessage, match=why) as whole:
        parse_proxy_header(line)
    with pytest.raises(MalformedMessage) as cut:
        parse_cut(line + b"x" * LINE_BYTES_MAX, 1)
    assert str(whole.value).startswith("PROXY version 1 (section 2.1): ")
    assert str(cut.value).startswith("PROXY version 1 (section 2.1): ")


@pytest.mark.parametrize("data", [b"G", b"PROXX", b"PROXY\t", b"p", b"\r\n\r\n\0\r\nQUIX", b"\n", b"\x16"])
def test_other_bytes_are_refused_at_the_first_wrong_one(data: bytes) -> None:
    assert parse_proxy_header(data[:-1]) is None
    with pytest.raises(MalformedMessage, match="a PROXY header was expected"):
        parse_proxy_header(data)


# ── version 2 ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize("behind", [b"", SIGNATURE, b"\x16\x03\x01"])
@pytest.mark.parametrize(
    ("header", "source", "destination"),
    [
        (binary(0x21, 0x11, BLOCK4), ANNA, SERVER),
        (binary(0x21, 0x12, BLOCK4), ANNA, SERVER),
        (binary(0x21, 0x11, BLOCK4 + b"\x01\x00\x02h2" + b"\x04\x00\x00" + b"\xee\x00\x01\xff"), ANNA, SERVER),
        (binary(0x20, 0x00, b""), None, None),
        (binary(0x20, 0x11, BLOCK4), None, None),
        (binary(0x20, 0xFF, b"whatever"), None, None),
        (binary(0x21, 0x00, b"whatever"), None, None),
        (binary(0x21, 0x10, BLOCK4), None, None),
        (binary(0x21, 0x31, b"\0inner".ljust(108, b"\0") + b"/run/x".ljust(108, b"\0")),
         UnixAddress("@inner"), UnixAddress("/run/x")),
        (binary(0x21, 0x31, bytes(108) + b"/" + b"y" * 107), UnixAddress(""), UnixAddress("/" + "y" * 107)),
        (binary(0x21, 0x21, bytes(10) + b"\xff\xff\xc0\0\2\1" + bytes(10) + b"\xff\xff\xc0\0\2\2" + BLOCK4[8:]),
         ANNA, SERVER),
        (binary(0x20, 0x00, bytes(65_535)), None, None),
    ],
)  # fmt: skip
def test_binary(header: bytes, source: Address | None, destination: Address | None, behind: bytes, size: int) -> None:
    size = max(size, len(header) // 500)
    assert parse_cut(header + behind, size) == ProxyHeader(source, destination, len(header))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (SIGNATURE + b"\x11", "0x11 are neither"),
        (SIGNATURE + b"\x22", "0x22 are neither"),
        (binary(0x21, 0x41, BLOCK4), "0x41 are not assigned"),
        (binary(0x21, 0x13, BLOCK4), "0x13 are not assigned"),
        (binary(0x21, 0x11, BLOCK4[:-1]), "11 bytes follow, the addresses alone need 12"),
        (binary(0x21, 0x21, BLOCK4), "need 36"),
        (binary(0x21, 0x31, bytes(215)), "need 216"),
        (binary(0x21, 0x11, BLOCK4 + b"\x01"), "TLV at byte 28 is longer"),
        (binary(0x21, 0x11, BLOCK4 + b"\x01\x00"), "TLV at byte 28 is longer"),
        (binary(0x21, 0x11, BLOCK4 + b"\x01\x00\x03h2"), "TLV at byte 28 is longer"),
        (binary(0x21, 0x11, BLOCK4 + b"\x04\x00\x00\x01\x00\x03h2"), "TLV at byte 31 is longer"),
        (binary(0x21, 0x11, BLOCK4 + b"\x03\x00\x04abcd"), "CRC32C is 0x61626364, its bytes make 0x"),
        (binary(0x21, 0x11, BLOCK4 + b"\x03\x00\x03abc"), "a CRC32C has 4 bytes, this has 3"),
    ],
)
def test_bad_binary_says_why(header: bytes, why: str) -> None:
    with pytest.raises(MalformedMessage, match=why):
        parse_proxy_header(header)
    with pytest.raises(MalformedMessage, match=why):
        parse_cut(header, 1)


def test_crc32c_of_the_check_string() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value every list of CRCs gives
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720 appendix B.4
    assert crc32c(bytes(range(32))) == 0x46DD794E


@given(pair=st.tuples(addresses4, addresses4), extra=tlvs, at=st.integers(0, 15), bit=st.integers(0, 7))
def test_a_checksum_notices_every_flipped_bit(
    pair: tuple[Address, Address], extra: list[tuple[int, bytes]], at: int, bit: int
) -> None:
    header = bytearray(build_proxy_header(*pair, tlvs=extra, checksum=True))
    assert parse_proxy_header(header) == ProxyHeader(*pair, len(header))
    header[16 + at if at < 12 else at - 16] ^= 1 << bit  # in the addresses, or in the checksum at the end
    with pytest.raises(MalformedMessage, match="its CRC32C is"):
        parse_proxy_header(header)


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(pair=pairs, extra=tlvs, checksum=st.booleans(), behind=st.binary(max_size=20), size=st.integers(1, 300))
def test_version_2_reads_back(
    pair: tuple[Address | None, Address | None],
    extra: list[tuple[int, bytes]],
    checksum: bool,
    behind: bytes,
    size: int,
) -> None:
    header = build_proxy_header(*pair, tlvs=extra, checksum=checksum)
    assert parse_cut(header + behind, size) == ProxyHeader(*pair, len(header))


@given(pair=pairs, behind=st.binary(max_size=20), size=st.integers(1, 120))
def test_version_1_reads_back(pair: tuple[Address | None, Address | None], behind: bytes, size: int) -> None:
    line = build_proxy_header(*pair, version=1)
    assert len(line) <= LINE_BYTES_MAX
    told = pair if isinstance(pair[0], InternetAddress) else (None, None)
    assert parse_cut(line + behind, size) == ProxyHeader(*told, len(line))


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ::1 ", SIGNATURE, SIGNATURE + b"\x21"]),
)
def test_any_bytes_give_a_header_or_a_reason(data: bytes, start: bytes) -> None:
    try:
        header = parse_proxy_header(start + data)
    except MalformedMessage:
        return
    assert header is None or header.size_bytes <= min(len(start + data), HEADER_BYTES_MAX)


def test_zones_are_left_out() -> None:
    header = build_proxy_header(InternetAddress("fe80::1%eth0", 1), InternetAddress("fe80::2%3", 2))
    assert parse_proxy_header(header) == ProxyHeader(InternetAddress("fe80::1", 1), InternetAddress("fe80::2", 2), 52)


def test_a_mixed_pair_is_told_as_ipv6() -> None:
    line = build_proxy_header(ANNA, SERVER6, version=1)
    assert line.startswith(b"PROXY TCP6 ::ffff:")
    assert parse_proxy_header(line) == ProxyHeader(ANNA, SERVER6, len(line))


# ── off real sockets ─────────────────────────────────────────────────────────────────────────────────────────────────

Pair = tuple[sockets.Socket, sockets.Socket]


@pytest.fixture(params=["unix", "tcp"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A connected pair: the proxy's end, and ours, which does not block."""
    if request.param == "unix":
        proxy, ours = sockets.socketpair()
    else:
        listener = sockets.open_stream(InternetAddress("127.0.0.1", 0))
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        proxy = sockets.open_stream(InternetAddress("127.0.0.1", 0))
        proxy.setblocking(True)
        proxy.connect(listener.getsockname())
        listener.setblocking(True)
        ours, _ = listener.accept()
        listener.close()
    ours.setblocking(False)
    yield proxy, ours
    proxy.close()
    ours.close()


@pytest.mark.parametrize("version", [1, 2])
def test_exactly_the_header_leaves_the_kernel(pair: Pair, version: int) -> None:
    proxy, ours = pair
    header = build_proxy_header(ANNA6, SERVER6, version=version)
    proxy.sendall(header + b"\x16\x03\x01 hello")
    assert take_header(ours, 5.0) == ProxyHeader(ANNA6, SERVER6, len(header))
    assert ours.recv(100) == b"\x16\x03\x01 hello"


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_a_header_that_comes_byte_by_byte(pair: Pair, version: int, blocking: bool) -> None:
    proxy, ours = pair
    ours.setblocking(blocking)
    header = build_proxy_header(ANNA, SERVER, version=version)
    taken = bytearray()
    for at in range(len(header) - 1):
        assert take_header_nowait(ours, taken) is None
        proxy.sendall(header[at : at + 1])
        while len(taken) <= at:  # on TCP a byte may be on its way for a moment
            assert take_header_nowait(ours, taken) is None
    proxy.sendall(header[-1:] + b"next")
    ours.setblocking(True)
    while (found := take_header_nowait(ours, taken)) is None:
        pass
    assert found == ProxyHeader(ANNA, SERVER, len(header))
    assert ours.recv(4) == b"next"


def test_a_long_header_is_taken_in_pieces(pair: Pair) -> None:
    proxy, ours = pair
    header = build_proxy_header(ANNA, SERVER, tlvs=[(0xEE, bytes(20_000))], checksum=True)
    proxy.sendall(header + b"next")
    assert take_header(ours, 5.0) == ProxyHeader(ANNA, SERVER, len(header))
    assert ours.recv(100) == b"next"


def test_no_header_in_time(pair: Pair) -> None:
    with pytest.raises(TimeoutError, match="no whole PROXY header within 0 s"):
        take_header(pair[1], 0.0)


def test_a_peer_that_leaves_first(pair: Pair) -> None:
    proxy, ours = pair
    proxy.sendall(b"PROXY TCP4")
    proxy.shutdown(sockets.SHUT_WR)
    with pytest.raises(EndOfStream) as caught:
        take_header(ours, 5.0)
    assert caught.value.received == b"PROXY TCP4"


def test_a_peer_that_resets(pair: Pair) -> None:
    proxy, ours = pair
    ours.send(b"unread")  # closing with unread bytes sends a reset
    proxy.close()
    with pytest.raises(PeerError) as caught:
        take_header(ours, 5.0)
    assert isinstance(caught.value, ConnectionLost | EndOfStream)


def test_another_protocol_is_refused_and_stays_in_the_kernel(pair: Pair) -> None:
    proxy, ours = pair
    proxy.sendall(b"GET / HTTP/1.0\r\n")
    with pytest.raises(MalformedMessage, match="a PROXY header was expected"):
        take_header(ours, 5.0)
    assert ours.recv(100) == b"GET / HTTP/1.0\r\n"
