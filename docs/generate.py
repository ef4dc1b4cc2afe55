"""Writes the parts of pages that are made from the code: ``python docs/generate.py``.

Such a part stands between ``<!-- NAME -->`` and ``<!-- end -->``; a test compares the pages with the code.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

import portside  # noqa: E402
from portside.cli.commands import COMMANDS  # noqa: E402
from portside.protocols import catalogue  # noqa: E402
from portside.protocols.options import BatteryOption  # noqa: E402
from portside.serve.settings import SETTINGS, Setting  # noqa: E402

PAGES: Final = (HERE / "reference.md", HERE / "ftp.md", HERE / "http.md", HERE / "asgi.md")
OPTIONS_IN_A_ROW_MAX: Final = 4  # a battery that may be told more has a page with a table of them
_PART: Final = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

# Unions have no docstring of their own.
_ALIASES: Final = {
    "Address": "An `InternetAddress` or a `UnixAddress`.",
    "Handler": "A callable that takes a `Connection` (or a `PlainConnection`, from a plain `def`), or a `Message`.",
}


def generated(page: str) -> str:
    """Return the page with its generated parts as the code has them now."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}{part[3]}", page)


def table(*rows: tuple[str, ...]) -> str:
    """Return the rows as a Markdown table, the first as its heading."""
    heading, *rest = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows]
    return heading + "|" + "---|" * len(rows[0]) + "\n" + "".join(rest)


def commands() -> str:
    """Return the table of commands."""
    return table(("command", ""), *((f"`portside {name}`", entry.sentence) for name, entry in COMMANDS.items()))


def settings() -> str:
    """Return the table of settings."""
    heading = ("option", "in the file", "value", "default", "")
    return table(heading, *map(_setting_row, SETTINGS))


def _setting_row(setting: Setting) -> tuple[str, ...]:
    kind = setting.kind
    value = "on, off" if kind.switch else kind.metavar.replace("|", ", ")
    unit = f" ({kind.unit})" if kind.unit else ""
    repeats = ", repeated" if kind.repeats else ""
    where = {"service": "", "server": "; at the top", "both": "; at the top for all services too"}[setting.scope]
    return (
        f"`{setting.option}`",
        f"`{setting.path}`{where}",
        f"{value}{unit}{repeats}",
        setting.default_shown,
        setting.help,
    )


def batteries() -> str:
    """Return the table of batteries and what they may be told."""
    rows = []
    for name in catalogue.names():
        spec = catalogue.describe(name)
        options = ", ".join(f"`{option.name}` ({option.sentence})" for option in spec.options)
        if len(spec.options) > OPTIONS_IN_A_ROW_MAX:
            options = f"{len(spec.options)}, see [{name}.md]({name}.md#every-option)"
        rows.append((f"`{name}`", str(spec.port), "TCP, UDP" if spec.datagram else "TCP", spec.sentence, options))
    return table(("battery", "port", "over", "", "arguments"), *rows)


def options(battery: str) -> str:
    """Return the table of what a battery may be told."""
    heading = ("option", "in the file", "value", "default", "")
    return table(heading, *map(_option_row, catalogue.describe(battery).options))


def _option_row(option: BatteryOption) -> tuple[str, ...]:
    value = "on, off" if option.kind.is_switch else option.kind.metavar.replace("|", ", ")
    shown = f"`{option.option}`" + (f", or `{option.name.upper()}` by itself" if option.positional else "")
    repeats = ", repeated" if option.repeats else ""
    return (shown, f"`{option.name}`", f"{value}{repeats}", option.default_shown, option.sentence)


def names() -> str:
    """Return the table of what `portside` exports, each with the first sentence of its docstring."""
    return table(("name", ""), *((f"`{name}`", _ALIASES.get(name) or _sentence(name)) for name in portside.__all__))


def _sentence(name: str) -> str:
    text = inspect.getdoc(getattr(portside, name)) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("``", "`")


PARTS: Final[dict[str, Callable[[], str]]] = {
    "commands": commands,
    "settings": settings,
    "batteries": batteries,
    "options": partial(options, "ftp"),
    "site_options": partial(options, "http"),
    "asgi_options": partial(options, "asgi"),
    "names": names,
}

if __name__ == "__main__":
    for page in PAGES:
        page.write_text(generated(page.read_text(encoding="utf-8")), encoding="utf-8")
