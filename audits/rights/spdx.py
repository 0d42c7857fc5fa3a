"""Licence texts to SPDX ids: expressions, Creative Commons, common names, Flickr's numbers.

What SPDX has no id for is a LicenseRef, never the nearest id. Does not see: which licence a text
was meant to name. What it cannot read for certain stays unread.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from audits.rights import creative_commons
from audits.rights.creative_commons import UNKNOWN_PORT, UNKNOWN_VERSION
from audits.rights.licence_names import ADDRESSES, DENIALS, FLICKR, NAMES, PHRASES

if TYPE_CHECKING:
    from license_expression import Licensing

MAX_TEXT = 2000  # characters; a licence in full is not a claim
MAX_EXPRESSION = 200
SILENT = frozenset({"no", "n a", "na", "nan", "nil", "none", "null", "unknown", "unspecified"})

_NEWER = frozenset({"CC-BY-NC-3.0-IGO"})  # SPDX has it, license-expression 30.4 not yet
_ADDRESS = re.compile(r"\S*\.[a-z]{2,}/\S*")
_DENIAL = re.compile(r"\b(?:not|no|except|excluding|unless|without|non)\b")
_SEVERAL = re.compile(r"\s*[;|]\s*")
_PUBLIC = frozenset({"CC0-1.0", "CC-PDM-1.0", "CC-PDDC"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What a claim says: the licences named, and whether something was said that stays unread."""

    ids: frozenset[str] = frozenset()
    unread: bool = False


def read_claim(text: str, version: str = "") -> Reading:
    """Read what a field for licences says.

    Args:
        text: an SPDX expression, a name, an address, or a sentence with one of them; several with
            a semicolon between them, as a list is written.
        version: the version that stands in a field of its own, as Openverse has it.
    """
    said = text[:MAX_TEXT].strip()
    if version and re.fullmatch(r"by(?:-n[cd]|-sa)*", said.lower()):
        said = f"cc {said} {version[:MAX_TEXT]}"
    return _claim(said)


def read_number(number: str) -> Reading:
    """Read one of Flickr's numbers; only the caller knows that it is one."""
    found = FLICKR.get(number)
    return Reading(frozenset({found} if found else ()), unread=not found)


@lru_cache(maxsize=4096)  # a set repeats few licences often
def _claim(said: str) -> Reading:
    plain = _plain(said)
    if plain in SILENT or not re.search(r"\w", said):
        return Reading()
    if whole := expression(said) or NAMES.get(plain):
        return Reading(frozenset({whole}))
    if (parts := _SEVERAL.split(said))[1:]:
        return _together([_claim(part) for part in parts])
    ids = read_rights(said)
    return Reading(ids, unread=not ids)


def _together(parts: Sequence[Reading]) -> Reading:
    ids = without_vaguer(frozenset().union(*(part.ids for part in parts)))
    return Reading(ids, unread=any(part.unread for part in parts))


def read_rights(text: str) -> frozenset[str]:
    """Return the licences that a sentence names for certain; a sentence that denies names none.

    What a sentence forbids is read too: "no commercial use" is a claim.
    """
    said = " ".join(unquote(text[:MAX_TEXT]).lower().split())
    found = {*_addresses(said)}
    plain = _ADDRESS.sub(" ", said)
    found |= {name for pattern, name in DENIALS if pattern.search(plain)}
    letters = creative_commons.lettered(plain)
    if not _DENIAL.search(letters):
        found |= {*creative_commons.names(letters, _known)}
        found |= {name for pattern, name in PHRASES if pattern.search(said)}
    return without_vaguer(frozenset(found))


def expression(text: str) -> str | None:
    """Return a normalised SPDX expression of licences that are all known, else None."""
    from license_expression import ExpressionError  # noqa: PLC0415  with a large index

    if len(text) > MAX_EXPRESSION:
        return None
    if re.fullmatch(r"LicenseRef-[A-Za-z0-9.+-]{1,80}", text):
        return text  # a name the source made; SPDX knows no better one
    try:
        parsed = _licensing().parse(text, validate=True)
    except ExpressionError:
        return None
    return str(parsed) if parsed is not None else None


def without_vaguer(ids: frozenset[str]) -> frozenset[str]:
    """Return claims without those that another one says with a version, a port or a name."""
    if len(ids) < 2:  # noqa: PLR2004  nothing to compare
        return ids
    if ids & _PUBLIC:
        ids -= {"LicenseRef-Public-Domain"}
    if any("-NC-" in name for name in ids):
        ids -= {"LicenseRef-Non-Commercial"}
    exact = {name.removeprefix("LicenseRef-") for name in ids}
    return ids - {name for name in ids if _is_vague(name.removeprefix("LicenseRef-"), exact)}


def _is_vague(name: str, others: set[str]) -> bool:
    for tail in (UNKNOWN_VERSION, UNKNOWN_PORT):
        stem = name.removesuffix(tail)
        same = r"\d\.\d" if tail == UNKNOWN_VERSION else r"(?:[A-Z]{2,8})?"
        form = re.compile(re.escape(stem.rstrip("-")) + r"-?" + same + r"(?![a-z])")
        if stem != name and any(o != name and form.match(o) for o in others):
            return True
    return False


@cache
def _licensing() -> "Licensing":
    from license_expression import get_spdx_licensing  # noqa: PLC0415  with a large index

    return get_spdx_licensing()


def _plain(text: str) -> str:
    words = re.sub(r"[^a-z0-9+]+", " ", text.lower())
    words = re.sub(r"\b(?:the|licen[sc]es?|version)\b|\bv(?=\d)", " ", words)
    return " ".join(words.split())


def _addresses(text: str) -> Iterator[str]:
    yield from creative_commons.addresses(text, _known)
    for pattern, name in ADDRESSES:
        address = pattern.search(text)
        found = address and (name or expression(address[1]))
        yield from (found,) if found else ()


def _known(name: str) -> str:
    """Return an id as it is where SPDX has it, else as a LicenseRef."""
    return name if name in _NEWER else expression(name) or f"LicenseRef-{name}"
