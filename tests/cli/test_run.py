"""run, serve, up and check: what they make of the command line, the environment and the file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from portside.cli.main import main
from portside.errors import AddressInUse, UsageError
from portside.observe import log
from portside.serve import supervisor
from portside.serve.settings import SETTINGS, ServerSettings
from support.server import portside


class Started:
    """Stands where the supervisor stands, and keeps what it was given."""

    def __init__(self) -> None:
        self.settings: ServerSettings | None = None
        self.reread: Callable[[], ServerSettings] | None = None
        self.fails: Exception | None = None
        self.logs: list[tuple[str | None, str]] = []

    def run(
        self, settings: ServerSettings, *, reread: Callable[[], ServerSettings], observe: object, ends_process: bool
    ) -> int:
        assert ends_process  # a second signal shall not kill what ends
        if self.fails is not None:
            raise self.fails
        self.settings, self.reread = settings, reread
        return 4

    def listens(self) -> list[str]:
        assert self.settings is not None
        return [str(endpoint) for service in self.settings.services for endpoint in service.listen]


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Started:
    for name in os.environ:
        if name.startswith("PORTSIDE_") or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    started = Started()
    monkeypatch.setattr(supervisor, "run", started.run)
    monkeypatch.setattr(log, "start", lambda form, level: started.logs.append((form, level)))
    return started


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    return lambda: list(capsys.readouterr().err.splitlines())


# ── run ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_run_serves_a_handler_on_9000_and_ends_as_the_supervisor_does(started: Started) -> None:
    assert main(["run", "shout:shout"]) == 4
    assert started.listens() == ["tcp://[::]:9000"]
    assert started.logs == [(None, "info")]


def test_run_takes_every_setting_as_an_option(started: Started, tmp_path: Path) -> None:
    (tmp_path / "a.pem").touch()
    values = {
        "model": "thread",
        "proxy-from": "10.0.0.0/8",
        "allow": "10.0.0.0/8",
        "deny": "10.0.0.0/8",
        "tls-cert": "a.pem",
        "tls-key": "a.pem",
        "tls-client-ca": "a.pem",
        "tls-alpn": "x",
        "control": str(tmp_path / "control"),
        "dashboard": "http://127.0.0.1:2",
        "dashboard-token": "0123456789abcdef",
        "admin": "http://127.0.0.1:3",
        "user": "0",
        "group": "0",
        "log-format": "json",
        "log-level": "debug",
        "listen": ":1",
    }
    arguments = ["run", "a:b"]
    for setting in SETTINGS:
        arguments.append(setting.option)
        if not setting.kind.switch:
            arguments.append(values.get(setting.name, "3"))
    assert main(arguments) == 4
    assert started.settings is not None
    assert started.settings.services[0].limits.idle_s == 3.0
    assert started.settings.services[0].tls.self_signed
    assert started.logs == [("json", "debug")]


def test_the_environment_sets_options_and_the_command_line_wins(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTSIDE_LISTEN", "tcp://127.0.0.1:1,unix:/run/x")
    monkeypatch.setenv("PORTSIDE_RELOAD", "on")
    assert main(["run", "a:b"]) == 4
    assert started.listens() == ["tcp://127.0.0.1:1", "unix:/run/x"]
    assert main(["run", "a:b", "--listen", ":2", "--listen", "udp://:2", "--no-reload"]) == 4
    assert started.listens() == ["tcp://[::]:2", "udp://[::]:2"]
    assert started.settings is not None
    assert not started.settings.reload


def test_all_mistakes_are_told_and_nothing_starts(
    started: Started, said: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTSIDE_POOL", "many")
    assert main(["run", "shout", "--model", "evnt", "--limit-idle", "60x"]) == 2
    assert said() == [
        "portside run: 'shout' names no handler: write MODULE:HANDLER, such as shout:handler",
        "--model: unknown model 'evnt'; did you mean event?",
        "--limit-idle: '60x' is not a duration: write 500ms, 1s, 5m, 1h or 1d",
        "PORTSIDE_POOL: 'many' is not a whole number",
    ]
    assert started.settings is None


def test_a_certificate_that_protects_nobody_is_said_so(started: Started, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["run", "a:b", "--listen", ":1", "--tls-self-signed"]) == 4
    assert caplog.messages == ["b has a certificate and no tls:// endpoint: its connections are not encrypted"]
    caplog.clear()
    assert main(["run", "a:b", "--tls-self-signed"]) == 4
    assert started.listens() == ["tls://[::]:9000"]
    assert caplog.messages == []


def test_a_server_that_cannot_start_ends_with_3(started: Started, said: Callable[[], list[str]]) -> None:
    started.fails = AddressInUse("tcp://[::]:9000", "nginx (pid 7)")
    assert main(["run", "a:b"]) == 3
    assert said() == ["portside: tcp://[::]:9000 is in use by nginx (pid 7)"]


def test_a_variable_of_a_client_command_is_none_of_the_server_s_business(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTSIDE_TIMEOUT", "3")
    assert main(["run", "a:b"]) == 4


# ── serve ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_serve_listens_on_the_port_of_the_battery(started: Started) -> None:
    assert main(["serve", "echo"]) == 4
    assert started.listens() == ["tcp://[::]:7"]
    assert main(["serve", "echo", "--listen", "udp://127.0.0.1"]) == 4
    assert started.listens() == ["udp://127.0.0.1:7"]


def test_options_stand_before_or_behind_the_battery(started: Started) -> None:
    assert main(["serve", "--listen", ":1", "--model", "thread", "echo", "--model", "fork"]) == 4
    assert started.listens() == ["tcp://[::]:1"]
    assert started.settings is not None
    assert started.settings.services[0].model == "fork"


@pytest.mark.parametrize("arguments", [["--no-names"], ["names=off"], ["--listen", ":1", "names=off"]])
def test_a_battery_is_told_its_arguments_as_options_or_as_pairs(started: Started, arguments: list[str]) -> None:
    assert main(["serve", "whoami", *arguments]) == 4
    assert started.settings is not None
    assert started.settings.services[0].load().name == "whoami"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ecko"], "portside serve: there is no battery 'ecko'; did you mean echo?"),
        ([], "portside serve: which battery? There are echo, "),
        (["whoami", "names=perhaps"], "portside serve whoami: names of the battery whoami: 'perhaps' is neither"),
        (["whoami", "nams=off"], "portside serve whoami: the battery whoami takes no argument 'nams'; did you mean"),
        (["whoami", "x"], "portside serve whoami: 'x' is one argument too many"),
        (["whoami", "--names", "names=on"], "portside serve whoami: names is said twice"),
        (["echo", "--factory"], "portside serve echo: there is no option '--factory'"),
        (["whoami", "--listen", "udp://:0"], "--listen: udp://[::]:0: whoami does not speak UDP"),
    ],
)
def test_what_a_battery_cannot_be_told(
    started: Started, said: Callable[[], list[str]], arguments: list[str], sentence: str
) -> None:
    assert main(["serve", *arguments]) == 2
    assert said()[0].startswith(sentence)
    assert started.settings is None


def test_help_lists_the_batteries_and_each_shows_its_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    assert "  whoami     a web page that tells visitors" in capsys.readouterr().out
    assert main(["serve", "whoami", "--help"]) == 0
    own, _, settings = capsys.readouterr().out.partition("Service:")
    assert "--names / --no-names" in own
    assert "--limit-idle TIME" in settings


def test_help_of_run_says_default_and_unit_of_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for setting in SETTINGS:
        facts = [fact for fact in (setting.kind.unit, f"default: {setting.default_shown}") if fact]
        assert setting.option in words
        assert f"[{'; '.join(facts)}]" in words


# ── up ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

TWO = """
log_level = "warning"
[service.a]
serve = "echo"
listen = [":1"]
[service.b]
run = "unheard_of:shout"
listen = [":2"]
"""


def test_up_serves_what_the_file_says(started: Started) -> None:
    Path("portside.toml").write_text(TWO)
    assert main(["up"]) == 4
    assert started.listens() == ["tcp://[::]:1", "tcp://[::]:2"]
    assert started.logs == [(None, "warning")]
    assert main(["up", "--log-level", "error", "--drain", "1s"]) == 4
    assert started.settings is not None
    assert (started.settings.log_level, started.settings.services[0].drain_s) == ("error", 1.0)


def test_handlers_of_a_file_are_sought_beside_it_too(started: Started, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "other.toml").write_text(TWO)
    assert main(["up", "deep/other.toml"]) == 4
    assert started.settings is not None
    assert started.settings.services[1].load.args  # type: ignore[attr-defined]
    folders = started.settings.services[1].load.func.folders  # type: ignore[attr-defined]
    assert folders == (str(tmp_path), str(tmp_path / "deep"))


def test_a_reload_reads_the_file_again_and_the_log_follows(started: Started) -> None:
    Path("portside.toml").write_text(TWO)
    assert main(["up"]) == 4
    assert started.reread is not None
    Path("portside.toml").write_text(TWO.replace("warning", "debug").replace(":2", ":3"))
    settings = started.reread()
    assert [str(service.listen[0]) for service in settings.services] == ["tcp://[::]:1", "tcp://[::]:3"]
    assert started.logs == [(None, "warning"), (None, "debug")]
    Path("portside.toml").write_text("broken")
    with pytest.raises(UsageError, match=r"portside\.toml:1: not TOML"):
        started.reread()
    assert started.logs[2:] == []


def test_up_without_a_file_or_without_services_is_a_mistake(said: Callable[[], list[str]]) -> None:
    assert main(["up"]) == 2
    assert said() == ["portside: there is no file 'portside.toml'"]
    Path("portside.toml").write_text("")
    assert main(["up"]) == 2
    assert said() == ["portside.toml: there are no services: add [service.NAME]"]


# ── check ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_says_ok(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("portside.toml").write_text(TWO)
    Path("unheard_of.py").write_text("print('hello from the import')\nasync def shout(visitor): ...\n")
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "ok\n"
    assert main(["check", "portside.toml", "--json"]) == 0
    monkeypatch.setenv("PORTSIDE_JSON", "1")
    assert main(["check", "portside.toml"]) == 0
    assert capsys.readouterr().out == "[]\n[]\n"


def test_check_tells_all_mistakes_with_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Path("portside.toml").write_text(TWO + 'modle = "fork"\nlimits.idle = "x"\n')
    assert main(["check"]) == 2
    assert capsys.readouterr().out.splitlines() == [
        f"portside.toml:7: service.b.run: there is no module 'unheard_of' in {Path.cwd()}",
        "portside.toml:9: service.b.modle: there is no such setting; did you mean model?",
        "portside.toml:10: service.b.limits.idle: 'x' is not a duration: write 500ms, 1s, 5m, 1h or 1d",
    ]
    assert main(["check", "--json"]) == 2
    _, first, _ = json.loads(capsys.readouterr().out)
    assert first == {
        "file": "portside.toml",
        "line": 9,
        "key": "service.b.modle",
        "sentence": "there is no such setting; did you mean model?",
    }


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("async def shuot(visitor): ...", "unheard_of has no 'shout'; did you mean shuot?"),
        (
            "import nothing_like_it",
            "cannot import unheard_of: No module named 'nothing_like_it' (unheard_of.py, line 1)",
        ),
        ("raise KeyError('x')", "import unheard_of failed: KeyError: 'x' (unheard_of.py, line 1)"),
        ("import os; os._exit(7)", "loading unheard_of:shout ended the process with status 7"),
        ("import os; os.kill(os.getpid(), 9)", "loading unheard_of:shout ended the process with a signal, 9"),
        ("raise SystemExit", "import unheard_of failed: SystemExit: "),
    ],
)
def test_check_tries_handlers_in_a_process_of_their_own(
    capsys: pytest.CaptureFixture[str], code: str, sentence: str
) -> None:
    Path("portside.toml").write_text(TWO)
    Path("unheard_of.py").write_text(code)
    assert main(["check"]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"portside.toml:7: service.b.run: {sentence}")


def test_check_tries_certificates(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.pem").write_text("no certificate")
    Path("portside.toml").write_text('[service.a]\nserve = "echo"\nlisten = "tls://:1"\ntls.cert = "a.pem"\n')
    assert main(["check"]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("portside.toml:4: service.a.tls.cert: ")


def test_check_as_a_process() -> None:
    Path("portside.toml").write_text(TWO)
    done = portside("check")
    assert done.returncode == 2
    assert done.stdout.startswith("portside.toml:7: service.b.run: there is no module 'unheard_of' in ")
    assert done.stderr == ""
