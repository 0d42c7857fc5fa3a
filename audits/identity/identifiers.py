"""Identifiers of persons in a text: which kinds stand there, and how much speaks for each.

The more speaks for a match, the higher its score: a check digit that holds, a form that nothing
else has, a word near it that names it. A check digit that fails is scored low, not left out.
A value is returned so that it can be counted under a salted digest; whoever calls forgets it.

Does not see: names, addresses, numbers written in words, or words in languages that stand not in
`identifier_kinds`.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from audits.identity.identifier_kinds import KINDS, Kind

MAX_TEXT = 20_000  # characters of one text that are read
NEAR = 40  # characters on each side in which a word says what a number is

# Scores say what speaks for a match, not how probable it is; only their order is meant.
SCORES = {  # (check digit: holds, fails or there is none; distinct form; named) -> score
    (True, True, True): 1.0,
    (True, False, True): 1.0,
    (None, True, True): 0.9,
    (True, True, False): 0.85,
    (None, True, False): 0.75,
    (True, False, False): 0.65,  # one bare number in ten passes: a barcode has twelve digits too
    (None, False, True): 0.6,
    (None, False, False): 0.3,
    (False, True, True): 0.2,
    (False, False, True): 0.2,
    (False, True, False): 0.1,
    (False, False, False): 0.05,
}  # fmt: skip
SUPPORTED = 0.5  # above it: checked, distinct or named; below it: doubtful

# An identifier has four digits or an "@"; most captions have neither and are done here.
_POSSIBLE = re.compile(r"@|[0-9](?:[^0-9]*[0-9]){3}")
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_GAPS = re.compile(r"[^\S\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A match: its kind, what speaks for it (0..1), where it stands, and its plain value."""

    kind: str
    score: float
    start: int
    end: int
    value: str = field(repr=False)


def identifiers_in(text: str) -> list[Identifier]:
    """Return the identifiers that stand in a text, in order; where two overlap, the likelier.

    Places are those of `plain(text)`.
    """
    said = plain(text[:MAX_TEXT])
    if not _POSSIBLE.search(said):
        return []
    taken: list[Identifier] = []
    for match in sorted(_matches(said), key=lambda match: -match.score):
        if all(match.end <= other.start or other.end <= match.start for other in taken):
            taken.append(match)
    return sorted(taken, key=lambda match: match.start)


def plain(text: str) -> str:
    """Return a text in compatibility form: ASCII digits and dashes, one space, nothing unseen."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(
            str(unicodedata.digit(c)) if c.isdecimal() else c
            for c in _DASHES.sub("-", text)
            if c.isascii() or unicodedata.category(c) != "Cf"
        )
    return _GAPS.sub(" ", text) if "  " in text or "\t" in text else text


def _matches(said: str) -> Iterator[Identifier]:
    for kind in KINDS:
        for match in kind.form.finditer(said):
            if kind.fits(match[0]) and (score := _score(kind, match)):
                yield Identifier(
                    kind=kind.name,
                    score=score,
                    start=match.start(),
                    end=match.end(),
                    value=kind.plain(match[0]),
                )


def _score(kind: Kind, match: re.Match[str]) -> float:
    """Return what speaks for a match; 0 where only a word could, and none does."""
    near = max(0, match.start() - NEAR), match.end() + NEAR
    named = kind.words.search(match.string, *near) is not None
    if kind.by_name_only and not named:
        return 0.0
    checked = kind.check(match[0]) if kind.check else None
    return SCORES[checked, kind.distinct(match[0]), named]
