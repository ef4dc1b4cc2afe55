"""The catalogue: names without imports, batteries by late import, mistakes with the nearest right word."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

from portside.contracts import Battery
from portside.errors import UsageError
from portside.protocols import catalogue
from support.asgi import echo


def test_the_batteries_are_the_documented_ones() -> None:
    assert catalogue.names() == [
        *("echo", "discard", "daytime", "chargen", "ftp", "time"),
        *("asgi", "http", "whoami", "directory"),
    ]


@pytest.mark.parametrize(
    ("name", "port"),
    [
        *(("echo", 7), ("discard", 9), ("daytime", 13), ("chargen", 19)),
        *(("ftp", 21), ("time", 37), ("asgi", 80), ("http", 80), ("whoami", 80), ("directory", 6168)),
    ],
)
def test_a_battery_has_the_port_of_its_rfc_and_a_sentence(name: str, port: int) -> None:
    spec = catalogue.describe(name)
    assert (spec.name, spec.port) == (name, port)
    assert spec.sentence
    assert not spec.sentence.endswith(".")


# By battery, what it cannot do without.
NEEDED: dict[str, dict[str, object]] = {"asgi": {"app": "x:app", "find": lambda *_, **__: echo}}


@pytest.mark.parametrize("name", catalogue.names())
def test_every_battery_loads_and_is_what_its_description_says(name: str) -> None:
    spec, battery = catalogue.describe(name), catalogue.load(name, NEEDED.get(name))
    assert isinstance(battery, Battery)
    assert (battery.name, battery.port) == (spec.name, spec.port)
    assert battery.stream is not None
    assert (battery.datagram is not None) == spec.datagram


@pytest.mark.parametrize("name", catalogue.names())
def test_every_option_may_be_given_its_default(name: str) -> None:
    spec = catalogue.describe(name)
    catalogue.load(name, {option.name: option.default for option in spec.options} | NEEDED.get(name, {}))


@pytest.mark.parametrize("name", catalogue.names())
def test_the_table_names_the_factory_s_parameters_in_their_order(name: str) -> None:
    entry = catalogue._entry(name)
    factory = getattr(importlib.import_module(entry.module), entry.factory)
    parameters = inspect.signature(factory).parameters
    named = [option.name for option in entry.spec.options] + list(entry.spec.given)
    assert [parameter for parameter in parameters if parameter in named] == named
    for option in entry.spec.options:
        expected = catalogue.check_arguments(entry.spec, {option.name: option.default})[option.name]
        assert parameters[option.name].default == expected, option.name


def test_only_what_begins_tls_itself_has_another_port_for_it() -> None:
    specs = [catalogue.describe(name) for name in catalogue.names()]
    assert [(spec.name, spec.tls_port) for spec in specs if spec.starts_tls] == [("ftp", 990)]
    assert all("tls" in spec.given for spec in specs if spec.starts_tls)


def test_describing_imports_no_battery() -> None:
    program = (
        "import sys\n"
        "from portside.protocols import catalogue\n"
        "[catalogue.describe(name) for name in catalogue.names()]\n"
        "print([name for name in sys.modules if name.startswith('portside.protocols.')])\n"
        "print({'asyncio', 'ssl', 'socket', 'http', 'email'} & set(sys.modules))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["['portside.protocols.options', 'portside.protocols.catalogue']", "set()"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ecco", "there is no battery 'ecco'; did you mean echo?"),
        ("Directry", "there is no battery 'Directry'; did you mean directory?"),
        (
            "zzz",
            "there is no battery 'zzz'; there are echo, discard, daytime, chargen, ftp, time, asgi, http, whoami, "
            "directory",
        ),
    ],
)
def test_an_unknown_battery_gets_the_nearest_name(name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        catalogue.describe(name)
    assert str(caught.value) == said
    with pytest.raises(UsageError):
        catalogue.load(name)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("echo", {"root": "x"}, "the battery echo takes no arguments, and got 'root'"),
        ("directory", {"fill": "x"}, "the battery directory takes no argument 'fill'; did you mean file?"),
        ("directory", {"file": 7}, "file of the battery directory is a path, not 7"),
        ("directory", {"file": ""}, "file of the battery directory: the value is empty"),
        ("directory", {"file": "a\0b"}, "file of the battery directory: 'a\\x00b' holds a NUL"),
        ("whoami", {"names": "perhaps"}, "names of the battery whoami: 'perhaps' is neither on nor off"),
        ("whoami", {"names": 1}, "names of the battery whoami is on or off (true or false), not 1"),
    ],
)
def test_an_unknown_or_ill_typed_argument_is_a_usage_error(name: str, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        catalogue.load(name, arguments)
    assert str(caught.value) == said


@pytest.mark.parametrize(("text", "value"), [("on", True), ("False", False), ("1", True), (False, False)])
def test_a_switch_is_read_from_text_or_bool(text: object, value: bool) -> None:
    spec = catalogue.describe("whoami")
    assert catalogue.check_arguments(spec, {"names": text}) == {"names": value}


def test_what_the_server_gives_is_passed_on_untouched() -> None:
    spec, services = catalogue.describe("directory"), object()
    assert catalogue.check_arguments(spec, {"services": services}) == {"services": services}
