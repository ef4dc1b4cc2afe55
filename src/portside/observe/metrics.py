"""The server's numbers as text for those who gather metrics: OpenMetrics 1.0.

A pure function of what the control socket's ``stats`` answers. Counters are exact across workers and survive them; they
begin at zero with the server, and with a service whose limit of connections a reload has raised.
Source: the OpenMetrics specification, version 1.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

SERVICE_STATES: Final = ("ready", "degraded", "down", "draining", "retiring")

Labels: TypeAlias = Mapping[str, object]
Stats: TypeAlias = Mapping[str, Any]
Sample: TypeAlias = tuple[Labels, float | None]
"""The labels of a value, and the value; None is not told."""


def build_openmetrics(stats: Stats) -> str:
    """Return the metrics of a server. ``stats`` is what the control socket answers to ``{"do": "stats"}``."""
    return "".join(f"{line}\n" for line in (*_of_server(stats), *_of_services(stats["services"]), "# EOF"))


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_server(stats: Stats) -> Iterator[str]:
    yield from _info("portside_build", "Which Portside this is.", {"version": stats["version"]})
    yield from _gauge("portside_ready", "Whether every service is served and nothing stops it.", [({}, stats["ready"])])
    yield from _gauge("portside_up_seconds", "How long the server has been there.", [({}, stats["up_s"])], "seconds")
    cpu: list[Sample] = [({}, stats["cpu_s"])]
    memory: list[Sample] = [({}, stats["rss_bytes"])]
    yield from _counter(
        "portside_supervisor_cpu_seconds", "CPU time of the supervisor, and of workers that are gone.", cpu, "seconds"
    )
    yield from _gauge("portside_supervisor_memory_bytes", "Resident memory of the supervisor.", memory, "bytes")


def _of_services(services: Sequence[Stats]) -> Iterator[str]:
    def each(key: str) -> list[Sample]:
        return [({"service": one["service"]}, one[key]) for one in services]

    def each_of(key: str, label: str) -> list[Sample]:
        return [
            ({"service": one["service"], label: name}, value) for one in services for name, value in one[key].items()
        ]

    yield from _states("portside_service_state", "The state of a service.", services)
    yield from _gauge("portside_connections", "Connections that are served now.", each("open"))
    yield from _gauge("portside_connections_limit", "Connections that are served at most.", each("limit"))
    yield from _counter("portside_connections_opened", "Connections that came to their handler.", each("opened"))
    yield from _counter(
        "portside_connections_ended", "Connections that are over, by how they ended.", each_of("ended", "reason")
    )
    yield from _counter("portside_connections_cut_off", "Connections that a drain's deadline ended.", each("cut_off"))
    yield from _counter("portside_received_bytes", "Bytes of peers.", each("bytes_in"), "bytes")
    yield from _counter("portside_sent_bytes", "Bytes to peers.", each("bytes_out"), "bytes")
    yield from _counter("portside_datagrams", "Datagrams that came to their handler.", each("datagrams"))
    yield from _counter("portside_handler_failures", "Times that a handler failed.", each("handler_failed"))
    yield from _counter(
        "portside_limit_hits", "Peers and datagrams turned away, by the limit.", each_of("limits_hit", "limit")
    )
    yield from _histogram(
        "portside_connection_duration_seconds", "How long connections lasted.", services, "duration_s", "seconds"
    )
    yield from _histogram(
        "portside_connection_moved_bytes",
        "What connections moved, both ways together.",
        services,
        "moved_bytes",
        "bytes",
    )
    yield from _of_batteries(services)
    yield from _of_workers(services)


def _of_batteries(services: Sequence[Stats]) -> Iterator[str]:
    def each(**keys: str) -> list[Sample]:
        return [
            ({"service": one["service"], "outcome": outcome}, one[key])
            for one in services
            for outcome, key in keys.items()
        ]

    yield from _counter(
        "portside_logins", "Logins, by whether they were let in.", each(accepted="logins", refused="logins_refused")
    )
    yield from _counter(
        "portside_transfers",
        "Files that came and went, and what could not be done to files.",
        each(uploaded="uploads", downloaded="downloads", failed="file_acts_failed"),
    )
    yield from _counter(
        "portside_answers",
        "Requests that were answered, by the class of the status.",
        [
            ({"service": one["service"], "status": name}, value)
            for one in services
            for name, value in one["answers"].items()
        ],
    )


def _of_workers(services: Sequence[Stats]) -> Iterator[str]:
    workers = [
        ({"service": one["service"], "worker": worker["pid"]}, worker) for one in services for worker in one["workers"]
    ]

    def each(key: str) -> list[Sample]:
        return [(labels, worker[key]) for labels, worker in workers]

    yield from _counter(
        "portside_worker_cpu_seconds", "CPU time of a worker and its children.", each("cpu_s"), "seconds"
    )
    yield from _gauge("portside_worker_memory_bytes", "Resident memory of a worker.", each("rss_bytes"), "bytes")
    yield from _gauge("portside_worker_threads", "Threads of a worker.", each("threads"))
    yield from _gauge("portside_worker_up_seconds", "How long a worker has been there.", each("age_s"), "seconds")


# ── families of metrics ──────────────────────────────────────────────────────────────────────────────────────────────


def _family(name: str, kind: str, help_text: str, unit: str = "") -> Iterator[str]:
    """Yield what stands above a family's values. A unit is the end of its family's name."""
    assert not unit or name.endswith(f"_{unit}")
    yield f"# TYPE {name} {kind}"
    if unit:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {_escaped(help_text)}"


def _gauge(name: str, help_text: str, samples: Iterable[Sample], unit: str = "") -> Iterator[str]:
    yield from _family(name, "gauge", help_text, unit)
    yield from _lines(name, samples)


def _counter(name: str, help_text: str, samples: Iterable[Sample], unit: str = "") -> Iterator[str]:
    yield from _family(name, "counter", help_text, unit)
    yield from _lines(f"{name}_total", samples)


def _info(name: str, help_text: str, labels: Labels) -> Iterator[str]:
    yield from _family(name, "info", help_text)
    yield _line(f"{name}_info", labels, 1)


def _states(name: str, help_text: str, services: Sequence[Stats]) -> Iterator[str]:
    """A state set: a value for each state there is, 1 for the one that holds."""
    yield from _family(name, "stateset", help_text)
    for one in services:
        for state in SERVICE_STATES:
            yield _line(name, {"service": one["service"], name: state}, int(one["state"] == state))


def _histogram(name: str, help_text: str, services: Sequence[Stats], key: str, unit: str) -> Iterator[str]:
    """A histogram of each service: how many values are no larger than each bound, how many there are, their sum."""
    yield from _family(name, "histogram", help_text, unit)
    for one in services:
        histogram, labels = one[key], {"service": one["service"]}
        count = 0
        for bound, more in zip((*histogram["bounds"], None), histogram["counts"], strict=True):
            count += more
            # A bound is a float to whoever reads it, and is written as one: so says the specification.
            yield _line(f"{name}_bucket", {**labels, "le": "+Inf" if bound is None else repr(float(bound))}, count)
        yield _line(f"{name}_count", labels, count)
        yield _line(f"{name}_sum", labels, histogram["sum"])


def _lines(name: str, samples: Iterable[Sample]) -> Iterator[str]:
    return (_line(name, labels, value) for labels, value in samples if value is not None)


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(str(label))}"' for key, label in labels.items())
    return f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str) -> str:
    """Return the text of a label or of help as it stands in quotation marks; what is no UTF-8 is replaced."""
    text = text.encode("utf-8", "replace").decode()
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
