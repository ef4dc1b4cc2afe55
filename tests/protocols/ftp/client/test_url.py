"""URLs of files on FTP servers, by RFC 1738 section 3.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import MalformedEndpoint
from portside.protocols.ftp.client.url import FtpUrl, is_url, join, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ftp://host.example", FtpUrl("ftp", "host.example", 21)),
        ("ftp://host.example/", FtpUrl("ftp", "host.example", 21)),
        ("FTP://host/a/b.txt", FtpUrl("ftp", "host", 21, "a/b.txt")),
        ("ftp://host//etc/motd", FtpUrl("ftp", "host", 21, "/etc/motd")),
        ("ftp://host/%2Fetc/motd", FtpUrl("ftp", "host", 21, "/etc/motd")),
        ("ftp://host/a%20b%3F", FtpUrl("ftp", "host", 21, "a b?")),
        ("ftp://host/what?#really", FtpUrl("ftp", "host", 21, "what?#really")),
        ("ftp://host/a;type=i", FtpUrl("ftp", "host", 21, "a")),
        ("ftp://anna@host:2121/a", FtpUrl("ftp", "host", 2121, "a", "anna")),
        ("ftp://anna:s%3Ae@c%40ret@host/", FtpUrl("ftp", "host", 21, "", "anna", "s:e@c@ret")),
        ("ftp://anna:@host/", FtpUrl("ftp", "host", 21, "", "anna", "")),
        ("ftps://host/", FtpUrl("ftps", "host", 990)),
        ("ftpes://[2001:db8::1]:2121/x", FtpUrl("ftpes", "2001:db8::1", 2121, "x")),
        ("ftp://[::]:2121/", FtpUrl("ftp", "localhost", 2121)),
        ("ftp://host/%FF", FtpUrl("ftp", "host", 21, "\udcff")),
    ],
)
def test_a_url_names_a_place(text: str, expected: FtpUrl) -> None:
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("host/a", "it starts with one of ftp://, ftpes://, ftps://"),
        ("sftp://host/a", "did you mean ftp?"),
        ("gopher://host/a", "it starts with one of"),
        ("ftp:///a", "the host is missing"),
        ("ftp://:2121/a", "the host is missing"),
        ("ftp://2121/a", "the host is missing"),
        ("ftp://host:0/", "port 0"),
        ("ftp://host:99999/", "'99999'"),
        ("ftp://host?a", "a '/' is missing"),
        ("ftp://ho st/", "neither an address nor a host name"),
        ("ftp://host/a%0D%0ADELE%20b", "CR, LF and NUL"),
        ("ftp://anna:x%00@host/a", "CR, LF and NUL"),
        ("ftp://host/a;type=a", "type=i is the only type"),
    ],
)
def test_what_names_no_place_is_said_so(text: str, said: str) -> None:
    with pytest.raises(MalformedEndpoint, match=said.replace("?", r"\?")):
        parse_url(text)


@pytest.mark.parametrize("text", ["ftx://anna:secret@host/", "ftp://anna:secret@host:0/", "ftp://anna:secret@h/a%00"])
def test_a_password_is_never_shown(text: str) -> None:
    with pytest.raises(MalformedEndpoint) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)
    assert "anna:***@h" in str(caught.value)
    assert "secret" not in repr(parse_url("ftp://anna:secret@host/a"))
    assert str(parse_url("ftp://anna:secret@host/a")) == "ftp://anna@host/a"


def test_how_tls_begins_is_said_by_the_scheme() -> None:
    schemes = {scheme: parse_url(f"{scheme}://h/").security for scheme in ("ftp", "ftpes", "ftps")}
    assert schemes == {"ftp": "none", "ftpes": "explicit", "ftps": "implicit"}


NAMES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1)


@given(NAMES, NAMES, st.sampled_from(["ftp", "ftps", "ftpes"]), st.integers(1, 65_535))
def test_a_url_that_is_shown_can_be_read_again(path: str, user: str, scheme: str, port: int) -> None:
    url = FtpUrl(scheme, "host.example", port, path, user)
    assert parse_url(str(url)) == url


@given(st.text())
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for candidate in (text, f"ftp://{text}"):
        try:
            parse_url(candidate)
        except MalformedEndpoint:
            continue


def test_a_path_of_this_machine_is_no_url() -> None:
    assert [is_url(text) for text in ("ftp://h/", "HTTP://h", "a.txt", "./ftp://x", "c:/x")] == [
        *(True, True),
        *(False, False, False),
    ]


def test_names_are_joined_to_directories() -> None:
    assert [join(directory, "n") for directory in ("", "a", "a/", "/")] == ["n", "a/n", "a/n", "/n"]
