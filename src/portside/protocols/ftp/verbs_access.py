"""The verbs about who the client is, how it is protected, and what the server can do."""

from __future__ import annotations

from typing import Final

from portside.protocols.ftp import acts
from portside.protocols.ftp.acts import Outcome
from portside.protocols.ftp.commands import VERBS, Command
from portside.protocols.ftp.digests import ALGORITHMS
from portside.protocols.ftp.facts import FACTS
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import TABLE, Refused, Session, verb

ANONYMOUS_NAMES: Final = frozenset({"anonymous", "ftp"})  # RFC 1635 section 2
PBSZ_MAX: Final = 2**32 - 1  # RFC 2228 section 3: a 32-bit integer

# ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@verb("USER")
def _user(session: Session, command: Command) -> Outcome:
    if session.policy.tls in ("login", "data") and not session.is_protected:
        raise Refused(530, "Logins must be protected here: AUTH TLS first.")
    session.logged_out()
    session.user = command.argument
    if is_anonymous(session):
        return Reply(331, ("Any password will do; an e-mail address is customary.",))
    return Reply(331, ("Now the password.",))  # the same for users that there are not: RFC 2577 section 7


def is_anonymous(session: Session) -> bool:
    return session.policy.anonymous and (session.user or "").lower() in ANONYMOUS_NAMES


@verb("PASS")
def _pass(session: Session, command: Command) -> Outcome:
    if session.account is not None:
        raise Refused(503, "You are logged in already.")
    if session.user is None:
        raise Refused(503, "Say USER first.")
    return acts.LogIn(session.user, command.argument)


@verb("ACCT")
def _acct(session: Session, command: Command) -> Outcome:
    return Reply(202, ("No account is needed here.",))


@verb("REIN")
def _rein(session: Session, command: Command) -> Outcome:
    return acts.LogOut()


@verb("QUIT")
def _quit(session: Session, command: Command) -> Outcome:
    return acts.Quit()


@verb("HOST")
def _host(session: Session, command: Command) -> Outcome:
    """RFC 7151: one server for every name, but not for another name than TLS was asked for (section 3.2.2)."""
    if session.account is not None or session.user is not None:
        raise Refused(503, "HOST comes before USER.")
    name = command.argument.strip("[]").lower()
    if session.server_name is not None and name != session.server_name.lower():
        raise Refused(504, f"TLS was asked for {session.server_name}.")
    return Reply(220, ("This host serves that name.",))


# ── protection: RFC 2228 and 4217 ────────────────────────────────────────────────────────────────────────────────────


@verb("AUTH")
def _auth(session: Session, command: Command) -> Outcome:
    if not session.policy.has_tls:
        raise Refused(502, "There is no TLS here.")
    mechanism = command.argument.upper()
    if mechanism not in ("TLS", "TLS-C", "TLS-P", "SSL"):
        raise Refused(504, "The mechanism is TLS.")
    if session.is_protected:
        raise Refused(503, "TLS has begun already.")
    # The older names of the drafts before RFC 4217, which old clients still try, protect the data as well.
    session.said_pbsz = session.protects_data = mechanism in ("TLS-P", "SSL")
    return acts.StartTls()


@verb("PBSZ")
def _pbsz(session: Session, command: Command) -> Outcome:
    if not session.is_protected:
        raise Refused(503, "AUTH TLS first.")
    size = command.argument
    if not (size.isascii() and size.isdigit() and len(size) <= 10 and int(size) <= PBSZ_MAX):
        raise Refused(501, "The size of the protection buffer is a number of 32 bits.")
    session.said_pbsz = True
    return Reply(200, ("PBSZ=0",))  # TLS needs none: RFC 4217 section 9


@verb("PROT")
def _prot(session: Session, command: Command) -> Outcome:
    if not session.said_pbsz:
        raise Refused(503, "PBSZ 0 first.")
    level = command.argument.upper()
    if level in ("S", "E"):
        raise Refused(536, "TLS protects privately or not at all: PROT P or PROT C.")
    if level not in ("C", "P"):
        raise Refused(504, "The level is P (private) or C (clear).")
    if level == "C" and session.policy.tls == "data":
        raise Refused(534, "Data connections must be protected here.")
    session.protects_data = level == "P"
    return Reply(200, (f"Data connections are {'protected' if session.protects_data else 'in the clear'}.",))


@verb("CCC")
def _ccc(session: Session, command: Command) -> Outcome:
    if not session.is_protected:
        raise Refused(533, "The control connection is in the clear already.")
    if session.policy.tls == "data":
        raise Refused(534, "The control connection stays protected here.")
    return acts.StopTls()


# ── what the server is ───────────────────────────────────────────────────────────────────────────────────────────────


@verb("SYST")
def _syst(session: Session, command: Command) -> Outcome:
    return Reply(215, ("UNIX Type: L8",))


@verb("NOOP")
def _noop(session: Session, command: Command) -> Outcome:
    return Reply(200, ("Still here.",))


@verb("CLNT")
def _clnt(session: Session, command: Command) -> Outcome:
    return Reply(200, ("Nice to meet you.",))


@verb("LANG")
def _lang(session: Session, command: Command) -> Outcome:
    """RFC 2640 section 4.1."""
    if command.argument.lower() not in ("", "en"):
        raise Refused(504, "These replies are in English only.")
    return Reply(200, ("English it is.",))


@verb("FEAT")
def _feat(session: Session, command: Command) -> Outcome:
    """RFC 2389 section 3: a line for each extension, with a blank before it."""
    features = ["CLNT", "EPRT", "EPSV", _hash_feature(session), "HOST", "LANG EN*", "MDTM", "MFMT"]
    features += [_facts_feature(session), "MODE Z", "REST STREAM", "SIZE", "TVFS", "UTF8"]
    features += ["XCRC", "XMD5", "XSHA1", "XSHA256", "XSHA512"]
    if session.policy.has_tls:
        features += ["AUTH TLS", "CCC", "PBSZ", "PROT"]
    return Reply(211, ("Extensions:", *(f" {feature}" for feature in sorted(features)), "End"))


def _hash_feature(session: Session) -> str:
    """draft-bryan-ftpext-hash-02 section 3.1: an asterisk behind the algorithm in force."""
    names = (f"{name}*" if name == session.hash_algorithm else name for name in ALGORITHMS)
    return f"HASH {';'.join(names)}"


def _facts_feature(session: Session) -> str:
    """RFC 3659 section 7.8: an asterisk behind each fact in force."""
    return "MLST " + "".join(f"{fact}{'*' if fact in session.facts else ''};" for fact in FACTS)


@verb("HELP")
def _help(session: Session, command: Command) -> Outcome:
    word = command.argument.strip().upper()
    if word == "SITE":
        return SITE_HELP
    if word:
        found = VERBS.get(word)
        if found is None:
            raise Refused(502, f"There is no command {word}.")
        return Reply(214, (f"{found.syntax}", f" {found.sentence}", "End"))
    names = sorted(TABLE)
    rows = (" " + "".join(f"{name:<9}" for name in names[at : at + 8]).rstrip() for at in range(0, len(names), 8))
    return Reply(214, ("Commands; HELP and one of them tells more:", *rows, "End"))


SITE_HELP: Final = Reply(
    214,
    (
        "Commands of this site:",
        " SITE CHMOD MODE PATH",
        " SITE UTIME YYYYMMDDhhmm[ss] PATH",
        " SITE UTIME PATH ACCESSED MODIFIED CREATED UTC",
        " SITE HELP",
        "End",
    ),
)
