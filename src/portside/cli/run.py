"""``run``, ``serve``, ``up`` and ``check``: from what was typed to a server, or to the list of what is wrong."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from portside.cli.commands import LIST_TEXT, known_variables
from portside.cli.naming import HandlerFinder
from portside.serve.config import Configuration, configure_one
from portside.serve.config_file import FILE_NAME, configure_file
from portside.serve.mistakes import Mistake, Mistakes
from portside.serve.settings import (
    BY_NAME,
    SETTINGS,
    HandlerSettings,
    Limits,
    ServerSettings,
    ServiceSettings,
    Setting,
    TlsSettings,
    hint,
)

if TYPE_CHECKING:
    from portside.protocols.options import BatteryOption
    from portside.serve.observing import Observer

Configure = Callable[[], Configuration]


# ── options, from the table ──────────────────────────────────────────────────────────────────────────────────────────


class SettingOption(click.Option):
    """The option of a setting. It takes text: reading it is the configuration's, to find all mistakes at once."""

    def __init__(self, setting: Setting, *, hidden: bool = False) -> None:
        names = f"{setting.option}/--no-{setting.name}" if setting.kind.switch else setting.option
        facts = [setting.kind.unit, f"default: {setting.default_shown}"]
        super().__init__(
            [names],
            is_flag=setting.kind.switch,
            default=None,
            multiple=setting.kind.repeats,
            metavar=setting.kind.metavar or None,
            help=f"{_capitalized(setting.help)}.  [{'; '.join(fact for fact in facts if fact)}]",
            hidden=hidden,
        )
        self.setting = setting


_SECTIONS: Final = {
    ServiceSettings: "Service",
    HandlerSettings: "Service",
    Limits: "Limits",
    TlsSettings: "TLS",
    ServerSettings: "Server",
}


class ServingCommand(click.Command):
    """A command whose help puts what belongs together under one heading."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        sections |= {heading: [] for heading in _SECTIONS.values()}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                home = parameter.setting.home if isinstance(parameter, SettingOption) else None
                sections[_SECTIONS[home] if home is not None else "Options"].append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def setting_options(wanted: Callable[[Setting], bool], *, hidden: bool = False) -> list[click.Parameter]:
    """Return an option for each setting that is wanted."""
    return [SettingOption(setting, hidden=hidden) for setting in SETTINGS if wanted(setting)]


def settings_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of click's values that are settings, by their names."""
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return {name: value for name, value in named.items() if name in BY_NAME}


# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def start(configure: Configure) -> int:
    """Serve what the configuration says until it is over, and return the exit status."""
    settings = configure().settings

    from portside.cli.builtin import Builtin
    from portside.observe import log
    from portside.serve import supervisor

    builtin = Builtin()

    def reread() -> ServerSettings:
        changed = configure().settings
        log.start(changed.log_format, changed.log_level)
        return builtin.furnish(changed)

    log.start(settings.log_format, settings.log_level)
    _warn_of_unused_certificates(settings)
    if settings.user is not None or settings.group is not None:
        from portside.cli.preload import import_everything

        import_everything()
    try:
        return supervisor.run(builtin.furnish(settings), reread=reread, observe=_witness, ends_process=True)
    finally:
        builtin.close()


def _witness() -> Observer:
    """Make the observer of a worker, in the worker: a server that nobody can ask does without its code."""
    from portside.observe.witness import Witness

    return Witness()


def _warn_of_unused_certificates(settings: ServerSettings) -> None:
    """Say so where somebody set up TLS and listens in the clear: no mistake, but hardly what they think it is."""
    for service in settings.services:
        if service.tls.wanted and not service.starts_tls and not any(at.scheme == "tls" for at in service.listen):
            logging.getLogger("portside").warning(
                "%s has a certificate and no tls:// endpoint: its connections are not encrypted", service.name
            )


def finder(*more_folders: str) -> HandlerFinder:
    """Return who finds handlers: modules of the current directory come first."""
    return HandlerFinder(tuple(dict.fromkeys((os.getcwd(), *more_folders))))


@click.command(cls=ServingCommand, params=setting_options(lambda setting: True))
@click.argument("target", metavar="MODULE:HANDLER")
def run(target: str, **values: Any) -> int:
    """Serve a handler of your own.

    MODULE is imported from the current directory first; HANDLER may follow attributes (a.b.c).

    \b
        portside run shout:shout --listen tcp://[::]:9000 --workers 2
    """
    find = finder()
    return start(
        lambda: configure_one(
            lambda factory: find.handler(target, factory=factory),
            asked="portside run",
            arguments={},
            options=settings_in(values),
            environment=os.environ,
            other_variables=known_variables,
        )
    )


# ── serve: a command for each battery ────────────────────────────────────────────────────────────────────────────────


def _is_for_batteries(setting: Setting) -> bool:
    return setting.home is not HandlerSettings


class Batteries(click.Group):
    """The batteries of the catalogue as commands, each with its own options before those of every server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from portside.protocols import catalogue

        return catalogue.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return battery_command(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from portside.protocols import catalogue

        with formatter.section("Batteries"):
            formatter.write_dl([(name, catalogue.describe(name).sentence) for name in catalogue.names()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            near = hint(args[0].lower(), names, otherwise=f"there are {', '.join(names)}")
            raise click.UsageError(f"there is no battery {args[0]!r}{near}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Batteries,
    invoke_without_command=True,
    params=setting_options(_is_for_batteries, hidden=True),
    subcommand_metavar="BATTERY [ARGS]...",
    options_metavar="",
    context_settings={"allow_interspersed_args": False},
)
@click.pass_context
def serve(ctx: click.Context, /, **values: Any) -> None:
    """Serve a battery.

    `portside serve BATTERY --help` shows what the battery may be told; the options may stand before or behind it.
    """
    if ctx.invoked_subcommand is None:
        raise click.UsageError(f"which battery? There are {', '.join(serve.list_commands(ctx))}", ctx)
    ctx.obj = settings_in(values)


_OWN = "battery_"  # before a battery's option in click's names, where settings have none


def battery_command(name: str) -> click.Command:
    """Return the command that serves the battery: its options, then those of every server."""
    from portside.protocols import catalogue

    spec = catalogue.describe(name)
    own: list[click.Parameter] = [_battery_option(option) for option in spec.options]
    positional = [option.name for option in spec.options if option.positional]
    own.append(click.Argument(["typed"], nargs=-1, metavar=_arguments_metavar(positional)))

    @click.pass_context
    def callback(ctx: click.Context, /, **values: Any) -> int:
        options = {**(ctx.obj or {}), **{key: value for key, value in settings_in(values).items() if _is_said(value)}}
        repeated = {option.name for option in spec.options if option.repeats}
        arguments = _battery_arguments(ctx, positional, repeated, values)
        find = finder()
        return start(
            lambda: configure_one(
                lambda factory: find.battery(name),
                asked=f"portside serve {name}",
                arguments=arguments,
                options=options,
                environment=os.environ,
                other_variables=known_variables,
            )
        )

    return ServingCommand(
        name,
        callback=callback,
        params=[*own, *setting_options(lambda setting: _is_for_batteries(setting) or setting.name in spec.given)],
        help=f"{_capitalized(spec.sentence)}.",
    )


def _battery_option(option: BatteryOption) -> click.Option:
    no = f"/--no-{option.option.removeprefix('--')}" if option.kind.is_switch else ""
    return click.Option(
        [option.option + no, _OWN + option.name],
        envvar=option.variable,
        type=None if option.kind.is_switch else LIST_TEXT,
        is_flag=option.kind.is_switch,
        default=None,
        multiple=option.repeats,
        metavar=option.kind.metavar or None,
        help=f"{_capitalized(option.sentence)}.  [default: {option.default_shown}]",
    )


def _is_said(value: object) -> bool:
    return value is not None and value != ()


def _arguments_metavar(positional: Iterable[str]) -> str:
    return " ".join(f"[{name.upper()}]" for name in positional) or "[NAME=VALUE]..."


def _battery_arguments(
    ctx: click.Context, positional: list[str], repeated: Collection[str], values: Mapping[str, Any]
) -> dict[str, object]:
    """Return what the battery is told: its options, then bare values in order, then ``NAME=VALUE``; and where nobody
    typed anything, what the environment says.

    Raises: click.UsageError for a value too many or said twice.
    """
    said = {name: value for name, value in values.items() if name.startswith(_OWN) and _is_said(value)}
    typed = {name for name in said if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    found: dict[str, Any] = {name.removeprefix(_OWN): value for name, value in said.items() if name in typed}
    waiting = [name for name in positional if name not in found]
    for text in values["typed"]:
        name, equals, value = text.partition("=")
        if not (equals and name.isidentifier()):
            if not waiting:
                raise click.UsageError(f"{text!r} is one argument too many", ctx)
            name, value = waiting.pop(0), text
        name = name.replace("-", "_")
        if name in repeated:
            found[name] = (*found.get(name, ()), value)
        elif name in found:
            raise click.UsageError(f"{name} is said twice", ctx)
        else:
            found[name] = value
    return {name.removeprefix(_OWN): value for name, value in said.items() if name not in typed} | found


# ── up and check ─────────────────────────────────────────────────────────────────────────────────────────────────────


def configure_up(
    path: str,
    options: Mapping[str, Any],
    trial: Callable[[Configuration], Iterable[Mistake]] = lambda configuration: (),
) -> Configuration:
    """Return the configuration of the file; its handlers are sought here, then beside it, and go through ``trial``."""
    return configure_file(
        path,
        finder(os.path.dirname(os.path.abspath(path))),
        options=options,
        environment=os.environ,
        other_variables=known_variables,
        trial=trial,
    )


@click.command(cls=ServingCommand, params=setting_options(lambda setting: setting.scope != "service"))
@click.argument("file", metavar=f"[{FILE_NAME}]", default=FILE_NAME)
def up(file: str, **values: Any) -> int:
    """Serve everything in a configuration file."""
    return start(lambda: configure_up(file, settings_in(values)))


@click.command()
@click.argument("file", metavar=f"[{FILE_NAME}]", default=FILE_NAME)
@click.option("--json", "as_json", is_flag=True, envvar="PORTSIDE_JSON", help="Print the mistakes as a JSON array.")
def check(file: str, as_json: bool) -> int:
    """Say whether a configuration file can be served.

    Prints all mistakes with file and line, or ok. Handlers are imported and certificates loaded, in a process of
    their own; nothing listens.
    """
    from portside.cli import exit_status
    from portside.cli.output import print_array, write_out
    from portside.cli.trial import try_services

    mistakes: Sequence[Mistake] = ()
    try:
        configure_up(file, {}, try_services)
    except Mistakes as error:
        mistakes = error.mistakes
    if as_json:
        print_array(
            {"file": one.place.file, "line": one.place.line, "key": one.place.key or None, "sentence": one.sentence}
            for one in mistakes
        )
    elif mistakes:
        write_out("".join(f"{one}\n" for one in mistakes))
    else:
        write_out("ok\n")
    return exit_status.USAGE if mistakes else exit_status.OK
