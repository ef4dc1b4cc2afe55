"""A scenario's file, read and checked: every mistake is told with the table and the key that it is in."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from portside.errors import UsageError
from portside.sim.quantities import duration_ns

TABLES: Final = {
    "world": {"title", "description", "seed", "limit", "profile"},
    "host": {"addresses", "clock_offset", "clock_drift", "profile", "mtu"},
    "router": {"addresses", "mtu"},
    "nat": {"inside", "outside", "mapping", "filtering", "udp_timeout", "forward", "mtu"},
    "switch": set[str](),
    "hub": set[str](),
    "link": {"between", "name", "back", "rate", "delay", "jitter", "jitter_shape", "loss", "burst", "reorder",
             "reorder_delay", "duplicate", "corrupt", "queue", "queue_frames", "queue_bytes"},
    "program": {"on", "name", "start", "serve", "port", "with", "send", "to", "get", "ping", "count", "interval",
                "bytes", "patience", "run", "arguments", "background"},
    "fault": {"at", "do", "host", "link", "between", "with"},
    "rule": {"link", "from", "protocol", "data", "frames", "lose", "delay"},
    "sweep": {"link", "setting", "values"},
}  # fmt: skip
LISTS: Final = {"link", "program", "fault", "rule"}
NAMED: Final = {"host", "router", "nat", "switch", "hub"}
KINDS: Final = ("serve", "send", "get", "ping", "run")
FAULTS: Final = {
    "crash": "host", "restart": "host", "down": "link", "up": "link", "change": "link", "partition": "between",
    "heal": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a file says. Values are as they were written; names in them are known to exist."""

    path: Path
    world: Mapping[str, Any]
    devices: list[tuple[str, str, Mapping[str, Any]]]  # kind, name and settings, in the order of the file
    links: list[Mapping[str, Any]]
    programs: list[Mapping[str, Any]]
    faults: list[Mapping[str, Any]]
    rules: list[Mapping[str, Any]]
    sweep: Mapping[str, Any] | None

    @property
    def title(self) -> str:
        return str(self.world.get("title", self.path.stem.replace("-", " ")))

    @property
    def seed(self) -> int:
        return int(self.world.get("seed", 1))


def read_scenario(path: str | Path) -> Scenario:
    """Read a file. Raises: UsageError, which says where the mistake is."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            said = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    try:
        return _checked(path, said)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _checked(path: Path, said: dict[str, Any]) -> Scenario:
    _known("the file", said, set(TABLES))
    for kind, tables in said.items():
        if kind in LISTS and not isinstance(tables, list):
            raise UsageError(f"write [[{kind}]]: there may be several")
        for where, table in _tables(kind, tables):
            if not isinstance(table, dict):
                raise UsageError(f"{where} is a table")
            _known(where, table, TABLES[kind])
    devices = [(kind, name, table) for kind in said if kind in NAMED for name, table in said[kind].items()]
    if not devices:
        raise UsageError("there is no [host.NAME]")
    scenario = Scenario(
        path=path,
        world=said.get("world", {}),
        devices=devices,
        links=said.get("link", []),
        programs=said.get("program", []),
        faults=said.get("fault", []),
        rules=said.get("rule", []),
        sweep=said.get("sweep"),
    )
    _check_names(scenario)
    for kind, check in _CHECKS.items():
        for where, table in _tables(kind, said.get(kind, [])):
            check(where, table)
    if scenario.sweep is not None and set(scenario.sweep) != TABLES["sweep"]:
        raise UsageError("[sweep] has link, setting and values")
    return scenario


def _tables(kind: str, tables: Any) -> list[tuple[str, Any]]:
    if kind in LISTS:
        return [(f"[[{kind}]] {number}", table) for number, table in enumerate(tables, 1)]
    if kind in NAMED and isinstance(tables, dict):
        return [(f"[{kind}.{name}]", table) for name, table in tables.items()]
    return [(f"[{kind}]", tables)]


def _known(where: str, table: Mapping[str, Any], keys: set[str]) -> None:
    for key in table:
        if key not in keys:
            raise UsageError(f"{where} has no {key!r}, only {', '.join(sorted(keys)) or 'its name'}")


def _check_names(scenario: Scenario) -> None:
    hosts = {name for kind, name, _ in scenario.devices if kind in {"host", "router", "nat"}}
    devices = {name for _, name, _ in scenario.devices}
    if len(devices) < len(scenario.devices):
        raise UsageError("two devices have the same name")
    links = {link_name(table) for table in scenario.links if "between" in table}
    wanted: list[tuple[str, Any, set[str]]] = []
    for kind in ("link", "program", "fault", "rule"):
        for where, table in _tables(kind, getattr(scenario, f"{kind}s")):
            wanted += [(where, name, devices) for name in table.get("between", ())]
            wanted += [(where, table[key], hosts) for key in ("on", "host") if key in table]
            wanted += [(where, table["link"], links)] if kind != "link" and "link" in table else []
            wanted += [(where, table["from"], devices)] if "from" in table else []
    if scenario.sweep is not None:
        wanted.append(("[sweep]", scenario.sweep.get("link"), links))
    for where, name, known in wanted:
        if name not in known:
            raise UsageError(f"{where}: there is no {name!r}, only {', '.join(sorted(known))}")


def link_name(table: Mapping[str, Any]) -> str:
    """Return what a link is called: as the file says, or by both ends."""
    return str(table.get("name", "-".join(table["between"])))


def _check_link(where: str, table: Mapping[str, Any]) -> None:
    ends = table.get("between")
    if not isinstance(ends, list) or len(ends) != 2:
        raise UsageError(f'{where} says between = ["one", "other"]')


def _check_program(where: str, table: Mapping[str, Any]) -> None:
    kinds = [kind for kind in KINDS if kind in table]
    if len(kinds) != 1 or "on" not in table:
        raise UsageError(f"{where} says on which host, and one of {', '.join(KINDS)}")
    if "send" in table and ":" not in str(table.get("to", "")):
        raise UsageError(f'{where} says to = "host:port"')
    if "run" in table and ":" not in str(table["run"]):
        raise UsageError(f'{where} says run = "module:function"')
    for key in ("start", "interval", "patience"):
        duration_ns(table.get(key, 0))


def _check_fault(where: str, table: Mapping[str, Any]) -> None:
    do = table.get("do")
    if do not in FAULTS or "at" not in table:
        raise UsageError(f"{where} says at which time, and do = one of {', '.join(FAULTS)}")
    needed = FAULTS[do]
    if needed and needed not in table:
        raise UsageError(f"{where}: {do} says {needed} = …")
    duration_ns(table["at"])


def _check_rule(where: str, table: Mapping[str, Any]) -> None:
    if "link" not in table or ("lose" in table) == ("delay" in table):
        raise UsageError(f"{where} says link, and lose = true or delay = …")
    if table.get("protocol", "tcp") not in {"tcp", "udp", "icmp", "any"}:
        raise UsageError(f"{where}: protocol is tcp, udp, icmp or any")


_CHECKS: Final[dict[str, Callable[[str, Mapping[str, Any]], None]]] = {
    "link": _check_link,
    "program": _check_program,
    "fault": _check_fault,
    "rule": _check_rule,
}
