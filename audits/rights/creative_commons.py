"""Creative Commons addresses and names to SPDX ids, ports kept.

A port is never rounded to the international licence: where SPDX has no id for it, it is a
LicenseRef; where a jurisdiction is named that we cannot read, the id ends in `-unknown-port`. A
licence named without its version ends in `-unknown-version`.

Does not see: whether the licence exists; `by/4.0/de` is read as it is written.
"""

import re
from collections.abc import Callable, Iterator
from types import MappingProxyType

ELEMENTS = ("by", "nc", "nd", "sa")
UNKNOWN_VERSION, UNKNOWN_PORT = "unknown-version", "unknown-port"
Known = Callable[[str], str]  # an id as SPDX writes it where SPDX has it, else as a LicenseRef

# Jurisdictions of ported licences. Source: creativecommons/cc-licenses-data, legacy RDF; below,
# how some of them call themselves.
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
    "brasil": "BR", "danmark": "DK", "deutschland": "DE", "españa": "ES", "italia": "IT",
    "magyarország": "HU", "méxico": "MX", "nederland": "NL", "norge": "NO", "österreich": "AT",
    "perú": "PE", "polska": "PL", "românia": "RO", "schweiz": "CH", "slovenija": "SI",
    "suisse": "CH", "suomi": "FI", "sverige": "SE", "việt nam": "VN", "česk": "CZ",
    "ελλάδα": "GR", "भारत": "IN", "日本": "JP", "香港": "HK", "台灣": "TW", "台湾": "TW",
})  # fmt: skip
_CODES = frozenset(PORTS.values())

_ADDRESS = re.compile(  # with the space that a broken line leaves after a hyphen
    r"creativecommons\.org ?/+(?:licen[sc]es?|l)/+((?:by|nc|nd|sa)(?:- ?(?:by|nc|nd|sa))*)"
    r"(?![\w+-])(?:/+(\d\.\d)(?!-)(?:/+(scotland|[a-z]{2,3})(?![\w.-]))?)?"
)
_SAMPLING_ADDRESS = re.compile(
    r"creativecommons\.org/+licen[sc]es?/+((?:nc-)?sampling\+?|devnations)/+(\d\.\d)"
    r"(?:/+([a-z]{2})(?![\w.-]))?"
)
_PUBLIC_ADDRESS = re.compile(
    r"creativecommons\.org/+(?:licen[sc]es/+)?(?:publicdomain|p)(?:/+(zero|mark|certification))?/*"
    r"(?![a-z])"
)
_WORDS = (  # in this order
    (re.compile(r"creative[ _-]?commons"), "cc"),
    (re.compile(r"non[ _-]?commercial(?= sampling)"), "nc-"),
    (re.compile(r"sampling plus"), "sampling+"),
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
_NAME = re.compile(
    r"(?<![a-z0-9])(?:(?:cc[\s_-]*)+by|by(?=[\s_-]+n[cd]\b|[\s_-]+sa\b))((?:[\s_-]+(?:nc|nd|sa)\b)*)"
    r"(?:[\s_(-]*(\d\.\d))?\)?"
)
_WITHOUT_BY = re.compile(  # only these were ever without BY; nothing else stands in the claim
    r"^ ?(?:cc[\s_-]*)?((?:nc|nd|sa)(?:[\s_-](?:nc|nd|sa))*) ([12]\.0)"
    r"(?=(?: (?:generic|finland|netherlands|japan))? ?$)"
)
_SAMPLING = re.compile(r"^ ?((?:nc-\s?)?sampling\+?) (1\.0) ?$")
_ZERO = re.compile(r"(?<![a-z0-9])cc[\s_-]*(?:0|zero)(?![a-z0-9])")
_NOT_A_PORT = re.compile(r"[\s_,-]*(?:international|unported|generic|universal|intl)\b")
_NEXT_WORD = re.compile(r"[\s_,(-]*([^\W\d_]+)")


def addresses(text: str, known: Known) -> Iterator[str]:
    """Yield the ids of the Creative Commons addresses in a text of lower case."""
    for match in _ADDRESS.finditer(text):
        yield _id(match[1], match[2] or "", match[3] or "", known)
    for match in _SAMPLING_ADDRESS.finditer(text):
        yield _sampling_id(match[1], match[2], match[3] or "", known)
    for match in _PUBLIC_ADDRESS.finditer(text):
        yield {"zero": "CC0-1.0", "mark": "CC-PDM-1.0"}.get(match[1] or "", "CC-PDDC")


def lettered(text: str) -> str:
    """Return a text of lower case with the words of licence names as their letters."""
    for pattern, word in _WORDS:
        text = pattern.sub(word, text)
    return text


def names(letters: str, known: Known) -> Iterator[str]:
    """Yield the ids of the licences that a lettered text names."""
    for match in (*_NAME.finditer(letters), *_WITHOUT_BY.finditer(letters)):
        version = match[2] or ""
        by = "by" if match.re is _NAME else ""
        port = _port(letters[match.end() :], version) if version else ""
        yield _id(by + " " + match[1], version, port, known)
    if sampling := _SAMPLING.search(letters):
        yield _sampling_id(sampling[1].replace(" ", ""), sampling[2], "", known)
    if _ZERO.search(letters):
        yield "CC0-1.0"


def _port(rest: str, version: str) -> str:
    """Return the jurisdiction that follows a version: a name anywhere, a code at the end.

    A word of another script there is a jurisdiction that we cannot read, but for version 4.0,
    which has none.
    """
    plain = _NOT_A_PORT.sub("", rest, count=1)
    name = plain.strip(" ,()_-.")
    if name.upper() in _CODES:
        return name
    hyphened = re.match(r"-([a-z]{2,3})\b", plain)
    if hyphened and hyphened[1].upper() in _CODES:
        return hyphened[1]
    if code := next((code for port, code in PORTS.items() if name.startswith(port)), ""):
        return code
    word = _NEXT_WORD.match(plain)
    foreign = word and plain == rest and not word[1].isascii() and version != "4.0"
    return UNKNOWN_PORT if foreign else ""


def _id(elements: str, version: str, port: str, known: Known) -> str:
    held = [element for element in ELEMENTS if element in re.split(r"[\s_-]+", elements)]
    stem = "-".join(["CC", *held]).upper()
    if not version:
        return f"LicenseRef-{stem}-{UNKNOWN_VERSION}"
    if port == UNKNOWN_PORT:
        return f"LicenseRef-{stem}-{version}-{UNKNOWN_PORT}"
    return known("-".join([stem, version, *([port.upper()] if port else [])]))


def _sampling_id(kind: str, version: str, port: str, known: Known) -> str:
    name = f"CC-{kind.replace('+', '-plus')}-{version}{'-' + port if port else ''}"
    return known(name.upper())
