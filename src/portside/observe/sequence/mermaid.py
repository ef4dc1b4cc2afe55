"""A diagram as text for documents: Mermaid's ``sequenceDiagram``, which many sites draw where it stands.

Source: Mermaid's documentation of sequence diagrams.
"""

from __future__ import annotations

from typing import Final

from portside.observe.sequence.diagram import PAUSE_S, SERVER, Diagram, shown_seconds
from portside.observe.sequence.terminal import lost_in_words
from portside.observe.text import harmless

# What begins an entity, ends a statement or a line, or is markup; Mermaid writes them as #NUMBER; itself.
_ESCAPED: Final = {character: f"#{ord(character)};" for character in "#;<>&\"'`{}\\%"}
_ESCAPES: Final = str.maketrans(_ESCAPED)


def build_mermaid(diagram: Diagram) -> str:
    """Return the diagram as Mermaid text."""
    everybody = f"p0,p{len(diagram.lifelines) - 1}"
    lines = ["sequenceDiagram", f"    accTitle: {escaped(diagram.title)}"]
    for number, lifeline in enumerate(diagram.lifelines):
        place = f"<br/>{escaped(lifeline.place)}" if lifeline.place else ""
        lines.append(f"    participant p{number} as {escaped(lifeline.name)}{place}")
    if diagram.lost:
        lines.append(f"    Note over {everybody}: {escaped(lost_in_words(diagram.lost))}")
    last_s = None
    for arrow in diagram.arrows:
        if last_s is not None and arrow.at_s - last_s >= PAUSE_S:
            lines.append(f"    Note over {everybody}: {shown_seconds(arrow.at_s - last_s)} s later")
        last_s = arrow.at_s
        line = "->>" if arrow.target == SERVER else "-->>"  # what the server says is dashed, as answers are
        lines.append(f"    p{arrow.source}{line}p{arrow.target}: {escaped(arrow.words)}")
    if diagram.ending is not None:
        lines.append(f"    Note over {everybody}: {escaped(diagram.ending)}")
    return "\n".join(lines) + "\n"


def escaped(words: str) -> str:
    """Return words as Mermaid shows them and does not obey them; of nothing, something that can be shown."""
    return harmless(words).translate(_ESCAPES).strip() or "#8199;"
