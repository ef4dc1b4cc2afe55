"""The command itself: which commands there are, what a mistake says, and with which status it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from portside.cli import commands
from portside.cli import main as main_module
from portside.cli.commands import COMMANDS, Entry, known_variables, load_command, variable_of
from portside.cli.exit_status import exit_status_of
from portside.cli.main import main
from portside.errors import (
    AddressInUse,
    ConnectionLost,
    LocalError,
    MalformedEndpoint,
    NameNotFound,
    UsageError,
)
from support.server import environment, portside


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("PORTSIDE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A command ``play`` whose one option is ``--as-what``, and which raises or returns what the list holds."""
    acts: list[object] = []

    @click.command()
    @click.option("--as-what", "renamed")
    def play(renamed: str | None) -> object:
        act = acts.pop()
        if isinstance(act, BaseException):
            raise act
        return renamed if act is None else act

    monkeypatch.setattr(commands, "COMMANDS", {**COMMANDS, "play": Entry("play", "for the tests")})
    module = type(sys)("portside.cli.play")
    module.play = play  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "portside.cli.play", module)
    return acts


def test_every_command_of_the_table_is_there() -> None:
    for name in COMMANDS:
        assert load_command(name).name == name


def test_an_unknown_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conect"]) == 2
    assert (
        capsys.readouterr().err
        == "portside: there is no command 'conect'; did you mean connect?\ntry: portside --help\n"
    )


def test_an_unknown_option_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--lisen", "x"]) == 2
    assert capsys.readouterr().err == (
        "portside run: there is no option '--lisen'; did you mean --listen?\ntry: portside run --help\n"
    )
    assert main(["--verzion"]) == 2
    assert "did you mean --version?" in capsys.readouterr().err


def test_without_a_command_the_help_is_an_answer_to_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert all(f"  {name} " in said.err for name in COMMANDS)


def test_bench_asks_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 2
    assert capsys.readouterr().err == (
        "portside bench: which benchmark? There are echo, models\ntry: portside bench --help\n"
    )


def test_an_interrupt_before_the_command_begins_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module, "_answer", interrupted)
    assert main(["ps"]) == 130


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main(["-h"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count("Usage: portside [OPTIONS] COMMAND") == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_every_option_a_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: portside {name}")
    options = [option for option in load_command(name).params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_a_command_that_is_not_installed_is_said_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "COMMANDS", {"gone": Entry("gone", "x"), "half": Entry("half", "x")})
    assert main(["gone"]) == 3
    assert capsys.readouterr().err == "portside: this installation has no command 'gone'\n"


def test_a_command_whose_package_is_missing_names_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_package(name: str) -> object:
        raise ModuleNotFoundError("No module named 'dns'", name="dns")

    monkeypatch.setattr(commands.importlib, "import_module", no_package)
    assert main(["resolve", "x"]) == 3
    assert capsys.readouterr().err == (
        "portside: the command 'resolve' needs the package 'dns', which is not installed\n"
    )


# ── statuses ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("act", "status", "said"),
    [
        (0, 0, ""),
        (4, 4, ""),
        ("text", 0, ""),
        (UsageError("no such thing"), 2, "portside: no such thing\n"),
        (MalformedEndpoint("x", "why"), 2, "portside: 'x' is not an endpoint: why\n"),
        (AddressInUse("tcp://[::]:80"), 3, "portside: tcp://[::]:80 is in use\n"),
        (LocalError("no"), 3, "portside: no\n"),
        (ConnectionLost("reset"), 1, "portside: reset\n"),
        (NameNotFound("x", "no"), 1, "portside: cannot resolve x: no\n"),
        (TimeoutError(), 1, "portside: timed out\n"),
        (TimeoutError("nothing came"), 1, "portside: nothing came\n"),
        (FileNotFoundError(2, "No such file", "x"), 1, "portside: x: No such file\n"),
        (OSError("odd"), 1, "portside: odd\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.UsageError("You cannot."), 2, "portside play: you cannot\ntry: portside play --help\n"),
        (click.ClickException("broken"), 1, "portside: broken\ntry: portside --help\n"),
    ],
)
def test_every_failure_is_a_sentence_and_a_status(
    command: list[object], act: object, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command.append(act)
    assert main(["play"]) == status
    assert capsys.readouterr().err.removeprefix("\n") == said


def test_our_own_bugs_are_not_hidden(command: list[object]) -> None:
    command.append(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["play"])


def test_the_status_of_an_error_outside_of_ours() -> None:
    assert [exit_status_of(error) for error in (KeyboardInterrupt(), ValueError(), TimeoutError())] == [130, 1, 1]


# ── environment ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_option_of_a_client_command_can_be_set_by_its_variable(
    command: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORTSIDE_AS_WHAT", "7")
    option = load_command("play").params[0]
    assert isinstance(option, click.Option)
    assert variable_of(option) == "PORTSIDE_AS_WHAT"
    with load_command("play").make_context("play", []) as context:
        assert context.params == {"renamed": "7"}


def test_a_variable_that_nobody_knows_is_a_mistake_but_one_of_another_command_is_not(
    command: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command += [0, 0]
    monkeypatch.setenv("PORTSIDE_LIMIT_IDLE", "3s")
    assert main(["play"]) == 0
    monkeypatch.setenv("PORTSIDE_LIMIT_IDEL", "3s")
    assert main(["play"]) == 2
    assert capsys.readouterr().err == (
        "portside: PORTSIDE_LIMIT_IDEL in the environment sets nothing; did you mean PORTSIDE_LIMIT_IDLE?\n"
    )
    assert main(["play", "--help"]) == 0


def test_the_known_variables_are_settings_and_options_of_clients() -> None:
    known = known_variables()
    assert {"PORTSIDE_LISTEN", "PORTSIDE_LIMIT_IDLE", "PORTSIDE_TIMEOUT", "PORTSIDE_JSON"} <= known
    assert not known & {"PORTSIDE_HELP", "PORTSIDE_VERSION"}


def test_a_shell_can_complete(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_PORTSIDE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "portside conn")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert main([]) == 0
    assert capsys.readouterr().out.split() == ["plain,connect", "plain,connections"]


# ── as a process ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reader_who_has_seen_enough_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "portside", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(),
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_output_that_takes_nothing_is_a_failure() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "portside", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"portside: No space left on device\n")


def test_closed_standard_streams_are_survived() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m portside "$@" <&- >&- 2>&-', sys.executable, "address", "192.0.2.1"],
        env=environment(),
        check=False,
    )
    assert done.returncode == 0


def test_no_socket_gets_the_number_of_a_closed_standard_stream() -> None:
    code = "from portside.cli.main import main; import os; main(['--version']); os._exit(os.open(os.devnull, 0))"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, code], env=environment(), check=False
    )
    assert done.returncode == 3  # the first descriptor that is free behind the three


def test_names_that_the_locale_cannot_say_are_escaped() -> None:
    done = portside("sérve", env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 2
    assert "there is no command 's\\udcc3\\udca9rve'; did you mean serve?" in done.stderr
