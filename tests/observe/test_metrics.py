"""OpenMetrics text of what the control socket answers, read by prometheus_client's parser."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from portside.observe.metrics import SERVICE_STATES, build_openmetrics

Read = dict[tuple[str, frozenset[tuple[str, str]]], float]


def a_service(name: str = "files", **changes: Any) -> dict[str, Any]:
    """A service as ``stats`` has it."""
    return {
        "service": name,
        "state": "ready",
        "open": 2,
        "limit": 10_000,
        "opened": 7,
        "bytes_in": 123,
        "bytes_out": 4_567,
        "datagrams": 0,
        "handler_failed": 1,
        "cut_off": 0,
        "ended": {"done": 4, "peer": 1},
        "limits_hit": {"per_ip": 3},
        "duration_s": {"bounds": [0.001, 1.0], "counts": [1, 3, 1], "sum": 12.5},
        "moved_bytes": {"bounds": [1_000, 10_000], "counts": [5, 0, 0], "sum": 400},
        "logins": 2,
        "logins_refused": 1,
        "uploads": 1,
        "downloads": 5,
        "file_acts_failed": 0,
        "answers": {"2xx": 9, "4xx": 1},
        "workers": [{"pid": 71, "state": "ready", "age_s": 3.25, "cpu_s": 0.5, "rss_bytes": 25_000_000, "threads": 2}],
        **changes,
    }


def stats_of(*services: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The answer to ``stats``."""
    server = {"version": "0.1.0", "pid": 70, "state": "running", "ready": True, "up_s": 60.5, "started_at": "…"}
    return {**server, "cpu_s": 0.25, "rss_bytes": 30_000_000, "threads": 1, "services": list(services), **changes}


def read(text: str) -> Read:
    """Return every value by its name and labels, as the reference's parser understands the text."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(values: Read, name: str, **labels: str) -> float:
    return values[name, frozenset(labels.items())]


def test_counters_and_gauges_are_what_the_server_says() -> None:
    values = read(build_openmetrics(stats_of(a_service())))
    assert value(values, "portside_build_info", version="0.1.0") == 1
    assert value(values, "portside_ready") == 1
    assert value(values, "portside_up_seconds") == 60.5
    assert value(values, "portside_connections", service="files") == 2
    assert value(values, "portside_connections_opened_total", service="files") == 7
    assert value(values, "portside_connections_ended_total", service="files", reason="peer") == 1
    assert value(values, "portside_sent_bytes_total", service="files") == 4_567
    assert value(values, "portside_limit_hits_total", service="files", limit="per_ip") == 3
    assert value(values, "portside_logins_total", service="files", outcome="refused") == 1
    assert value(values, "portside_transfers_total", service="files", outcome="downloaded") == 5
    assert value(values, "portside_answers_total", service="files", status="4xx") == 1
    assert value(values, "portside_worker_cpu_seconds_total", service="files", worker="71") == 0.5


def test_a_histogram_counts_upwards_to_all() -> None:
    values = read(build_openmetrics(stats_of(a_service())))
    name = "portside_connection_duration_seconds"
    buckets = [value(values, f"{name}_bucket", service="files", le=le) for le in ("0.001", "1.0", "+Inf")]
    assert buckets == [1, 4, 5]
    assert value(values, f"{name}_count", service="files") == 5
    assert value(values, f"{name}_sum", service="files") == 12.5


def test_one_state_holds() -> None:
    values = read(build_openmetrics(stats_of(a_service(state="degraded"), a_service("web", state="retiring"))))
    holding = {
        dict(labels)["service"]: dict(labels)["portside_service_state"]
        for (name, labels), number in values.items()
        if name == "portside_service_state" and number == 1
    }
    assert holding == {"files": "degraded", "web": "retiring"}
    assert len([1 for name, _ in values if name == "portside_service_state"]) == 2 * len(SERVICE_STATES)


def test_what_nobody_knows_is_not_told() -> None:
    worker = {"pid": 71, "state": "ready", "age_s": 3.25, "cpu_s": None, "rss_bytes": None, "threads": None}
    values = read(build_openmetrics(stats_of(a_service(workers=[worker]), cpu_s=None, rss_bytes=None)))
    names = {name for name, _ in values}
    assert "portside_worker_up_seconds" in names
    assert names & {"portside_worker_memory_bytes", "portside_supervisor_cpu_seconds_total"} == set()


def test_a_server_without_services_has_its_own_numbers() -> None:
    text = build_openmetrics(stats_of())
    assert value(read(text), "portside_ready") == 1
    assert text.endswith("\n# EOF\n")


@given(st.text(max_size=20))
def test_whatever_a_service_is_called_comes_back_as_it_was(name: str) -> None:
    values = read(build_openmetrics(stats_of(a_service(name))))
    assert value(values, "portside_connections", service=name) == 2


@pytest.mark.parametrize("name", ["a\udc80b", '"} 1\n# EOF\n', "\\n\\\\"])
def test_a_name_cannot_break_out_of_its_label(name: str) -> None:
    expected = name.encode("utf-8", "replace").decode()
    assert value(read(build_openmetrics(stats_of(a_service(name)))), "portside_connections", service=expected) == 2
