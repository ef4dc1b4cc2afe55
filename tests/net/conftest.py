"""Before any test module imports it: the asserts of the contract suite shall say what they compared."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("portside.testing.contract")
