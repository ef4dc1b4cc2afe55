"""Which batteries there are, what each may be told, and how to make one: names become handlers here.

Listing and describing read the table below and import nothing, so that ``--help`` and ``check`` stay fast; a
battery's module is imported when the battery is made.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from portside.contracts import Battery
from portside.errors import UsageError
from portside.protocols.options import (
    DURATION,
    NUMBER,
    PATH,
    SIZE,
    SIZE_RATE,
    SWITCH,
    TEXT,
    BatteryOption,
    choice,
    nearest,
    read_value,
)


@dataclass(frozen=True, slots=True)
class BatterySpec:
    """What is known of a battery without importing it.

    ``port`` is the one its RFC gives, ``tls_port`` that of ``tls://`` where it is another. ``datagram`` says whether
    it also answers over UDP, ``starts_tls`` whether it begins TLS within a connection by itself, where there is a
    certificate. ``given`` names the arguments that nobody types: values of the running server, which its caller
    passes to ``load`` where it has them.
    """

    name: str
    sentence: str
    port: int
    options: tuple[BatteryOption, ...] = ()
    datagram: bool = False
    given: tuple[str, ...] = ()
    tls_port: int | None = None
    starts_tls: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    spec: BatterySpec
    module: str
    factory: str


_SMALL: Final = "portside.protocols.small"

_TABLE: Final[tuple[_Entry, ...]] = (
    _Entry(
        BatterySpec("echo", "send back whatever comes (RFC 862)", 7, datagram=True),
        _SMALL,
        "echo_battery",
    ),
    _Entry(
        BatterySpec("discard", "read and throw away (RFC 863)", 9, datagram=True),
        _SMALL,
        "discard_battery",
    ),
    _Entry(
        BatterySpec(
            "daytime", "tell the date and time as a line of text (RFC 867)", 13, datagram=True, given=("service",)
        ),
        _SMALL,
        "daytime_battery",
    ),
    _Entry(
        BatterySpec(
            "chargen",
            "send rotating lines of characters without end (RFC 864)",
            19,
            datagram=True,
            given=("amplify",),
        ),
        _SMALL,
        "chargen_battery",
    ),
    _Entry(
        BatterySpec(
            "ftp",
            "serve files by FTP and FTPS (RFC 959, 4217)",
            21,
            options=(
                BatteryOption("root", PATH, ".", "the directory whose files are served", positional=True),
                BatteryOption(
                    "login",
                    TEXT,
                    (),
                    "NAME:PASSWORD of a user with all rights; may be given several times",
                    repeats=True,
                ),
                BatteryOption("users", PATH, None, "file of users, made by portside users"),
                BatteryOption(
                    "anonymous",
                    SWITCH,
                    None,
                    "let anybody read, as anonymous or ftp",
                    default_text="on without login and users, else off",
                ),
                BatteryOption(
                    "passive_ports", TEXT, None, "where data connections come in: 50000-50100", default_text="any"
                ),
                BatteryOption(
                    "advertise",
                    TEXT,
                    (),
                    "address or name told to clients for data connections; NETWORK=ADDRESS for those of a network",
                    repeats=True,
                    default_text="the one they came to",
                ),
                BatteryOption("active", SWITCH, True, "make data connections to clients that ask for it (PORT, EPRT)"),
                BatteryOption(
                    "tls_policy",
                    choice("off", "optional", "login", "data"),
                    None,
                    "whether TLS is there, and for what it is required",
                    default_text="optional with a certificate, else off",
                ),
                BatteryOption(
                    "tls_session_reuse",
                    choice("off", "required"),
                    "off",
                    "whether data connections must resume the TLS session of their control connection",
                ),
                BatteryOption("data_timeout", DURATION, "30s", "how long a data connection may take to come about"),
                BatteryOption("stall_timeout", DURATION, "60s", "how long a transfer may stand still"),
                BatteryOption("rate_in", SIZE_RATE, None, "bytes a second that one session may upload"),
                BatteryOption("rate_out", SIZE_RATE, None, "bytes a second that one session may download"),
                BatteryOption(
                    "server_rate_in", SIZE_RATE, None, "bytes a second that all sessions may upload together"
                ),
                BatteryOption(
                    "server_rate_out", SIZE_RATE, None, "bytes a second that all sessions may download together"
                ),
                BatteryOption(
                    "keep_partial", DURATION, "1d", "how long an interrupted upload can be resumed; 0 keeps none"
                ),
                BatteryOption(
                    "durable", SWITCH, True, "acknowledge uploads when a crash of the machine cannot lose them"
                ),
                BatteryOption("on_upload", TEXT, None, "MODULE:FUNCTION or command to run for each file that has come"),
                BatteryOption(
                    "strict_ends",
                    SWITCH,
                    True,
                    "refuse uploads that end without TLS's own end, or with the control connection",
                ),
                BatteryOption("checksums", SWITCH, False, "compute SHA-256 of each file transferred, for the records"),
                BatteryOption("login_attempts", NUMBER, 10, "failed logins within ten minutes that ban an address"),
                BatteryOption("ban", DURATION, "10m", "how long an address is banned"),
            ),
            given=("service", "tls", "counters"),
            tls_port=990,
            starts_tls=True,
        ),
        "portside.protocols.ftp.battery",
        "ftp_battery",
    ),
    _Entry(
        BatterySpec("time", "tell the seconds since 1900 in four bytes (RFC 868)", 37, datagram=True),
        _SMALL,
        "time_battery",
    ),
    _Entry(
        BatterySpec(
            "asgi",
            "serve an ASGI application over HTTP/1.1 and WebSocket (RFC 9112, 6455)",
            80,
            options=(
                BatteryOption("app", TEXT, None, "MODULE:NAME of the application", positional=True),
                BatteryOption("root_path", TEXT, None, "path under which a proxy serves it: /shop"),
                BatteryOption(
                    "forwarded_from",
                    TEXT,
                    (),
                    "networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; unix, or * for all",
                    repeats=True,
                    default_text="nobody's",
                ),
                BatteryOption(
                    "lifespan", choice("auto", "on", "off"), "auto", "whether the application hears of start and end"
                ),
                BatteryOption("target_max", SIZE, "8KiB", "longest request target"),
                BatteryOption("headers_max", NUMBER, 100, "most header fields of a request"),
                BatteryOption("header_max", SIZE, "64KiB", "largest header of a request"),
                BatteryOption("header_timeout", DURATION, "30s", "how long a header may take to come"),
                BatteryOption("body_max", SIZE, "100MiB", "largest body of a request; 0 for any"),
                BatteryOption("body_timeout", DURATION, "30s", "how long a body may rest while the application waits"),
                BatteryOption("body_rate", SIZE_RATE, "500", "bytes a second that give a body a second more to rest"),
                BatteryOption("message_max", SIZE, "16MiB", "largest WebSocket message"),
                BatteryOption("ping", DURATION, "20s", "how often WebSocket clients are asked for a pong; 0 for never"),
                BatteryOption("compression", SWITCH, True, "compress WebSocket messages where the client can"),
            ),
            given=("model", "factory", "find", "service"),
            tls_port=443,
        ),
        "portside.protocols.http.battery",
        "asgi_battery",
    ),
    _Entry(
        BatterySpec(
            "http",
            "serve a directory's files over HTTP/1.1 (RFC 9110, 9112)",
            80,
            options=(
                BatteryOption("root", PATH, ".", "the directory whose files are served", positional=True),
                BatteryOption(
                    "login",
                    TEXT,
                    (),
                    "NAME:PASSWORD of a user with all rights; may be given several times",
                    repeats=True,
                ),
                BatteryOption("users", PATH, None, "file of users, made by portside users"),
                BatteryOption(
                    "anonymous",
                    SWITCH,
                    None,
                    "let anybody read",
                    default_text="on without login and users, else off",
                ),
                BatteryOption(
                    "index",
                    TEXT,
                    ("index.html", "index.htm"),
                    "file that stands for the folder it is in; may be given several times",
                    repeats=True,
                    default_text="index.html, index.htm",
                ),
                BatteryOption("listing", SWITCH, True, "show what is in a folder without such a file"),
                BatteryOption("hidden", SWITCH, False, "show names that begin with a dot"),
                BatteryOption(
                    "symlinks",
                    choice("follow", "refuse"),
                    "follow",
                    "whether symbolic links lead anywhere; never out of the root",
                ),
                BatteryOption("spa", SWITCH, False, "answer with the root's index page where there is nothing"),
                BatteryOption("cors", SWITCH, False, "let pages of all other sites read"),
                BatteryOption("allow_upload", SWITCH, False, "take files by PUT and by form, and make folders"),
                BatteryOption("upload_max", SIZE, "0", "largest file that is taken; 0 for any"),
                BatteryOption(
                    "durable", SWITCH, True, "acknowledge uploads when a crash of the machine cannot lose them"
                ),
                BatteryOption("archives", SWITCH, True, "give a folder as one file: ?zip and ?tar"),
                BatteryOption("precompressed", SWITCH, True, "send FILE.br, .zst or .gz for FILE to who takes it"),
                BatteryOption("cache", DURATION, "0s", "how long a browser need not ask again whether a file changed"),
                BatteryOption("charset", TEXT, "utf-8", "what texts are written in; none to say nothing of it"),
                BatteryOption("root_path", TEXT, None, "path under which a proxy serves it: /files", default_text="/"),
                BatteryOption(
                    "forwarded_from",
                    TEXT,
                    (),
                    "networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; unix, or * for all",
                    repeats=True,
                    default_text="nobody's",
                ),
                BatteryOption("login_attempts", NUMBER, 10, "failed logins within ten minutes that ban an address"),
                BatteryOption("ban", DURATION, "10m", "how long an address is banned"),
            ),
            given=("model", "service", "counters"),
            tls_port=443,
        ),
        "portside.protocols.http.site.battery",
        "site_battery",
    ),
    _Entry(
        BatterySpec(
            "whoami",
            "a web page that tells visitors their host name and address (RFC 1945)",
            80,
            options=(BatteryOption("names", SWITCH, True, "look up the visitor's host name"),),
            given=("service",),
        ),
        "portside.protocols.whoami",
        "whoami_battery",
    ),
    _Entry(
        BatterySpec(
            "directory",
            "tell ports by the names of services: running ones first, then the system's",
            6168,
            options=(BatteryOption("file", PATH, "/etc/services", "the system's list of services"),),
            given=("services", "service"),
        ),
        "portside.protocols.directory",
        "directory_battery",
    ),
)
_BY_NAME: Final = {entry.spec.name: entry for entry in _TABLE}


def names() -> list[str]:
    """Return the name of every battery, in the order of their ports."""
    return list(_BY_NAME)


def describe(name: str) -> BatterySpec:
    """Return what is known of the battery. Raises: UsageError with the nearest name."""
    return _entry(name).spec


def load(name: str, arguments: Mapping[str, object] | None = None) -> Battery:
    """Return the battery, made with the arguments; its module is imported now.

    ``arguments`` has values of the options' kinds, or their text as typed, and the ``given`` ones as they are.
    Raises: UsageError for an unknown battery or argument, with the nearest name, and for a value of another kind.
    """
    entry = _entry(name)
    accepted = check_arguments(entry.spec, arguments or {})
    factory = getattr(importlib.import_module(entry.module), entry.factory)
    return cast(Battery, factory(**accepted))


def check_arguments(spec: BatterySpec, arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments with their values converted, defaults not filled in. Raises: UsageError as ``load`` does."""
    options = {option.name: option for option in spec.options}
    accepted: dict[str, object] = {}
    for name, value in arguments.items():
        if name in spec.given:
            accepted[name] = value
        elif name in options:
            accepted[name] = read_value(spec.name, options[name], value)
        elif options:
            raise UsageError(f"the battery {spec.name} takes no argument {name!r}; {nearest(name, options)}")
        else:
            raise UsageError(f"the battery {spec.name} takes no arguments, and got {name!r}")
    return accepted


def _entry(name: str) -> _Entry:
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UsageError(f"there is no battery {name!r}; {nearest(name, _BY_NAME)}") from None
