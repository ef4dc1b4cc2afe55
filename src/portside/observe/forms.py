"""The forms of the log's records: JSON lines for programs, aligned columns for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from portside.observe.text import harmless

Record: TypeAlias = dict[str, Any]
Form: TypeAlias = Callable[[Record], bytes]


def json_form() -> Form:
    """Return the form for programs: one JSON object on one line."""
    import msgspec

    encode = msgspec.json.Encoder().encode

    def form(record: Record) -> bytes:
        try:
            return encode(record) + b"\n"
        except (UnicodeEncodeError, TypeError):
            return encode(_encodable(record)) + b"\n"

    return form


def _encodable(value: Any) -> Any:
    """Return the value with what JSON cannot say escaped: a path whose bytes are no UTF-8, an object."""
    match value:
        case None | bool() | int() | float() | datetime():
            return value
        case Mapping():
            return {str(key): _encodable(item) for key, item in value.items()}
    return str(value).encode("utf-8", "backslashreplace").decode()


_COLOURS: Final = {"debug": "2", "info": "0", "warning": "33", "error": "31"}
_ENDED_COLOURS: Final = {"done": "32", "handler": "31", "stopped": "36", "drained": "36"}


def pretty_form(*, colours: bool) -> Form:
    """Return the form for people: aligned columns on one line, more lines of a message or a traceback indented."""

    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colours and code != "0" else text

    def form(record: Record) -> bytes:
        time = record["time"].astimezone().strftime("%H:%M:%S")
        level = paint(f"{record['level']:<7}", _COLOURS[record["level"]])
        line = f"{paint(time, '2')} {level} {_words_of(record, paint)}".rstrip()
        if record.get("traceback"):
            indented = "\n".join(f"    {harmless(part)}" for part in record["traceback"].splitlines())
            line += "\n" + paint(indented, "2")
        return line.encode("utf-8", "backslashreplace") + b"\n"

    return form


def _words_of(record: Record, paint: Callable[[str, str], str]) -> str:
    if record["event"] == "log":
        return f"{harmless(record['logger'])}: " + "\n    ".join(map(harmless, record["message"].split("\n")))
    who = f"{harmless(record['service']):<10} {_shown(record.get('peer')):<21}"
    match record["event"]:
        case "connection":
            moved = f"{_size(record['bytes_in']):>8} in {_size(record['bytes_out']):>8} out"
            ended = paint(record["ended"], _ENDED_COLOURS.get(record["ended"], "33"))
            detail = f": {harmless(record['detail'])}" if record["detail"] else ""
            return f"{who} {moved} {_span(record['duration_s']):>8}  {ended}{detail}"
        case "opened":
            return f"{who} connected to {_shown(record['local'])} as {record['connection']}"
        case "spoke":
            arrow = "←" if record["direction"] == "in" else "→"
            return f"{harmless(record['service']):<10} {record['connection']} {arrow} {harmless(record['words'])}"
        case "handler_failed":
            return f"{who} the handler failed: {harmless(record['error'])}"
        case "login":
            user = harmless(record["user"])
            refused = record["refused"]
            return f"{who} " + (paint(f"refused {user}: {harmless(refused)}", "33") if refused else f"{user} logged in")
        case "file":
            return f"{who} {_file_words(record, paint)}"
    others = f", and {record['count'] - 1:,} more" if record["count"] > 1 else ""
    return f"{who} turned away by the limit {record['limit']}{others}"


def _file_words(record: Record, paint: Callable[[str, str], str]) -> str:
    words = f"{harmless(record['user'])} {record['act']} {harmless(record['path'])}"
    if record["target"] is not None:
        words += f" to {harmless(record['target'])}"
    if record["bytes"] is not None:
        words += f"  {_size(record['bytes'])}"
    if record["duration_s"] is not None:
        words += f" in {_span(record['duration_s'])}"
    if record["digest"] is not None:
        words += f"  {record['digest']}"
    return words if record["failed"] is None else words + paint(f": {harmless(record['failed'])}", "33")


def _shown(address: Mapping[str, Any] | None) -> str:
    if address is None:
        return ""
    if "path" in address:
        return harmless(address["path"]) or "unix"
    host = address["host"]
    return f"[{host}]:{address['port']}" if ":" in host else f"{host}:{address['port']}"


def _size(count: int) -> str:
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1_024 and len(units) > 1:
        size /= 1_024
        units.pop(0)
    return f"{count} B" if units[0] == "B" else f"{size:.1f} {units[0]}"


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1_000:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
