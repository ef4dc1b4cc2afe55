"""Which commands there are: a table to print, and modules to import once a command is asked for."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import click

from portside.cli.main import version
from portside.errors import LocalError, UsageError

ENVIRONMENT_PREFIX: Final = "PORTSIDE_"
HELP_OPTIONS: Final = ("--help", "-h")


@dataclass(frozen=True, slots=True)
class Entry:
    """A command and the module that has it, as an attribute of its name (``list_`` where Python has the name)."""

    module: str
    sentence: str
    serves: bool = False  # reads the environment itself, to report all mistakes of a configuration at once


COMMANDS: Final = {
    "run": Entry("run", "serve a handler of your own", serves=True),
    "serve": Entry("run", "serve a battery: echo, whoami, directory …", serves=True),
    "up": Entry("run", "serve everything in portside.toml", serves=True),
    "check": Entry("run", "say whether portside.toml can be served", serves=True),
    "ps": Entry("control", "list the services and connections of a running server"),
    "top": Entry("control", "watch the services and connections of a running server"),
    "diagram": Entry("diagram", "show what is said over a connection as a message sequence diagram"),
    "reload": Entry("control", "make a running server read its configuration and code anew"),
    "stop": Entry("control", "stop a running server, or end one of its connections"),
    "connect": Entry("connect", "talk to a server from the terminal"),
    "lookup": Entry("lookup", "ask a directory server for services by name"),
    "get": Entry("get", "bring files from a server"),
    "put": Entry("put", "bring files to a server"),
    "list": Entry("list_", "list a directory of a server"),
    "mirror": Entry("mirror", "make a directory here, or on a server, like one of the other side"),
    "resolve": Entry("resolve", "list the addresses of a name, in the order a program tries them"),
    "address": Entry("address", "explain an address"),
    "connections": Entry("connections", "list the sockets of this machine"),
    "capture": Entry("capture", "show what a service, or an interface, sends and receives"),
    "users": Entry("users", "add, list, change and remove the users of a file"),
    "simulate": Entry("simulate", "run a simulated internet from a file, with a report and a capture"),
    "bench": Entry("bench", "measure servers and models"),
}


class LazyCommands(click.Group):
    """The group of all commands. Listing them imports none; asking for one imports its module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.sentence) for name, entry in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, *rest = args
        if name.startswith("-"):
            return super().resolve_command(ctx, args)
        if name not in COMMANDS:
            raise click.UsageError(f"there is no command {name!r}; {_nearest(name, list(COMMANDS))}", ctx)
        command = load_command(name)
        if not COMMANDS[name].serves and not set(HELP_OPTIONS) & set(rest):
            refuse_unknown_variables(command)
        return name, command, rest


def load_command(name: str) -> click.Command:
    """Return the command, its module imported now. Raises: LocalError when this installation lacks it."""
    module_name = f"portside.cli.{COMMANDS[name].module}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name:
            raise LocalError(f"this installation has no command {name!r}") from error
        raise LocalError(f"the command {name!r} needs the package {error.name!r}, which is not installed") from error
    command = cast(click.Command, getattr(module, name, None) or getattr(module, f"{name}_"))
    if not COMMANDS[name].serves:
        for option in _options_of(command):
            option.envvar = option.envvar or variable_of(option)
            if option.multiple and option.type is click.STRING:
                option.type = LIST_TEXT
    return command


class _ListText(click.types.StringParamType):
    """Text of a repeated option, which its environment variable separates by commas."""

    envvar_list_splitter = ","


LIST_TEXT: Final = _ListText()


def _options_of(command: click.Command) -> Iterator[click.Option]:
    """Yield the options of a command and of the commands below it."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in (None, "help", "version"):
            yield parameter
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from _options_of(child)


def variable_of(option: click.Option) -> str:
    """Return the environment variable that sets the option: ``PORTSIDE_TLS_CA`` for ``--tls-ca``."""
    return ENVIRONMENT_PREFIX + max(option.opts, key=len).lstrip("-").upper().replace("-", "_")


def refuse_unknown_variables(command: click.Command) -> None:
    """Raise UsageError for a ``PORTSIDE_*`` variable that no command of Portside knows."""
    strangers = {name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)}
    strangers -= {variable_of(option) for option in _options_of(command)}
    if not strangers:
        return
    known = known_variables()
    for name in sorted(strangers - known):
        raise UsageError(f"{name} in the environment sets nothing; {_nearest(name, sorted(known))}")


def known_variables() -> set[str]:
    """Return every variable that means something to some command. Imports them all: for when one looks wrong."""
    from portside.protocols import catalogue
    from portside.serve.settings import SETTINGS

    known = {setting.variable for setting in SETTINGS}
    known |= {option.variable for battery in catalogue.names() for option in catalogue.describe(battery).options}
    for name, entry in COMMANDS.items():
        if not entry.serves:
            try:
                known |= {variable_of(option) for option in _options_of(load_command(name))}
            except LocalError:  # a part that is not installed has no options to set
                continue
    return known


def _nearest(word: str, words: list[str]) -> str:
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are {', '.join(words)}" if len(words) < 20 else "no name is near it"


@click.group(cls=LazyCommands, context_settings={"help_option_names": list(HELP_OPTIONS)})
@click.version_option(version(), prog_name="portside", message="%(prog)s %(version)s")
def portside() -> None:
    """An application server for socket protocols.

    Write a handler for a connection; Portside does the rest:

    \b
        portside run shout:shout --listen tcp://[::]:9000
        portside serve echo
    """
