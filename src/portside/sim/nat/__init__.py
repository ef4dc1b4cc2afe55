"""Network address translation: many hosts behind one address. RFC 3022, with what RFC 4787, 5382 and 5508 ask for."""

from portside.sim.nat.policy import Behaviour, Policy
from portside.sim.nat.translator import Translator

__all__ = ["Behaviour", "Policy", "Translator"]
