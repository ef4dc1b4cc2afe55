"""One suite that every implementation of ``contracts.Connection`` and ``contracts.Network`` passes.

So a handler meets the same everywhere. Derive from ``ConnectionContract`` in a test module and give it a fixture
``pairs`` (``Pairs``: something that joins two programs); from ``NetworkContract`` with a fixture ``world``. The suite
needs pytest.
"""

from __future__ import annotations

from portside.testing.contract.company import CompanyContract
from portside.testing.contract.counting import CountersContract
from portside.testing.contract.ends import EndContract
from portside.testing.contract.files import FileContract
from portside.testing.contract.identity import IdentityContract, UpgradeContract
from portside.testing.contract.networks import (
    BlockingWorld,
    EventWorld,
    KernelNetworkContract,
    MemoryWorld,
    NetworkContract,
    TransportWorld,
    World,
)
from portside.testing.contract.pairs import (
    SERVER_NAME,
    BlockingPairs,
    EventPairs,
    MemoryPairs,
    Pairs,
    TlsContexts,
    TransportPairs,
    connected_sockets,
    pattern,
)
from portside.testing.contract.reading import ReadingContract
from portside.testing.contract.taps import TapContract
from portside.testing.contract.writing import WritingContract

__all__ = [
    "SERVER_NAME",
    "BlockingPairs",
    "BlockingWorld",
    "ConnectionContract",
    "CountersContract",
    "EventPairs",
    "EventWorld",
    "KernelNetworkContract",
    "MemoryPairs",
    "MemoryWorld",
    "NetworkContract",
    "Pairs",
    "TlsContexts",
    "TransportPairs",
    "TransportWorld",
    "UpgradeContract",
    "World",
    "connected_sockets",
    "pattern",
]


class ConnectionContract(
    ReadingContract, WritingContract, FileContract, EndContract, CompanyContract, IdentityContract, TapContract
):
    """Everything a connection promises, plain or under TLS."""
