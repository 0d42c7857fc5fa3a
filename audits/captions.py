"""Words of captions, and the terms of a lexicon that they state.

Does not see: negation, irony, other spellings, or a name that is also a word. Captions are
hostile text: they are compared here, never printed.
"""

import functools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from governance.canon import Json, parse_yaml
from governance.records import as_object

# Indic vowel signs are marks, which \w does not match; the danda (U+0964, U+0965) ends a word.
_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0900-\u0963\u0966-\u0dff])*")
_PLAIN_WORD = re.compile(r"[a-z0-9]+")  # the same of ASCII, three times as fast


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Folded terms with what they state as `axis=value`; nothing, where a term means no group.

    `spans` holds, for the first word of a term, the lengths in words of the terms it begins, the
    longest first: most words of a caption begin none, and are passed over with one look.
    """

    terms: Mapping[str, tuple[str, ...]]
    spans: Mapping[str, tuple[int, ...]]


def words(caption: str) -> list[str]:
    """Return the words of a caption: compatibility forms, case and invisible characters gone."""
    if caption.isascii():
        return _PLAIN_WORD.findall(caption.lower())
    hidden = {ord(c): None for c in set(caption) if unicodedata.category(c) == "Cf"}
    seen = caption.translate(hidden) if hidden else caption
    return _WORD.findall(unicodedata.normalize("NFKC", seen).casefold())


def stated(caption: str, lexicon: Lexicon) -> list[str]:
    """Return what a caption states, sorted; where terms overlap, the longest counts alone."""
    said = words(caption)
    if lexicon.spans.keys().isdisjoint(said):
        return []
    return sorted({meaning for term in _terms(said, lexicon) for meaning in lexicon.terms[term]})


@functools.cache
def lexicon(*names: str) -> Lexicon:
    """Return one lexicon made of files of `lexicons/`. Raises FileNotFoundError, Tampered."""
    found = defaultdict[str, tuple[str, ...]](tuple)
    for name in names:
        path = Path(__file__).with_name("lexicons") / f"{name}.yaml"
        for meaning, term in _entries(parse_yaml(path.read_text(encoding="utf-8"))):
            folded = " ".join(words(term))
            found[folded] = (*found[folded], *meaning)
    lengths = defaultdict[str, set[int]](set)
    for term in found:
        lengths[term.partition(" ")[0]].add(term.count(" ") + 1)
    spans = {first: tuple(sorted(counts, reverse=True)) for first, counts in lengths.items()}
    return Lexicon(dict(found), spans)


def _entries(told: Json) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each term of a file with what it states: a list not under an axis states nothing."""
    for axis, values in as_object(told, "the terms").items():
        if not isinstance(values, Mapping):
            yield from (((), term) for term in values)
            continue
        for value, terms in values.items():
            yield from (((f"{axis}={value}",), term) for term in terms)


def _terms(said: list[str], lexicon: Lexicon) -> Iterator[str]:
    """Yield the terms that words hold, from left to right."""
    start = 0
    while start < len(said):
        length = 1
        for count in lexicon.spans.get(said[start], ()):
            term = " ".join(said[start : start + count])
            if term in lexicon.terms:
                yield term
                length = count
                break
        start += length
