"""``portside diagram``: what is said over a connection of a running server, as a message sequence diagram."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Final

import click

from portside.cli import exit_status
from portside.cli.control import ANSWER_S, connect_to_server, control_option
from portside.cli.output import Style, print_array, print_object, styled, write_out
from portside.observe.sequence.diagram import Diagram, diagram_of
from portside.observe.sequence.terminal import Drawing, Tone, build_lines, lost_in_words

LOOK_S: Final = 0.2  # how often a conversation that is followed is asked for more
COLUMNS: Final = 100  # of what is no terminal
MESSAGES_MAX: Final = 250

_STYLES: Final[dict[Tone, Style]] = {"name": "bold", "dim": "dim", "in": "cyan", "out": "green", "refusal": "red"}


@click.command(short_help="show what is said over a connection as a message sequence diagram")
@click.argument("connection", metavar="CONNECTION")
@control_option
@click.option("--follow", is_flag=True, help="Go on with what is said from now on, until the connection is over.")
@click.option("--svg", "svg", metavar="FILE", help="Write a picture; - is the standard output.")
@click.option("--mermaid", is_flag=True, help="Print Mermaid's text for documents.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON array of the messages; with --follow, one a line."
)
def diagram(
    *, connection: str, control: str | None, follow: bool, svg: str | None, mermaid: bool, as_json: bool
) -> int:
    """Draw a conversation of a running server as a message sequence diagram.

    CONNECTION is an id as ps names it; the diagrams of connections that ended lately can be had as well.
    """
    if (svg is not None) + mermaid + as_json > 1:
        raise click.UsageError("--svg, --mermaid and --json are three different things to print")
    if follow and (svg is not None or mermaid):
        raise click.UsageError("what is followed is drawn in the terminal, or printed with --json")
    with closing(connect_to_server(control)) as sock:
        from portside.serve import control as server

        sock.settimeout(ANSWER_S)

        def ask(after: int) -> dict[str, Any]:
            request = {"do": "conversation", "connection": connection, "after": after, "limit": MESSAGES_MAX}
            answer: dict[str, Any] = server.ask(sock, request)
            return answer

        if follow:
            with suppress(KeyboardInterrupt):  # the way to end it
                _follow(ask, _Json() if as_json else _Growing())
            return exit_status.OK
        conversation = ask(0)
    if as_json:
        print_array(conversation["messages"])
    else:
        _print(diagram_of(conversation), svg, mermaid)
    return exit_status.OK


def _print(drawn: Diagram, svg: str | None, mermaid: bool) -> None:
    if svg is not None:
        from portside.observe.sequence.svg import build_svg

        with click.open_file(svg, "w", encoding="utf-8") as file:
            file.write(build_svg(drawn))
    elif mermaid:
        from portside.observe.sequence.mermaid import build_mermaid

        write_out(build_mermaid(drawn))
    else:
        _print_lines(build_lines(drawn, _columns(), _paint))


def _print_lines(lines: list[str]) -> None:
    write_out("".join(f"{line}\n" for line in lines), flush=True)


def _columns() -> int:
    return shutil.get_terminal_size((COLUMNS, 24)).columns


def _paint(text: str, tone: Tone) -> str:
    return styled(text, _STYLES[tone], stream=sys.stdout) if text.strip() else text


# ── following ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _follow(ask: Callable[[int], dict[str, Any]], shown: _Json | _Growing) -> None:
    last = 0
    while True:
        conversation = ask(last)
        shown.show(conversation)
        messages = conversation["messages"]
        if messages:
            last = messages[-1]["seq"]
        elif conversation["row"] is None:
            return
        time.sleep(LOOK_S if len(messages) < MESSAGES_MAX else 0.0)


class _Json:
    """Prints each message as it comes."""

    def show(self, conversation: dict[str, Any]) -> None:
        for message in conversation["messages"]:
            print_object(message)


class _Growing:
    """Draws a diagram that grows downwards. Somebody new among those who talk has it begin again with its heading."""

    def __init__(self) -> None:
        self._lanes: list[str] = []
        self._drawing: Drawing | None = None

    def show(self, conversation: dict[str, Any]) -> None:
        """Draw what is new."""
        news = [message["lane"] for message in conversation["messages"]]
        lanes = list(dict.fromkeys([*self._lanes, *(lane for lane in news if lane)]))
        drawn = diagram_of(conversation, lanes)
        if self._drawing is None or lanes != self._lanes:
            self._lanes = lanes
            self._begin(drawn)
        assert self._drawing is not None
        lines = [self._drawing.note(lost_in_words(drawn.lost))] if drawn.lost else []
        for arrow in drawn.arrows:
            lines += self._drawing.message(arrow)
        if drawn.ending is not None and not drawn.arrows:
            lines += [self._drawing.bars(), self._drawing.note(drawn.ending)]
        if lines:
            _print_lines(lines)

    def _begin(self, drawn: Diagram) -> None:
        is_first = self._drawing is None
        self._drawing = Drawing(drawn.lifelines, _columns(), _paint, words=[[] for _ in drawn.lifelines[1:]])
        title = [self._drawing.note(f"{drawn.title}, since {drawn.began}"), ""] if is_first else [self._drawing.bars()]
        _print_lines([*title, *self._drawing.heading()])
