"""Words of captions, and the terms of a lexicon that they state.

Does not see: negation, irony, other spellings, or a name that is also a word. Captions are
hostile text: they are compared here, never printed.
"""

import functools
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from governance.canon import parse_yaml
from governance.records import as_object

Lexicon = Mapping[str, tuple[str, ...]]  # folded term -> what it states, as "axis=value"

# Indic vowel signs are marks, which \w does not match; the danda (U+0964, U+0965) ends a word.
_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0900-\u0963\u0966-\u0dff])*")
LONGEST_TERM = 4  # words


def words(caption: str) -> list[str]:
    """Return the words of a caption: compatibility forms, case and invisible characters gone."""
    seen = "".join(c for c in caption if unicodedata.category(c) != "Cf")
    return _WORD.findall(unicodedata.normalize("NFKC", seen).casefold())


def stated(caption: str, terms: Lexicon) -> list[str]:
    """Return what a caption states, sorted; where terms overlap, the longest counts alone."""
    said, found, start = words(caption), set[str](), 0
    while start < len(said):
        spans = (" ".join(said[start : start + n]) for n in range(LONGEST_TERM, 0, -1))
        term = next((span for span in spans if span in terms), said[start])
        found.update(terms.get(term, ()))
        start += term.count(" ") + 1
    return sorted(found)


@functools.cache
def lexicon(name: str) -> Lexicon:
    """Return a lexicon of `lexicons/`. Raises FileNotFoundError where there is none."""
    path = Path(__file__).with_name("lexicons") / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for axis, values in as_object(parse_yaml(text), "the terms").items():
        for value, terms in values.items():
            for term in terms:
                folded = " ".join(words(term))
                found[folded] = (*found.get(folded, ()), f"{axis}={value}")
    return MappingProxyType(found)
