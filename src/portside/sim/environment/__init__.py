def install() -> None:
    """Stub of the moment."""
