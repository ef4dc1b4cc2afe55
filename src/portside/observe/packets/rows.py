"""A packet as an object of JSON: what its line says, and every header with its fields."""

from __future__ import annotations

from portside.observe.packets.dissect import Dissected, Layer
from portside.observe.packets.fields import fields_of
from portside.observe.packets.flows import Relative
from portside.observe.packets.lines import iso_time
from portside.observe.packets.summaries import End, Summary


def row_of(number: int, dissected: Dissected, summary: Summary, relative: Relative | None) -> dict[str, object]:
    """Return the row with the keys of --json, documented in docs/reference.md."""
    packet = dissected.packet
    return {
        "number": number,
        "time": None if packet.time_ns is None else iso_time(packet.time_ns),
        "interface": packet.interface.name or None,
        "direction": packet.direction,
        "length_bytes": packet.length_bytes,
        "captured_bytes": len(packet.data),
        "source": _end(summary.source),
        "target": _end(summary.target),
        "protocol": summary.protocol,
        "summary": summary.words,
        "layers": [_layer(dissected, layer, relative) for layer in dissected.layers],
        "data_bytes": len(dissected.data),
        "problem": dissected.problem,
        "comments": list(packet.comments),
    }


def _end(end: End | None) -> dict[str, object] | None:
    return None if end is None else {"host": end.host, "port": end.port}


def _layer(dissected: Dissected, layer: Layer, relative: Relative | None) -> dict[str, object]:
    data = dissected.packet.data
    return {
        "layer": layer.name,
        "start": layer.start,
        "header_bytes": layer.header_bytes,
        "is_quoted": layer.is_quoted,
        "fields": [
            {
                "name": each.name,
                "start": each.start,
                "hex": data[each.start : each.start + each.size_bytes].hex(),
                "text": each.text,
            }
            for each in fields_of(dissected, layer, relative)
        ],
    }
