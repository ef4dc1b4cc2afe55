"""The ``portside`` command: what it answers at once, and how every failure becomes a sentence and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from portside.errors import PortsideError

if TYPE_CHECKING:
    import click


def version() -> str:
    """Return Portside's version."""
    # The package's own __init__ ran before this module; nobody inside imports it by name.
    return str(sys.modules["portside"].__version__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _hold_standard_descriptors()
    _make_streams_forgiving()
    try:
        status = _answer(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:  # before the command began, or as it ended
        _drop_output()
        return 130  # exit_status.INTERRUPTED, whose import could be what was interrupted
    except BrokenPipeError:
        _drop_output()  # whoever read it has seen enough (`| head`)
        return 0
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"portside: {where}{error.strerror or error}", 1)
    return status


def _drop_output() -> None:
    # What could not be written is tried again when Python ends, and would make an exit status of its own then.
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _hold_standard_descriptors() -> None:
    # If we were started with one of them closed, the next socket would get its number, and the log's records with it.
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _make_streams_forgiving() -> None:
    # Names and paths may hold what the locale's encoding lacks; an escape says more than a UnicodeEncodeError.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _answer(arguments: list[str]) -> int:
    if arguments == ["--version"]:  # before click is imported: scripts ask often
        if sys.stdout is not None:
            sys.stdout.write(f"portside {version()}\n")
        return 0

    import click

    from portside.cli import exit_status
    from portside.cli.commands import portside

    if instruction := os.environ.get("_PORTSIDE_COMPLETE"):  # set by the script that bash, zsh or fish sourced
        from click.shell_completion import shell_complete

        return shell_complete(portside, {}, "portside", "_PORTSIDE_COMPLETE", instruction)
    if not arguments:
        context = click.Context(portside, info_name="portside", **portside.context_settings)
        return _complain(portside.get_help(context), exit_status.USAGE)
    try:
        with portside.make_context("portside", arguments) as context:
            result = portside.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return exit_status.INTERRUPTED
    except click.ClickException as error:
        return _complain(_sentence_of(error), error.exit_code)
    except (PortsideError, TimeoutError) as error:
        return _complain(_lines_of(error), exit_status.exit_status_of(error))
    return result if isinstance(result, int) else exit_status.OK


def _sentence_of(error: click.ClickException) -> str:
    """Return what click found wrong, with the command it was said to and where to read on."""
    import click

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "portside"
    if isinstance(error, click.NoSuchOption):
        near = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        sentence = f"there is no option {error.option_name!r}{near}"
    else:
        sentence = error.format_message().removesuffix(".")
    return f"{path}: {sentence[:1].lower()}{sentence[1:]}\ntry: {path} --help"


def _lines_of(error: BaseException) -> str:
    if getattr(error, "mistakes", None):  # each says itself where it is
        return str(error)
    return f"portside: {str(error) or 'timed out'}"


def _complain(text: str, status: int) -> int:
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")
    return status
