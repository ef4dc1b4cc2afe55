"""What tests of accounts need: hashes that cost nothing, and logins made of them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from portside.accounts.account import Account
from portside.accounts.book import Login


def quick_hash(password: str, *, salt: bytes = b"0123456789abcdef") -> str:
    """Return an scrypt hash of the least cost there is, made without the code under test."""
    made = hashlib.scrypt(password.encode(), salt=salt, n=2, r=8, p=1, dklen=32)
    return "$".join(
        ("", "scrypt", "ln=1,r=8,p=1", *(base64.b64encode(part).decode().rstrip("=") for part in (salt, made)))
    )


def login(name: str, password: str = "geheim", **account: Any) -> Login:
    """Return a login; what is not said of the account is its default."""
    return Login(Account(name, **account), quick_hash(password))
