"""The verbs about data connections, how data is represented, and transfers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, cast

from portside.address import InternetAddress
from portside.protocols.ftp import acts
from portside.protocols.ftp.acts import Outcome
from portside.protocols.ftp.commands import Command, MalformedCommand
from portside.protocols.ftp.digests import ALGORITHMS
from portside.protocols.ftp.facts import FACTS, parse_fact_wishes
from portside.protocols.ftp.ports import parse_eprt, parse_epsv, parse_port
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import Refused, Session, verb

Value = TypeVar("Value")

LOW_PORTS: Final = 1_024  # RFC 2577 section 3: no data connections to where services of the system are
OFFSET_MAX: Final = 2**63 - 1
OFFSET_DIGITS_MAX: Final = 19

# ── data connections ─────────────────────────────────────────────────────────────────────────────────────────────────


@verb("PASV")
def _pasv(session: Session, command: Command) -> Outcome:
    _check_not_only_epsv(session)
    if ":" in session.peer_host:
        raise Refused(425, "PASV has no words for an IPv6 address: use EPSV.")
    return _listen(session, extended=False)


@verb("EPSV")
def _epsv(session: Session, command: Command) -> Outcome:
    """RFC 2428 section 3."""
    wanted = _parsed(parse_epsv, command.argument)
    if wanted == "ALL":
        session.only_epsv = True
        return Reply(200, ("Nothing but EPSV from now on.",))
    if wanted is not None and wanted != _family(session):
        raise Refused(522, f"This connection is of another protocol: use ({_family(session)}).")
    return _listen(session, extended=True)


def _listen(session: Session, *, extended: bool) -> Outcome:
    if not session.peer_host:
        raise Refused(425, "There are no data connections over a unix socket.")
    return acts.Listen(extended)


def _family(session: Session) -> int:
    return 2 if ":" in session.peer_host else 1  # as in IANA's address family numbers


@verb("PORT")
def _port(session: Session, command: Command) -> Outcome:
    return _call(session, parse_port, command.argument)


@verb("EPRT")
def _eprt(session: Session, command: Command) -> Outcome:
    return _call(session, parse_eprt, command.argument)


def _call(session: Session, parse: Callable[[str], InternetAddress], argument: str) -> Outcome:
    _check_not_only_epsv(session)
    if not session.policy.active:
        raise Refused(502, "Active mode is off here: use EPSV or PASV.")
    address = _parsed(parse, argument)
    # Else anybody could have us connect to a third machine, or to a mail server's port: RFC 2577 section 3.
    if address.host != session.peer_host:
        raise Refused(504, "Data connections go to the address you come from.")
    if address.port < LOW_PORTS:
        raise Refused(504, f"Data connections go to ports from {LOW_PORTS} on.")
    return acts.Call(address)


def _check_not_only_epsv(session: Session) -> None:
    if session.only_epsv:
        raise Refused(501, "You said EPSV ALL.")


def _parsed(parse: Callable[[str], Value], argument: str) -> Value:
    try:
        return parse(argument)
    except MalformedCommand as error:
        raise Refused(error.code, f"{error.why[:1].upper()}{error.why[1:]}.") from error


# ── representation ───────────────────────────────────────────────────────────────────────────────────────────────────


@verb("TYPE")
def _type(session: Session, command: Command) -> Outcome:
    match command.argument.upper().split():
        case ["I"] | ["L", "8"]:
            session.is_binary = True
            return Reply(200, ("Files go as they are.",))
        case ["A"] | ["A", "N"]:
            session.is_binary = False
            return Reply(200, ("Files go as text, with CR LF at the end of each line.",))
        case ["E", *_] | ["A", "T" | "C"] | ["L", *_]:
            raise Refused(504, "The types are A (text) and I (as it is).")
    raise Refused(501, "The types are A (text) and I (as it is).")


@verb("STRU")
def _stru(session: Session, command: Command) -> Outcome:
    match command.argument.upper():
        case "F":
            return Reply(200, ("Files have no further structure.",))
        case "R" | "P":
            raise Refused(504, "The structure is F (file).")
    raise Refused(501, "The structure is F (file).")


@verb("MODE")
def _mode(session: Session, command: Command) -> Outcome:
    match command.argument.upper():
        case "S":
            session.is_deflated = False
            return Reply(200, ("A file is a stream.",))
        case "Z":
            session.is_deflated = True
            return Reply(200, ("A file is a deflated stream.",))
        case "B" | "C":
            raise Refused(504, "The modes are S (stream) and Z (deflated).")
    raise Refused(501, "The modes are S (stream) and Z (deflated).")


@verb("OPTS")
def _opts(session: Session, command: Command) -> Outcome:
    """RFC 2389 section 4."""
    name, _, value = command.argument.partition(" ")
    match name.upper(), value.upper().split():
        case "UTF8" | "UTF-8", ["ON" | "NLST"] | []:
            return Reply(200, ("Names are UTF-8, always.",))
        case "UTF8" | "UTF-8", _:
            raise Refused(501, "Names are UTF-8, always.")
        case "MLST", _:
            session.facts = parse_fact_wishes(value, FACTS)
            return Reply(200, ("MLST OPTS " + "".join(f"{fact};" for fact in session.facts),))
        case "HASH", []:
            return Reply(200, (session.hash_algorithm,))
        case "HASH", [wanted] if wanted in ALGORITHMS:
            session.hash_algorithm = wanted
            return Reply(200, (wanted,))
        case "MODE", ["Z", "LEVEL", level] if level in set("123456789"):
            session.deflate_level = int(level)
            return Reply(200, (f"MODE Z LEVEL is {level}.",))
        case "HASH" | "MODE", _:
            raise Refused(501, "There is no such option.")
    raise Refused(501, "There are options of UTF8, MLST, HASH and MODE Z.")


# ── transfers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@verb("REST")
def _rest(session: Session, command: Command) -> Outcome:
    """RFC 3659 section 5."""
    offset = command.argument
    if not (offset.isascii() and offset.isdigit() and len(offset) <= OFFSET_DIGITS_MAX and int(offset) <= OFFSET_MAX):
        raise Refused(501, "Where to begin is a number of bytes.")
    session.offset = int(offset)
    return Reply(350, (f"The next transfer begins behind {session.offset} bytes.",))


def _offset(session: Session) -> int:
    offset = session.take_offset()
    if offset and not session.is_binary:
        raise Refused(501, "A transfer begins in the middle only under TYPE I: bytes of text are counted otherwise.")
    if offset and session.is_deflated:
        raise Refused(501, "A transfer begins in the middle only under MODE S.")
    return offset


@verb("RETR")
def _retr(session: Session, command: Command) -> Outcome:
    session.need("read")
    session.may_move_data()
    return acts.Retrieve(session.path(command.argument), _offset(session))


@verb("STOR")
def _stor(session: Session, command: Command) -> Outcome:
    session.need("write")
    session.may_move_data()
    return acts.Store(session.path(command.argument), _offset(session))


@verb("APPE")
def _appe(session: Session, command: Command) -> Outcome:
    session.need("append")
    session.may_move_data()
    session.take_offset()
    return acts.Store(session.path(command.argument), None)


@verb("STOU")
def _stou(session: Session, command: Command) -> Outcome:
    session.need("write")
    session.may_move_data()
    session.take_offset()
    return acts.Store(session.path(command.argument or "file"), 0, unique=True)


@verb("ALLO")
def _allo(session: Session, command: Command) -> Outcome:
    match command.argument.upper().split():
        case [size] | [size, "R", _] if size.isascii() and size.isdigit() and len(size) <= OFFSET_DIGITS_MAX:
            return acts.Allocate(int(size))
    raise Refused(501, "How many bytes is a number.")


@verb("LIST", "NLST", "MLSD")
def _list(session: Session, command: Command) -> Outcome:
    session.need("list")
    session.may_move_data()
    session.take_offset()
    return acts.SendListing(cast("acts.ListingForm", command.verb), command.argument)


@verb("ABOR")
def _abor(session: Session, command: Command) -> Outcome:
    session.take_offset()
    return acts.Abort()
