"""What is believed of a client behind proxies: what trusted ones say, and nothing that others say through them."""

from __future__ import annotations

import pytest

from portside.address import Address, InternetAddress, UnixAddress
from portside.errors import UsageError
from portside.protocols.http.forwarded import Proxies, forwarded_for, forwarded_scheme

HERE = InternetAddress("10.0.0.1", 5)


@pytest.mark.parametrize(
    ("texts", "peer", "trusts"),
    [
        (["10.0.0.0/8"], HERE, True),
        (["192.168.0.0/16, 10.0.0.1"], HERE, True),
        (["192.168.0.0/16", "10.0.0.0/8"], HERE, True),
        (["192.168.0.0/16"], HERE, False),
        (["::1"], InternetAddress("::1", 5), True),
        (["10.0.0.0/8"], InternetAddress("::ffff:10.0.0.1", 5), True),
        (["10.0.0.0/8"], InternetAddress("fe80::1%eth0", 5), False),
        (["unix"], UnixAddress(""), True),
        (["unix"], HERE, False),
        (["10.0.0.0/8"], UnixAddress("/run/x"), False),
        (["*"], HERE, True),
        (["*"], UnixAddress(""), True),
        ([], HERE, False),
    ],
)
def test_who_is_trusted(texts: list[str], peer: Address, trusts: bool) -> None:
    assert Proxies(texts).trusts(peer) is trusts


@pytest.mark.parametrize("text", ["10.0.0.1/8", "300.0.0.1", "proxy.example", "10.0.0.0/33", "::1/129"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a network"):
        Proxies(["10.0.0.0/8", text])


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"192.0.2.7", ("192.0.2.7", 0)),
        (b" 192.0.2.7 ", ("192.0.2.7", 0)),
        (b"192.0.2.7:4711", ("192.0.2.7", 4711)),
        (b"[2001:db8::1]:4711", ("2001:db8::1", 4711)),
        (b"[2001:db8::1]", ("2001:db8::1", 0)),
        (b"2001:DB8:0::1", ("2001:db8::1", 0)),
        (b"::ffff:192.0.2.7", ("192.0.2.7", 0)),
        (b"192.0.2.7, 10.0.0.2", ("192.0.2.7", 0)),  # another of our proxies
        (b"1.1.1.1, 192.0.2.7, 10.0.0.2,10.0.0.3", ("192.0.2.7", 0)),  # the first was made up by the client
        (b"10.0.0.9, 10.0.0.2", ("10.0.0.9", 0)),  # somebody of ours asks
        (b"unknown", None),
        (b"", None),
        (b",", None),
        (b"192.0.2.7, unknown", None),
        (b"192.0.2.7, _hidden, 10.0.0.2", ("10.0.0.2", 0)),
        (b"192.0.2.7, 10.0.0.2:x", None),
        (b"192.0.2.7, 10.0.0.2:99999", None),
        (b"01.2.3.4", None),
        (b"\xff", None),
    ],
)
def test_the_client_is_the_first_from_the_end_that_is_no_proxy_of_ours(
    chain: bytes, client: tuple[str, int] | None
) -> None:
    assert Proxies(["10.0.0.0/8"]).client_of(chain) == client


def test_with_everybody_trusted_it_is_the_first() -> None:
    assert Proxies(["*"]).client_of(b"1.1.1.1, 192.0.2.7") == ("1.1.1.1", 0)


def test_fields_are_read_together_in_their_order() -> None:
    assert forwarded_for([(b"x-forwarded-for", b"a"), (b"host", b"x"), (b"x-forwarded-for", b"b, c")]) == b"a,b, c"
    assert forwarded_for([(b"host", b"x")]) == b""


@pytest.mark.parametrize(
    ("values", "scheme"),
    [
        ([b"https"], "https"),
        ([b"HTTP"], "http"),
        ([b"wss"], "https"),
        ([b"ws"], "http"),
        ([b"http, https"], "https"),
        ([b"http", b"https"], "https"),
        ([b"gopher"], None),
        ([b"https, gopher"], None),
        ([b""], None),
        ([], None),
    ],
)
def test_the_scheme_is_what_the_last_proxy_says(values: list[bytes], scheme: str | None) -> None:
    assert forwarded_scheme([(b"host", b"x"), *((b"x-forwarded-proto", value) for value in values)]) == scheme
