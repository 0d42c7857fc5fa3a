"""Reading hostile text: a prompt as the words it may be read as, whatever letters it is written in.

Compatibility forms, case, accents on Latin letters, invisible characters, look-alike Cyrillic and
Greek letters, digits and signs in place of letters, letters spaced out and letters drawn out.

Does not see: words run together, misspellings, rhymes, other languages, or what is only implied.
"""

import re
import unicodedata
from collections.abc import Iterator

# Indic vowel signs are marks, which \w does not match; the danda (U+0964, U+0965) ends a word.
_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0900-\u0963\u0966-\u0dff])*")
_ACCENT = re.compile("[\u0300-\u036f]")
_JOINT = re.compile(r"(?<=\w)[-._*'\u2019·]+(?=\w)")
_DRAWN_OUT = re.compile(r"(.)\1{2,}")  # no English word has a letter three times
_SIGN = re.compile(r"(?<=\w)[@$]+|[@$!|]+(?=\w)")
_MIXED = re.compile(r"[a-z]+[0-9][a-z0-9]*|[0-9]+[a-z][a-z0-9]*")

# Letters that look like Latin ones, lower case. Source: Unicode TR39, confusables.txt (a part).
_ALIKE = str.maketrans(
    "аеорсухіјѕԁһӏԛԝвкмнтпгαβεικνορτυχγωηϲϳ\u0131\u0261\u0251\u0269",
    "aeopcyxijsdhlqwbkmhtnrabeikvoptuxywncjigai",
)
_SIGNS = str.maketrans("@$!|", "asii")
_DIGITS = tuple(str.maketrans("01345789", f"o{one}eastbg") for one in "il")


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text as they stand: compatibility forms, case, accents and hidden gone.

    Look-alike letters are read as the Latin ones they look like.
    """
    return tuple(_WORD.findall(_folded(text)))


def readings(text: str) -> set[tuple[str, ...]]:
    """Return every sequence of words that a text may be read as, the plain one among them."""
    folded = _folded(text)
    return {
        said
        for joined in (folded, _JOINT.sub("", folded))
        for spelt in _spelt(joined)
        for said in _spoken(tuple(_WORD.findall(spelt)))
    }


def _folded(text: str) -> str:
    seen = "".join(c for c in text if unicodedata.category(c) != "Cf")
    wide = unicodedata.normalize("NFKC", seen).casefold()
    bare = _ACCENT.sub("", unicodedata.normalize("NFD", wide))
    return unicodedata.normalize("NFC", bare).translate(_ALIKE)


def _spelt(text: str) -> Iterator[str]:
    """Yield a text as it stands, and with the signs and digits in words read as letters."""
    yield text
    signed = _SIGN.sub(lambda found: found.group().translate(_SIGNS), text)
    for digits in _DIGITS:
        yield _MIXED.sub(lambda found, read=digits: found.group().translate(read), signed)  # type: ignore[misc]


def _spoken(said: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield words as they stand, with spaced letters joined, with drawn-out letters shortened."""
    yield said
    for article in ("", "a"):
        yield tuple(_joined(said, article))
    for shortened in (r"\1", r"\1\1"):  # "nuuude", "booooobs"
        yield tuple(_DRAWN_OUT.sub(shortened, word) for word in said)


def _joined(said: tuple[str, ...], article: str) -> Iterator[str]:
    """Yield words, three or more single letters in a row as one, but for an article before them."""
    run: list[str] = []
    for word in (*said, ""):
        if len(word) == 1 and word.isalpha() and not (not run and word == article):
            run.append(word)
            continue
        yield from ["".join(run)] if len(run) > 2 else run  # noqa: PLR2004  "a b" is no word
        run = []
        if word:
            yield word
