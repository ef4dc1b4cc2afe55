"""Logins that are remembered for a while."""

from __future__ import annotations

from portside.accounts.remembered import Remembered


def test_what_was_verified_is_remembered_until_it_ends() -> None:
    remembered = Remembered(300.0)
    remembered.add("anna", "geheim", "$hash", now_s=1_000.0)
    assert remembered.has("anna", "geheim", "$hash", now_s=1_299.0)
    assert not remembered.has("anna", "geheim", "$hash", now_s=1_300.0)


def test_nothing_else_is_remembered() -> None:
    remembered = Remembered(300.0)
    remembered.add("anna", "geheim", "$hash", now_s=0.0)
    assert not remembered.has("anna", "geheime", "$hash", now_s=0.0)
    assert not remembered.has("annage", "heim", "$hash", now_s=0.0)
    assert not remembered.has("anna", "geheim", "$another", now_s=0.0)  # the password was changed


def test_a_use_does_not_make_it_last_longer_and_another_verification_does() -> None:
    remembered = Remembered(300.0)
    remembered.add("anna", "geheim", "$hash", now_s=0.0)
    assert remembered.has("anna", "geheim", "$hash", now_s=299.0)
    assert not remembered.has("anna", "geheim", "$hash", now_s=301.0)
    remembered.add("anna", "geheim", "$hash", now_s=301.0)
    assert remembered.has("anna", "geheim", "$hash", now_s=600.0)


def test_only_so_many_are_remembered_and_the_oldest_go_first() -> None:
    remembered = Remembered(300.0, size_max=2)
    for now_s, name in enumerate(("anna", "bert", "anna", "carl")):
        remembered.add(name, "geheim", "$hash", now_s=now_s)
    known = [name for name in ("anna", "bert", "carl") if remembered.has(name, "geheim", "$hash", now_s=4.0)]
    assert known == ["anna", "carl"]


def test_what_is_kept_is_not_the_password_and_means_nothing_elsewhere() -> None:
    one, other = Remembered(300.0), Remembered(300.0)
    for remembered in (one, other):
        remembered.add("anna", "geheim", "$hash", now_s=0.0)
    assert set(one._ends_s) != set(other._ends_s)
    assert all(len(digest) == 32 for digest in one._ends_s)
