"""Which replies each command of FTP may have, by the documents that define it: the oracle of conversations.

Source: RFC 959 section 5.4; RFC 1123 section 4.1.3.4 (554); RFC 2228 section 5; RFC 2389 sections 3 and 4; RFC 2428;
        RFC 2577 section 3 (504); RFC 2640 section 4.1; RFC 3659 sections 2 to 7; RFC 4217 section 10 (521, 522);
        RFC 7151 section 3; draft-bryan-ftpext-hash-02; draft-somers-ftp-mfxx-04.
"""

from __future__ import annotations

from typing import Final

# "500, 501, 421, 530" end nearly every list of RFC 959. 502 is said by its section 4.2.1 of whatever is not
# implemented, and 451 of whatever failed within the server; where a list has neither, it only forgot them.
_ALWAYS: Final = {421, 451, 500, 501, 502, 530}

_TRANSFER: Final = {125, 150, 425, 426, 451, 226, 250, 521, 522}

_LISTS: Final = """
    USER        230 331 332
    PASS        230 202 503 332
    ACCT        230 202 503
    HOST        220 503 504
    REIN        120 220
    QUIT        221
    CWD CDUP SMNT XCWD XCUP     200 250 202 550
    LANG        200 504
    AUTH        234 334 431 503 504 534
    ADAT        235 335 503 535
    PBSZ        200 503
    PROT        200 431 503 504 534 536
    CCC         200 533 534
    PORT        200 504
    EPRT        200 504 522
    PASV        227
    EPSV        229 200 522
    TYPE STRU MODE              200 504
    OPTS        200
    REST        350
    ALLO        200 202 504
    ABOR        225 226
    RETR        450 550 554 +
    STOR STOU   450 452 532 551 552 553 554 +
    APPE        450 452 532 550 551 552 553 554 +
    LIST NLST   450 +
    MLSD        450 550 553 503 504 +
    MLST        250 450 550 553 503 504
    DELE RMD XRMD               250 450 550
    RNFR        350 450 550
    RNTO        250 503 532 553
    MKD XMKD PWD XPWD           257 550
    SIZE MDTM MFMT MFCT         213 550
    HASH        213 450 550 553 504
    XCRC XMD5 XSHA1 XSHA256 XSHA512     250 213 550
    SITE        200 202
    SYST        215
    STAT        211 212 213 450
    HELP        211 214
    NOOP CLNT   200
    FEAT        211
"""

# What everybody says although no list has it, and clients know it so.
_CUSTOMARY: Final = {
    # BSD's ftpd, proftpd and pyftpdlib: there is no other word for a port that cannot be listened on.
    "PASV": {425},
    "EPSV": {425},
    # Only 450 would be left for a name that is not there, and clients try again after it.
    "LIST": {550},
    "NLST": {550},
    "STAT": {550},
    # proftpd and pure-ftpd, of a size beyond the quota.
    "ALLO": {552},
    # It is the help of SITE's commands; and what SITE CHMOD fails with, everywhere.
    "SITE": {214, 504, 550},
}


def _parse(lists: str) -> dict[str, frozenset[int]]:
    found: dict[str, frozenset[int]] = {}
    for line in lists.splitlines():
        words = line.split()
        codes = {int(word) for word in words if word.isdigit()} | (_TRANSFER if "+" in words else set())
        for verb in words:
            if verb.isalpha() or verb.startswith("X"):
                found[verb] = frozenset(codes | _ALWAYS | _CUSTOMARY.get(verb, set()))
    return found


ALLOWED: Final = _parse(_LISTS)


def may_answer(code: int, verb: str) -> bool:
    """Tell whether the code is one that the documents, or custom, give to the verb's command; 500 is for others."""
    return code in ALLOWED.get(verb.upper(), _ALWAYS)
