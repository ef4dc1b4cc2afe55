"""The verbs about files and directories, which need no data connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from portside.errors import MalformedMessage
from portside.protocols.ftp import acts
from portside.protocols.ftp.acts import Outcome
from portside.protocols.ftp.commands import Command
from portside.protocols.ftp.digests import X_FORMS
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.session import Refused, Session, verb
from portside.protocols.ftp.times import parse_time
from portside.protocols.ftp.verbs_access import SITE_HELP

MODE_MAX: Final = 0o777  # no set-uid, set-gid or sticky bits from outside


def quoted(path: str) -> str:
    """Return the path as 257 tells it: in quotation marks, those within doubled. RFC 959 appendix II."""
    return '"' + path.replace('"', '""') + '"'


# ── directories ──────────────────────────────────────────────────────────────────────────────────────────────────────


@verb("PWD", "XPWD")
def _pwd(session: Session, command: Command) -> Outcome:
    return Reply(257, (f"{quoted(session.directory)} is where you are.",))


@verb("CWD", "XCWD")
def _cwd(session: Session, command: Command) -> Outcome:
    return acts.ChangeDirectory(session.path(command.argument))


@verb("CDUP", "XCUP")
def _cdup(session: Session, command: Command) -> Outcome:
    return acts.ChangeDirectory(session.path(".."))


@verb("MKD", "XMKD")
def _mkd(session: Session, command: Command) -> Outcome:
    session.need("mkdir")
    return acts.MakeDirectory(session.path(command.argument))


@verb("RMD", "XRMD")
def _rmd(session: Session, command: Command) -> Outcome:
    session.need("mkdir")
    return acts.RemoveDirectory(session.path(command.argument))


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@verb("DELE")
def _dele(session: Session, command: Command) -> Outcome:
    session.need("delete")
    return acts.Delete(session.path(command.argument))


@verb("RNFR")
def _rnfr(session: Session, command: Command) -> Outcome:
    session.need("rename")
    return acts.RenameFrom(session.path(command.argument))


@verb("RNTO")
def _rnto(session: Session, command: Command) -> Outcome:
    source, session.rename_source = session.rename_source, None
    if source is None:
        raise Refused(503, "RNFR first, and RNTO right behind it.")
    session.need("rename")
    return acts.Rename(source, session.path(command.argument))


@verb("SIZE")
def _size(session: Session, command: Command) -> Outcome:
    # Under TYPE A too it is the file's own size: refusing breaks clients that never set a type (ftplib, tnftp).
    session.need("list")
    return acts.TellSize(session.path(command.argument))


@verb("MDTM")
def _mdtm(session: Session, command: Command) -> Outcome:
    session.need("list")
    return acts.TellModified(session.path(command.argument))


@verb("MFMT")
def _mfmt(session: Session, command: Command) -> Outcome:
    """draft-somers-ftp-mfxx-04 section 3.1: ``MFMT TIME PATH``."""
    session.need("write")
    time, _, name = command.argument.partition(" ")
    if not name:
        raise Refused(501, "Say MFMT YYYYMMDDhhmmss PATH.")
    return acts.SetModified(session.path(name), _time(time), "MFMT", name)


@verb("MLST")
def _mlst(session: Session, command: Command) -> Outcome:
    session.need("list")
    typed = command.argument or session.directory
    return acts.TellFacts(session.path(typed), typed)


@verb("STAT")
def _stat(session: Session, command: Command) -> Outcome:
    if command.argument:
        session.need("list")
    return acts.TellStatus(command.argument)


@verb("HASH", *X_FORMS)
def _hash(session: Session, command: Command) -> Outcome:
    session.need("read")
    typed = command.argument
    if command.verb != "HASH" and len(typed) > 1 and typed[0] == typed[-1] == '"':
        typed = typed[1:-1]  # the older forms' clients put the name in quotation marks, for what may follow it
    algorithm = X_FORMS.get(command.verb, session.hash_algorithm)
    return acts.TellDigest(session.path(typed), algorithm, typed, command.verb)


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except MalformedMessage as error:
        raise Refused(501, f"{error}") from error


# ── SITE ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@verb("SITE")
def _site(session: Session, command: Command) -> Outcome:
    word, _, rest = command.argument.partition(" ")
    act = _SITE.get(word.upper())
    if act is None:
        raise Refused(504, f"There is no SITE {word.upper()}; SITE HELP lists those there are.")
    return act(session, rest)


def _site_help(session: Session, argument: str) -> Outcome:
    return SITE_HELP


def _site_chmod(session: Session, argument: str) -> Outcome:
    session.need("chmod")
    digits, _, name = argument.partition(" ")
    if not name:
        raise Refused(501, "Say SITE CHMOD MODE PATH.")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 4 and not set(digits) & {"8", "9"}):
        raise Refused(501, "The mode is an octal number, such as 644.")
    if int(digits, 8) > MODE_MAX:
        raise Refused(550, f"A mode here is at most {MODE_MAX:o}.")
    return acts.SetMode(session.path(name), int(digits, 8))


def _site_utime(session: Session, argument: str) -> Outcome:
    """Both forms that clients send: ``UTIME TIME PATH``, and ``UTIME PATH ACCESSED MODIFIED CREATED UTC``."""
    session.need("write")
    words = argument.rsplit(" ", 4)
    if len(words) == 5 and words[4].upper() == "UTC":
        return acts.SetModified(session.path(words[0]), _utime(words[2]), "UTIME")
    time, _, name = argument.partition(" ")
    if not name:
        raise Refused(501, "Say SITE UTIME YYYYMMDDhhmm[ss] PATH.")
    return acts.SetModified(session.path(name), _utime(time), "UTIME")


def _utime(text: str) -> int:
    return _time(f"{text}00" if len(text) == len("YYYYMMDDhhmm") else text)


_SITE: Final[dict[str, Callable[[Session, str], Outcome]]] = {
    "HELP": _site_help,
    "CHMOD": _site_chmod,
    "UTIME": _site_utime,
}
