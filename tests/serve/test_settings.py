"""How values are typed, and that the table says everything once and right."""

from __future__ import annotations

import contextlib
import dataclasses
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import parse_endpoint
from portside.errors import UsageError
from portside.serve.settings import (
    SETTINGS,
    HandlerSettings,
    Limits,
    ServerSettings,
    ServiceSettings,
    TlsSettings,
    parse_network,
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.1.0.0/8", "did you mean 10.0.0.0/8?"),
        ("localhost", "is not a network"),
        ("2001:db8::/129", "is not a network"),
    ],
)
def test_what_is_no_network_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_network(text)
    assert why in str(caught.value)


def test_networks() -> None:
    assert parse_network("192.0.2.0/24") == IPv4Network("192.0.2.0/24")
    assert parse_network("192.0.2.7") == IPv4Network("192.0.2.7/32")
    assert parse_network("2001:db8::/32") == IPv6Network("2001:db8::/32")


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_usage_error(text: str) -> None:
    for setting in SETTINGS:
        with contextlib.suppress(UsageError):
            setting.parse(text)


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
        "--dashboard": "off",
        "--dashboard-token": "none on loopback, else a new one is printed",
        "--admin": "off",
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
    made_by_the_configuration = {"name", "load", "what", "limits", "tls", "services", "sources", "starts_tls"}
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
