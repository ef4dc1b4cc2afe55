"""``portside top`` in a terminal: services, connections, processes and errors, kept up to date; by keyboard or mouse.

It looks at the server as the dashboard does, through the same ``Watch``, over the control socket. Needs textual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar, Final

import click
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Footer, Input, Static, TabbedContent, TabPane

from portside.cli import top_rows
from portside.cli.control import shown_age
from portside.errors import PortsideError
from portside.observe.dashboard.asking import Ask, Silent
from portside.observe.dashboard.watch import Watch
from portside.observe.sequence.diagram import diagram_of
from portside.observe.sequence.terminal import Tone, build_lines

ROWS_MAX: Final = 500  # connections that are shown: of more, the first in the order that was chosen
LOOK_S: Final = 0.25  # how often a conversation that is watched is asked for more
_COLORS: Final[dict[Tone, dict[str, Any]]] = {
    "name": {"bold": True},
    "dim": {"dim": True},
    "in": {"fg": "cyan"},
    "out": {"fg": "green"},
    "refusal": {"fg": "red"},
}
_STATES: Final = {"ready": "green", "running": "green", "degraded": "yellow", "busy": "yellow", "down": "red"}

Table = DataTable[Text]


class Top(App[None]):
    """The whole of it. ``ask`` puts a question to the server."""

    TITLE = "portside top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #status { height: 1; padding: 0 1; text-style: bold; }
    #status.is-lost { color: $error; }
    #services { height: auto; max-height: 40%; margin-bottom: 1; }
    #filter { display: none; border: none; height: 1; background: $surface; }
    #filter.is-open { display: block; }
    TabbedContent { height: 1fr; }
    TabPane { padding: 0; }
    .is-stale { opacity: 50%; }
    Conversation, Question { align: center middle; }
    VerticalScroll, Question > Static { background: $surface; border: round $primary; padding: 0 1; }
    Conversation > VerticalScroll { width: 96%; height: 92%; }
    Question > Static { width: auto; max-width: 70; height: auto; border: round $error; padding: 1 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("o", "order", "Order"),
        Binding("x,delete", "close", "Close connection", key_display="x"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._watch = Watch(ask, frozenset())
        self._bell = asyncio.Event()
        self._services = top_rows.Rates()
        self._connections = top_rows.Rates()
        self._processes = top_rows.Rates()
        self._listings: dict[str, Listing] = {}
        self._order = top_rows.ORDERS[0]
        self._words = ""

    def compose(self) -> ComposeResult:
        yield Static("Looking…", id="status")
        yield Table(id="services", cursor_type="none", zebra_stripes=True)
        yield Input(id="filter", placeholder="Filter by address, service, state, worker", compact=True)
        with TabbedContent(id="tabs"):
            for name in ("Connections", "Processes", "Errors"):
                with TabPane(name, id=f"tab-{name.lower()}"):
                    yield Table(id=name.lower(), cursor_type="row")
        yield Footer()

    def on_mount(self) -> None:
        titles = {
            "services": top_rows.SERVICE_TITLES,
            "connections": top_rows.CONNECTION_TITLES,
            "processes": top_rows.WORKER_TITLES,
            "errors": top_rows.ERROR_TITLES,
        }
        for name, columns in titles.items():
            self._table(name).add_columns(*columns)
            self._listings[name] = Listing(self._table(name))
        self._table("connections").focus()
        self._watch.attach(self._bell)
        self.run_worker(self._follow(), exit_on_error=True)

    @property
    def _main(self) -> Screen[Any]:
        """What is below whatever is shown on top of it."""
        return self.screen_stack[0]

    def _table(self, name: str) -> Table:
        return self._main.query_one(f"#{name}", DataTable)

    async def _follow(self) -> None:
        looks = -1
        while True:
            await self._bell.wait()
            self._bell.clear()
            if not self._main.query("#status"):
                return  # the screen is being taken down
            if self._watch.looks != looks:
                looks = self._watch.looks
                self._show_server(self._watch.server)
            self._show_connections()

    # ── what the server told ─────────────────────────────────────────────────────────────────────────────────────────

    def _show_server(self, event: dict[str, Any]) -> None:
        status = self._main.query_one("#status", Static)
        is_lost = "silent" in event
        status.set_class(is_lost, "is-lost")
        for table in self._main.query(DataTable):
            table.set_class(is_lost, "is-stale")
        if is_lost:
            status.update(Text(f"No answer: {event['silent']}. What is shown is what was known last."))
            return
        at_s = monotonic()
        server, services = event["server"], event["services"]
        self._services.add(top_rows.rates_of_services(services), at_s)
        processes = top_rows.processes_of(event)
        self._processes.add({one["pid"]: one["cpu_s"] or 0.0 for one in processes}, at_s)
        self._connections.add({name: top_rows.moved_by(row) for name, row in self._watch.rows.items()}, at_s)
        count = sum(service["open"] for service in services)
        about = (f"portside {server['version']}", server["state"], f"up {shown_age(server['up_s'])}")
        status.update(Text("  ".join((*about, f"{count:,} connections"))))
        self._listings["services"].show(
            [(one["service"], top_rows.service_cells(one, self._services)) for one in services]
        )
        self._listings["processes"].show(
            [(str(one["pid"]), top_rows.process_cells(one, self._processes, event["busy"])) for one in processes],
        )
        errors = list(self._watch.errors)[::-1]
        self._label("errors", f"Errors {len(errors)}" if errors else "Errors")
        self._listings["errors"].show([(str(error["seq"]), top_rows.error_cells(error)) for error in errors])

    def _label(self, name: str, label: str) -> None:
        self._main.query_one("#tabs", TabbedContent).get_tab(f"tab-{name}").label = label

    def _show_connections(self) -> None:
        rows = top_rows.chosen(self._watch.rows.values(), self._words, self._order, self._connections, ROWS_MAX)
        now = datetime.now(UTC)
        self._listings["connections"].show(
            [(row[0], top_rows.connection_cells(row, self._connections.of(row[0]).now, now)) for row in rows],
        )
        shown = f"{len(rows):,} of {len(self._watch.rows):,}"
        self._main.query_one("#tabs", TabbedContent).get_tab(
            "tab-connections"
        ).label = f"Connections {shown}, {self._order}"

    # ── what people do ───────────────────────────────────────────────────────────────────────────────────────────────

    def action_filter(self) -> None:
        field = self._main.query_one("#filter", Input)
        field.add_class("is-open")
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._words = event.value
        self._show_connections()

    def on_input_submitted(self) -> None:
        self._main.query_one("#filter", Input).set_class(bool(self._words), "is-open")
        self._table("connections").focus()

    def action_order(self) -> None:
        place = top_rows.ORDERS.index(self._order)
        self._order = top_rows.ORDERS[(place + 1) % len(top_rows.ORDERS)]
        self._show_connections()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        if event.row_key.value is None:
            return
        if event.data_table.id == "connections":
            self.push_screen(Conversation(self._ask, event.row_key.value))
        elif event.data_table.id == "errors":
            error = next(one for one in self._watch.errors if str(one["seq"]) == event.row_key.value)
            self.push_screen(Conversation.of_text(self._ask, error["traceback"]))

    def action_close(self) -> None:
        table = self._table("connections")
        if not table.has_focus or not table.row_count:
            return
        name = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        row = self._watch.rows.get(name or "")
        if name is not None and row is not None:
            cells = top_rows.connection_cells(row, 0.0, datetime.now(UTC))
            self.push_screen(
                Question(f"Close the connection of {cells[2]} with {cells[1]}?"),
                lambda is_sure: self._close(name) if is_sure else None,
            )

    def _close(self, name: str) -> None:
        self.run_worker(self._end(name), exit_on_error=False)

    async def _end(self, name: str) -> None:
        try:
            await self._ask({"do": "end", "connection": name})
        except PortsideError as error:
            self.notify(str(error), severity="error")


class Listing:
    """A table that is kept up to date: only cells that say something else are touched."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._shown: dict[str, tuple[str, ...]] = {}

    def show(self, rows: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        """Show the rows, by their keys; the cursor stays on its row, and what is in sight in sight."""
        wanted = dict(rows)
        if list(wanted) == list(self._shown):
            self._change(wanted)
        else:
            self._fill(wanted)
        self._shown = wanted

    def _change(self, wanted: dict[str, tuple[str, ...]]) -> None:
        columns = list(self._table.columns)
        for key, cells in wanted.items():
            before = self._shown[key]
            if cells != before:
                for column, cell, old in zip(columns, cells, before, strict=True):
                    if cell != old:
                        self._table.update_cell(key, column, painted(cell), update_width=len(cell) > len(old))

    def _fill(self, wanted: dict[str, tuple[str, ...]]) -> None:
        table, cursor, top = self._table, None, self._table.scroll_y
        if table.row_count and table.is_valid_coordinate(table.cursor_coordinate):
            cursor = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        table.clear()
        for key, cells in wanted.items():
            table.add_row(*map(painted, cells), key=key)
        if cursor in wanted:
            table.move_cursor(row=list(wanted).index(cursor), scroll=False)
        table.scroll_to(y=top, animate=False)


def painted(cell: str) -> Text:
    """Return the cell as text, never as markup; numbers at the right."""
    is_number = cell[:1].isdigit() and cell[-1:] not in ("]",) and ":" not in cell and "-" not in cell
    return Text(cell, style=_STATES.get(cell, ""), justify="right" if is_number else "left")


class Conversation(ModalScreen[None]):
    """What is said over a connection, as it is said; or a text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "app.pop_screen", "Back", key_display="esc")]

    def __init__(self, ask: Ask, connection: str) -> None:
        super().__init__()
        self._ask = ask
        self._connection = connection
        self._text: str | None = None
        self._found: dict[str, Any] | None = None

    @classmethod
    def of_text(cls, ask: Ask, text: str) -> Conversation:
        screen = cls(ask, "")
        screen._text = text
        return screen

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static("Looking…" if self._text is None else Text(self._text), id="words")
        yield Footer()

    def on_mount(self) -> None:
        if self._text is None:
            self.run_worker(self._follow(), exit_on_error=True)

    async def _follow(self) -> None:
        while True:
            try:
                found = await self._ask(
                    {"do": "conversation", "connection": self._connection, "after": self._last_message}
                )
            except Silent:
                await asyncio.sleep(LOOK_S)
                continue
            except PortsideError as error:
                if self._found is None:
                    self.query_one("#words", Static).update(Text(str(error)))
                return
            self._take(found)
            if found["ended"] is not None:
                return
            await asyncio.sleep(LOOK_S)

    @property
    def _last_message(self) -> int:
        messages = self._found["messages"] if self._found is not None else []
        return int(messages[-1]["seq"]) if messages else 0

    def _take(self, found: dict[str, Any]) -> None:
        """Draw what there is by now; whoever reads further up is not moved."""
        if self._found is not None:
            is_same = not found["messages"] and found["ended"] == self._found["ended"]
            found = {**found, "messages": self._found["messages"] + found["messages"], "lost": self._found["lost"]}
            if is_same:
                return
        self._found = found
        box = self.query_one(VerticalScroll)
        is_at_end = box.scroll_y >= box.max_scroll_y - 1
        lines = build_lines(diagram_of(found), max(40, box.content_size.width - 1), paint)
        if not found["messages"]:
            lines.append("Nothing was said so far.")
        self.query_one("#words", Static).update(Text.from_ansi("\n".join(lines)))
        if is_at_end:
            self.call_after_refresh(box.scroll_end, animate=False)


def paint(text: str, tone: Tone) -> str:
    return click.style(text, **_COLORS[tone]) if text.strip() else text


class Question(ModalScreen[bool]):
    """Asks before something is done that cannot be undone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,enter,q", "answer(False)", "No", key_display="n"),
    ]

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self._sentence = sentence

    def compose(self) -> ComposeResult:
        yield Static(Text(f"{self._sentence}\n\ny  yes, at once\nn  no"))
        yield Footer()

    def action_answer(self, is_sure: bool) -> None:
        self.dismiss(is_sure)
