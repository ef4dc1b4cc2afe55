"""What the visitor gets to see: a small page, or the same as lines of text."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Final

from portside.address import Address, InternetAddress
from portside.contracts import TlsState


@dataclass(frozen=True, slots=True)
class Visitor:
    """What is known of somebody who asks. ``name`` is what the name service says, and may be any text at all."""

    address: Address
    name: str | None = None
    tls: TlsState | None = None

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Pairs of what and which, the most telling first."""
        facts = [("name", _printable(self.name))] if self.name else []
        if isinstance(self.address, InternetAddress):
            facts += [("address", self.address.host), ("port", str(self.address.port))]
        else:
            facts.append(("address", f"a socket of this machine {_printable(self.address.path)}".rstrip()))
        if self.tls is not None:
            facts.append(("encryption", f"{self.tls.version}, {self.tls.cipher}"))
        return tuple(facts)


def build_text(visitor: Visitor) -> bytes:
    """Return what is known as lines of ``name value`` in UTF-8: to be read by people, and by ``awk``."""
    return "".join(f"{name} {value}\n" for name, value in visitor.facts).encode("utf-8", "replace")


_LABELS: Final = {"name": "Host name", "address": "Address", "port": "Port", "encryption": "Encryption"}

# The colours keep a contrast of at least 4.5 : 1 in both schemes (WCAG 2.2, success criterion 1.4.3).
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ --ground: #f4f6f8; --card: #fff; --ink: #16202b; --quiet: #51606f; --line: #d9e0e7; --mark: #0b6aa8 }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ground: #0f151b; --card: #18212a; --ink: #e8eef4; --quiet: #9db0c2; --line: #2b3844; --mark: #6cb8ee }}
}}
* {{ box-sizing: border-box }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }}
main {{ width: 100%; max-width: 36rem; background: var(--card); border: 1px solid var(--line);
  border-top: 4px solid var(--mark); border-radius: 8px; padding: 1.5rem }}
h1 {{ margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere }}
dl {{ margin: 0; display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .5rem 1.25rem }}
dt {{ color: var(--quiet) }}
dd {{ margin: 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere }}
p {{ margin: 1.25rem 0 0; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--quiet); font-size: .9rem }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
<p>{note}</p>
</main>
</body>
</html>
"""
_NOTE: Final = "This is how the server sees you. Behind a proxy or a NAT it sees the last of them."


def build_page(visitor: Visitor) -> bytes:
    """Return what is known as a page of HTML in UTF-8; every fact is escaped."""
    facts = visitor.facts
    rows = [f"<dt>{_LABELS[name]}</dt><dd>{html.escape(value)}</dd>" for name, value in facts]
    return _build(f"Hello, {facts[0][1]}", "\n".join(("<dl>", *rows, "</dl>")), _NOTE)


def build_refusal_page(title: str, why: str) -> bytes:
    """Return the page that says what is wrong with a request."""
    return _build(title, html.escape(why), "Try GET / HTTP/1.0 and an empty line.")


def _build(title: str, body: str, note: str) -> bytes:
    return _PAGE.format(title=html.escape(title), body=body, note=html.escape(note)).encode("utf-8", "replace")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
