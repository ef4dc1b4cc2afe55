"""What the tests of all protocols share."""

from __future__ import annotations

import pytest

from support.conversations import Conversations


@pytest.fixture
def conversations() -> Conversations:
    return Conversations()
