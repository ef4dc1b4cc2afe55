"""What a client would like best: lists with weights, RFC 9110 section 12.4.2, and what they mean for our pages."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, TypeAlias

Form: TypeAlias = Literal["html", "json", "text"]

ITEMS_MAX: Final = 64  # of a list; who lists more is not listened to any further
_WEIGHT: Final = re.compile(rb"q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


def qualities(text: bytes) -> dict[bytes, float]:
    """Return the names in the list, in lower case and without parameters, with their weights.

    An ill-formed weight is as good as none. Where a name is there twice, its best weight counts.
    """
    found: dict[bytes, float] = {}
    for item in text.split(b",", ITEMS_MAX)[:ITEMS_MAX]:
        name, *parameters = (part.strip() for part in item.split(b";"))
        if name:
            weights = [float(match[1]) for part in parameters if (match := _WEIGHT.fullmatch(part))]
            key = name.lower()
            found[key] = max(found.get(key, 0.0), weights[0] if weights else 1.0)
    return found


@lru_cache(256)
def form_of_listing(accept: bytes) -> Form:
    """Return in which form a listing is wanted: JSON by its name alone, for programs; HTML by everybody else.

    ``*/*`` is HTML, so that ``wget -r`` finds links to follow.
    """
    liked = qualities(accept)
    json = max(liked.get(b"application/json", 0.0), liked.get(b"text/json", 0.0))
    html = max(liked.get(name, 0.0) for name in (b"text/html", b"application/xhtml+xml"))
    return "json" if json > html else "html"


@lru_cache(256)
def form_of_problem(accept: bytes) -> Form:
    """Return in which form a refusal is wanted: a page where HTML is named, as by browsers, else lines."""
    liked = qualities(accept)
    if liked.get(b"application/json", 0.0) > liked.get(b"text/html", 0.0):
        return "json"
    return "html" if liked.get(b"text/html", 0.0) > 0 else "text"
