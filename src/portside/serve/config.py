"""From what was typed to settings: the command line over the environment, and all mistakes at once.

The file, which lies below both, is read in ``config_file``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from portside.address import ANY_HOST, Endpoint, parse_endpoint, parse_port
from portside.contracts import Battery
from portside.errors import UsageError
from portside.serve.layers import Layer, Reader, Said, from_command_line, from_environment, place_of, unknown_variables
from portside.serve.mistakes import Place
from portside.serve.settings import (
    BY_NAME,
    MODELS_WITH_WORKERS,
    SETTINGS,
    Limits,
    ServerSettings,
    ServiceSettings,
    TlsSettings,
)

RUN_PORT: Final = 9_000  # where a handler of one's own listens unless told otherwise


@dataclass(frozen=True, slots=True)
class Found:
    """A handler as a configuration names it, found but not loaded.

    ``load`` gets the arguments and whether streams and datagrams are asked for; it runs in a worker.
    ``check`` returns one argument's value, converted. Both raise UsageError. ``given`` names the settings of its
    service that the handler is told beside its arguments. ``tls_port`` is the port of ``tls://`` where it is another;
    ``starts_tls`` says that the handler begins TLS within a connection.
    """

    name: str
    what: str
    load: Callable[[Mapping[str, object], bool, bool], Battery]
    port: int | None = None
    streams: bool = True
    datagrams: bool = True
    arguments: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    tls_port: int | None = None
    starts_tls: bool = False
    check: Callable[[str, object], object] = lambda name, value: value


class Finder(Protocol):
    """Who knows handlers by name. Given by the command line, for the conductor knows no protocol."""

    def handler(self, target: str, *, factory: bool) -> Found:
        """Return what ``MODULE:HANDLER`` names, without importing it. Raises: UsageError."""

    def battery(self, name: str) -> Found:
        """Return the battery of that name, without importing it. Raises: UsageError."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings that can be served, and where the parts that only a worker can try were said."""

    settings: ServerSettings
    places: Mapping[tuple[str, str], Place] = field(default_factory=dict)  # by service and "handler" or "tls"


# ── one service ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service before it is read: its handler, its layers, the topmost first, and where it was asked for."""

    name: str
    found: Found
    arguments: Mapping[str, object]
    layers: Sequence[Layer]
    place: Place
    port: int | None  # where to listen when nobody says; None: somebody must


def read_service(reader: Reader, wanted: Wanted) -> tuple[ServiceSettings, list[Place]]:
    """Return the service's settings, and the place of each of its endpoints."""
    layers = wanted.layers
    tls = _tls(reader, layers, wanted.place)
    endpoints = _endpoints(reader, wanted, tls)
    _check_endpoints(reader, wanted, tls, endpoints)
    model, workers = reader.value("model", layers), reader.value("workers", layers)
    if workers > 1 and model not in MODELS_WITH_WORKERS:
        near = "; prefork takes --pool" if model == "prefork" else ""
        others = ", ".join(MODELS_WITH_WORKERS)
        reader.complain(
            place_of("workers", layers, wanted.place),
            f"{workers} workers need the model {others}, and the model is {model}{near}",
        )
    limits = {setting.field: reader.value(setting.name, layers) for setting in SETTINGS if setting.home is Limits}
    streams = any(not endpoint.is_datagram for endpoint, _ in endpoints)
    datagrams = any(endpoint.is_datagram for endpoint, _ in endpoints)
    given = {name: reader.value(name, layers) for name in wanted.found.given}
    settings = ServiceSettings(
        name=wanted.name,
        listen=tuple(endpoint for endpoint, _ in endpoints),
        load=partial(wanted.found.load, {**wanted.arguments, **given}, streams, datagrams),
        what=wanted.found.what,
        model=model,
        workers=workers,
        pool=reader.value("pool", layers),
        drain_s=reader.value("drain", layers),
        proxy_from=reader.values("proxy-from", layers),
        allow=reader.values("allow", layers),
        deny=reader.values("deny", layers),
        limits=Limits(**limits),
        tls=tls,
        amplify=reader.value("amplify", layers),
        starts_tls=wanted.found.starts_tls,
    )
    return settings, [place for _, place in endpoints]


def _endpoints(reader: Reader, wanted: Wanted, tls: TlsSettings) -> list[tuple[Endpoint, Place]]:
    setting = BY_NAME["listen"]
    if any("listen" in layer for layer in wanted.layers):
        before = len(reader.mistakes)
        endpoints = reader.items(setting, wanted.layers, partial(_parse_endpoint, wanted))
        if endpoints or len(reader.mistakes) > before:
            return endpoints
    if wanted.port is None:
        reader.complain(wanted.place, 'says not where to listen: add listen = ["tcp://[::]:9000"]')
        return []
    encrypted = tls.wanted and not wanted.found.starts_tls
    scheme = "tls" if encrypted else "tcp" if wanted.found.streams else "udp"
    return [(Endpoint(scheme, host=ANY_HOST, port=wanted.port), wanted.place)]


def _parse_endpoint(wanted: Wanted, text: str) -> Endpoint:
    is_tls = text.lstrip().startswith("tls:") and wanted.found.tls_port is not None
    return parse_endpoint(text, default_port=wanted.found.tls_port if is_tls else wanted.port)


def _check_endpoints(
    reader: Reader, wanted: Wanted, tls: TlsSettings, endpoints: Sequence[tuple[Endpoint, Place]]
) -> None:
    for endpoint, place in endpoints:
        if endpoint.scheme == "tls" and not tls.wanted:
            reader.complain(place, f"{endpoint} needs a certificate: --tls-cert and --tls-key, or --tls-self-signed")
        if endpoint.is_datagram and not wanted.found.datagrams:
            reader.complain(place, f"{endpoint}: {wanted.found.what} does not speak UDP")
        if not endpoint.is_datagram and not wanted.found.streams:
            reader.complain(place, f"{endpoint}: {wanted.found.what} speaks only UDP")


def _tls(reader: Reader, layers: Sequence[Layer], place: Place) -> TlsSettings:
    """Return the TLS settings, certificates paired with their keys in the order both were given."""
    certificates, keys = _files(reader, "tls-cert", layers), _files(reader, "tls-key", layers)
    if len(keys) not in (0, len(certificates)):
        reader.complain(
            place_of("tls-key", layers, place),
            f"every certificate has its key: there are {len(certificates)} of tls-cert and {len(keys)} of tls-key",
        )
    return TlsSettings(
        certificates=tuple(zip(certificates, keys or certificates, strict=False)),
        client_ca=next(reversed(_files(reader, "tls-client-ca", layers)), None),
        alpn=reader.values("tls-alpn", layers),
        self_signed=reader.value("tls-self-signed", layers),
    )


def _files(reader: Reader, name: str, layers: Sequence[Layer]) -> list[str]:
    """Return the setting's files, those that cannot be read with a complaint."""
    items = reader.items(BY_NAME[name], layers)
    for path, place in items:
        if not os.path.isfile(path):
            reader.complain(place, f"there is no file {path!r}")
        elif not os.access(path, os.R_OK):
            reader.complain(place, f"no permission to read {path!r}")
    return [path for path, _ in items]


def read_server(
    reader: Reader, services: Iterable[ServiceSettings], layers: Sequence[Layer], sources: tuple[str, ...] = ()
) -> ServerSettings:
    """Return the settings of the whole server; ``sources`` are the files they were read from."""
    names = {setting.field: setting.name for setting in SETTINGS if setting.home is ServerSettings}
    values = {field: reader.value(name, layers) for field, name in names.items()}
    for name in ("user", "group"):
        if values[name] is not None and not _is_account(name, values[name]):
            reader.complain(place_of(name, layers, Place(name)), f"this machine has no {name} {values[name]!r}")
    return ServerSettings(services=tuple(services), sources=sources, **values)


def _is_account(kind: str, name: str) -> bool:
    """Return whether the machine knows the user or group by its name; a number needs no name."""
    import grp
    import pwd

    if name.isascii() and name.isdigit():
        return True
    try:
        _ = pwd.getpwnam(name) if kind == "user" else grp.getgrnam(name)
    except KeyError:
        return False
    return True


# ── run and serve ────────────────────────────────────────────────────────────────────────────────────────────────────


def configure_one(
    find: Callable[[bool], Found],
    *,
    asked: str,
    arguments: Mapping[str, object],
    options: Mapping[str, object],
    environment: Mapping[str, str],
    other_variables: Callable[[], Collection[str]],
) -> Configuration:
    """Return the configuration of a server with one service, from the command line over the environment.

    ``find`` gets whether ``--factory`` was said; ``asked`` is what was typed: ``portside run``. ``PORT`` is the port
    where nobody says where to listen. Raises: Mistakes.
    """
    layers = (from_command_line(options), from_environment(environment))
    reader = Reader(unknown_variables(environment, other_variables))
    place = Place(asked)
    try:
        found = find(reader.value("factory", layers))
    except UsageError as error:
        reader.complain(place, str(error))
        found = Found("", "", lambda arguments, streams, datagrams: Battery(""))
    wanted = Wanted(
        name=found.name,
        found=found,
        arguments=read_arguments(reader, found, {name: Said(value, place) for name, value in arguments.items()}),
        layers=layers,
        place=place,
        port=_default_port(reader, layers, environment, found),
    )
    service, places = read_service(reader, wanted)
    refuse_same_endpoints(reader, [(service, places)])
    settings = read_server(reader, [service], layers)
    reader.refuse_mistakes()
    return Configuration(settings, places_of(service.name, layers, place))


def _default_port(reader: Reader, layers: Sequence[Layer], environment: Mapping[str, str], found: Found) -> int:
    port = environment.get("PORT", "").strip()
    if port:
        try:
            return parse_port(port)
        except UsageError as error:
            if not any("listen" in layer for layer in layers):  # else nobody needs it
                reader.complain(Place("PORT"), str(error))
    return RUN_PORT if found.port is None else found.port


def read_arguments(reader: Reader, found: Found, said: Mapping[str, Said]) -> dict[str, object]:
    """Return the battery's arguments with their values converted."""
    arguments = {}
    for name, argument in said.items():
        try:
            arguments[name] = found.check(name, argument.value)
        except UsageError as error:
            reader.complain(argument.place, str(error))
    return arguments


def places_of(service: str, layers: Sequence[Layer], handler: Place) -> dict[tuple[str, str], Place]:
    """Return where the service's handler and its TLS identity were said."""
    tls = next(
        (name for name in ("tls-cert", "tls-client-ca", "tls-self-signed") if any(name in x for x in layers)), ""
    )
    return {(service, "handler"): handler, (service, "tls"): place_of(tls, layers, handler)}


def refuse_same_endpoints(reader: Reader, services: Iterable[tuple[ServiceSettings, Sequence[Place]]]) -> None:
    """Complain of every endpoint that another service, or the same, listens on already."""
    first: dict[object, tuple[str, Place]] = {}
    for service, places in services:
        for endpoint, place in zip(service.listen, places, strict=True):
            if endpoint.is_internet and endpoint.port == 0:
                continue  # the kernel chooses another each time
            # tcp and tls are the same socket, and one path is one path whatever its mode.
            scheme = "tcp" if endpoint.scheme == "tls" else endpoint.scheme
            key = (scheme, endpoint.host, endpoint.port, endpoint.path, endpoint.fd, endpoint.name)
            if key in first:
                name, earlier = first[key]
                reader.complain(place, f"{endpoint} is listened on already by {name} ({earlier})")
            first.setdefault(key, (service.name, place))
