"""Hashes of passwords: their text form, what verifies, and what a file cannot make us do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.accounts import passwords
from portside.accounts.passwords import (
    FORMS,
    NOBODY,
    check_hash,
    hash_password,
    keep_password,
    verifies_at_once,
    verify_password,
)
from portside.errors import MissingExtra, PortsideError, UsageError
from support.accounts import quick_hash


def unpadded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


# ── forms ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=FORMS)
def stored(request: pytest.FixtureRequest) -> str:
    """A hash of "geheim" in each form, as it is made for a new user."""
    if request.param == "argon2id":
        pytest.importorskip("argon2")
    return hash_password("geheim", request.param)


def test_what_is_hashed_verifies_and_nothing_else_does(stored: str) -> None:
    check_hash(stored)
    assert not verifies_at_once(stored)
    assert verify_password("geheim", stored)
    assert not verify_password("geheim ", stored)


def test_the_form_is_the_one_that_was_asked_for(stored: str, request: pytest.FixtureRequest) -> None:
    assert stored.startswith(f"${request.node.callspec.params['stored']}$")


def test_an_scrypt_hash_has_the_parameters_that_are_promised() -> None:
    stored = hash_password("geheim")
    match = re.fullmatch(r"\$scrypt\$ln=15,r=8,p=1\$([\w+/]{22})\$([\w+/]{43})", stored)
    assert match is not None
    salt, made = (base64.b64decode(part + "==") for part in match.groups())
    assert hashlib.scrypt(b"geheim", salt=salt, n=2**15, r=8, p=1, maxmem=2**26, dklen=32) == made


def test_the_same_password_has_another_salt_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashlib, "scrypt", lambda password, **parameters: parameters["salt"] * 2)
    assert keep_password("geheim") != keep_password("geheim")
    assert hash_password("geheim") != hash_password("geheim")


def test_the_rfc_s_own_vector_verifies() -> None:
    """RFC 7914 section 12, the third vector."""
    made = bytes.fromhex(
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    )
    stored = f"$scrypt$ln=14,r=8,p=1${unpadded(b'SodiumChloride')}${unpadded(made)}"
    assert verify_password("pleaseletmein", stored)
    assert not verify_password("pleaseletmeout", stored)


def test_argon2_understands_our_hashes_and_we_theirs(stored: str) -> None:
    argon2 = pytest.importorskip("argon2")
    if stored.startswith("$argon2id$"):
        assert argon2.PasswordHasher().verify(stored, "geheim")
        assert not argon2.PasswordHasher().check_needs_rehash(stored), "ours are as strong as its own"
    theirs = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("geheim")
    check_hash(theirs)
    assert verify_password("geheim", theirs)
    assert not verify_password("geheimer", theirs)


def test_without_the_package_argon2_is_refused_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = f"$argon2id$v=19$m=64,t=1,p=1${'A' * 22}${'A' * 43}"
    monkeypatch.setitem(sys.modules, "argon2", None)
    check_hash(stored)  # whoever only lists or removes users need not have it
    for ask in (
        lambda: check_hash(stored, to_verify=True),
        lambda: verify_password("x", stored),
        lambda: hash_password("x", "argon2id"),
    ):
        with pytest.raises(MissingExtra, match=r"portside\[auth\]"):
            ask()


def test_a_password_that_is_kept_in_memory_verifies_at_once_and_is_none_for_a_file() -> None:
    kept = keep_password("geheim")
    assert verifies_at_once(kept)
    assert "geheim" not in kept
    assert verify_password("geheim", kept)
    assert not verify_password("gehein", kept)
    with pytest.raises(UsageError, match="no hash of a password"):
        check_hash(kept)


def test_nobody_s_hash_costs_what_a_new_one_costs_and_no_password_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def scrypt(password: bytes, **parameters: Any) -> bytes:
        asked.append(parameters | {"salt": len(parameters["salt"])})
        return b"\1" * int(parameters["dklen"])

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    stored = hash_password("geheim")
    assert verify_password("geheim", stored)
    assert not verify_password("geheim", NOBODY)
    assert asked[0] == asked[1] == asked[2]


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_letter_is_the_same_however_its_system_composes_it() -> None:
    """RFC 8265 section 4.2.2: NFC."""
    assert verify_password("cafe\N{COMBINING ACUTE ACCENT}", quick_hash("caf\N{LATIN SMALL LETTER E WITH ACUTE}"))


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=20), st.text(max_size=20))
def test_any_text_is_a_password(password: str, other: str) -> None:
    kept = keep_password(password)
    assert verify_password(password, kept)
    assert verify_password(other, kept) == (passwords._bytes_of(other) == passwords._bytes_of(password))


# ── what a file may say ──────────────────────────────────────────────────────────────────────────────────────────────

SALT, HASH = "A" * 22, "A" * 43


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ("geheim", "no hash of a password"),
        ("", "no hash of a password"),
        (f"$md5$x${SALT}${HASH}", "no hash of a password"),
        (f"$scrypt$ln=15,r=8${SALT}${HASH}", "no hash of a password"),
        (f"$scrypt$ln=15,r=8,p=1${SALT}${HASH}\n", "no hash of a password"),
        (f"$scrypt$ln=٣,r=8,p=1${SALT}${HASH}", "no hash of a password"),
        (f"$argon2i$v=19$m=64,t=1,p=1${SALT}${HASH}", "no hash of a password"),
        (f"$argon2id$v=16$m=64,t=1,p=1${SALT}${HASH}", "no hash of a password"),
        (f"$scrypt$ln=0,r=8,p=1${SALT}${HASH}", "at least 1"),
        (f"$scrypt$ln=15,r=0,p=1${SALT}${HASH}", "at least 1"),
        (f"$scrypt$ln=19,r=8,p=1${SALT}${HASH}", "would take 512 MiB a login, and may take 256"),
        (f"$scrypt$ln=99,r=8,p=1${SALT}${HASH}", "MiB a login"),
        (f"$scrypt$ln=15,r=8,p=17${SALT}${HASH}", "17 times as long as ours"),
        (f"$scrypt$ln=1,r=9999,p=9999${SALT}${HASH}", "MiB a login"),
        (f"$argon2id$v=19$m=10485760,t=1,p=1${SALT}${HASH}", "would take 10240 MiB a login"),
        (f"$argon2id$v=19$m=65536,t=999999,p=1${SALT}${HASH}", "times as long as ours"),
        (f"$argon2id$v=19$m=65536,t=1,p=1000${SALT}${HASH}", "times as long as ours"),
        (f"$argon2id$v=19$m=7,t=1,p=1${SALT}${HASH}", "m=8 for each of p"),
        (f"$scrypt$ln=15,r=8,p=1$AAAAA${HASH}", "no base64 has such a length"),
        (f"$scrypt$ln=15,r=8,p=1$AAAA${HASH}", "its salt has 3 bytes and its hash 32"),
        (f"$scrypt$ln=15,r=8,p=1${SALT}$AAAA", "its hash 3"),
        (f"$scrypt$ln=15,r=8,p=1${SALT}${'A' * 100}", "at most 64"),
    ],
)
def test_what_is_no_hash_or_would_take_too_much_is_refused(stored: str, why: str) -> None:
    for refuse in (check_hash, lambda text: verify_password("x", text)):
        with pytest.raises(UsageError) as caught:
            refuse(stored)
        assert why in str(caught.value)


def test_the_sentence_does_not_tell_what_may_be_a_password() -> None:
    with pytest.raises(UsageError) as caught:
        check_hash("sesame, in the clear")
    assert "sesame" not in str(caught.value)


def texts_of(form: str, *parameters: str) -> st.SearchStrategy[str]:
    """Return texts like hashes of the form, with any small or large numbers as parameters."""
    numbers = st.one_of(st.integers(0, 20), st.integers(0, 9_999), st.integers(0, 10**8))
    values = st.tuples(*(numbers.map(lambda number, key=key: f"{key}={number}") for key in parameters))
    return values.map(lambda said: f"${form}${','.join(said)}${SALT}${HASH}")


@given(
    st.one_of(
        st.text(max_size=80),
        texts_of("scrypt", "ln", "r", "p"),
        texts_of("argon2id$v=19", "m", "t", "p"),
    )
)
def test_any_text_is_a_hash_or_refused_and_what_is_one_is_bounded(stored: str) -> None:
    with contextlib.suppress(PortsideError):
        check_hash(stored)
        recipe = passwords._parse(stored).recipe
        assert isinstance(recipe, passwords._Scrypt | passwords._Argon2id)
        if isinstance(recipe, passwords._Scrypt):
            assert recipe._memory_bytes <= 257 << 20
        else:
            assert recipe.memory_kib <= 256 << 10
