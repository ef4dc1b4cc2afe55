"""FTP's client: ``FtpClient`` and what it raises and returns.

The way of an act: ``client`` says what it means, ``session`` sees that nothing is in its way, ``control`` speaks and
hears; for a transfer ``channel`` agrees on a data connection and ``transfer`` carries the bytes.
"""

from portside.protocols.ftp.client.client import TIMEOUT_S, FtpClient
from portside.protocols.ftp.client.entries import RemoteEntry
from portside.protocols.ftp.client.errors import (
    Aborted,
    Incomplete,
    Leaving,
    LoginRefused,
    NoSpace,
    NotSupported,
    Refused,
    Unavailable,
    UnexpectedReply,
)
from portside.protocols.ftp.client.listing import Listing
from portside.protocols.ftp.client.transfer import Transfer
from portside.protocols.ftp.client.url import FtpUrl, parse_url
from portside.protocols.ftp.client.words import Features

__all__ = [
    "TIMEOUT_S",
    "Aborted",
    "Features",
    "FtpClient",
    "FtpUrl",
    "Incomplete",
    "Leaving",
    "Listing",
    "LoginRefused",
    "NoSpace",
    "NotSupported",
    "Refused",
    "RemoteEntry",
    "Transfer",
    "Unavailable",
    "UnexpectedReply",
    "parse_url",
]
