"""Command line over environment, and every mistake with its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import parse_endpoint
from portside.serve.config import Configuration, configure_one
from portside.serve.mistakes import Mistakes
from portside.serve.settings import SETTINGS, Limits, ServiceSettings, TlsSettings
from support.configuring import Names, mistakes_of, no_others


def run(
    environment: Mapping[str, str] | None = None,
    *,
    battery: str | None = None,
    others: Callable[[], Collection[str]] = no_others,
    arguments: Mapping[str, object] | None = None,
    **options: object,
) -> Configuration:
    """Configure ``shout:shout``, or a battery, with options named like parameters."""
    names = Names()
    return configure_one(
        lambda factory: names.battery(battery) if battery else names.handler("shout:shout", factory=factory),
        asked="portside run",
        arguments=arguments or {},
        options={name.replace("_", "-"): value for name, value in options.items()},
        environment=environment or {},
        other_variables=others,
    )


def service(configuration: Configuration) -> ServiceSettings:
    (only,) = configuration.settings.services
    return only


# ── one service ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_word_everything_is_as_the_contract_has_it() -> None:
    found = service(run())
    assert found.listen == (parse_endpoint("tcp://[::]:9000"),)
    assert (found.name, found.what, found.model, found.workers, found.pool) == ("shout", "shout:shout", "event", 1, 8)
    assert (found.drain_s, found.limits, found.tls, found.amplify) == (10.0, Limits(), TlsSettings(), False)
    assert (found.proxy_from, found.allow, found.deny) == ((), (), ())
    server = run().settings
    assert (server.control, server.user, server.group) == (None, None, None)
    assert (server.log_format, server.log_level, server.reload) == (None, "info", False)


def test_the_command_line_wins_over_the_environment() -> None:
    environment = {"PORTSIDE_LIMIT_IDLE": "5m", "PORTSIDE_MODEL": "thread", "PORTSIDE_RELOAD": "1"}
    found = run(environment, limit_idle="2s", reload=False)
    assert service(found).limits.idle_s == 2.0
    assert service(found).model == "thread"
    assert found.settings.reload is False


def test_a_list_replaces_the_list_below_it() -> None:
    environment = {"PORTSIDE_LISTEN": "tcp://127.0.0.1:1, udp://127.0.0.1:2", "PORTSIDE_ALLOW": "10.0.0.0/8,192.0.2.1"}
    assert service(run(environment)).listen == (
        parse_endpoint("tcp://127.0.0.1:1"),
        parse_endpoint("udp://127.0.0.1:2"),
    )
    found = service(run(environment, listen=(":4",), allow=("127.0.0.0/8,10.0.0.0/8", "192.0.2.0/24")))
    assert found.listen == (parse_endpoint(":4"),)
    assert found.allow == (IPv4Network("127.0.0.0/8"), IPv4Network("10.0.0.0/8"), IPv4Network("192.0.2.0/24"))


def test_every_setting_arrives_in_its_field(tmp_path: Path) -> None:
    pem = tmp_path / "a.pem"
    pem.write_text("")
    typed: dict[str, tuple[str, object]] = {
        "PORTSIDE_DRAIN": ("3s", 3.0),
        "PORTSIDE_POOL": ("3", 3),
        "PORTSIDE_WORKERS": ("4", 4),
        "PORTSIDE_AMPLIFY": ("on", True),
        "PORTSIDE_PROXY_FROM": ("10.0.0.0/8", (IPv4Network("10.0.0.0/8"),)),
        "PORTSIDE_DENY": ("10.0.0.0/8", (IPv4Network("10.0.0.0/8"),)),
    }
    found = service(run({name: text for name, (text, _) in typed.items()}))
    assert (found.drain_s, found.pool, found.workers, found.amplify, found.proxy_from, found.deny) == tuple(
        value for _, value in typed.values()
    )
    limits = service(
        run(
            limit_connections="1",
            limit_per_ip="2",
            limit_accept_rate="3",
            limit_idle="4",
            limit_life="5",
            limit_line="6",
            limit_bytes_in="7",
            limit_bytes_out="8KiB/s",
            limit_datagrams="9",
        )
    ).limits
    assert limits == Limits(1, 2, 3.0, 4.0, 5.0, 6, 7.0, 8_192.0, 9.0)
    tls = service(run(tls_cert=(str(pem),), tls_client_ca=str(pem), tls_alpn=("a,b",), tls_self_signed=True)).tls
    assert tls == TlsSettings(((str(pem), str(pem)),), str(pem), ("a", "b"), True)
    server = run(control="/run/x", user="0", group="0", log_format="json", log_level="debug", reload=True).settings
    assert (server.control, server.user, server.group) == ("/run/x", "0", "0")
    assert (server.log_format, server.log_level, server.reload) == ("json", "debug", True)


def test_what_is_loaded_knows_the_arguments_and_the_kinds_of_endpoints() -> None:
    found = service(run(battery="web", arguments={"root": "here"}))
    assert found.load().name == "{'root': 'here'} True False"
    found = service(run(listen=("udp://:5", "tcp://:5")))
    assert found.load().name == "{} True True"


def test_factory_reaches_whoever_finds_the_handler() -> None:
    assert service(run(factory=True)).what == "shout:shout()"
    assert service(run({"PORTSIDE_FACTORY": "on"})).what == "shout:shout()"


def test_a_battery_listens_on_its_own_port_and_tls_asks_for_tls() -> None:
    assert service(run(battery="echo")).listen == (parse_endpoint("tcp://[::]:7"),)
    assert service(run(battery="echo", tls_self_signed=True)).listen == (parse_endpoint("tls://[::]:7"),)
    assert service(run(battery="echo", listen=("udp://[::]",))).listen == (parse_endpoint("udp://[::]:7"),)


def test_port_is_where_to_listen_when_nobody_says() -> None:
    assert service(run({"PORT": "8080"})).listen == (parse_endpoint(":8080"),)
    assert service(run({"PORT": "8080"}, battery="echo")).listen == (parse_endpoint(":8080"),)
    assert service(run({"PORT": "8080"}, listen=(":1",))).listen == (parse_endpoint(":1"),)
    assert service(run({"PORT": "no"}, listen=(":1",))).listen == (parse_endpoint(":1"),)
    (mistake,) = mistakes_of(lambda: run({"PORT": "http"}))
    assert mistake.startswith("PORT: ")


def test_an_empty_variable_says_nothing() -> None:
    assert service(run({"PORTSIDE_MODEL": "", "PORTSIDE_LISTEN": " ", "PORT": ""})).model == "event"


def test_certificates_are_paired_with_their_keys(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a.pem", "a.key", "b.pem", "b.key")]
    for name in names:
        Path(name).write_text("")
    a, a_key, b, b_key = names
    assert service(run(tls_cert=(a, b), tls_key=(a_key, b_key))).tls.certificates == ((a, a_key), (b, b_key))
    assert mistakes_of(lambda: run(tls_cert=(a, b), tls_key=(a_key,))) == [
        "--tls-key: every certificate has its key: there are 2 of tls-cert and 1 of tls-key"
    ]


def test_all_mistakes_come_at_once_with_their_places() -> None:
    environment = {"PORTSIDE_LIMIT_IDEL": "3", "PORTSIDE_LIMIT_LIFE": "long", "PORTSIDE_ALLOW": "10.0.0.0/8,x"}
    assert mistakes_of(lambda: run(environment, model="evnt", workers="0", listen=("tpc://:1", "tls://:2"))) == [
        "PORTSIDE_LIMIT_IDEL: there is no such setting; did you mean PORTSIDE_LIMIT_IDLE?",
        "--listen: 'tpc://:1' is not an endpoint: unknown scheme 'tpc'; did you mean tcp?",
        "--listen: tls://[::]:2 needs a certificate: --tls-cert and --tls-key, or --tls-self-signed",
        "--model: unknown model 'evnt'; did you mean event?",
        "--workers: '0' is too small: workers is at least 1",
        "PORTSIDE_LIMIT_LIFE: 'long' is not a duration: write 500ms, 1s, 5m, 1h or 1d",
        "PORTSIDE_ALLOW: 'x' is not a network: write 192.0.2.0/24, 2001:db8::/32 or one address",
    ]


@pytest.mark.parametrize("model", ["iterative", "fork", "prefork"])
def test_several_workers_need_a_model_that_has_them(model: str) -> None:
    (mistake,) = mistakes_of(lambda: run(model=model, workers="2"))
    assert mistake.startswith("--workers: 2 workers need the model event, thread, prethread, and the model is " + model)
    assert service(run(model=model, workers="1")).model == model


@pytest.mark.parametrize(
    "listen",
    [
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1"),
        (":1", "tcp://[::]:1"),
        ("unix:/run/x", "unix:/run/x?mode=600"),
        ("fd://3", "fd://3"),
        ("systemd://web", "systemd://web"),
    ],
)
def test_the_same_endpoint_twice_is_a_mistake(listen: tuple[str, ...]) -> None:
    (mistake,) = mistakes_of(lambda: run(listen=listen))
    assert "is listened on already by shout (--listen)" in mistake


def test_different_endpoints_are_not_the_same() -> None:
    listen = ("tcp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://127.0.0.1:1", "tcp://127.0.0.1:1", "fd://3", "fd://4")
    assert len(service(run(listen=listen)).listen) == 6


def test_a_battery_refuses_what_it_does_not_speak_and_what_it_does_not_know() -> None:
    assert mistakes_of(lambda: run(battery="web", listen=("udp://:1",))) == [
        "--listen: udp://[::]:1: web does not speak UDP"
    ]
    assert mistakes_of(lambda: run(battery="web", arguments={"root": "bad"})) == ["portside run: root is not 'bad'"]
    assert mistakes_of(lambda: run(battery="wob")) == ["portside run: there is no battery 'wob'"]


def test_files_and_accounts_that_are_not_there_are_mistakes(tmp_path: Path) -> None:
    missing = str(tmp_path / "no.pem")
    assert mistakes_of(lambda: run(tls_cert=(missing,), user="no-such-user", group="no-such-group")) == [
        f"--tls-cert: there is no file {missing!r}",
        "--user: this machine has no user 'no-such-user'",
        "--group: this machine has no group 'no-such-group'",
    ]


def test_variables_of_client_commands_are_asked_for_only_when_one_is_strange() -> None:
    asked = []

    def others() -> Collection[str]:
        asked.append(True)
        return {"PORTSIDE_TIMEOUT"}

    run({"PORTSIDE_MODEL": "event"}, others=others)
    assert asked == []
    run({"PORTSIDE_TIMEOUT": "3"}, others=others)
    assert asked == [True]


@given(st.dictionaries(st.sampled_from([setting.variable for setting in SETTINGS] + ["PORT"]), st.text(max_size=8)))
def test_any_environment_configures_or_is_refused_with_a_place(environment: dict[str, str]) -> None:
    try:
        run({name: text.replace("\0", "") for name, text in environment.items()})
    except Mistakes as error:
        assert {mistake.place.key for mistake in error.mistakes} <= {*environment, "portside run"}  # noqa: PT017


def test_without_a_file_reload_watches_only_code() -> None:
    assert run(reload=True).settings.watched == ()
    assert run().settings.watched is None
