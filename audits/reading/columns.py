"""Which word of ours a dataset's column stands for: one record in, one manifest row out. No I/O.

Column names are compared without case and punctuation, and `licence` is spelt either way. Nothing
is lost: a column we have no word for is kept in `extra`, under its own name.

Does not see: whether a value is true. What the source says of a sample is a claim.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType

from governance.canon import Json, canonical, printable, sha256
from governance.errors import UsageError
from governance.snapshot import TEXT_COLUMNS, extra_of

Record = Mapping[str, object]  # one sample as the source tells it, without its image

ID, IMAGE = "id", "image"
ID_LENGTH = 200  # characters; an id is shown on screens and stands in findings
DEEPEST = 32  # lists in lists; a hostile record has thousands
EXACT_INTEGER = 1 << 53  # RFC 8785 has no integer of this size or above

# Names as img2dataset, LAION, DataComp, COYO, Open Images, Openverse, COCO and the HF hub use
# them, most specific first, as `_plain_name` writes them.
ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    ID: ("id", "key", "uid", "uuid", "sampleid", "imageid", "photoid", "foreignid"),
    IMAGE: (
        "image", "img", "picture", "photo", "imagebytes", "jpg", "jpeg", "png", "webp", "filename",
        "file", "filepath", "imagepath", "imagefile", "imagefilename", "localpath", "path",
    ),
    "caption": (
        "caption", "txt", "text", "captions", "description", "prompt", "alttext", "alt",
        "sentence", "sentences", "title",
    ),
    "licence": (
        "licensespdx", "spdx", "spdxid", "license", "licensename", "licensetype", "licenseraw",
        "licenseshortname", "licenses", "usageterms", "rights",
    ),
    "licence_url": ("licenseurl", "licenseuri", "licenselink", "rightsurl", "rightsuri"),
    "creator": ("creator", "author", "artist", "photographer", "creatorname", "authorname"),
    "attribution": ("attribution", "attributiontext", "credit", "creditline", "credits"),
    "source_url": (
        "sourceurl", "url", "imageurl", "originalurl", "contenturl", "fileurl", "cocourl",
        "landingurl", "originallandingurl", "pageurl", "flickrurl",
    ),
    "generator": (
        "generator", "generatormodel", "generatedby", "generationmodel", "imagemodel", "imggen",
        "imagegenerator", "synthesismodel", "t2imodel",
    ),
    "captioner": (
        "captioner", "captionmodel", "captionermodel", "captionedby", "recaptionmodel",
        "captiongenerator",
    ),
    "consent_ref": (
        "consentref", "consentreference", "consentid", "consent", "releaseref", "modelrelease",
    ),
    "region": ("region", "storageregion", "dataregion", "storagelocation", "bucketregion"),
    "collected_at": (
        "collectedat", "datecollected", "retrievedat", "dateretrieved", "crawledat", "crawldate",
        "downloadedat", "downloaddate", "fetchedat",
    ),
})  # fmt: skip

# What a dataset declares of who is shown. Never inferred, only carried.
ATTRIBUTES = (
    "gender", "sex", "gender_identity", "pronouns", "sexual_orientation", "skin_tone", "skin_tones",
    "skin_colour", "skin_color", "skin_type", "occupation", "profession", "cultural_marker", "age",
    "age_group", "religion", "caste", "tribe", "race", "ethnicity", "nationality",
    "region_of_origin", "country_of_origin", "language", "mother_tongue", "disability",
)  # fmt: skip
_ATTRIBUTE_OF = MappingProxyType({name.replace("_", ""): name for name in ATTRIBUTES})


def row_of(record: Record, mapping: Mapping[str, str]) -> dict[str, str | None]:
    """Return the manifest's text columns of one record, and its own `id` or None.

    Args:
        record: what the source says of the sample.
        mapping: the source's column names to our words; it wins over the usual names.
    """
    plan = _plan(tuple(record), tuple(mapping.items()))
    row: dict[str, str | None] = dict.fromkeys((ID, *TEXT_COLUMNS))
    kept = {name: record[name] for name in plan.other}
    for word, names in plan.words:
        for name in names:
            texts = tuple(_texts(record[name]))
            if row[word] is None and texts:
                row[word] = texts[0] if word == "caption" else "; ".join(texts)
            if row[word] != "; ".join(texts):
                kept[name] = record[name]
    row[ID] = printable(row[ID] or "").strip()[:ID_LENGTH] or None
    row["attributes"] = _object_of({word: record[name] for name, word in plan.attributes.items()})
    row["extra"] = _object_of(kept)
    return row


def columns_for(word: str, names: Sequence[str], mapping: Mapping[str, str]) -> tuple[str, ...]:
    """Return the source's columns that stand for a word of ours, the most specific first."""
    mapped = [name for name in names if mapping.get(name) == word]
    free = [name for name in names if name not in mapping]
    rank = {alias: place for place, alias in enumerate(ALIASES[word])}
    usual = [name for name in free if _plain_name(name) in rank]
    return (*mapped, *sorted(usual, key=lambda name: rank[_plain_name(name)]))


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raise UsageError when a column is mapped to a word we do not have."""
    for name, word in mapping.items():
        if word not in ALIASES:
            raise UsageError(
                f"Column {printable(name)[:60]!r} is mapped to {printable(word)[:60]!r}; "
                f"the words are {', '.join(ALIASES)}."
            )


def names_of(columns: Sequence[str]) -> str:
    """Return column names fit for an error message: printable, few and short."""
    shown = ", ".join(printable(name)[:40] for name in columns[:30])
    return shown or "no column at all"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where each column of a record goes; the same for all records with the same columns."""

    words: tuple[tuple[str, tuple[str, ...]], ...]
    attributes: Mapping[str, str]
    other: tuple[str, ...]


@lru_cache(maxsize=64)
def _plan(names: tuple[str, ...], mapping: tuple[tuple[str, str], ...]) -> _Plan:
    words = tuple((word, columns_for(word, names, dict(mapping))) for word in (ID, *TEXT_COLUMNS))
    used = {name for _, columns in words for name in columns}
    declared = {name: _ATTRIBUTE_OF.get(_plain_name(name), "") for name in names}
    attributes = {n: word for n, word in declared.items() if word and n not in used}
    return _Plan(words, attributes, tuple(n for n in names if n not in used | attributes.keys()))


def _plain_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold()).replace("licence", "license")


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in a cell: one, or those of a list, without the empty ones."""
    for item in value if isinstance(value, list | tuple) else (value,):
        said = _json(item)
        text = said if isinstance(said, str) else "" if said is None else canonical(said).decode()
        if text.strip():
            yield text


def _object_of(record: Record) -> str:
    """Return the cells that say something as canonical JSON; a later column of a name wins."""
    said = {str(_json(name)): _json(value) for name, value in record.items()}
    return extra_of(
        {name: value for name, value in said.items() if value not in (None, "", [], {})}
    )


def _json(value: object, depth: int = 0) -> Json:
    """Return a cell as JSON that has a canonical form."""
    if depth > DEEPEST:
        return f"(nested deeper than {DEEPEST})"
    if isinstance(value, Mapping):
        return {str(_scalar(str(key))): _json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item, depth + 1) for item in value]
    return _scalar(value)


def _scalar(value: object) -> bool | int | float | str | None:
    """Return a value without parts as JSON: no NaN, no huge integer, no raw bytes."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < EXACT_INTEGER:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return f"sha256:{sha256(value)}"
    text = value.isoformat() if isinstance(value, date) else str(value)
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
