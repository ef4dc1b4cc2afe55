"""Passwords as they are kept: one line of text a hash, and what verifies against it.

Shape:  ``$FORM$PARAMETERS$SALT$HASH``, the PHC string format; salt and hash in base64 without padding.
        ``$scrypt$ln=15,r=8,p=1$…$…`` needs nothing but Python (RFC 7914; passlib writes and reads the same),
        ``$argon2id$v=19$m=65536,t=3,p=4$…$…`` needs the extra ``auth`` (RFC 9106).
Source: https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md

Parameters are read from the hash, so hashes of other strengths go on working, within bounds: a file must not be able
to take all memory, or minutes, for each login.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import importlib.util
import os
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, get_args

from portside.errors import MissingExtra, UsageError

Form: TypeAlias = Literal["scrypt", "argon2id"]

FORMS: Final[tuple[Form, ...]] = get_args(Form)
MEMORY_MIB_MAX: Final = 256  # what verifying one password may take
TIMES_MAX: Final = 16  # how many times as long as a hash of ours another may take

# OWASP asks for ln=17 and 128 MiB, of machines that do little else; this is 32 MiB and an eighth of a second on a
# small one.
SCRYPT_LN, SCRYPT_R, SCRYPT_P = 15, 8, 1
# RFC 9106 section 4, the second recommended option: 64 MiB, three passes, four lanes.
ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES = 65_536, 3, 4
ARGON2_VERSION: Final = 19  # 1.3, the RFC's

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
_SALT_BYTES_MIN: Final = 8  # RFC 9106 section 3.1
_HASH_BYTES_MIN: Final = 16  # of shorter ones the hash would be guessed, and not the password
_BYTES_MAX: Final = 64  # of either

_TEXT: Final = re.compile(r"\$([a-z0-9-]+)\$(.*)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)", re.ASCII)
_SCRYPT_PARAMETERS: Final = re.compile(r"ln=(\d{1,2}),r=(\d{1,4}),p=(\d{1,4})", re.ASCII)
_ARGON2_PARAMETERS: Final = re.compile(rf"v={ARGON2_VERSION}\$m=(\d{{1,8}}),t=(\d{{1,6}}),p=(\d{{1,4}})", re.ASCII)
_KEPT: Final = "kept"  # the form of what only ever is in memory


# ── the forms ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Recipe(Protocol):
    """The parameters of a form: how a password and a salt become a hash."""

    def make(self, password: bytes, salt: bytes, size_bytes: int) -> bytes:
        """Return the hash. Raises: MissingExtra."""


@dataclass(frozen=True, slots=True)
class _Scrypt:
    """The parameters of RFC 7914: the logarithm of the cost N, the block size and the parallelism."""

    ln: int = SCRYPT_LN
    r: int = SCRYPT_R
    p: int = SCRYPT_P

    def __post_init__(self) -> None:
        if min(self.ln, self.r, self.p) < 1:
            raise UsageError("its parameters are at least 1")
        _refuse_excess(self._memory_bytes, (self.r * self.p << self.ln) / (SCRYPT_R * SCRYPT_P << SCRYPT_LN))

    @property
    def _memory_bytes(self) -> int:
        return 128 * self.r * ((1 << self.ln) + self.p + 2)  # RFC 7914 section 5: V, B, and the scratch of a block

    def make(self, password: bytes, salt: bytes, size_bytes: int) -> bytes:
        return hashlib.scrypt(
            password, salt=salt, n=1 << self.ln, r=self.r, p=self.p, maxmem=self._memory_bytes, dklen=size_bytes
        )


@dataclass(frozen=True, slots=True)
class _Argon2id:
    """The parameters of RFC 9106: memory, passes over it, and lanes that could be filled side by side."""

    memory_kib: int = ARGON2_MEMORY_KIB
    passes: int = ARGON2_PASSES
    lanes: int = ARGON2_LANES

    def __post_init__(self) -> None:
        if min(self.passes, self.lanes) < 1 or self.memory_kib < 8 * self.lanes:  # section 3.1
            raise UsageError("its parameters are at least t=1, p=1 and m=8 for each of p")
        work_times = self.memory_kib * self.passes / (ARGON2_MEMORY_KIB * ARGON2_PASSES)
        _refuse_excess(self.memory_kib << 10, max(work_times, self.lanes / ARGON2_LANES))  # a lane can be a thread

    def make(self, password: bytes, salt: bytes, size_bytes: int) -> bytes:
        _require_argon2()
        from argon2.low_level import Type, hash_secret_raw

        return hash_secret_raw(
            password, salt, self.passes, self.memory_kib, self.lanes, size_bytes, Type.ID, ARGON2_VERSION
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """A digest that takes no time: see ``keep_password``."""

    def make(self, password: bytes, salt: bytes, size_bytes: int) -> bytes:
        return hashlib.blake2b(password, key=salt, digest_size=size_bytes).digest()


def _refuse_excess(memory_bytes: int, times: float) -> None:
    if memory_bytes >> 20 > MEMORY_MIB_MAX:
        raise UsageError(f"it would take {memory_bytes >> 20} MiB a login, and may take {MEMORY_MIB_MAX}")
    if times > TIMES_MAX:
        raise UsageError(f"it would take {times:.0f} times as long as ours, and may take {TIMES_MAX}")


def _require_argon2() -> None:
    if importlib.util.find_spec("argon2") is None:
        raise MissingExtra("a password hashed with argon2id", "auth")


# ── making ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def hash_password(password: str, form: Form = "scrypt") -> str:
    """Return a new hash of the password. Takes an eighth of a second or more, and tens of megabytes.

    Raises: MissingExtra for ``argon2id`` without the extra ``auth``.
    """
    if form == "argon2id":
        written = f"v={ARGON2_VERSION}$m={ARGON2_MEMORY_KIB},t={ARGON2_PASSES},p={ARGON2_LANES}"
        return _build(form, written, _Argon2id(), password)
    return _build(form, f"ln={SCRYPT_LN},r={SCRYPT_R},p={SCRYPT_P}", _Scrypt(), password)


def keep_password(password: str) -> str:
    """Return a digest that verifies at once. For memory only: whoever has it can guess fast.

    It is for passwords that whoever could read our memory can read anyway, such as those on our command line.
    """
    return _build(_KEPT, "", _Kept(), password)


def _build(form: str, parameters: str, recipe: _Recipe, password: str) -> str:
    salt = os.urandom(SALT_BYTES)
    made = recipe.make(_bytes_of(password), salt, HASH_BYTES)
    return f"${form}${parameters}${_to_base64(salt)}${_to_base64(made)}"


def _bytes_of(password: str) -> bytes:
    # RFC 8265 section 4.2.2: the same letters, typed on another system, are the same password. Bytes of a peer that
    # are not UTF-8 come as surrogates, and are a password too.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


# ── verifying ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Stored:
    """A hash that was read."""

    form: str
    recipe: _Recipe
    salt: bytes
    wanted: bytes


def verify_password(password: str, stored: str) -> bool:
    """Return whether it is the password of the stored hash. Right or wrong, that takes the same time.

    Raises: UsageError for a text that is no hash, MissingExtra for one whose package is not installed.
    """
    known = _parse(stored)
    made = known.recipe.make(_bytes_of(password), known.salt, len(known.wanted))
    return hmac.compare_digest(made, known.wanted)


def verifies_at_once(stored: str) -> bool:
    """Return whether verifying takes no time worth a thread."""
    return stored.startswith(f"${_KEPT}$")


def check_hash(stored: str, *, to_verify: bool = False) -> None:
    """Raise for a text that a file cannot have as a hash. The sentence never holds it: it may be a password.

    Raises: UsageError; with ``to_verify``, MissingExtra for one whose package is not installed.
    """
    form = _parse(stored).form
    if form not in FORMS:
        raise UsageError(_UNKNOWN)
    if form == "argon2id" and to_verify:
        _require_argon2()


_UNKNOWN: Final = "it is no hash of a password: $scrypt$… or $argon2id$…, as `portside users passwd` writes it"


def _parse(stored: str) -> _Stored:
    parts = _TEXT.fullmatch(stored)
    if parts is None:
        raise UsageError(_UNKNOWN)
    form, parameters, *encoded = parts.groups()
    recipe = _parse_recipe(form, parameters)
    try:
        salt, wanted = (base64.b64decode(text + "=" * (-len(text) % 4), validate=True) for text in encoded)
    except binascii.Error:
        raise UsageError("its salt or hash is cut: no base64 has such a length") from None
    if not (_SALT_BYTES_MIN <= len(salt) <= _BYTES_MAX and _HASH_BYTES_MIN <= len(wanted) <= _BYTES_MAX):
        raise UsageError(
            f"its salt has {len(salt)} bytes and its hash {len(wanted)}: "
            f"they have at least {_SALT_BYTES_MIN} and {_HASH_BYTES_MIN}, and at most {_BYTES_MAX}"
        )
    return _Stored(form, recipe, salt, wanted)


def _parse_recipe(form: str, parameters: str) -> _Recipe:
    if form == "scrypt" and (numbers := _SCRYPT_PARAMETERS.fullmatch(parameters)):
        return _Scrypt(*map(int, numbers.groups()))
    if form == "argon2id" and (numbers := _ARGON2_PARAMETERS.fullmatch(parameters)):
        return _Argon2id(*map(int, numbers.groups()))
    if form == _KEPT and not parameters:
        return _Kept()
    raise UsageError(_UNKNOWN)


# What a password is tried against where nobody has one: no password comes to a hash of zeros.
NOBODY: Final = f"$scrypt$ln={SCRYPT_LN},r={SCRYPT_R},p={SCRYPT_P}${'A' * 22}${'A' * 43}"
