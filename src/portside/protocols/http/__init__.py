"""HTTP/1.1: a codec without I/O over llhttp, and on top of it a host for ASGI applications."""
