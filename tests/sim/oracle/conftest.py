"""The host under test: each test runs against Linux, which is right, and against ours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from portside.sim.tap import TapPort
from support.namespaces import Namespace, end, make_namespace
from support.oracle import Kernel, Ours, Wire
from support.tap import make_tap

_numbers = count()


@pytest.fixture(scope="session")
def kernel() -> Iterator[tuple[Namespace, TapPort]]:
    namespace = make_namespace()
    try:
        with make_tap(namespace) as tap:
            yield namespace, tap
    finally:
        end(namespace.keeper)


@pytest.fixture(params=["linux", "portside"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    host: Any = Ours() if request.param == "portside" else Kernel(*request.getfixturevalue("kernel"))
    yield Wire(host, next(_numbers))
    host.close()
