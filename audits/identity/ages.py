"""Ages under eighteen that a caption states of a person, in English, Hindi, Tamil and Bengali.

"a 12 year old boy", "aged 9", "class 5 student", "5 saal ka bachcha" and "১০ বছরের ছাত্রী" are; a
12-year-old whisky, car, building or dog is not. Where neither a person nor a thing is named beside
it, an age is taken as a person's: a miss is the worse error here.

Does not see: an age that follows from a date, numbers above seventeen in words, or things that
stand not in `lexicons/ages.yaml`. A pupil of class 12 counts, who may be eighteen.
"""

import re
import unicodedata
from collections.abc import Iterator

from audits.captions import lexicon, words
from audits.identity.identifiers import plain

ADULT_YEARS = 18  # DPDP Act 2023, section 2(f)
AFTER_WORDS, BEFORE_WORDS = 4, 6  # how far from an age its bearer is looked for

_NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
)  # fmt: skip
_ORDINALS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
_N = rf"(?<![\w.])(?<!\d,)(?<!ty[ -])(?P<n>\d{{1,2}}|{'|'.join(_NUMBERS)})(?![\d%.,]\d)"
_RANGE = r"(?: ?(?:-|to|and|or) ?\d{1,2})?"
_CLASS = rf"(?:[1-9]|1[0-2])(?:st|nd|rd|th)|{_ORDINALS}"
_PUPIL = r"(?:students?|pupils?|girls?|boys?|kids?|child(?:ren)?|topper|classroom)\b"
_TEAM = (
    r"(?:s\b|[ -]+(?:team|girls|boys|players?|football|cricket|hockey|category|cup|world|squad))"
)

# Each names an age; what has no group `n` is under eighteen by itself.
_AGES = (
    rf"{_N}{_RANGE}[ -]*(?:(?:years?|yrs?|months?|weeks?|days?)[ -]*(?:olds?\b|of age\b)|y/?os?\b)",
    rf"\b(?:aged?|ages)(?: (?:of|between|from))?[ :]+{_N}(?:\b| ?\+)(?! ?(?:months|century))",
    rf"\bturn(?:s|ed|ing)? {_N}\b(?= (?:years?|today)|[.!]|$)",
    r"(?<![\w.,])(?P<n>\d{1,2})(?:st|nd|rd|th) birthday",
    rf"(?<!ty[ -])\b(?:{_ORDINALS}) birthday",
    rf"\bunder[ -]?{_N}{_TEAM}",
    rf"\b(?:class|grade|std\.?|standard) ?-?(?:[1-9]|1[0-2]|[ivx]{{1,4}})\b[ -]?(?:\w+ )?{_PUPIL}",
    rf"\b(?:{_CLASS})[ -](?:graders?\b|(?:grade|standard|std|class)\b[ -](?:\w+ )?{_PUPIL})",
    # Hindi, in Latin letters and in its own
    rf"{_N}[ -]*(?:saal|sal|baras|varsh) (?:k[aei]|wal[aei])\b",
    rf"{_N}[ -]*(?:varshiya?\b|वर्षीय)",
    rf"{_N}[ -]*(?:साल|बरस|वर्ष|महीने|माह) (?:का|की|के|वाल)",
    rf"(?:\b(?:umar|umra?|aayu)|उम्र|आयु)[ :-]*{_N}",
    r"कक्षा (?:[1-9]|1[0-2]) (?:का|की|के) (?:छात्र|विद्यार्थी|बच्च)",
    # Tamil
    rf"{_N}[ -]*வயது|வயது[ :-]*{_N.replace('<n>', '<m>')}",
    r"(?:[1-9]|1[0-2])[ -]*(?:ஆம்|ம்) வகுப்பு மாணவ",
    # Bengali
    rf"{_N}[ -]*(?:বছরের|বছর বয়স|মাসের)|বয়স[ :-]*{_N.replace('<n>', '<m>')}",
    r"(?:শ্রেণি|শ্রেণী)র (?:ছাত্র|শিক্ষার্থী)",
)  # fmt: skip
_AGE = tuple(re.compile(unicodedata.normalize("NFKC", pattern)) for pattern in _AGES)
_HINT = re.compile(
    unicodedata.normalize(
        "NFKC",
        r"years?|yrs?|months?|weeks?|days?|y/?o|age|turn|birthday|under|class|grade|std|standard"
        r"|saal|sal |baras|varsh|umar|umr|aayu|साल|बरस|वर्ष|महीने|माह|उम्र|आयु|कक्षा|வயது|வகுப்பு"
        r"|বছর|মাসের|বয়স|শ্রেণ",
    )
)
_CLAUSE = re.compile(r"[.,;:!?()\"\n]")
_BREAKS = frozenset(
    words(
        "at in on with from is was are were has had who while and near by next to of for under "
        "playing standing sitting looking"
    )
)


def states_minor(caption: str) -> bool:
    """Say whether a caption states of a person an age, or a school class, under eighteen."""
    said = plain(caption).casefold()
    if not _HINT.search(said):
        return False
    return any(_is_of_person(said, start, end) for start, end in _ages(said))


def _ages(said: str) -> Iterator[tuple[int, int]]:
    """Yield where ages under eighteen stand."""
    for pattern in _AGE:
        for match in pattern.finditer(said):
            told = match.groupdict()
            number = told.get("n") or told.get("m") or "1"
            years = int(number) if number.isdigit() else _NUMBERS.index(number) + 1
            if years < ADULT_YEARS:
                yield match.span()


def _is_of_person(said: str, start: int, end: int) -> bool:
    """Say whether an age is a person's: by what follows, else what stands before, else yes."""
    after = words(_CLAUSE.split(said[end:], maxsplit=1)[0])[:AFTER_WORDS]
    stop = next((place for place, word in enumerate(after) if word in _BREAKS), len(after))
    before = words(_CLAUSE.split(said[:start])[-1]) or words(said[:start])
    for near in (words(said[start:end]), after[:stop], before[-BEFORE_WORDS:]):
        for axis in _axes(near):
            return axis == "person"
    return True


def _axes(near: list[str]) -> list[str]:
    """Return whether words name a person or a thing; a person first, wherever it stands."""
    terms = lexicon("ages").terms
    found = (terms.get(word) or terms.get(word.removesuffix("s"), ()) for word in near)
    return sorted(said.partition("=")[0] for axes in found for said in axes)
