"""What a host tells those who crawl for AI: robots.txt, ai.txt, tdmrep.json, as a crawl kept them.

Nothing is fetched. Does not see: what the host says today, or said of an address that was not kept.
"""

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from governance.canon import Json, digest, file_sha256, parse_json, sha256
from governance.errors import Tampered, UsageError

if TYPE_CHECKING:
    from protego import Protego

# Crawlers that gather for training, by the product token each operator publishes. Source: the
# operators' own pages on their crawlers, as known on 2026-11-22; a setting replaces the list.
AI_CRAWLERS = frozenset({
    "AI2Bot", "Amazonbot", "anthropic-ai", "Applebot-Extended", "Bytespider", "CCBot", "ClaudeBot",
    "cohere-training-data-crawler", "DeepSeekBot", "Diffbot", "FacebookBot", "Google-Extended",
    "GPTBot", "ICC-Crawler", "ImagesiftBot", "img2dataset", "LAIONDownloader",
    "Meta-ExternalAgent", "omgili", "PanguBot", "Timpibot", "Webzio-Extended",
})  # fmt: skip
NOBODY = "a-crawler-nobody-names"  # who may not fetch either where everybody is kept out

ROBOTS, AI_TXT, TDMREP = "robots.txt", "ai.txt", "tdmrep.json"
FILES = (ROBOTS, AI_TXT, TDMREP)
MAX_FILE_BYTES = 512 * 1024  # RFC 9309, section 2.5: at least 500 KiB are read
UNREADABLE = "unreadable"
RESERVED, FREE = 1, 0

# Usage preferences. Source: IETF AIPREF drafts (Content-Usage), CC signals, Cloudflare's
# Content-Signal; none of them is law or contract.
TRAINING_USES = frozenset({"ai", "ai-train", "genai", "tdm", "train-ai", "train-genai"})
DENIED = frozenset({"n", "no", "?0"})
_USAGE_LINE = re.compile(r"^\s*content-(?:usage|signal)\s*:(.*)$", re.IGNORECASE | re.MULTILINE)
_AGENT_LINE = re.compile(r"^\s*user-?agent\s*:\s*([^#\r\n]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Crawl:
    """A folder `HOST/{robots.txt,ai.txt,tdmrep.json}`, named by what is in it.

    Hosts are in lower case, as addresses have them.
    """

    folder: Path = field(repr=False)
    sha256: str

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return the crawl in a folder. Raises UsageError when no host is in it."""
        kept = _kept(folder)
        if not kept:
            raise UsageError(
                f"The folder {folder.name!r} keeps nothing of a crawl; it has a folder for each "
                f"host, with {', '.join(FILES)} in it."
            )
        return cls(folder, digest(kept))

    def said_of(self, url: str) -> Mapping[str, str]:
        """Return the files kept of an address' host, by name; none where there is no such host.

        Raises:
            Tampered: the folder is not what it was when the audit was set up.
        """
        return _said(self, host_of(url))


def host_of(url: str) -> str:
    """Return the host of an address, in lower case and without port; '' where it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def optouts_in(name: str, text: str, url: str, agents: Collection[str]) -> Iterator[str]:
    """Yield what a file of a host reserves for an address.

    Args:
        name: one of `FILES`.
        text: the file.
        url: the address of the sample, '' where it is not known: then the root counts.
        agents: whose exclusion counts, beside everybody's.
    """
    if name == TDMREP:
        yield from _reserved(text, url)
    else:
        yield from (f"{name}:{agent}" for agent in _kept_out(text, url, tuple(sorted(agents))))
        for line in _USAGE_LINE.findall(text[:MAX_FILE_BYTES]):
            yield from (f"{name}:{use}" for use in denied_uses(line))


def denied_uses(text: str) -> Iterator[str]:
    """Yield the uses for training that a usage preference denies."""
    for token in re.split(r"[,;\s]+", text.lower()):
        use, _, answer = token.partition("=")
        if use in TRAINING_USES and answer in DENIED:
            yield use


def _kept_out(text: str, url: str, agents: tuple[str, ...]) -> Iterator[str]:
    """Yield `*` where everybody is kept out, else each of the agents that is. Source: RFC 9309."""
    rules, named = _rules(text[:MAX_FILE_BYTES], agents)
    address = _address(url)
    if not rules.can_fetch(address, NOBODY):
        yield "*"
    yield from (agent for agent in named if not rules.can_fetch(address, agent))


@functools.lru_cache(maxsize=1024)  # a host has one file and many pictures
def _rules(text: str, agents: tuple[str, ...]) -> tuple["Protego", tuple[str, ...]]:
    """Return the rules, and which agents have some of their own."""
    from protego import Protego  # noqa: PLC0415  few data sets have one

    said = {token.strip().lower() for token in _AGENT_LINE.findall(text)} - {"", "*"}
    named = (agent for agent in agents if any(token in agent.lower() for token in said))
    return Protego.parse(text.lstrip("\ufeff")), tuple(named)


def _reserved(text: str, url: str) -> Iterator[str]:
    """Yield a reservation: by the first location that matches; a file with a fault reserves too.

    Source: W3C TDM Reservation Protocol, section "TDM File on the Origin Server".
    """
    locations = _locations(text[:MAX_FILE_BYTES])
    if locations is None:
        yield f"{TDMREP}:{UNREADABLE}"
        return
    for location, reservation in locations:
        rules, _ = _rules(f"User-agent: *\nDisallow: {location}", ())
        if not rules.can_fetch(_address(url), NOBODY):
            yield from (TDMREP,) if reservation == RESERVED else ()
            return


@functools.lru_cache(maxsize=1024)
def _locations(text: str) -> tuple[tuple[str, int], ...] | None:
    """Return locations and reservations in order, None where any of it is not as it should be."""
    try:
        told: Json = parse_json(text.lstrip("\ufeff"))
    except UsageError:
        return None
    found = []
    for rule in told if isinstance(told, list) else [told]:
        location = rule.get("location") if isinstance(rule, Mapping) else None
        reservation = rule.get("tdm-reservation") if isinstance(rule, Mapping) else None
        if not isinstance(location, str) or not location.startswith("/") or "\n" in location:
            return None
        if reservation not in {RESERVED, FREE} or isinstance(reservation, bool):
            return None
        found.append((location, RESERVED if reservation == RESERVED else FREE))
    return tuple(found)


def _address(url: str) -> str:
    return url if host_of(url) else "https://host.invalid/"


def _kept(folder: Path) -> dict[str, str]:
    paths = (path for name in FILES for path in folder.glob(f"*/{name}") if path.is_file())
    return {f"{path.parent.name}/{path.name}": file_sha256(path) for path in sorted(paths)}


@functools.cache
def _index(crawl: Crawl) -> Mapping[str, str]:
    kept = _kept(crawl.folder)
    if digest(kept) != crawl.sha256:
        raise Tampered("The folder of the crawl changed since the audit began; audit again.")
    return kept


@functools.lru_cache(maxsize=4096)
def _said(crawl: Crawl, host: str) -> Mapping[str, str]:
    index, said = _index(crawl), {}
    for name in FILES:
        if host and (expected := index.get(f"{host}/{name}")):
            data = (crawl.folder / host / name).read_bytes()
            if sha256(data) != expected:
                raise Tampered(f"{name} of a host changed since the audit began; audit again.")
            said[name] = data.decode("utf-8", "replace")
    return said
