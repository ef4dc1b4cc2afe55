"""Commands: a word, perhaps an argument behind one space, and the end of the line.

Source: RFC 959 section 5.3 (the form), RFC 2640 section 2 (names in UTF-8), RFC 854 and ``telnet`` (what else a line
        may hold).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from portside.errors import MalformedMessage
from portside.protocols.ftp.telnet import LEFT_OVERS, double_iac, remove_telnet
from portside.protocols.ftp.verbs import VERBS, Verb

__all__ = ["VERBS", "Command", "MalformedCommand", "Verb", "build_command", "parse_command"]

UNRECOGNIZED: Final = 500  # RFC 959 section 4.2.2: "Syntax error, command unrecognized"
BAD_ARGUMENT: Final = 501  # "Syntax error in parameters or arguments"

# RFC 959 has three or four letters; the X-forms are longer, and some have digits.
_VERB: Final = re.compile(rb"[A-Za-z][A-Za-z0-9]{2,11}")
_KNOWN: Final = {name.encode("ascii"): name for name in VERBS}  # as nearly every client writes them


class MalformedCommand(MalformedMessage):
    """A line that is no command. ``code`` is the reply's: 500 when the word is wrong, 501 when what follows it is."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


@dataclass(frozen=True, slots=True)
class Command:
    """What a client asks: the verb in upper case, and its argument, empty if there is none.

    Bytes of the argument that are not UTF-8 are surrogates, as in ``os.fsdecode``.
    """

    verb: str
    argument: str = ""


def parse_command(line: bytes) -> Command:
    """Return the command in a line without its CR LF.

    Shape:  ``VERB`` or ``VERB SP argument``. One space separates: all others belong to the argument, for a name may
            begin and end with blanks. Telnet's commands are taken out. CR NUL is the CR of a name (RFC 2640 section
            3.1); no other NUL and no LF is let in: a name that carries one is not the name somebody else sees.
    Raises: MalformedCommand.
    """
    word, _, rest = remove_telnet(line).lstrip(LEFT_OVERS).partition(b" ")
    verb = _KNOWN.get(word)
    if verb is None:
        if not _VERB.fullmatch(word):
            raise MalformedCommand(UNRECOGNIZED, "a command begins with a word of letters")
        verb = word.decode("ascii").upper()
    if b"\0" in rest:
        rest = rest.replace(b"\r\0", b"\r")
    if b"\0" in rest or b"\n" in rest:
        raise MalformedCommand(BAD_ARGUMENT, "an argument has no NUL and no LF")
    return Command(verb, rest.decode("utf-8", "surrogateescape"))


def build_command(command: Command) -> bytes:
    """Return the command's line with its CR LF; ``parse_command`` makes the same command of it.

    Raises: ValueError for a verb that is none, and for CR, LF or NUL in the argument, which would begin another
            command.
    """
    if not _VERB.fullmatch(command.verb.encode("utf-8", "replace")):
        raise ValueError(f"{command.verb!r} is no command's word")
    if any(character in command.argument for character in "\r\n\0"):
        raise ValueError(f"the argument of {command.verb} has a CR, LF or NUL")
    line = f"{command.verb} {command.argument}" if command.argument else command.verb
    return double_iac(line.encode("utf-8", "surrogateescape")) + b"\r\n"
