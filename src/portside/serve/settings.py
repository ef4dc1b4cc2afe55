"""What can be set, said once: the settings as values, and the table that names each of them.

The command line, the environment, ``portside.toml``, ``portside check`` and ``docs/reference.md`` are made from
``SETTINGS``; the defaults stand in the dataclasses, and nowhere else.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, Literal, TypeAlias

from portside.address import Endpoint, parse_endpoint
from portside.contracts import LINE_BYTES_MAX, Battery
from portside.errors import UsageError
from portside.units import (
    parse_count,
    parse_duration,
    parse_rate,
    parse_size,
    parse_size_rate,
    parse_switch,
    show_count,
    show_duration,
    show_rate,
    show_size,
    show_switch,
)

IPNetwork: TypeAlias = IPv4Network | IPv6Network

MODELS: Final = ("iterative", "fork", "prefork", "thread", "prethread", "event")
MODELS_WITH_WORKERS: Final = ("event", "thread", "prethread")  # the others make their own processes, or none
LOG_FORMATS: Final = ("pretty", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
TOKEN_CHARACTERS_MIN: Final = 16


# ── the values ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Limits:
    """What one service allows its peers, counted across its workers. Rates allow a burst of one second's worth."""

    connections: int = 10_000
    per_ip: int = 100
    accept_rate: float = 500.0
    idle_s: float = 60.0
    life_s: float = 86_400.0
    line_bytes: int = LINE_BYTES_MAX
    bytes_in_per_s: float | None = None
    bytes_out_per_s: float | None = None
    datagrams_per_s: float = 1_000.0


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How ``tls://`` endpoints identify themselves and whom they ask for a certificate.

    ``certificates`` are pairs of files, the chain and its key; the first is the default, the others go by SNI.
    """

    certificates: tuple[tuple[str, str], ...] = ()
    client_ca: str | None = None
    alpn: tuple[str, ...] = ()
    self_signed: bool = False

    @property
    def wanted(self) -> bool:
        """Whether there is anything to identify with."""
        return bool(self.certificates) or self.self_signed


@dataclass(frozen=True, slots=True)
class HandlerSettings:
    """How a service's handler is made of what its name finds."""

    factory: bool = False


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """One service. ``load`` is called in a worker, after the fork, so that a reload gets new code."""

    name: str
    listen: tuple[Endpoint, ...]
    load: Callable[[], Battery]
    what: str  # "echo" or "shout:shout", as the ready line shows it
    model: str = "event"
    workers: int = 1
    pool: int = 8
    drain_s: float = 10.0
    proxy_from: tuple[IPNetwork, ...] = ()
    allow: tuple[IPNetwork, ...] = ()  # empty: everybody
    deny: tuple[IPNetwork, ...] = ()  # wins over allow
    limits: Limits = Limits()
    tls: TlsSettings = TlsSettings()
    amplify: bool = False
    starts_tls: bool = False  # the handler begins TLS within a connection, with the service's certificates


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """A whole server: its services, and what concerns the process that conducts them."""

    services: tuple[ServiceSettings, ...]
    control: str | None = None
    dashboard: Endpoint | None = None
    dashboard_token: str | None = None
    admin: Endpoint | None = None
    user: str | None = None
    group: str | None = None
    log_format: str | None = None  # None: pretty on a terminal, JSON otherwise
    log_level: str = "info"
    reload: bool = False
    sources: tuple[str, ...] = ()  # the files all this was read from

    @property
    def watched(self) -> tuple[str, ...] | None:
        """The files that ``--reload`` watches beside the code of the workers, or None without it."""
        return self.sources if self.reload else None


# ── what a value looks like when somebody types it ───────────────────────────────────────────────────────────────────


def parse_network(text: str) -> IPNetwork:
    """Return the network in ``192.0.2.0/24``, ``2001:db8::/32`` or a single address. Raises: UsageError."""
    try:
        return IPv6Network(text.strip()) if ":" in text else IPv4Network(text.strip())
    except ValueError as error:
        why = str(error)
        if "has host bits set" in why:
            network = (IPv6Network if ":" in text else IPv4Network)(text.strip(), strict=False)
            raise UsageError(f"{text!r} is not a network: bits of a host are set; did you mean {network}?") from error
        raise UsageError(f"{text!r} is not a network: write 192.0.2.0/24, 2001:db8::/32 or one address") from error


def parse_text(text: str) -> str:
    """Return the text, which may not be empty nor hold a NUL. Raises: UsageError."""
    if not text or "\0" in text:
        raise UsageError("the value is empty" if not text else f"{text!r} holds a NUL")
    return text


def parse_page(text: str) -> Endpoint:
    """Return the endpoint of ``http://127.0.0.1:8099``; a bare port is one of loopback. Raises: UsageError."""
    scheme, mark, place = text.strip().rpartition("://")
    if mark and scheme.lower() != "http":
        raise UsageError(f"{text!r} is not where pages are shown: write http://127.0.0.1:8099")
    place = place.removesuffix("/")
    if place.removeprefix(":").isdigit():
        place = f"127.0.0.1:{place.removeprefix(':')}"
    return parse_endpoint(f"tcp://{place}")


def parse_token(text: str) -> str:
    """Return the token, which is long enough not to be guessed. Raises: UsageError, which does not repeat it."""
    if len(text) < TOKEN_CHARACTERS_MIN or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"a token has {TOKEN_CHARACTERS_MIN} characters at least: letters, digits and signs of ASCII")
    return text


def hint(word: str, words: Iterable[str], *, otherwise: str = "") -> str:
    """Return what to add to "unknown …": the nearest right word, or else what there is."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {near[0]}?" if near else otherwise and f"; {otherwise}"


def choice_of(what: str, words: Sequence[str]) -> Callable[[str], str]:
    """Return a parser that takes one of ``words``."""

    def parse(text: str) -> str:
        if text not in words:
            near = hint(text.lower(), words, otherwise=f"it is one of {', '.join(words)}")
            raise UsageError(f"unknown {what} {text!r}{near}")
        return text

    return parse


# ── kinds of values ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Kind:
    """What sort of value a setting takes: how it is typed, shown, and called in the manual."""

    name: str  # "a duration", as a sentence needs it
    metavar: str
    parse: Callable[[str], Any]
    unit: str = ""
    show: Callable[[Any], str] = str
    number: bool = False  # a bare TOML number will do
    switch: bool = False
    repeats: bool = False  # a list: repeated options, commas in the environment, an array in the file
    commas: bool = False  # a list whose items never hold a comma, so that one may separate them anywhere


COUNT: Final = Kind("a whole number", "N", parse_count, show=show_count, number=True)
DURATION: Final = Kind(
    "a duration", "TIME", parse_duration, unit="seconds, or 500ms 5m 1h 1d", show=show_duration, number=True
)
SIZE: Final = Kind("a size", "SIZE", parse_size, unit="bytes, or 64KiB 10MB", show=show_size, number=True)
RATE: Final = Kind("a rate", "RATE", parse_rate, unit="per second", show=show_rate, number=True)
SIZE_RATE: Final = Kind(
    "a rate in bytes", "SIZE", parse_size_rate, unit="bytes a second, or 64KiB 10MB", show=show_size, number=True
)
SWITCH: Final = Kind("on or off", "", parse_switch, show=show_switch, switch=True)
TEXT: Final = Kind("text", "TEXT", parse_text)
FILE: Final = Kind("a file name", "FILE", parse_text)
FILES: Final = Kind("file names", "FILE", parse_text, repeats=True)
WORDS: Final = Kind("words", "WORD", parse_text, repeats=True, commas=True)
NETWORKS: Final = Kind("networks", "NETS", parse_network, repeats=True, commas=True)
PAGE: Final = Kind("a place for pages", "URL", parse_page, number=True)
TOKEN: Final = Kind("a token", "TEXT", parse_token)
ENDPOINTS: Final = Kind("endpoints", "URL", parse_endpoint, repeats=True, number=True)


def choice(what: str, words: Sequence[str]) -> Kind:
    """Return the kind of a setting that takes one of ``words``."""
    return Kind(f"one of {', '.join(words)}", "|".join(words), choice_of(what, words))


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────

Scope: TypeAlias = Literal["service", "server", "both"]
"""Where it may be set in a file: in a ``[service.NAME]``, at the top, or at the top for all services that do not."""

ENVIRONMENT_PREFIX: Final = "PORTSIDE_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. Its value ends in ``field`` of ``home``, whose default is the setting's."""

    name: str
    kind: Kind
    help: str
    home: type[Limits] | type[TlsSettings] | type[HandlerSettings] | type[ServiceSettings] | type[ServerSettings]
    field: str
    scope: Scope = "service"
    minimum: float | None = None
    default_text: str | None = None  # where the default depends on something

    @property
    def option(self) -> str:
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper().replace("-", "_")

    @property
    def group(self) -> str | None:
        """The inner table of a service that may hold it: ``limits = { idle = "60s" }``."""
        return {Limits: "limits", TlsSettings: "tls"}.get(self.home)

    @property
    def key(self) -> str:
        """Its name in a file, within its group if it has one."""
        name = self.name.split("-", 1)[1] if self.group else self.name
        return name.replace("-", "_")

    @property
    def path(self) -> str:
        """How people write where it stands in a file: ``limits.idle``."""
        return f"{self.group}.{self.key}" if self.group else self.key

    @property
    def default(self) -> Any:
        """The value without anybody's say; MISSING where it depends."""
        return next(field.default for field in dataclasses.fields(self.home) if field.name == self.field)

    @property
    def default_shown(self) -> str:
        if self.default_text is not None:
            return self.default_text
        return "none" if self.default in (None, ()) else self.kind.show(self.default)

    def parse(self, text: str) -> Any:
        """Return the value of what was typed; of one item if the setting repeats. Raises: UsageError."""
        if text.strip().lower() == "none" and self.default is None:
            return None
        value = self.kind.parse(text)
        if self.minimum is not None and value < self.minimum:
            raise UsageError(f"{text!r} is too small: {self.name} is at least {self.kind.show(self.minimum)}")
        return value


_A_MOMENT_S: Final = 0.001

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "listen", ENDPOINTS, "where to listen; may be given several times", ServiceSettings, "listen",
        default_text="9000 for run, its RFC's port for a battery",
    ),
    Setting("factory", SWITCH, "call what HANDLER names, to get the handler", HandlerSettings, "factory"),
    Setting("model", choice("model", MODELS), "how connections share the machine", ServiceSettings, "model"),
    Setting(
        "workers", COUNT, f"processes that serve side by side, under {', '.join(MODELS_WITH_WORKERS)}",
        ServiceSettings, "workers", minimum=1,
    ),
    Setting("pool", COUNT, "processes under prefork, threads under prethread", ServiceSettings, "pool", minimum=1),
    Setting(
        "drain", DURATION, "how long a stop waits for connections to end", ServiceSettings, "drain_s",
        scope="both", minimum=0,
    ),
    Setting(
        "proxy-from", NETWORKS, "proxies whose PROXY protocol header is required and believed",
        ServiceSettings, "proxy_from", default_text="off",
    ),
    Setting("allow", NETWORKS, "who may connect", ServiceSettings, "allow", default_text="all"),
    Setting("deny", NETWORKS, "who may not connect, whatever allow says", ServiceSettings, "deny"),
    Setting(
        "amplify", SWITCH, "answer datagrams with more bytes than came, and to ports below 1024",
        ServiceSettings, "amplify",
    ),
    Setting("limit-connections", COUNT, "connections at once", Limits, "connections", minimum=1),
    Setting("limit-per-ip", COUNT, "connections at once from one address", Limits, "per_ip", minimum=1),
    Setting("limit-accept-rate", RATE, "new connections a second", Limits, "accept_rate", minimum=0.001),
    Setting("limit-idle", DURATION, "silence both ways that ends a connection", Limits, "idle_s", minimum=_A_MOMENT_S),
    Setting("limit-life", DURATION, "the longest a connection may last", Limits, "life_s", minimum=_A_MOMENT_S),
    Setting("limit-line", SIZE, "the longest line a peer may send", Limits, "line_bytes", minimum=1),
    Setting("limit-bytes-in", SIZE_RATE, "bytes a second from one connection", Limits, "bytes_in_per_s", minimum=1),
    Setting("limit-bytes-out", SIZE_RATE, "bytes a second to one connection", Limits, "bytes_out_per_s", minimum=1),
    Setting("limit-datagrams", RATE, "datagrams a second from one peer", Limits, "datagrams_per_s", minimum=0.001),
    Setting(
        "tls-cert", FILES, "certificate chain in PEM; repeated with its key, the name the client asks for chooses",
        TlsSettings, "certificates",
    ),
    Setting(
        "tls-key", FILES, "private key of the certificate in the same place", TlsSettings, "certificates",
        default_text="in the file of the certificate",
    ),
    Setting("tls-client-ca", FILE, "authorities whose certificates clients must show", TlsSettings, "client_ca"),
    Setting("tls-alpn", WORDS, "protocols to agree on by ALPN, the best first", TlsSettings, "alpn"),
    Setting(
        "tls-self-signed", SWITCH, "make a certificate that nobody vouches for, for development",
        TlsSettings, "self_signed",
    ),
    Setting(
        "control", FILE, "path of the socket that ps, top, reload and stop use", ServerSettings, "control",
        scope="server", default_text="off",
    ),
    Setting(
        "dashboard", PAGE, "where to show the server to a browser, such as http://127.0.0.1:8099",
        ServerSettings, "dashboard", scope="server", default_text="off",
    ),
    Setting(
        "dashboard-token", TOKEN, "what to say to see the dashboard; better in the environment than typed",
        ServerSettings, "dashboard_token", scope="server", default_text="none on loopback, else a new one is printed",
    ),
    Setting(
        "admin", PAGE, "where to show metrics, health and readiness to programs",
        ServerSettings, "admin", scope="server", default_text="off",
    ),
    Setting("user", TEXT, "user to become after the sockets are bound", ServerSettings, "user", scope="server"),
    Setting("group", TEXT, "group to become after the sockets are bound", ServerSettings, "group", scope="server"),
    Setting(
        "log-format", choice("log format", LOG_FORMATS), "how records are written to stderr",
        ServerSettings, "log_format", scope="server", default_text="pretty on a terminal, else json",
    ),
    Setting(
        "log-level", choice("log level", LOG_LEVELS), "the least important record to write",
        ServerSettings, "log_level", scope="server",
    ),
    Setting(
        "reload", SWITCH, "reload when a Python or configuration file changes, for development",
        ServerSettings, "reload", scope="server",
    ),
)  # fmt: skip

BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
