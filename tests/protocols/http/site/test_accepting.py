"""What clients take: weights, compressed forms, and forms of pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.protocols.http.site.accepting import form_of_listing, form_of_problem, qualities
from portside.protocols.http.site.encodings import codings_taken

FIREFOX = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def test_weights_are_read() -> None:
    assert qualities(b"a, B;q=0.5 ,c; q=0,d;x=1;q=0.25,,e;q=2,f;Q=1.0") == {
        b"a": 1.0, b"b": 0.5, b"c": 0.0, b"d": 0.25, b"e": 1.0, b"f": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "tokens"),
    [
        (b"", []),
        (b"gzip", [b"gzip"]),
        (b"x-gzip", [b"gzip"]),
        (b"gzip, deflate, br, zstd", [b"br", b"zstd", b"gzip"]),
        (b"gzip;q=1.0, br;q=0.5", [b"gzip", b"br"]),
        (b"br;q=0, gzip", [b"gzip"]),
        (b"*", [b"br", b"zstd", b"gzip"]),
        (b"*;q=0.1, gzip", [b"gzip", b"br", b"zstd"]),
        (b"gzip;q=0.5, identity", []),  # the plain one is liked better
        (b"gzip;q=0", []),
        (b"deflate", []),
    ],
)
def test_which_compressed_forms_are_taken(header: bytes, tokens: list[bytes]) -> None:
    assert [coding.token for coding in codings_taken(header)] == tokens


@pytest.mark.parametrize(
    ("accept", "listing", "problem"),
    [
        (b"", "html", "text"),
        (b"*/*", "html", "text"),  # curl, wget
        (FIREFOX, "html", "html"),
        (b"application/json", "json", "json"),
        (b"application/json, */*;q=0.5", "json", "json"),
        (b"application/json;q=0.5, text/html", "html", "html"),
        (b"text/plain", "html", "text"),
    ],
)
def test_in_which_form_a_page_is_wanted(accept: bytes, listing: str, problem: str) -> None:
    assert (form_of_listing(accept), form_of_problem(accept)) == (listing, problem)


@given(st.binary(max_size=80))
def test_no_list_is_worth_an_error(text: bytes) -> None:
    assert all(0 <= weight <= 1 for weight in qualities(text).values())
    codings_taken(text)
    form_of_listing(text)
    form_of_problem(text)
