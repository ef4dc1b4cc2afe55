"""Every command that FTP's documents name, with what the server must know before it looks at one: a table.

Source: the registry of RFC 5797, with the documents that its rows name, and commands that clients send though no RFC
        has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Verb:
    """One command. ``syntax`` and ``sentence`` are what HELP says of it.

    ``needs_argument``   True: it means nothing without one; None: it may have one; False: it has none
    ``during_transfer``  it is answered while a transfer goes on (RFC 959 section 4.1.3); others wait for its end
    """

    name: str
    syntax: str
    sentence: str
    needs_login: bool = True
    needs_argument: bool | None = True
    during_transfer: bool = False


_ACCESS: Final = (  # RFC 959 section 4.1.1, RFC 7151 (HOST), RFC 2640 section 4 (LANG)
    Verb("USER", "USER <name>", "Say who you are.", needs_login=False),
    Verb("PASS", "PASS [<password>]", "Prove it; anonymous users give their address.", False, None),
    Verb("ACCT", "ACCT <account>", "Name an account beside the user's.", needs_login=False),
    Verb("HOST", "HOST <host>", "Say which of the server's names you mean, before USER.", needs_login=False),
    Verb("REIN", "REIN", "Log out and begin anew on the same connection.", False, False),
    Verb("QUIT", "QUIT", "Say goodbye; a transfer that is under way is finished first.", False, False, True),
    Verb("CWD", "CWD <path>", "Go to a directory."),
    Verb("XCWD", "XCWD <path>", "CWD, as it was called before RFC 959."),
    Verb("CDUP", "CDUP", "Go to the directory above.", needs_argument=False),
    Verb("XCUP", "XCUP", "CDUP, as it was called before RFC 959.", needs_argument=False),
    Verb("SMNT", "SMNT <path>", "Mount another file system."),
    Verb("LANG", "LANG [<language>]", "Choose the language of the replies.", False, None),
)

_SECURITY: Final = (  # RFC 2228 section 3, RFC 4217
    Verb("AUTH", "AUTH TLS", "Go on under TLS.", needs_login=False),
    Verb("ADAT", "ADAT <base64>", "Give data to the security mechanism.", needs_login=False),
    Verb("PBSZ", "PBSZ 0", "Set the size of protected buffers; under TLS it is 0.", needs_login=False),
    Verb("PROT", "PROT C | P", "Choose whether data goes in the clear (C) or under TLS (P).", needs_login=False),
    Verb("CCC", "CCC", "End TLS on the control connection, and go on in the clear.", needs_argument=False),
    Verb("MIC", "MIC <base64>", "A command whose integrity is protected.", needs_login=False),
    Verb("CONF", "CONF <base64>", "A command that is encrypted.", needs_login=False),
    Verb("ENC", "ENC <base64>", "A command that is encrypted, and whose integrity is protected.", needs_login=False),
)

_PARAMETERS: Final = (  # RFC 959 section 4.1.2, RFC 2428
    Verb("PORT", "PORT <h1,h2,h3,h4,p1,p2>", "Have the server connect to this address for the next transfer."),
    Verb("EPRT", "EPRT |<family>|<address>|<port>|", "PORT for every family of addresses."),
    Verb("PASV", "PASV", "Have the server listen for the next transfer.", needs_argument=False),
    Verb(
        "EPSV", "EPSV [1 | 2 | ALL]", "PASV for every family of addresses; ALL: there will be nothing else.", True, None
    ),
    Verb("TYPE", "TYPE A [N] | I | L 8", "Send files as text (A) or as they are (I)."),
    Verb("STRU", "STRU F", "Set the structure of files; only F is left in use."),
    Verb("MODE", "MODE S | Z", "Send files as a stream (S) or deflated (Z)."),
    Verb("OPTS", "OPTS <command> [<options>]", "Set what a command does.", needs_login=False),
    # Not in any RFC, but known to NAT helpers: which address an EPRT, or an EPSV, came to.
    Verb("ESTA", "ESTA", "Tell the address the server's end of an active connection has.", needs_argument=False),
    Verb("ESTP", "ESTP", "Tell the address a passive connection was made from.", needs_argument=False),
)

_TRANSFERS: Final = (  # RFC 959 section 4.1.3, RFC 3659 section 5 (REST)
    Verb("RETR", "RETR <path>", "Send a file to the client."),
    Verb("STOR", "STOR <path>", "Take a file from the client, in place of what has the name."),
    Verb("STOU", "STOU [<path>]", "Take a file, and give it a name that nothing has.", needs_argument=None),
    Verb("APPE", "APPE <path>", "Take what belongs behind the file that has the name."),
    Verb("REST", "REST <offset>", "Begin the next transfer so many bytes behind the file's beginning."),
    Verb("ALLO", "ALLO <size> [R <size>]", "Ask whether there is room for so many bytes."),
    Verb("ABOR", "ABOR", "End the transfer that is under way.", needs_argument=False, during_transfer=True),
    Verb("LIST", "LIST [-alRtSrd1] [<path>]", "Send a listing, as ls -l prints it.", needs_argument=None),
    Verb("NLST", "NLST [-aRtSr] [<path>]", "Send the names, one in a line.", needs_argument=None),
    Verb("MLSD", "MLSD [<path>]", "Send a directory's names with their facts, for programs.", needs_argument=None),
)

_FILES: Final = (  # RFC 959 section 4.1.3, RFC 3659, draft-somers-ftp-mfxx (MFMT, MFCT)
    Verb("DELE", "DELE <path>", "Remove a file."),
    Verb("RNFR", "RNFR <path>", "Say which file is to be renamed; RNTO follows."),
    Verb("RNTO", "RNTO <path>", "Give the file of RNFR this name."),
    Verb("MKD", "MKD <path>", "Make a directory."),
    Verb("XMKD", "XMKD <path>", "MKD, as it was called before RFC 959."),
    Verb("RMD", "RMD <path>", "Remove a directory that is empty."),
    Verb("XRMD", "XRMD <path>", "RMD, as it was called before RFC 959."),
    Verb("PWD", "PWD", "Tell which directory this is.", needs_argument=False),
    Verb("XPWD", "XPWD", "PWD, as it was called before RFC 959.", needs_argument=False),
    Verb("MLST", "MLST [<path>]", "Tell the facts of one file, for programs.", needs_argument=None),
    Verb("SIZE", "SIZE <path>", "Tell how many bytes a transfer of the file would have."),
    Verb("MDTM", "MDTM <path>", "Tell when the file was modified, in UTC."),
    Verb("MFMT", "MFMT <YYYYMMDDHHMMSS> <path>", "Set when the file was modified, in UTC."),
    Verb("MFCT", "MFCT <YYYYMMDDHHMMSS> <path>", "Set when the file was created, in UTC."),
)

_DIGESTS: Final = (  # draft-ietf-ftpext2-hash-03; its appendix B lists the older forms
    Verb("HASH", "HASH <path>", "Tell the file's digest, by the algorithm that OPTS HASH chose."),
    Verb("XSHA256", "XSHA256 <path>", "Tell the file's SHA-256 digest."),
    Verb("XSHA512", "XSHA512 <path>", "Tell the file's SHA-512 digest."),
    Verb("XSHA1", "XSHA1 <path>", "Tell the file's SHA-1 digest."),
    Verb("XMD5", "XMD5 <path>", "Tell the file's MD5 digest."),
    Verb("XCRC", "XCRC <path>", "Tell the file's CRC-32."),
)

_INFORMATION: Final = (  # RFC 959 section 4.1.3, RFC 2389; CLNT is in no RFC
    Verb("SITE", "SITE <command> [<argument>]", "Commands of this server; SITE HELP lists them."),
    Verb("SYST", "SYST", "Tell the kind of system.", needs_login=False, needs_argument=False),
    Verb(
        "STAT", "STAT [<path>]", "Tell how the session and its transfer stand, or list a path here.", True, None, True
    ),
    Verb("HELP", "HELP [<command>]", "Tell the commands, or what one of them is for.", False, None),
    Verb("NOOP", "NOOP", "Do nothing, and say so.", False, False),
    Verb("FEAT", "FEAT", "Tell what is understood beyond RFC 959.", needs_login=False, needs_argument=False),
    Verb("CLNT", "CLNT <program>", "Tell which program the client is.", needs_login=False),
)

VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {
        verb.name: verb
        for group in (_ACCESS, _SECURITY, _PARAMETERS, _TRANSFERS, _FILES, _DIGESTS, _INFORMATION)
        for verb in group
    }
)
