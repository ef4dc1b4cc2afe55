"""One suite that every implementation of ``storage.contract.Storage`` passes, so that whoever stores meets the same.

Derive from ``StorageContract`` in a test module and give it a fixture ``make`` (``MakeStorage``: it returns an empty
storage with the clock and the time to keep interrupted uploads that it is given). The suite needs pytest.
"""

from __future__ import annotations

from portside.testing.storage.naming import FactContract, NamingContract
from portside.testing.storage.reading import ReadingContract
from portside.testing.storage.trees import Clock, MakeStorage, entries, get, interrupt, put, tree
from portside.testing.storage.uploading import KeepingContract, UploadContract

__all__ = ["Clock", "MakeStorage", "StorageContract", "entries", "get", "interrupt", "put", "tree"]


class StorageContract(ReadingContract, UploadContract, KeepingContract, NamingContract, FactContract):
    """Everything a storage promises."""
