"""Which of several copies is the one to keep: how much its licence asks, as far as that is clear.

Does not see: what is allowed. That is for policies to say; here claims are only counted.
"""

import re
from collections.abc import Sequence

UNCLEAR = 100  # any clear claim comes before any unclear one
UNCOUNTED = 5  # a licence outside SPDX: more than the four elements of Creative Commons
NOTICE = 1  # any other licence of the SPDX list asks for its notice at least

_FREE = re.compile(r"(?:CC0-|CC-PDM-|CC-PDDC|PDDL-|Unlicense$|0BSD$|LicenseRef-Public-Domain$)")
_CREATIVE = re.compile(r"(?:LicenseRef-)?CC((?:-(?:BY|NC|ND|SA))+)(?:-|$)")


def conditions(
    claims: Sequence[str] | None, *, unrecognised: bool, conflict: bool, opted_out: bool
) -> int:
    """Return a rank that grows with what a licence asks; copies with the lowest are kept.

    That is the number of Creative Commons elements (BY, NC, ND, SA) of its strictest claim, none
    for a dedication to the public domain. After every clear claim come those that conflict, were
    not recognised, are missing, or stand beside an opt-out.
    """
    asked = max(map(_asked, claims), default=0) if claims else UNCOUNTED
    unclear = not claims or unrecognised or conflict or opted_out
    return asked + UNCLEAR * unclear


def _asked(claim: str) -> int:
    if _FREE.match(claim):
        return 0
    if found := _CREATIVE.match(claim):
        return found[1].count("-")
    return UNCOUNTED if claim.startswith("LicenseRef-") else NOTICE
