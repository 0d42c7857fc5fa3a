"""Opt-outs that stand beside a picture: columns of the record, HTTP headers, HTML meta, notices.

A signal that cannot be read counts as one: `...:unreadable`. Does not see: what nobody recorded at
crawl; a notice in other words or another language than those looked for here.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache

from audits.rights.hosts import (
    AI_TXT,
    FREE,
    RESERVED,
    ROBOTS,
    TDMREP,
    UNREADABLE,
    denied_uses,
    optouts_in,
)
from governance.canon import Json, canonical, parse_json
from governance.errors import UsageError

FLAGS = frozenset({"optout", "optedout", "aioptout", "donottrain", "noai", "noimageai"})
META_ROBOTS = frozenset({"robots", "robotsmeta", "metarobots", "xrobotstag"})
HEADERS = frozenset({"headers", "httpheaders", "responseheaders", "htmlmeta", "metatags"})
HOST_FILES = {"robotstxt": ROBOTS, "aitxt": AI_TXT, "tdmrep": TDMREP, "tdmrepjson": TDMREP}
RESERVATION, USAGE = "tdmreservation", frozenset({"contentusage", "contentsignal"})
RECORDED = frozenset({*FLAGS, *META_ROBOTS, *HOST_FILES, *USAGE, RESERVATION})
NO_AI = frozenset({"noai", "noimageai"})
# PLUS data mining values that reserve a right. Source: PLUS LDF, Data Mining vocabulary.
PLUS_RESERVED = re.compile(r"DMI-PROHIBITED[A-Z-]{0,40}$")
NO_FLAGS = frozenset({"", "0", "0.0", "false", "no", "none", "n", "f"})
MAX_TEXT = 512 * 1024

_META = re.compile(r"<meta\b([^>]{0,1000})>", re.IGNORECASE)  # a parser is slow on hostile pages
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""")
_MODELS = r"(?:ai|artificial intelligence|machine learning|generative|models?)"
_TRAINING = (
    r"(?:(?:text and )?data mining|tdm|(?:ai|machine learning|model|generative ai) training"
    rf"|train\w*(?: of| any| an)? {_MODELS})"
)
_FORBIDS = r"(?:no|not|never|prohibit\w*|forbid\w*|opt(?:ed)?[ -]?out)"
_IS_FORBIDDEN = r"(?:not (?:allowed|permitted)|prohibited|forbidden|reserved)"
NOTICE = re.compile(
    rf"\b{_FORBIDS}\b[^.;]{{0,80}}\b{_TRAINING}\b"
    rf"|\b{_TRAINING}\b[^.;]{{0,60}}\b{_IS_FORBIDDEN}\b"
    r"|\bno[ -]?ai\b[ -]*(?:use|usage|training|scraping|data ?sets?|learning)\b",
    re.IGNORECASE,
)


def recorded(
    extra: Mapping[str, Json], url: str, agents: Collection[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the name of each place that was recorded at crawl, and the opt-outs read there.

    Args:
        extra: the columns of the record that have no word of ours.
        url: the address of the sample, for files that speak of parts of a host.
        agents: the crawlers whose exclusion counts.
    """
    for name, value in extra.items():
        plain = squashed(name)
        if plain in HEADERS:
            for header, said in _pairs(value):
                key = squashed(header)
                if key in RECORDED or _is_agent(header, agents):
                    yield key, tuple(_signals(key, said, url=url, agents=agents))
        elif plain in RECORDED:
            yield plain, tuple(_signals(plain, value, url=url, agents=agents))


def in_properties(said: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield the opt-outs among properties as XMP has them. Source: PLUS LDF; W3C TDMRep."""
    for value in said.get("plus:DataMining", ()):
        if reserved := PLUS_RESERVED.search(value.upper()):
            yield f"plus:{reserved[0]}"
    if str(RESERVED) in said.get("tdm:reservation", ()):
        yield "tdm-reservation"


@lru_cache(maxsize=4096)  # one notice stands in many files
def has_notice(text: str) -> bool:
    """Say whether a notice forbids training or mining in words; whether that binds is disputed."""
    return NOTICE.search(text) is not None


def squashed(name: str) -> str:
    """Return a column's or header's name without case and punctuation; licence spelt one way."""
    return re.sub(r"[^a-z0-9]", "", name.lower()).replace("licence", "license")


def _signals(plain: str, value: Json, *, url: str, agents: Collection[str]) -> Iterator[str]:
    """Yield the opt-outs in one place. Source: W3C TDMRep; X-Robots-Tag with noai; AIPREF."""
    items = value if isinstance(value, list) and plain not in HOST_FILES else [value]
    said = [str(item).strip().lower() for item in items]
    if plain in HOST_FILES:
        text = value if isinstance(value, str) else canonical(value).decode()
        yield from optouts_in(HOST_FILES[plain], text, url, agents)
    elif plain == RESERVATION:
        yield from (_reservation(text) for text in said if text not in {str(FREE), ""})
    elif plain in FLAGS:
        yield from () if NO_FLAGS.issuperset(said) else (f"column:{plain}",)
    elif plain in USAGE:
        yield from (f"content-usage:{use}" for text in said for use in denied_uses(text))
    else:  # robots, or a crawler's own name in a meta element
        yield from (f"robots:{word}" for text in said for word in _directives(text, agents))


def _reservation(text: str) -> str:
    known = {str(RESERVED), "true"}
    return "tdm-reservation" if text in known else f"tdm-reservation:{UNREADABLE}"


def _directives(text: str, agents: Collection[str]) -> Iterator[str]:
    """Yield the directives against AI use that speak to everybody, or to one of the agents."""
    known = {agent.lower() for agent in agents}
    for part in re.split(r"[,;]", text):
        name, colon, rest = part.rpartition(":")
        if not colon or name.strip() in known:
            yield from (word for word in rest.split() if word in NO_AI)


def _is_agent(name: str, agents: Collection[str]) -> bool:
    return name.strip().lower() in {agent.lower() for agent in agents}


def _pairs(value: Json) -> Iterator[tuple[str, Json]]:
    """Yield names and values of headers or meta elements, however they were written down."""
    if isinstance(value, Mapping):
        name = value.get("name", value.get("http-equiv"))
        content = value.get("value", value.get("content"))
        yield from [(name, content)] if isinstance(name, str) else value.items()
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str):  # noqa: PLR2004  a pair
                yield item[0], item[1]
            else:
                yield from _pairs(item)
    elif isinstance(value, str):
        yield from _written(value[:MAX_TEXT].strip())


def _written(text: str) -> Iterator[tuple[str, Json]]:
    """Yield the pairs of a text: JSON, HTML, or lines with a colon."""
    if text.startswith(("{", "[")):
        try:
            yield from _pairs(parse_json(text))
        except UsageError:
            yield RESERVATION, UNREADABLE  # what was recorded cannot be read: it may reserve
    elif text.startswith("<"):
        for element in _META.findall(text):
            said = {name.lower(): value.strip("\"'") for name, value in _ATTRIBUTE.findall(element)}
            yield said.get("name") or said.get("http-equiv", ""), said.get("content")
    else:
        for line in text.splitlines():
            name, colon, value = line.partition(":")
            if colon:
                yield name, value.strip()
