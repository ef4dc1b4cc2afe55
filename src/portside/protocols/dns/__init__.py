"""Asking name servers over any network: ``client`` asks one that recurses, ``walk`` goes from the root down itself.

The bytes are dnspython's business: without it (the ``[dns]`` extra) importing this package raises MissingExtra.
"""

from portside.errors import MissingExtra

try:
    import dns.message  # noqa: F401
except ImportError as missing:
    raise MissingExtra("asking name servers", "dns") from missing
