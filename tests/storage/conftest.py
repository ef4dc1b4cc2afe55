"""What the tests of storages share: both ways to stay beneath a root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portside.storage.beneath import ByHand, ByKernel, Resolution, best_resolution


@pytest.fixture
def kernel(tmp_path: Path) -> ByKernel:
    """The kernel's way, where this kernel has it."""
    descriptor = os.open(tmp_path, os.O_PATH)
    try:
        resolution = best_resolution(descriptor)
    finally:
        os.close(descriptor)
    if not isinstance(resolution, ByKernel):
        pytest.skip("openat2(2) is not to be had here")
    return resolution


@pytest.fixture(params=["kernel", "hand"])
def resolution(request: pytest.FixtureRequest) -> Resolution:
    """Each way in turn."""
    way: Resolution = request.getfixturevalue("kernel") if request.param == "kernel" else ByHand()
    return way
