"""The words of a packet's fields, by their names."""

from __future__ import annotations

from typing import Any

from portside.observe.packets.dissect import Dissected, dissect
from portside.observe.packets.fields import fields_of
from support.capturing import captured


def told(data: bytes, name: str, **more: Any) -> dict[str, str]:
    """Return names and words of a layer's fields; a name that comes again has a number behind it."""
    return words_of(dissect(captured(data, **more)), name)


def words_of(dissected: Dissected, name: str) -> dict[str, str]:
    layer = next(layer for layer in dissected.layers if layer.name == name)
    found: dict[str, str] = {}
    for each in fields_of(dissected, layer):
        again = sum(key.rstrip(" 0123456789") == each.name for key in found)
        found[f"{each.name} {again + 1}" if again else each.name] = each.text
    return found
