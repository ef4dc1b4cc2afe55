"""The leaf module of addresses and endpoints: what is read comes back as it was shown, and refusals say why."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import (
    Endpoint,
    InternetAddress,
    SocketOptions,
    UnixAddress,
    bracketed,
    from_sockaddr,
    is_decimal,
    parse_endpoint,
    parse_ip,
    parse_port,
    split_host_port,
    unmapped,
)
from portside.errors import MalformedAddress, MalformedEndpoint, UsageError

ips = st.ip_addresses()
ports = st.integers(0, 65_535)
labels = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(ips)
def test_an_address_comes_back_from_its_text(ip: IPv4Address | IPv6Address) -> None:
    assert parse_ip(str(ip)) == ip
    assert parse_ip(ip.exploded) == ip


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        ("2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("0:0:0:0:0:0:0:0", "::"),
        ("::1.2.3.4", "::102:304"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),  # RFC 5952 section 4.2.2: one group of zeros stays
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),  # section 4.2.3: the longest run is shortened
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),  # and of equal ones the first
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1%3", "fe80::1%3"),
    ],
)
def test_an_ipv6_address_is_shown_in_its_shortest_form(text: str, shortest: str) -> None:
    assert str(parse_ip(text)) == shortest


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("1.2.3", "an IPv4 address has four parts, this has 3"),
        ("1.2.3.4.5", "an IPv4 address has four parts, this has 5"),
        ("1", "an IPv4 address has four parts, this has 1"),
        ("01.2.3.4", "the part '01' starts with a zero, which some programs read as octal"),
        ("1.2.3.00", "the part '00' starts with a zero, which some programs read as octal"),
        ("1.2.3.256", "the part '256' is above 255"),
        (f"1.2.3.{'9' * 5_000}", "is above 255"),
        ("1..2.3", "a part between its dots is empty"),
        ("1.2.3.", "a part between its dots is empty"),
        ("0x7f.0.0.1", "the part '0x7f' is not a decimal number"),
        ("1.2.3.٤", "the part '٤' is not a decimal number"),
        ("1.2.3.4 ", "the part '4 ' is not a decimal number"),
        ("example.org", "the part 'example' is not a decimal number"),
        ("1.2.3.4/8", "the part '4/8' is not a decimal number"),
        (":", "At least 3 parts expected"),
        ("1::2::3", "At most one '::' permitted"),
        ("fe80::1%", "Invalid IPv6 address"),
        ("12345::", "At most 4 characters permitted"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(MalformedAddress) as caught:
        parse_ip(text)
    assert why in str(caught.value)
    assert caught.value.text == text


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused_as_one(text: str) -> None:
    try:
        ip = parse_ip(text)
    except MalformedAddress:
        return
    assert parse_ip(str(ip)) == ip


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_its_ipv4_address(ip: IPv4Address) -> None:
    assert unmapped(parse_ip(f"::ffff:{ip}")) == ip
    assert unmapped(ip) == ip


@given(st.ip_addresses(v=6))
def test_other_ipv6_addresses_are_left_as_they_are(ip: IPv6Address) -> None:
    assert unmapped(ip) == (ip.ipv4_mapped or ip)


@given(ips, ports)
def test_a_socket_address_is_split_as_it_was_shown(ip: IPv4Address | IPv6Address, port: int) -> None:
    address = InternetAddress(str(ip), port)
    assert split_host_port(str(address)) == (str(ip), str(port))
    assert address.ip == ip


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1.2.3.4", ("1.2.3.4", None)),
        ("1.2.3.4:80", ("1.2.3.4", "80")),
        ("host:", ("host", "")),
        ("::1", ("::1", None)),
        ("[::1]", ("::1", None)),
        ("[::1]:80", ("::1", "80")),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", "80")),
    ],
)
def test_host_and_port_are_split(text: str, parts: tuple[str, str | None]) -> None:
    assert split_host_port(text) == parts


@pytest.mark.parametrize("text", ["[::1", "[::1]80", "[]:80", "[1.2.3.4]:80", "[name]:80", "["])
def test_brackets_hold_an_ipv6_address_and_nothing_else(text: str) -> None:
    with pytest.raises(MalformedAddress, match="comes an IPv6 address"):
        split_host_port(text)


@given(ports)
def test_a_port_comes_back_from_its_text(port: int) -> None:
    assert parse_port(str(port)) == port


@pytest.mark.parametrize("text", ["", "-1", "65536", "99999", "+80", " 80", "8o", "²", "٣", "9" * 5_000, "1e3"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(MalformedAddress, match="a port is a number from 0 to 65535"):
        parse_port(text)


@pytest.mark.parametrize(("text", "said"), [("0", True), ("00080", True), ("", False), ("²", False), ("٣", False)])
def test_decimal_means_ascii_digits(text: str, said: bool) -> None:
    assert is_decimal(text) is said


def test_hosts_stand_before_a_port_in_brackets_where_they_have_colons() -> None:
    assert [bracketed(host) for host in ("::1", "1.2.3.4", "name")] == ["[::1]", "1.2.3.4", "name"]


# ── what sockets say ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sockaddr", "shown"),
    [
        (("192.0.2.1", 80), "192.0.2.1:80"),
        (("2001:db8::1", 80, 0, 0), "[2001:db8::1]:80"),
        (("::ffff:192.0.2.1", 80, 0, 0), "192.0.2.1:80"),
        (("fe80::1%eth0", 80, 0, 2), "[fe80::1%eth0]:80"),
        (("fe80::1", 80, 0, 2), "[fe80::1%2]:80"),
        ("/run/x.sock", "unix:/run/x.sock"),
        ("", "unix:"),
        (b"", "unix:"),
        (None, "unix:"),
        (b"\0name", "unix:@name"),
        (b"\0\0name", "unix:@\0name"),  # an abstract name may begin with a NUL of its own
    ],
)
def test_what_a_socket_says_becomes_an_address(sockaddr: object, shown: str) -> None:
    assert str(from_sockaddr(sockaddr)) == shown


def test_abstract_names_are_known() -> None:
    assert [UnixAddress(path).is_abstract for path in ("@x", "/x", "")] == [True, False, False]


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("tcp://[::]:9000", Endpoint("tcp", "::", 9000)),
        ("TCP://localhost:0", Endpoint("tcp", "localhost", 0)),
        ("tls://example.org:443/", Endpoint("tls", "example.org", 443)),
        ("udp://127.0.0.1:53", Endpoint("udp", "127.0.0.1", 53)),
        (":9000", Endpoint("tcp", "::", 9000)),
        ("9000", Endpoint("tcp", "::", 9000)),
        (" 9000 ", Endpoint("tcp", "::", 9000)),
        ("*:80", Endpoint("tcp", "::", 80)),
        ("localhost:80", Endpoint("tcp", "localhost", 80)),
        ("[::1]:80", Endpoint("tcp", "::1", 80)),
        ("tcp://[2001:DB8:0::1]:80", Endpoint("tcp", "2001:db8::1", 80)),
        ("tcp://[::ffff:192.0.2.1]:80", Endpoint("tcp", "192.0.2.1", 80)),
        ("tcp://[fe80::1%eth0]:80", Endpoint("tcp", "fe80::1%eth0", 80)),
        ("tcp://[fe80::1%25eth0]:80", Endpoint("tcp", "fe80::1%eth0", 80)),
        ("tcp://[fe80::1%25]:80", Endpoint("tcp", "fe80::1%25", 80)),
        ("unix:/run/x.sock", Endpoint("unix", path="/run/x.sock")),
        ("unix:///run/x.sock?mode=600", Endpoint("unix", path="/run/x.sock", mode=0o600)),
        ("unix:/x?mode=0660", Endpoint("unix", path="/x", mode=0o660)),
        ("unix:/a%20b%3F", Endpoint("unix", path="/a b?")),
        ("unix:@name", Endpoint("unix", path="@name")),
        ("UNIX:@name", Endpoint("unix", path="@name")),
        ("fd://3", Endpoint("fd", fd=3)),
        ("systemd://http", Endpoint("systemd", name="http")),
        ("systemd://", Endpoint("systemd")),
        (
            "tcp://:1?backlog=5&nodelay=off&keepalive=30s",
            Endpoint("tcp", "::", 1, options=SocketOptions(backlog=5, nodelay=False, keepalive_s=30.0)),
        ),
        ("tcp://:1?keepalive=30", Endpoint("tcp", "::", 1, options=SocketOptions(keepalive_s=30.0))),
    ],
)
def test_an_endpoint_is_read(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    ("text", "port"), [("localhost", 6168), ("localhost:", 6168), ("::1", 6168), ("[::1]", 6168), ("tcp://::1", 6168)]
)
def test_a_missing_port_is_the_default_one_where_there_is_one(text: str, port: int) -> None:
    assert parse_endpoint(text, default_port=6168).port == port
    with pytest.raises(MalformedEndpoint):
        parse_endpoint(text)


@given(st.sampled_from(["tcp", "tls", "udp"]), st.one_of(names, ips.map(lambda ip: str(unmapped(ip)))), ports)
def test_an_internet_endpoint_comes_back_from_its_text(scheme: str, host: str, port: int) -> None:
    endpoint = Endpoint(scheme, host, port)
    assert parse_endpoint(str(endpoint)) == endpoint


paths = st.text(min_size=1, max_size=25).filter(lambda text: "\0" not in text and text != "@")


@given(paths)
def test_a_unix_endpoint_comes_back_from_its_text(path: str) -> None:
    try:
        endpoint = Endpoint("unix", path="/" + path)
        shown = str(endpoint)
    except UnicodeEncodeError:  # half of a surrogate pair, which no file name gives
        return
    assert parse_endpoint(shown) == endpoint
    assert shown.isprintable()


def test_the_bytes_of_a_path_survive_whatever_they_are() -> None:
    path = bytes(range(1, 100)).decode() + b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert parse_endpoint(str(Endpoint("unix", path=path))).path == path
    assert str(Endpoint("unix", path="/run/ä b")) == "unix:/run/ä%20b"


@pytest.mark.parametrize("endpoint", [Endpoint("fd", fd=7), Endpoint("systemd", name="web"), Endpoint("systemd")])
def test_other_endpoints_come_back_from_their_text(endpoint: Endpoint) -> None:
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the port is missing: HOST:PORT"),
        ("localhost", "the port is missing: HOST:PORT"),
        ("tcp://:", "the port is missing: HOST:PORT"),
        ("²", "the port is missing: HOST:PORT"),
        ("::1", "an IPv6 address before a port stands in brackets: [ADDRESS]:PORT"),
        ("tcp://localhost:65536", "'65536': a port is a number from 0 to 65535"),
        ("tcp://localhost:http", "'http': a port is a number from 0 to 65535"),
        ("tcp://localhost:80/path", "'80/path': a port is a number from 0 to 65535"),
        ("99999", "a port is a number from 0 to 65535"),
        ("tcp://1.2.3:80", "'1.2.3': an IPv4 address has four parts, this has 3"),
        ("tcp://01.2.3.4:80", "'01.2.3.4': the part '01' starts with a zero"),
        ("tcp://0x7f000001:80", "'0x7f000001': the part '0x7f000001' is not a decimal number"),
        ("tcp://2130706433:80", "an IPv4 address has four parts, this has 1"),
        ("tcp://example.1:80", "'example.1': the part 'example' is not a decimal number"),
        ("tcp://[1.2.3.4]:80", "after '[' comes an IPv6 address"),
        ("tcp://[fe80::1%]:80", "Invalid IPv6 address"),
        ("tcp://-x:1", "'-x' is neither an address nor a host name"),
        ("tcp://a..b:1", "'a..b' is neither an address nor a host name"),
        (f"tcp://{'x' * 64}:1", "is neither an address nor a host name"),
        ("tcp://user@host:80", "'user@host' is neither an address nor a host name"),
        ("tpc://x:1", "unknown scheme 'tpc'; did you mean tcp?"),
        ("http://x:1", "unknown scheme 'http'; the schemes are tcp, tls, udp, unix, fd, systemd"),
        ("unix:", "after unix: comes a path or @name"),
        ("unix:@", "after unix: comes a path or @name"),
        ("unix:/a%00b", "a path has no NUL"),
        (f"unix:/{'x' * 107}", "a socket's path has at most 107 bytes"),
        (f"unix:/{'ä' * 54}", "a socket's path has at most 107 bytes"),
        ("unix:/x?mode=999", "'999' is no value for mode"),
        ("unix:/x?mode=7777", "'7777' is no value for mode"),
        ("tcp://:1?mode=600", "mode belongs to unix: endpoints"),
        ("tcp://:1?backlog=many", "'many' is no value for backlog"),
        ("tcp://:1?backlog=²", "'²' is no value for backlog"),
        ("tcp://:1?nodelay=perhaps", "'perhaps' is no value for nodelay"),
        ("tcp://:1?keepalive=", "'' is no value for keepalive"),
        ("tcp://:1?keepalive=٣", "'٣' is no value for keepalive"),
        ("tcp://:1?backlgo=5", "unknown option 'backlgo'; did you mean backlog?"),
        ("tcp://:1?zzz", "unknown option 'zzz'; options are backlog, nodelay, keepalive, mode"),
        ("fd://", "after fd:// comes a descriptor number"),
        ("fd://-1", "after fd:// comes a descriptor number"),
        ("fd://²", "after fd:// comes a descriptor number"),
        (f"fd://{'9' * 5_000}", "after fd:// comes a descriptor number"),
    ],
)
def test_what_is_no_endpoint_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(MalformedEndpoint) as caught:
        parse_endpoint(text)
    assert why in str(caught.value)
    assert isinstance(caught.value, UsageError)


@given(st.one_of(st.text(max_size=60), st.from_regex(r"(tcp|unix|fd|udp)://?.{0,20}(\?.{0,20})?", fullmatch=True)))
def test_any_text_is_an_endpoint_or_refused_as_one(text: str) -> None:
    try:
        parse_endpoint(text)
    except MalformedEndpoint:
        return


def test_an_endpoint_knows_what_it_is() -> None:
    assert Endpoint("udp", "::", 1).is_datagram
    assert not Endpoint("tcp", "::", 1).is_datagram
    assert [Endpoint(scheme).is_internet for scheme in ("tcp", "tls", "udp", "unix", "fd", "systemd")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("asked", "address", "came"),
    [
        ("tls://localhost:0", InternetAddress("127.0.0.1", 43_211), "tls://127.0.0.1:43211"),
        ("udp://:0", InternetAddress("::", 5_353), "udp://[::]:5353"),
        ("fd://3", InternetAddress("127.0.0.1", 80), "tcp://127.0.0.1:80"),
        ("systemd://x", UnixAddress("/run/x.sock"), "unix:/run/x.sock"),
    ],
)
def test_an_endpoint_shows_where_its_socket_really_is(
    asked: str, address: InternetAddress | UnixAddress, came: str
) -> None:
    assert str(parse_endpoint(asked).at(address)) == came


def test_the_port_can_be_replaced() -> None:
    assert str(parse_endpoint("tcp://localhost:0").with_port(7)) == "tcp://localhost:7"
