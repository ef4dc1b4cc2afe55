"""Bytes and values: one format a module, ``parse_`` makes values of bytes and ``build_`` makes bytes of values."""
