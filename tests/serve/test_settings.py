"""How values are typed, and that the table says everything once and right."""

from __future__ import annotations

import contextlib
import dataclasses
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import parse_endpoint
from portside.errors import UsageError
from portside.serve.settings import (
    DURATION_S_MAX,
    SETTINGS,
    SIZE_BYTES_MAX,
    HandlerSettings,
    Limits,
    ServerSettings,
    ServiceSettings,
    TlsSettings,
    parse_count,
    parse_duration,
    parse_network,
    parse_rate,
    parse_size,
    parse_switch,
    show_duration,
    show_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1s", 1.0),
        ("5m", 300.0),
        ("1h", 3_600.0),
        ("1d", 86_400.0),
        ("60", 60.0),
        ("0.25", 0.25),
        ("1.5h", 5_400.0),
        ("0", 0.0),
        (" 2 s ", 2.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4_096),
        ("64KiB", 65_536),
        ("10MB", 10_000_000),
        ("1.5KiB", 1_536),
        ("2 GiB", 2**31),
        ("1kB", 1_000),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("parse", "text", "why"),
    [
        (parse_duration, "60x", "'60x' is not a duration: write 500ms, 1s, 5m, 1h or 1d"),
        (parse_duration, "-1s", "is not a duration"),
        (parse_duration, "", "is not a duration"),
        (parse_duration, "nan", "is not a duration"),
        (parse_duration, "1e3", "is not a duration"),
        (parse_duration, "\u0661s", "is not a duration"),
        (parse_duration, "36501d", "at most 36500d"),
        (parse_duration, "9" * 400, "at most 36500d"),
        (parse_size, "64K", "did you mean 64KiB?"),
        (parse_size, "64 beer", "there is no unit 'beer'"),
        (parse_size, "0.3B", "whole number of bytes"),
        (parse_size, "9" * 400, "at most"),
        (parse_size, "-1", "is not a size"),
        (parse_rate, "5/m", "how many a second"),
        (parse_rate, "9" * 400, "is not a rate"),
        (parse_count, "3.5", "not a whole number"),
        (parse_count, "-3", "not a whole number"),
        (parse_switch, "maybe", "neither on nor off"),
        (parse_network, "10.1.0.0/8", "did you mean 10.0.0.0/8?"),
        (parse_network, "localhost", "is not a network"),
        (parse_network, "2001:db8::/129", "is not a network"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(parse: Any, text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert why in str(caught.value)


def test_other_values() -> None:
    assert [parse_rate("500"), parse_rate("0.5/s"), parse_rate("7 / s")] == [500.0, 0.5, 7.0]
    assert [parse_count("10_000"), parse_count("7")] == [10_000, 7]
    assert [parse_switch(text) for text in ("on", "TRUE", "1", "off", "no", "0")] == [True] * 3 + [False] * 3
    assert parse_network("192.0.2.0/24") == IPv4Network("192.0.2.0/24")
    assert parse_network("192.0.2.7") == IPv4Network("192.0.2.7/32")
    assert parse_network("2001:db8::/32") == IPv6Network("2001:db8::/32")


@given(st.integers(0, int(DURATION_S_MAX) * 1_000).map(lambda ms: ms / 1_000))
def test_a_duration_that_is_shown_can_be_typed(seconds: float) -> None:
    assert parse_duration(show_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@given(st.integers(0, SIZE_BYTES_MAX))
def test_a_size_that_is_shown_can_be_typed(size_bytes: int) -> None:
    assert parse_size(show_size(size_bytes)) == size_bytes


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_usage_error(text: str) -> None:
    for setting in SETTINGS:
        with contextlib.suppress(UsageError):
            setting.parse(text)


def test_durations_read_as_people_write_them() -> None:
    shown = [show_duration(seconds) for seconds in (0.5, 1, 10, 60, 90, 120, 3_600, 86_400, 0)]
    assert shown == ["500ms", "1s", "10s", "60s", "90s", "2m", "1h", "1d", "0s"]


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_defaults_are_those_of_the_contract() -> None:
    shown = {setting.option: setting.default_shown for setting in SETTINGS}
    assert shown == {
        "--listen": "9000 for run, its RFC's port for a battery",
        "--factory": "off",
        "--model": "event",
        "--workers": "1",
        "--pool": "8",
        "--drain": "10s",
        "--proxy-from": "off",
        "--allow": "all",
        "--deny": "none",
        "--amplify": "off",
        "--limit-connections": "10,000",
        "--limit-per-ip": "100",
        "--limit-accept-rate": "500/s",
        "--limit-idle": "60s",
        "--limit-life": "1d",
        "--limit-line": "64KiB",
        "--limit-bytes-in": "none",
        "--limit-bytes-out": "none",
        "--limit-datagrams": "1,000/s",
        "--tls-cert": "none",
        "--tls-key": "in the file of the certificate",
        "--tls-client-ca": "none",
        "--tls-alpn": "none",
        "--tls-self-signed": "off",
        "--control": "off",
        "--user": "none",
        "--group": "none",
        "--log-format": "pretty on a terminal, else json",
        "--log-level": "info",
        "--reload": "off",
    }


def test_one_name_in_every_place() -> None:
    idle = next(setting for setting in SETTINGS if setting.name == "limit-idle")
    assert (idle.option, idle.variable, idle.path) == ("--limit-idle", "PORTSIDE_LIMIT_IDLE", "limits.idle")


@pytest.mark.parametrize("home", [Limits, TlsSettings, HandlerSettings, ServiceSettings, ServerSettings])
def test_every_field_that_can_be_set_is_in_the_table(home: type) -> None:
    made_by_the_configuration = {"name", "load", "what", "limits", "tls", "services", "sources"}
    fields = {field.name for field in dataclasses.fields(home)} - made_by_the_configuration
    assert {setting.field for setting in SETTINGS if setting.home is home} == fields


def test_what_is_shown_as_default_can_be_typed() -> None:
    for setting in SETTINGS:
        if setting.default_text is None and setting.default not in (None, ()):
            assert setting.parse(setting.default_shown.replace(",", "_")) == setting.default


def test_a_value_below_the_least_is_refused() -> None:
    workers = next(setting for setting in SETTINGS if setting.name == "workers")
    with pytest.raises(UsageError, match="workers is at least 1"):
        workers.parse("0")


def test_none_takes_away_what_can_be_absent() -> None:
    by_name = {setting.name: setting for setting in SETTINGS}
    assert by_name["limit-bytes-in"].parse("none") is None
    with pytest.raises(UsageError, match="is not a duration"):
        by_name["limit-idle"].parse("none")


def test_endpoints_are_those_of_addresses() -> None:
    listen = SETTINGS[0]
    assert listen.parse(":9000") == parse_endpoint("tcp://[::]:9000")
