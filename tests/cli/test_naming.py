"""From MODULE:HANDLER to a battery, and from every way to get it wrong to a sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portside.accounts.counters import LocalCounters
from portside.cli.naming import HandlerFinder, load_handler
from portside.contracts import Battery
from portside.errors import UsageError
from portside.protocols import catalogue
from portside.serve import running

CODE = """
from portside.contracts import Battery

async def shout(visitor): ...
def plain(visitor): ...
def make(): return shout
def make_badly(): raise RuntimeError("no disk")
def nobody(): ...
def everybody(first, second): ...
async def stream(visitor): yield 1
number = 3
class Echo:
    async def __call__(self, visitor): ...
    async def method(self, visitor): ...
echo = Echo()
class inner:
    class deeper:
        handler = shout
battery = Battery("mine", stream=shout)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], tuple[str, ...]]]:
    """Writes a module and returns the folders to seek it in; what was imported is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.chdir(tmp_path)

    def write(name: str, code: str) -> tuple[str, ...]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        return (str(tmp_path),)

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("path", ["shout", "plain", "echo", "echo.method", "inner.deeper.handler"])
def test_a_callable_that_takes_a_connection_is_a_handler(write: Callable[..., tuple[str, ...]], path: str) -> None:
    folders = write("speak.py", CODE)
    battery = load_handler(f"speak:{path}", folders=folders)
    assert battery.stream is not None
    assert battery.datagram is None
    assert battery.name == path


def test_a_handler_serves_what_its_endpoints_carry(write: Callable[..., tuple[str, ...]]) -> None:
    folders = write("speak.py", CODE)
    battery = load_handler("speak:shout", folders=folders, streams=False, datagrams=True)
    assert (battery.stream is None, battery.datagram is None) == (True, False)
    assert load_handler("speak:battery", folders=folders).name == "mine"
    with pytest.raises(UsageError, match="speak:battery has no handler for datagrams"):
        load_handler("speak:battery", folders=folders, datagrams=True)


def test_a_factory_is_called(write: Callable[..., tuple[str, ...]]) -> None:
    folders = write("speak.py", CODE)
    assert load_handler("speak:make", factory=True, folders=folders).stream is sys.modules["speak"].shout
    assert load_handler("speak:Echo", factory=True, folders=folders).stream is not None


@pytest.mark.parametrize(
    ("target", "factory", "sentence"),
    [
        ("speak:shuot", False, "speak has no 'shuot'; did you mean shout?"),
        ("speak:echo.metod", False, "speak:echo has no 'metod'; did you mean method?"),
        ("speak:number", False, "speak:number is an int, not a handler"),
        ("speak:number", True, "speak:number is an int, and --factory wants something to call"),
        ("speak:Echo", False, "speak:Echo is a class: name an instance, or say --factory to have one made"),
        ("speak:nobody", False, "speak:nobody() cannot be called with a connection: too many positional arguments"),
        ("speak:everybody", False, "cannot be called with a connection: missing a required argument: 'second'"),
        ("speak:stream", False, "speak:stream is a generator: a handler has no yield"),
        ("speak:make_badly", True, "speak:make_badly() failed: RuntimeError: no disk (speak.py, line 7)"),
        ("spaek:shout", False, "there is no module 'spaek' in "),
        ("spaek:shout", False, "; did you mean speak?"),
        ("speak.more:shout", False, "there is no module 'speak.more'"),
    ],
)
def test_a_name_that_is_wrong_says_what_would_be_right(
    write: Callable[..., tuple[str, ...]], target: str, factory: bool, sentence: str
) -> None:
    folders = write("speak.py", CODE)
    with pytest.raises(UsageError) as caught:
        load_handler(target, factory=factory, folders=folders)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import no_such_package", "cannot import broken: No module named 'no_such_package' (broken.py, line 1)"),
        ("x = 1\ny = z\n", "import broken failed: NameError: name 'z' is not defined (broken.py, line 2)"),
        ("def f(:\n", "import broken failed: SyntaxError: "),
        ("raise SystemExit(3)", "import broken failed: SystemExit: 3 (broken.py, line 1)"),
        ("from portside.address import parse_port\nparse_port('x')", "import broken failed: 'x' is not a port"),
    ],
)
def test_a_module_that_fails_says_where(write: Callable[..., tuple[str, ...]], code: str, sentence: str) -> None:
    folders = write("broken.py", code)
    with pytest.raises(UsageError) as caught:
        load_handler("broken:handler", folders=folders)
    assert sentence in str(caught.value)


def test_a_module_inside_a_package_is_found_and_so_is_its_neighbour(write: Callable[..., tuple[str, ...]]) -> None:
    write("pack/__init__.py", "")
    folders = write("pack/speak.py", CODE)
    assert load_handler("pack.speak:shout", folders=folders).stream is not None
    with pytest.raises(UsageError, match=r"there is no module 'pack\.spek'.*did you mean pack\.speak\?"):
        load_handler("pack.spek:shout", folders=folders)


def test_the_folders_come_before_the_library(write: Callable[..., tuple[str, ...]]) -> None:
    folders = write("this_is_ours.py", CODE)
    load_handler("this_is_ours:shout", folders=folders)
    assert sys.path[0] == folders[0]


def test_an_edit_within_the_second_is_seen(write: Callable[..., tuple[str, ...]]) -> None:
    folders = write("speak.py", "async def handler(visitor): 'one'\n")
    assert load_handler("speak:handler", folders=folders).stream.__doc__ == "one"
    del sys.modules["speak"]  # as in a worker that is forked anew
    write("speak.py", "async def handler(visitor): 'two'\n")
    assert load_handler("speak:handler", folders=folders).stream.__doc__ == "two"


# ── the finder ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "guess"),
    [
        ("shout", "shout:handler"),
        ("shout.py", "shout:handler"),
        ("./shout.py:shout", "shout:shout"),
        ("app.shout", "app:shout"),
        ("app/shout.py:go", "app.shout:go"),
        ("", "shout:shout"),
        ("a b:c", "shout:shout"),
        ("shout:", "shout:handler"),
    ],
)
def test_a_target_that_is_none_is_guessed(target: str, guess: str) -> None:
    with pytest.raises(UsageError) as caught:
        HandlerFinder(()).handler(target, factory=False)
    assert str(caught.value) == f"{target!r} names no handler: write MODULE:HANDLER, such as {guess}"


def test_what_the_finder_finds_is_not_imported_yet() -> None:
    found = HandlerFinder(("/nowhere",)).handler("no_such_module:a.b", factory=False)
    assert (found.name, found.what, found.port, found.arguments) == ("b", "no_such_module:a.b", None, ())
    again = HandlerFinder(("/nowhere",)).handler("no_such_module:a.b", factory=False)
    assert found.load == again.load
    with pytest.raises(UsageError, match="there is no module 'no_such_module'"):
        found.load({}, True, False)


def test_batteries_come_from_the_catalogue() -> None:
    finder = HandlerFinder(())
    whoami = finder.battery("whoami")
    assert (whoami.name, whoami.what, whoami.port, whoami.datagrams) == ("whoami", "whoami", 80, False)
    assert whoami.arguments == ("names",)
    assert whoami.check("names", "off") is False
    with pytest.raises(UsageError, match="'perhaps'"):
        whoami.check("names", "perhaps")
    with pytest.raises(UsageError, match=r"did you mean echo\?"):
        finder.battery("ecko")
    assert isinstance(whoami.load({"names": False}, True, False), Battery)


def test_a_battery_is_given_what_its_worker_has(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, object]] = []
    monkeypatch.setattr(catalogue, "load", lambda name, arguments: told.append(arguments))
    found, counters = HandlerFinder(()).battery("ftp"), LocalCounters()
    monkeypatch.setattr(running, "_given", running.Given("files", None, counters))
    found.load({"root": "."}, True, False)
    monkeypatch.setattr(running, "_given", running.Given())
    found.load({"root": "."}, True, False)
    assert told[0] == {"root": ".", "service": "files", "tls": None, "counters": counters}
    assert (told[1]["service"], told[1]["tls"], type(told[1]["counters"])) == ("ftp", None, LocalCounters)


def test_no_argument_of_a_battery_has_the_name_of_a_setting() -> None:
    from portside.protocols import catalogue
    from portside.serve.settings import SETTINGS

    names = {setting.key for setting in SETTINGS} | {setting.name.replace("-", "_") for setting in SETTINGS}
    names |= {"run", "serve", "limits", "tls"}
    for battery in catalogue.names():
        assert {option.name for option in catalogue.describe(battery).options} & names == set()
