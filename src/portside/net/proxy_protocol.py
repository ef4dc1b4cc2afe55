"""The PROXY protocol: a header in front of a stream that tells who the real client is, as HAProxy and others send it.

Source: HAProxy's proxy-protocol.txt, section 2.1 (version 1, one line of text) and 2.2 (version 2, binary).

The header must only be looked for on connections from trusted proxies, where it is required: whoever else sends one
would speak for another's address. Taking it off a socket leaves the first byte behind it in the kernel, so that a TLS
handshake, or any kind of connection, starts from there as if nothing had been.
"""

from __future__ import annotations

import re
import select
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from time import monotonic
from typing import Final

from portside.address import Address, InternetAddress, IPAddress, UnixAddress, parse_ip, unmapped
from portside.errors import EndOfStream, MalformedAddress, MalformedMessage
from portside.net.sockets import MSG_DONTWAIT, MSG_PEEK, Socket, translate

LINE_BYTES_MAX: Final = 107  # version 1 with its CR LF, section 2.1
HEADER_BYTES_MAX: Final = 16 + 65_535  # version 2: the fixed part and the longest rest its 16-bit length can tell
PEEK_BYTES: Final = 4_096

_LINE_START: Final = b"PROXY "
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED_BYTES: Final = 16  # signature, version and command, family and transport, length of the rest
_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")

_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _INET, _INET6, _UNIX = range(4)
_ADDRESS_BYTES: Final = {_INET: 12, _INET6: 36, _UNIX: 216}
_TLV_CRC32C: Final = 0x03


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a PROXY header told. Without a source (UNKNOWN, LOCAL, UNSPEC) the socket's own addresses hold.

    ``size_bytes`` counts the bytes of the header; the stream starts behind them.
    """

    source: Address | None
    destination: Address | None
    size_bytes: int


def parse_proxy_header(data: bytes | bytearray) -> ProxyHeader | None:
    """Return the header that ``data`` starts with, or None while more bytes are needed to tell.

    What cannot become a header raises as early as its bytes show it, so nobody waits for the end of something else.
    TLVs are skipped, but their lengths must add up, and a CRC32C among them must be right. With LOCAL and an
    unspecified family everything behind the fixed part is ignored, as section 2.2 asks.

    Raises: MalformedMessage.
    """
    if _starts_like(data, _LINE_START):
        return _parse_line(data)
    if _starts_like(data, _SIGNATURE):
        return _parse_binary(data)
    raise MalformedMessage(f"a PROXY header was expected (proxy-protocol section 2), these bytes came: {_shown(data)}")


def _starts_like(data: bytes | bytearray, start: bytes) -> bool:
    return data[: len(start)] == start[: len(data)]


def _shown(data: bytes | bytearray) -> str:
    return repr(bytes(data[:24])) + ("…" if len(data) > 24 else "")


# ── version 1 ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse_line(data: bytes | bytearray) -> ProxyHeader | None:
    end = data.find(b"\n", 0, LINE_BYTES_MAX)
    if end < 0:
        if len(data) >= LINE_BYTES_MAX:
            raise _bad_line(f"there is no CR LF within {LINE_BYTES_MAX} bytes", data)
        return None
    if data[end - 1 : end] != b"\r":
        raise _bad_line("the line ends without a CR", data)
    size_bytes = end + 1
    protocol, *fields = data[len(_LINE_START) : end - 1].split(b" ")
    if protocol == b"UNKNOWN":  # whatever follows is to be ignored
        return ProxyHeader(None, None, size_bytes)
    if protocol not in (b"TCP4", b"TCP6"):
        raise _bad_line("the protocol is none of TCP4, TCP6 and UNKNOWN", data)
    if len(fields) != 4:
        raise _bad_line(f"two addresses and two ports were expected, {len(fields)} fields came", data)
    kind = IPv4Address if protocol == b"TCP4" else IPv6Address
    source, destination, source_port, destination_port = fields
    return ProxyHeader(
        InternetAddress(_line_host(source, kind, data), _line_port(source_port, data)),
        InternetAddress(_line_host(destination, kind, data), _line_port(destination_port, data)),
        size_bytes,
    )


def _line_host(field: bytes | bytearray, kind: type[IPAddress], data: bytes | bytearray) -> str:
    text = field.decode("latin-1")
    try:
        ip = parse_ip(text)
    except MalformedAddress as error:
        raise _bad_line(str(error), data) from error
    if not isinstance(ip, kind) or "%" in text:
        raise _bad_line(f"{text!r} is no IPv{4 if kind is IPv4Address else 6} address", data)
    return str(unmapped(ip))


def _line_port(field: bytes | bytearray, data: bytes | bytearray) -> int:
    text = field.decode("latin-1")
    if not _PORT.fullmatch(text) or int(text) > 65_535:
        raise _bad_line(f"{text!r} is no port", data)
    return int(text)


def _bad_line(why: str, data: bytes | bytearray) -> MalformedMessage:
    return MalformedMessage(f"PROXY version 1 (section 2.1): {why}: {_shown(data)}")


# ── version 2 ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse_binary(data: bytes | bytearray) -> ProxyHeader | None:
    if len(data) > 12 and data[12] not in (_LOCAL, _PROXY):
        raise _bad_binary(f"version and command 0x{data[12]:02x} are neither 0x20 (LOCAL) nor 0x21 (PROXY)")
    if len(data) < _FIXED_BYTES:
        return None
    size_bytes = _FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if data[12] == _LOCAL:
        return ProxyHeader(None, None, size_bytes) if len(data) >= size_bytes else None
    family, transport = data[13] >> 4, data[13] & 0x0F
    if family > _UNIX or transport > 2:
        raise _bad_binary(f"family and transport 0x{data[13]:02x} are not assigned")
    address_bytes = _ADDRESS_BYTES.get(family, 0) if transport else 0
    if size_bytes < _FIXED_BYTES + address_bytes:
        raise _bad_binary(f"{size_bytes - _FIXED_BYTES} bytes follow, the addresses alone need {address_bytes}")
    if len(data) < size_bytes:
        return None
    if not address_bytes:
        return ProxyHeader(None, None, size_bytes)
    header = bytes(data[:size_bytes])
    _check_tlvs(header, _FIXED_BYTES + address_bytes)
    source, destination = _addresses(family, header[_FIXED_BYTES : _FIXED_BYTES + address_bytes])
    return ProxyHeader(source, destination, size_bytes)


def _addresses(family: int, block: bytes) -> tuple[Address, Address]:
    if family == _UNIX:
        return _unix_address(block[:108]), _unix_address(block[108:])
    host_bytes = 4 if family == _INET else 16
    hosts = [
        IPv4Address(raw) if family == _INET else IPv6Address(raw)
        for raw in (block[:host_bytes], block[host_bytes : 2 * host_bytes])
    ]
    ports = [int.from_bytes(block[at : at + 2], "big") for at in (2 * host_bytes, 2 * host_bytes + 2)]
    source, destination = (InternetAddress(str(unmapped(host)), port) for host, port in zip(hosts, ports, strict=True))
    return source, destination


def _unix_address(raw: bytes) -> UnixAddress:
    # A NUL in front marks Linux's abstract names; padding NULs behind cannot be told from a name's own.
    name = raw[1:].rstrip(b"\0") if raw[:1] == b"\0" else raw.partition(b"\0")[0]
    mark = "@" if raw[:1] == b"\0" and name else ""
    return UnixAddress(mark + name.decode("utf-8", "surrogateescape"))


def _check_tlvs(header: bytes, at: int) -> None:
    while at < len(header):
        value_at = at + 3
        end = value_at + int.from_bytes(header[at + 1 : value_at], "big")
        if value_at > len(header) or end > len(header):
            raise _bad_binary(f"the TLV at byte {at} is longer than the header")
        if header[at] == _TLV_CRC32C:
            _check_crc32c(header, value_at, end)
        at = end


def _check_crc32c(header: bytes, at: int, end: int) -> None:
    if end - at != 4:
        raise _bad_binary(f"a CRC32C has 4 bytes, this has {end - at}")
    told, right = int.from_bytes(header[at:end], "big"), crc32c(header[:at] + bytes(4) + header[end:])
    if told != right:
        raise _bad_binary(f"its CRC32C is 0x{told:08x}, its bytes make 0x{right:08x}")


def _bad_binary(why: str) -> MalformedMessage:
    return MalformedMessage(f"PROXY version 2 (section 2.2): {why}")


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # Castagnoli's polynomial, bits reversed  # noqa: PLW2901
        table.append(value)
    return tuple(table)


_CRC32C_TABLE: Final = _crc32c_table()


def crc32c(data: bytes) -> int:
    """Return the CRC32C of ``data``. Source: RFC 9260 appendix A, which section 2.2.3 points to (as RFC 4960)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


# ── building ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def build_proxy_header(
    source: Address | None,
    destination: Address | None,
    *,
    version: int = 2,
    tlvs: Iterable[tuple[int, bytes]] = (),
    checksum: bool = False,
) -> bytes:
    """Return the header that tells of a stream from ``source`` to ``destination``.

    Without both it is UNKNOWN (version 1) or LOCAL (version 2). Two families are told as IPv6, the IPv4 side mapped.
    Unix addresses fit version 2 only and are UNKNOWN in version 1. ``tlvs`` (type, value) and a ``checksum`` TLV
    belong to version 2. A zone has no place in either and is left out.
    """
    if version == 1:
        return _build_line(source, destination)
    family, block = _build_addresses(source, destination)
    rest = block + b"".join(bytes((kind,)) + len(value).to_bytes(2, "big") + value for kind, value in tlvs)
    if checksum:
        rest += bytes((_TLV_CRC32C, 0, 4, 0, 0, 0, 0))
    command = _PROXY if family else _LOCAL
    transport = 1 if family else 0
    header = _SIGNATURE + bytes((command, family << 4 | transport)) + len(rest).to_bytes(2, "big") + rest
    return header[:-4] + crc32c(header).to_bytes(4, "big") if checksum else header


def _build_line(source: Address | None, destination: Address | None) -> bytes:
    if not isinstance(source, InternetAddress) or not isinstance(destination, InternetAddress):
        return b"PROXY UNKNOWN\r\n"
    hosts = _of_one_family(source, destination)
    protocol = f"TCP{hosts[0].version}"
    return f"PROXY {protocol} {hosts[0]} {hosts[1]} {source.port} {destination.port}\r\n".encode("ascii")


def _build_addresses(source: Address | None, destination: Address | None) -> tuple[int, bytes]:
    if isinstance(source, UnixAddress) and isinstance(destination, UnixAddress):
        return _UNIX, _sun_path(source) + _sun_path(destination)
    if isinstance(source, InternetAddress) and isinstance(destination, InternetAddress):
        hosts = _of_one_family(source, destination)
        ports = source.port.to_bytes(2, "big") + destination.port.to_bytes(2, "big")
        return (_INET if hosts[0].version == 4 else _INET6), hosts[0].packed + hosts[1].packed + ports
    return _UNSPEC, b""


def _of_one_family(*addresses: InternetAddress) -> list[IPAddress]:
    ips = [parse_ip(address.host.partition("%")[0]) for address in addresses]
    if len({ip.version for ip in ips}) == 1:
        return ips
    return [IPv6Address(f"::ffff:{ip}") if isinstance(ip, IPv4Address) else ip for ip in ips]


def _sun_path(address: UnixAddress) -> bytes:
    name = address.path.encode("utf-8", "surrogateescape")
    return (b"\0" + name[1:] if address.is_abstract else name).ljust(108, b"\0")


# ── off a socket ─────────────────────────────────────────────────────────────────────────────────────────────────────


def take_header_nowait(sock: Socket, taken: bytearray) -> ProxyHeader | None:
    """Take the header's bytes, and no byte more, off the socket. Returns None when the rest has not come yet.

    ``taken`` starts empty, keeps what was taken so far and belongs to the caller from call to call. Bytes are looked
    at before they are taken (MSG_PEEK), and those of an unfinished header are taken, so a selector does not report
    them again and again. The socket does not block, or has no timeout.

    Raises: MalformedMessage; EndOfStream when the peer left first; ConnectionLost.
    """
    while True:
        try:
            seen = sock.recv(PEEK_BYTES, MSG_PEEK | MSG_DONTWAIT)
            if not seen:
                raise EndOfStream(bytes(taken), "a PROXY header")
            header = parse_proxy_header(taken + seen)
            belongs = header.size_bytes - len(taken) if header else len(seen)
            taken += sock.recv(belongs, MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            raise translate(error) from error
        if header:
            return header


def take_header(sock: Socket, timeout_s: float) -> ProxyHeader:
    """Wait for the header and take it off the socket, and no byte more.

    Raises: TimeoutError when it is not whole after ``timeout_s`` seconds, and what ``take_header_nowait`` raises.
    """
    deadline_s = monotonic() + timeout_s
    taken = bytearray()
    readable = select.poll()
    readable.register(sock, select.POLLIN)
    while (header := take_header_nowait(sock, taken)) is None:
        remaining_s = deadline_s - monotonic()
        if remaining_s <= 0:
            raise TimeoutError(f"no whole PROXY header within {timeout_s:g} s")
        readable.poll(remaining_s * 1_000)
    return header
