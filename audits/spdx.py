"""Licence texts to SPDX ids: expressions, Creative Commons addresses and names, common names.

A port of a Creative Commons licence is never rounded to the international one: where SPDX has no
id for it, it is a LicenseRef. So is a licence named without its version.

Does not see: which licence a text was meant to name. What it cannot read for certain stays unread.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from license_expression import Licensing

MAX_TEXT = 2000  # characters; a licence in full is not a claim
MAX_EXPRESSION = 200
ELEMENTS = ("by", "nc", "nd", "sa")
SILENT = frozenset({"no", "n a", "na", "nan", "nil", "none", "null", "unknown", "unspecified"})

# Jurisdictions of ported licences. Source: creativecommons/cc-licenses-data, legacy RDF.
PORTS = MappingProxyType({
    "argentina": "AR", "australia": "AU", "austria": "AT", "belgium": "BE", "brazil": "BR",
    "bulgaria": "BG", "canada": "CA", "chile": "CL", "china mainland": "CN", "colombia": "CO",
    "costa rica": "CR", "croatia": "HR", "czech republic": "CZ", "denmark": "DK", "ecuador": "EC",
    "egypt": "EG", "estonia": "EE", "finland": "FI", "france": "FR", "germany": "DE",
    "greece": "GR", "guatemala": "GT", "hong kong": "HK", "hungary": "HU", "igo": "IGO",
    "india": "IN", "ireland": "IE", "israel": "IL", "italy": "IT", "japan": "JP",
    "luxembourg": "LU", "macedonia": "MK", "malaysia": "MY", "malta": "MT", "mexico": "MX",
    "netherlands": "NL", "new zealand": "NZ", "norway": "NO", "peru": "PE", "philippines": "PH",
    "poland": "PL", "portugal": "PT", "puerto rico": "PR", "romania": "RO", "serbia": "RS",
    "singapore": "SG", "slovenia": "SI", "south africa": "ZA", "south korea": "KR", "spain": "ES",
    "sweden": "SE", "switzerland": "CH", "taiwan": "TW", "thailand": "TH", "uganda": "UG",
    "uk: england & wales": "UK", "uk: scotland": "SCOTLAND", "scotland": "SCOTLAND",
    "united kingdom": "UK", "england and wales": "UK", "united states": "US",
    "venezuela": "VE", "vietnam": "VN",
})  # fmt: skip
_NEWER = frozenset({"CC-BY-NC-3.0-IGO"})  # SPDX has it, license-expression 30.4 not yet
_CODES = frozenset(PORTS.values())

# Names as `_plain` leaves them: no case, no punctuation, no "license", "version" or "the".
NAMES = MappingProxyType({
    "0bsd": "0BSD", "academic free 3 0": "AFL-3.0",
    "academic research purposes only": "LicenseRef-Research-Only",
    "agpl 3 0": "AGPL-3.0-only", "agpl3": "AGPL-3.0-only",
    "all rights reserved": "LicenseRef-All-Rights-Reserved", "apache": "Apache-2.0",
    "apache 2": "Apache-2.0", "apache 2 0": "Apache-2.0", "apache software 2 0": "Apache-2.0",
    "arr": "LicenseRef-All-Rights-Reserved", "artistic 2 0": "Artistic-2.0",
    "bigscience openrail m": "LicenseRef-BigScience-OpenRAIL-M", "bsd 2 clause": "BSD-2-Clause",
    "bsd 3 clause": "BSD-3-Clause", "c uda": "C-UDA-1.0", "c uda 1 0": "C-UDA-1.0",
    "cdla permissive 1 0": "CDLA-Permissive-1.0", "cdla permissive 2 0": "CDLA-Permissive-2.0",
    "cdla sharing 1 0": "CDLA-Sharing-1.0",
    "creativeml openrail m": "LicenseRef-CreativeML-OpenRAIL-M",
    "gnu affero general public 3 0": "AGPL-3.0-only", "gnu general public 2 0": "GPL-2.0-only",
    "gnu general public 3 0": "GPL-3.0-only", "gnu lesser general public 2 1": "LGPL-2.1-only",
    "gnu lesser general public 3 0": "LGPL-3.0-only", "gpl 2 0": "GPL-2.0-only",
    "gpl 3 0": "GPL-3.0-only", "gpl2": "GPL-2.0-only", "gpl3": "GPL-3.0-only",
    "gplv3": "GPL-3.0-only", "gnu gplv3": "GPL-3.0-only", "isc": "ISC",
    "lgpl 2 1": "LGPL-2.1-only", "lgpl 3 0": "LGPL-3.0-only", "mit": "MIT",
    "mozilla public 2 0": "MPL-2.0", "mpl 2 0": "MPL-2.0", "new bsd": "BSD-3-Clause",
    "epl 1 0": "EPL-1.0", "epl 2 0": "EPL-2.0", "non commercial": "LicenseRef-Non-Commercial",
    "noncommercial": "LicenseRef-Non-Commercial", "ogl 3 0": "OGL-UK-3.0",
    "open data commons attribution 1 0": "ODC-By-1.0",
    "open data commons public domain dedication 1 0": "PDDL-1.0",
    "no known copyright restrictions": "LicenseRef-No-Known-Copyright-Restrictions",
    "o uda": "O-UDA-1.0", "o uda 1 0": "O-UDA-1.0", "odbl": "ODbL-1.0", "odbl 1 0": "ODbL-1.0",
    "odc by": "ODC-By-1.0", "odc by 1 0": "ODC-By-1.0", "ofl": "OFL-1.1", "ofl 1 1": "OFL-1.1",
    "open database": "ODbL-1.0", "openrail": "LicenseRef-OpenRAIL",
    "openrail++": "LicenseRef-OpenRAIL++", "pddl": "PDDL-1.0", "pdm": "CC-PDM-1.0",
    "pexels": "LicenseRef-Pexels", "pixabay": "LicenseRef-Pixabay",
    "public domain": "LicenseRef-Public-Domain", "public domain mark": "CC-PDM-1.0",
    "public domain mark 1 0": "CC-PDM-1.0", "sil ofl 1 1": "OFL-1.1",
    "sil open font": "OFL-1.1", "sil open font 1 1": "OFL-1.1",
    "simplified bsd": "BSD-2-Clause", "unlicense": "Unlicense", "unsplash": "LicenseRef-Unsplash",
    "wtfpl": "WTFPL",
})  # fmt: skip
_PHRASES = (  # what a sentence says for certain
    (re.compile(r"\bapache licen[sc]e,? ?(?:version )?2\.0"), "Apache-2.0"),
    (re.compile(r"\bmit licen[sc]e\b"), "MIT"),
    (re.compile(r"\ball rights reserved\b"), "LicenseRef-All-Rights-Reserved"),
    (re.compile(r"\bpublic domain\b(?! (?:mark|notice|dedication))"), "LicenseRef-Public-Domain"),
)
_ADDRESSES = (  # what an address names; the group, if any, is an SPDX id
    (re.compile(r"(?:spdx|opensource)\.org/licen[sc]es?/([\w.+-]+?)(?:\.html|\.php)?/?$"), ""),
    (re.compile(r"choosealicense\.com/licenses/([\w.-]+)/?$"), ""),
    (re.compile(r"gnu\.org/licenses/(?:old-licenses/)?([al]?gpl-\d\.\d)"), ""),
    (re.compile(r"apache\.org/licenses/license-2\.0"), "Apache-2.0"),
    (re.compile(r"opendatacommons\.org/licenses/by/(?:1[.-]0|summary)"), "ODC-By-1.0"),
    (re.compile(r"opendatacommons\.org/licenses/odbl/"), "ODbL-1.0"),
    (re.compile(r"opendatacommons\.org/licenses/pddl/"), "PDDL-1.0"),
    (re.compile(r"(?:scripts\.sil\.org/ofl|openfontlicense\.org)"), "OFL-1.1"),
    (re.compile(r"unlicense\.org"), "Unlicense"),
    (re.compile(r"cdla\.dev/permissive-2-0"), "CDLA-Permissive-2.0"),
    (re.compile(r"unsplash\.com/license"), "LicenseRef-Unsplash"),
    (re.compile(r"pexels\.com/(?:\w+/)?license"), "LicenseRef-Pexels"),
    (re.compile(r"pixabay\.com/(?:\w+/)*(?:license|terms)"), "LicenseRef-Pixabay"),
    (re.compile(r"flickr\.com/commons/usage"), "LicenseRef-No-Known-Copyright-Restrictions"),
    (re.compile(r"creativecommons\.org/+licenses/+(mit)\b"), ""),
    (re.compile(r"creativecommons\.org/+licenses/+gpl/+2\.0"), "GPL-2.0-only"),
    (re.compile(r"creativecommons\.org/+licenses/+lgpl/+2\.1"), "LGPL-2.1-only"),
    (re.compile(r"creativecommons\.org/+licenses/+bsd\b"), "LicenseRef-BSD"),
    (re.compile(r"usa\.gov/(?:copyright|government-works)"), "LicenseRef-US-Government-Work"),
)
_ADDRESS = re.compile(r"\S*\.[a-z]{2,}/\S*")
_CC_ADDRESS = re.compile(
    r"creativecommons\.org ?/+(?:licen[sc]es?|l)/+((?:by|nc|nd|sa)(?:-(?:by|nc|nd|sa))*)(?![\w+-])"
    r"(?:/+(\d\.\d)(?:/+(scotland|[a-z]{2,3})(?![\w.-]))?)?"
)
_CC_SAMPLING = re.compile(
    r"creativecommons\.org/+licen[sc]es?/+((?:nc-)?sampling\+?|devnations)/+(\d\.\d)"
    r"(?:/+([a-z]{2})(?![\w.-]))?"
)
_CC_PUBLIC = re.compile(
    r"creativecommons\.org/+(?:licen[sc]es/+)?(?:publicdomain|p)(?:/+(zero|mark|certification))?/*"
    r"(?![a-z])"
)
_CC_WORDS = (  # in this order
    (re.compile(r"creative[ _-]?commons"), "cc"),
    (re.compile(r"non[ _-]?commercial"), "nc"),
    (re.compile(r"share[ _-]?alike"), "sa"),
    (re.compile(r"no[ _-]?deriv(?:ative)?s?(?:[ _-]works?)?"), "nd"),
    (re.compile(r"\b(?:the|public|licen[sc]es?|version|deed)\b|\bv\.? ?(?=\d)"), " "),
    (re.compile(r"\s+"), " "),
    # "attribution" alone is an English word: it counts after CC, before NC, ND, SA, or by itself
    (
        re.compile(
            r"(?<=cc[ -])attribution|attribution(?=[ _-]+(?:n[cd]|sa)\b)|^ ?attribution"
            r"(?= ?$| \d)"
        ),
        "cc by",
    ),
)
_CC_NAME = re.compile(
    r"(?<![a-z0-9])(?:(?:cc[\s_-]*)+by|by(?=[\s_-]+n[cd]\b|[\s_-]+sa\b))((?:[\s_-]+(?:nc|nd|sa)\b)*)"
    r"(?:[\s_(-]*(\d\.\d))?\)?"
)
_CC_ZERO = re.compile(r"(?<![a-z0-9])cc[\s_-]*(?:0|zero)(?![a-z0-9])")
_NOT_A_PORT = re.compile(r"[\s_,-]*(?:international|unported|generic|universal|intl)\b")
_DENIAL = re.compile(r"\b(?:not|no|except|excluding|unless|without|non)\b")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a claim says: the licences named, and whether something was said that stays unread."""

    ids: frozenset[str] = frozenset()
    unread: bool = False


def read_claim(text: str, version: str = "") -> Reading:
    """Read what a field for licences says.

    Args:
        text: an SPDX expression, a name, an address, or a sentence with one of them.
        version: the version that stands in a field of its own, as Openverse has it.
    """
    said = text[:MAX_TEXT].strip()
    if version and re.fullmatch(r"by(?:-n[cd]|-sa)*", said.lower()):
        said = f"cc {said} {version[:MAX_TEXT]}"
    return _claim(said)


@lru_cache(maxsize=4096)  # a set repeats few licences often
def _claim(said: str) -> Reading:
    plain = _plain(said)
    if plain in SILENT or not re.search(r"\w", said):
        return Reading()
    whole = expression(said) or NAMES.get(plain)
    ids = frozenset({whole} if whole else read_rights(said))
    return Reading(ids, unread=not ids)


def read_rights(text: str) -> frozenset[str]:
    """Return the licences that a sentence names for certain; a sentence that denies names none."""
    said = " ".join(unquote(text[:MAX_TEXT]).lower().split())
    found = {*_addresses(said)}
    letters = _ADDRESS.sub(" ", said)
    for pattern, word in _CC_WORDS:
        letters = pattern.sub(word, letters)
    if not _DENIAL.search(letters):
        found |= {*_cc_names(letters)}
        found |= {name for pattern, name in _PHRASES if pattern.search(said)}
    return frozenset(found)


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
    """Return claims without those that another one says with a version."""
    tail = "-unknown-version"
    vague = {name for name in ids if name.endswith(tail)}
    said = {name: name.removesuffix(tail).removeprefix("LicenseRef-") + "-" for name in vague}
    exact = {name.removeprefix("LicenseRef-") for name in ids - vague}
    if ids & {"CC0-1.0", "CC-PDM-1.0", "CC-PDDC"}:
        ids -= {"LicenseRef-Public-Domain"}
    return ids - {
        name
        for name, stem in said.items()
        if any(other.startswith(stem) and other[len(stem)].isdigit() for other in exact)
    }


@cache
def _licensing() -> "Licensing":
    from license_expression import get_spdx_licensing  # noqa: PLC0415  with a large index

    return get_spdx_licensing()


def _plain(text: str) -> str:
    words = re.sub(r"[^a-z0-9+]+", " ", text.lower())
    words = re.sub(r"\b(?:the|licen[sc]es?|version)\b|\bv(?=\d)", " ", words)
    return " ".join(words.split())


def _addresses(text: str) -> Iterator[str]:
    for match in _CC_ADDRESS.finditer(text):
        yield _cc_id(match[1], match[2] or "", match[3] or "")
    for match in _CC_SAMPLING.finditer(text):
        kind = match[1].replace("+", "-plus")
        yield _known(f"CC-{kind}-{match[2]}{'-' + match[3] if match[3] else ''}".upper())
    for match in _CC_PUBLIC.finditer(text):
        yield {"zero": "CC0-1.0", "mark": "CC-PDM-1.0"}.get(match[1] or "", "CC-PDDC")
    for pattern, name in _ADDRESSES:
        address = pattern.search(text)
        found = address and (name or expression(address[1]))
        yield from (found,) if found else ()


def _cc_names(text: str) -> Iterator[str]:
    for match in _CC_NAME.finditer(text):
        version = match[2] or ""
        yield _cc_id("by" + match[1], version, _port(text[match.end() :]) if version else "")
    if _CC_ZERO.search(text):
        yield "CC0-1.0"


def _port(rest: str) -> str:
    """Return the jurisdiction that follows a version: a name anywhere, a code at the end."""
    rest = _NOT_A_PORT.sub("", rest, count=1)
    name = rest.strip(" ,()_-.")
    if name.upper() in _CODES:
        return name
    hyphened = re.match(r"-([a-z]{2,3})\b", rest)
    if hyphened and hyphened[1].upper() in _CODES:
        return hyphened[1]
    return next((code for port, code in PORTS.items() if name.startswith(port)), "")


def _cc_id(elements: str, version: str, port: str) -> str:
    held = [element for element in ELEMENTS if element in re.split(r"[\s_-]+", elements)]
    stem = "-".join(["CC", *held]).upper()
    if not version:
        return f"LicenseRef-{stem}-unknown-version"
    return _known("-".join([stem, version, *([port.upper()] if port else [])]))


def _known(name: str) -> str:
    """Return an id as it is where SPDX has it, else as a LicenseRef."""
    return name if name in _NEWER else expression(name) or f"LicenseRef-{name}"
