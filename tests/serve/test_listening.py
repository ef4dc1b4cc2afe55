"""Which sockets a reload keeps, opens and closes."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from portside.address import Endpoint, parse_endpoint
from portside.contracts import Battery
from portside.errors import AddressInUse, LocalError
from portside.serve import listening
from portside.serve.listening import Plan, plan, slots_of
from portside.serve.settings import ServiceSettings


def service(name: str, *urls: str, **settings: object) -> ServiceSettings:
    endpoints = tuple(parse_endpoint(url) for url in urls)
    return replace(ServiceSettings(name, endpoints, lambda: Battery(name), name), **settings)  # type: ignore[arg-type]


class Plans:
    """Plans whose sockets are closed at the end of the test."""

    def __init__(self) -> None:
        self.made: list[Plan] = []

    def __call__(self, *services: ServiceSettings, present: Plan = listening.NOTHING) -> Plan:
        self.made.append(plan(services, present))
        return self.made[-1]


@pytest.fixture
def planned() -> Iterator[Plans]:
    plans = Plans()
    yield plans
    for one in plans.made:
        listening.close(one.all())


def ports(made: Plan, settings: ServiceSettings) -> list[int]:
    return [endpoint.port for endpoint in made.endpoints(settings)]


ANY = "tcp://127.0.0.1:0"


def test_what_is_asked_for_again_stays_and_port_0_is_each_service_s_own(planned: Plans) -> None:
    one, two = service("one", ANY, "udp://127.0.0.1:0"), service("two", ANY)
    first = planned(one, two)
    assert len(first.new) == 3
    second = planned(two, one, present=first)
    assert second.new == []
    assert (ports(second, one), ports(second, two)) == (ports(first, one), ports(first, two))


def test_a_service_takes_over_what_another_gives_up(planned: Plans) -> None:
    old = service("old", ANY)
    first = planned(old)
    port = ports(first, old)[0]
    asked = service("old", f"tcp://127.0.0.1:{port}")
    renamed = planned(service("new", ANY), present=first)
    assert renamed.new == []
    assert ports(renamed, service("new", ANY)) == [port]
    # Another text for the same place is another endpoint, and the place is taken: by ourselves.
    with pytest.raises(AddressInUse):
        planned(asked, present=first)


def test_tls_and_options_may_change_on_the_same_socket(planned: Plans) -> None:
    plain, sealed = service("one", ANY), service("one", "tls://127.0.0.1:0?backlog=5&nodelay=off")
    first = planned(plain)
    second = planned(sealed, present=first)
    assert second.new == []
    (endpoint,) = second.endpoints(sealed)
    assert (endpoint.scheme, endpoint.port) == ("tls", ports(first, plain)[0])
    assert second.bounds(sealed, 0)[0].endpoint.scheme == "tls"
    assert first.bounds(plain, 0)[0].endpoint.scheme == "tcp"
    sock = first.bounds(plain, 0)[0].socket
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    second.refit([sealed])
    assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_path_keeps_its_socket_and_changes_its_mode(planned: Plans, tmp_path: Path) -> None:
    path = tmp_path / "s"
    strict, wide = service("one", f"unix:{path}?mode=600"), service("one", f"unix:{path}?mode=666")
    first = planned(strict)
    second = planned(wide, present=first)
    assert second.new == []
    second.refit([wide])
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_if_one_cannot_be_bound_none_is_left(planned: Plans) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            free = probe.getsockname()[1]
        with pytest.raises(AddressInUse):
            planned(service("one", f"tcp://127.0.0.1:{free}", f"tcp://127.0.0.1:{port}"))
        socket.create_server(("127.0.0.1", free)).close()


def test_a_name_nobody_knows_cannot_be_listened_on() -> None:
    with pytest.raises(LocalError, match=r"name\.invalid"):
        plan([service("one", "tcp://name.invalid:0")])


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_every_socket_is_somebody_s(planned: Plans, workers: int) -> None:
    four = service("one", ANY, "udp://127.0.0.1:0", workers=4)
    first = planned(four)
    other = service("one", ANY, "udp://127.0.0.1:0", workers=workers)
    second = planned(other, present=first)
    served = [bound.socket.fileno() for slot in range(workers) for bound in second.bounds(other, slot)]
    assert sorted(served) == sorted({bound.socket.fileno() for one in second.all() for bound in one.all()})
    assert len(served) == 2 * max(4, workers)
    assert all(len(second.bounds(other, slot)) >= 2 for slot in range(workers))


def test_a_pool_of_processes_shares_one_socket(planned: Plans) -> None:
    pool = service("one", ANY, model="prefork", pool=6)
    assert slots_of(pool) == 6
    made = planned(pool)
    assert len({bound.socket.fileno() for slot in range(6) for bound in made.bounds(pool, slot)}) == 1


@pytest.mark.parametrize(("model", "slots"), [("iterative", 1), ("fork", 1), ("event", 3), ("thread", 3)])
def test_how_many_workers_a_model_has(model: str, slots: int) -> None:
    assert slots_of(service("one", ANY, model=model, workers=3)) == slots


def test_endpoints_are_told_as_they_came_to_be(planned: Plans) -> None:
    named = service("one", "tcp://localhost:0")
    made = planned(named)
    endpoints: list[Endpoint] = made.endpoints(named)
    assert {endpoint.host for endpoint in endpoints} <= {"127.0.0.1", "::1"}
    assert len({endpoint.port for endpoint in endpoints}) == 1
