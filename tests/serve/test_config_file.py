"""portside.toml under environment and command line, and every mistake with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from portside.address import parse_endpoint
from portside.errors import UsageError
from portside.serve.config import Configuration
from portside.serve.config_file import configure_file
from portside.serve.mistakes import Mistake
from portside.serve.settings import Limits
from support.configuring import Names, mistakes_of, no_others


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


def test_the_rest_of_a_service_is_read_though_nobody_knows_who_serves(up: Callable[..., Configuration]) -> None:
    text = """[service.a]
serv = "echo"
workers = "x"
[service.b]
serve = "ecko"
listen = ["tcp://127.0.0.1:0", true]
limits = { life = -3 }
[service.c]
serve = "ecko"
"""
    assert mistakes_of(lambda: up(text)) == [
        'portside.toml:1: service.a: says neither run = "MODULE:HANDLER" nor serve = "BATTERY"',
        "portside.toml:2: service.a.serv: there is no such setting; did you mean serve?",
        "portside.toml:3: service.a.workers: 'x' is not a whole number",
        "portside.toml:5: service.b.serve: there is no battery 'ecko'",
        "portside.toml:6: service.b.listen: listen is endpoints, not true or false",
        "portside.toml:7: service.b.limits.life: '-3' is not a duration: write 500ms, 1s, 5m, 1h or 1d",
        "portside.toml:9: service.c.serve: there is no battery 'ecko'",
    ]


def test_a_trial_hears_of_every_service_that_can_be_told_and_repeats_no_complaint(tmp_path: Path) -> None:
    Path(tmp_path / "x.toml").write_text(
        "[service.a]\nserve = 'echo'\npool = 'x'\ntls = { cert = 'no.pem' }\n[service.b]\nserve = 'ecko'\n"
    )
    tried = []

    def trial(configuration: Configuration) -> list[Mistake]:
        tried.extend(service.name for service in configuration.settings.services)
        return [Mistake(configuration.places["a", part], f"{part} is bad") for part in ("handler", "tls")]

    path = str(tmp_path / "x.toml")
    assert mistakes_of(
        lambda: configure_file(path, Names(), options={}, environment={}, other_variables=no_others, trial=trial)
    ) == [
        f"{path}:2: service.a.serve: handler is bad",
        f"{path}:3: service.a.pool: 'x' is not a whole number",
        f"{path}:4: service.a.tls.cert: there is no file 'no.pem'",
        f"{path}:6: service.b.serve: there is no battery 'ecko'",
    ]
    assert tried == ["a"]


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
