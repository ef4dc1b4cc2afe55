"""Command line over environment over file, and every mistake with its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.address import parse_endpoint
from portside.contracts import Battery
from portside.errors import UsageError
from portside.serve.config import Configuration, Found, configure_one
from portside.serve.config_file import configure_file
from portside.serve.mistakes import Mistakes
from portside.serve.settings import SETTINGS, Limits, ServiceSettings, TlsSettings


async def handler(visitor: object) -> None:
    """A handler that nobody calls here."""


def load(arguments: Mapping[str, object], streams: bool, datagrams: bool) -> Battery:
    return Battery(f"{dict(arguments)} {streams} {datagrams}", stream=handler)


def check(name: str, value: object) -> object:
    if value == "bad":
        raise UsageError(f"{name} is not {value!r}")
    return value


class Names:
    """Knows the batteries ``echo`` (7, both kinds) and ``web`` (80, streams only, with ``root``), and any handler."""

    def handler(self, target: str, *, factory: bool) -> Found:
        if ":" not in target:
            raise UsageError(f"{target!r} names no handler")
        return Found(target.partition(":")[2], f"{target}{'()' * factory}", load)

    def battery(self, name: str) -> Found:
        if name == "echo":
            return Found("echo", "echo", load, port=7)
        if name == "web":
            return Found("web", "web", load, port=80, datagrams=False, arguments=("root",), check=check)
        raise UsageError(f"there is no battery {name!r}")


def no_others() -> Collection[str]:
    return ()


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


def mistakes_of(act: Callable[[], object]) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        act()
    return [str(mistake) for mistake in caught.value.mistakes]


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


# ── portside.toml ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Configuration]:
    monkeypatch.chdir(tmp_path)

    def up(text: str, environment: Mapping[str, str] | None = None, **options: Any) -> Configuration:
        Path("portside.toml").write_text(text, encoding="utf-8", newline="")
        return configure_file(
            "portside.toml", Names(), options=options, environment=environment or {}, other_variables=no_others
        )

    return up


THE_DESIGN = """
[service.shout]
run = "shout:shout"
listen = ["tcp://[::]:9000"]
model = "event"          # iterative fork prefork thread prethread event
workers = 2
limits = { connections = 10_000, per_ip = 100, idle = "60s", life = "1d", accept_rate = 500 }

[service.files]
serve = "web"
root = "public"
listen = ["tcp://[::]:2121"]
"""


def test_the_file_of_the_design(up: Callable[..., Configuration]) -> None:
    shout, files = up(THE_DESIGN).settings.services
    assert (shout.name, shout.what, shout.workers, shout.limits) == ("shout", "shout:shout", 2, Limits())
    assert (files.name, files.what, files.listen) == ("files", "web", (parse_endpoint(":2121"),))
    assert files.load().name == "{'root': 'public'} True False"


def test_settings_stand_by_their_key_or_their_full_name_with_dashes_or_underscores(
    up: Callable[..., Configuration],
) -> None:
    text = """
        log-format = "json"
        log_level = "debug"
        drain = 3
        [service.a]
        serve = "echo"
        drain = "1s"
        limit_idle = 5
        limits.per-ip = 7
        proxy-from = "10.0.0.0/8"
        tls.self_signed = true
        [service.b]
        serve = "echo"
        listen = 8
        tls_self_signed = "off"
    """
    found = up(text).settings
    a, b = found.services
    assert (found.log_format, found.log_level) == ("json", "debug")
    assert (a.drain_s, b.drain_s) == (1.0, 3.0)
    assert (a.limits.idle_s, a.limits.per_ip, a.tls.self_signed) == (5.0, 7, True)
    assert a.proxy_from == (IPv4Network("10.0.0.0/8"),)
    assert (b.listen, b.tls.self_signed) == ((parse_endpoint(":8"),), False)


def test_environment_and_command_line_lie_over_the_file(up: Callable[..., Configuration]) -> None:
    text = 'drain = 1\n[service.a]\nserve = "echo"\nlimits = { idle = 1 }'
    found = up(text, {"PORTSIDE_LIMIT_IDLE": "2", "PORTSIDE_DRAIN": "2"}, drain="3")
    assert (found.settings.services[0].limits.idle_s, found.settings.services[0].drain_s) == (2.0, 3.0)


def test_port_is_not_for_a_file(up: Callable[..., Configuration]) -> None:
    assert up('[service.a]\nserve = "echo"', {"PORT": "8080"}).settings.services[0].listen[0].port == 7


def test_all_mistakes_of_a_file_with_their_lines(up: Callable[..., Configuration]) -> None:
    text = """colour = "red"
log_levl = "info"
workers = 2

[service.shout]
run = "shout:shout"
listen = [
    "tcp://[::]:9000",
    "tpc://:90",
    true,
]
modle = "event"
workers = 4
model = "iterative"
limits = { connections = "many", idle = "60x", perip = 3, life = [1] }
idle = 3
control = "x"

[service.files]
serve = "ecko"
root = "public"

[service.web]
serve = "web"
root = "bad"
rot = "x"
listen = ["tcp://[::]:9000", "udp://:80"]
limit_idle = 1
limits.idle = 1

[service.none]
[service.both]
run = "a:b"
serve = "echo"
[service.mine]
run = "a:b"
[service."my own"]
run = "shout"
limits = 3
"""
    assert mistakes_of(lambda: up(text)) == [
        "portside.toml:1: colour: there is no such setting",
        "portside.toml:2: log_levl: there is no such setting; did you mean log_level?",
        "portside.toml:3: workers: this belongs to a service: put it under [service.NAME]",
        "portside.toml:9: service.shout.listen: 'tpc://:90' is not an endpoint: unknown scheme 'tpc'; "
        "did you mean tcp?",
        "portside.toml:10: service.shout.listen: listen is endpoints, not true or false",
        "portside.toml:12: service.shout.modle: there is no such setting; did you mean model?",
        "portside.toml:13: service.shout.workers: 4 workers need the model event, thread, prethread, "
        "and the model is iterative",
        "portside.toml:15: service.shout.limits.perip: there is no such setting; did you mean per_ip?",
        "portside.toml:15: service.shout.limits.connections: 'many' is not a whole number",
        "portside.toml:15: service.shout.limits.idle: '60x' is not a duration: write 500ms, 1s, 5m, 1h or 1d",
        "portside.toml:15: service.shout.limits.life: life is a duration, not an array",
        "portside.toml:16: service.shout.idle: there is no such setting; did you mean limits.idle?",
        "portside.toml:17: service.shout.control: this belongs to the whole server: put it above the services",
        "portside.toml:20: service.files.serve: there is no battery 'ecko'",
        "portside.toml:25: service.web.root: root is not 'bad'",
        "portside.toml:26: service.web.rot: there is no such setting; did you mean root?",
        "portside.toml:27: service.web.listen: udp://[::]:80: web does not speak UDP",
        "portside.toml:27: service.web.listen: tcp://[::]:9000 is listened on already by shout "
        "(portside.toml:8: service.shout.listen)",
        "portside.toml:29: service.web.limits.idle: this was said already (portside.toml:28: service.web.limit_idle)",
        'portside.toml:31: service.none: says neither run = "MODULE:HANDLER" nor serve = "BATTERY"',
        "portside.toml:32: service.both: says both run and serve",
        'portside.toml:36: service.mine.run: says not where to listen: add listen = ["tcp://[::]:9000"]',
        "portside.toml:37: service.my own: 'my own' is no name for a service: it is one printable word",
        "portside.toml:38: service.my own.run: 'shout' names no handler",
        "portside.toml:39: service.my own.limits: limits is a table, not a number",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "portside.toml: there are no services: add [service.NAME]"),
        ("log_level = 'info'\n", "portside.toml: there are no services: add [service.NAME]"),
        ("service = 3", "portside.toml:1: service: service is a table: [service.NAME], not a number"),
        ("[service]\na = 3", "portside.toml:2: service.a: a service is a table: [service.NAME], not a number"),
        ("\n[[service]]\na = 3", "portside.toml:2: service: service is a table: [service.NAME], not an array"),
        ("\na = = 3", "portside.toml:2: not TOML: invalid value"),
        ('\na = """\n\n', "portside.toml:4: not TOML: unterminated string"),
        ("[services.a]\nserve = 'echo'", "portside.toml:1: services: there is no such setting; did you mean service?"),
        ("[service.a]\nserve = 3", "portside.toml:2: service.a.serve: serve is text, not a number"),
        (
            "[service.a]\nserve = 'echo'\nmodel = 1979-05-27",
            "portside.toml:3: service.a.model: model is one of iterative, fork, prefork, thread, prethread, event, "
            "not a date or time",
        ),
        (
            "[service.a]\nserve = 'echo'\nworkers = 2.5",
            "portside.toml:3: service.a.workers: '2.5' is not a whole number",
        ),
        ("[service.a]\nserve = 'echo'\ndrain = -1", "portside.toml:3: service.a.drain: '-1' is not a duration"),
        ("[service.a]\nserve = 'echo'\ndrain = inf", "portside.toml:3: service.a.drain: 'inf' is not a duration"),
        ("[service.a]\nserve = 'echo'\nworkers = true", "not true or false"),
    ],
)
def test_one_mistake_of_a_file(up: Callable[..., Configuration], text: str, mistake: str) -> None:
    assert any(found.startswith(mistake) or found.endswith(mistake) for found in mistakes_of(lambda: up(text)))


def test_a_mistake_in_the_environment_is_told_once_for_all_services(up: Callable[..., Configuration]) -> None:
    text = "[service.a]\nserve = 'echo'\n[service.b]\nserve = 'web'"
    assert mistakes_of(lambda: up(text, {"PORTSIDE_POOL": "x"})) == ["PORTSIDE_POOL: 'x' is not a whole number"]


def test_a_file_that_is_not_there_is_no_configuration(tmp_path: Path, up: Callable[..., Configuration]) -> None:
    up("[service.a]\nserve = 'echo'")
    with pytest.raises(UsageError, match=r"there is no file 'portside\.tml'; did you mean portside\.toml\?"):
        configure_file("portside.tml", Names(), options={}, environment={}, other_variables=no_others)
    with pytest.raises(UsageError, match="Is a directory"):
        configure_file(str(tmp_path), Names(), options={}, environment={}, other_variables=no_others)


def test_a_file_that_is_not_utf8_says_where(up: Callable[..., Configuration], tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# ok\n# gr\xfc\xdfe\n")
    assert mistakes_of(
        lambda: configure_file("latin.toml", Names(), options={}, environment={}, other_variables=no_others)
    ) == ["latin.toml:2: the file is not UTF-8"]


def test_windows_line_ends_count_as_one(up: Callable[..., Configuration]) -> None:
    assert mistakes_of(lambda: up("[service.a]\r\nserve = 'echo'\r\npol = 3\r\n")) == [
        "portside.toml:3: service.a.pol: there is no such setting; did you mean pool?"
    ]


def test_where_a_worker_s_mistakes_belong(up: Callable[..., Configuration]) -> None:
    places = up("[service.a]\nserve = 'echo'\ntls.self_signed = true\n[service.b]\nserve = 'web'").places
    assert [str(places[key]) for key in (("a", "handler"), ("a", "tls"), ("b", "tls"))] == [
        "portside.toml:2: service.a.serve",
        "portside.toml:3: service.a.tls.self_signed",
        "portside.toml:5: service.b.serve",
    ]


def test_reload_watches_the_file_too(up: Callable[..., Configuration]) -> None:
    text = "[service.a]\nserve = 'echo'"
    assert up(text).settings.watched is None
    assert up(text, reload=True).settings.watched == ("portside.toml",)
    assert run(reload=True).settings.watched == ()
