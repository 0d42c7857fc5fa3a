"""Licence claims of a sample, each with the place, the field and the text it was read from.

Does not see: columns about other things than the picture, however they are called.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from audits.rights.c2pa_manifest import Manifest
from audits.rights.embedded import ARTIST, COPYRIGHT, Exif, Xmp
from audits.rights.optout import squashed
from audits.rights.spdx import Reading, read_claim, read_number, read_rights
from governance.canon import Json, printable

Place = Literal["record", "file"]
RECORD: Place = "record"
FILE: Place = "file"
LONGEST, LONGEST_FIELD = 200, 60  # characters quoted

# Columns whose name has one of these speak of another thing than the picture.
OTHER_SUBJECTS = re.compile(r"plate|holder|number|driv|version|model|generat|caption|prompt")
MEANINGLESS = frozenset({"true", "false", "yes", "no"})  # in a column beside the licence

# Flickr's numbers mean licences only where something speaks of Flickr, COCO or YFCC.
_FLICKR = re.compile(r"flickr|yfcc|(?<![a-z])(?:ms)?coco(?:dataset)?(?![a-z])", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,2}")

LICENCE_FIELDS = ("cc:license", "dcterms:license", "xmpRights:WebStatement", "xmpRights:UsageTerms")
NOTICE_FIELDS = (
    "dc:rights", "dcterms:rights", "iptc:CopyrightNotice", "iptc:SpecialInstructions",
    "photoshop:Credit", "iptc:Credit",
)  # fmt: skip
MARKED = "xmpRights:Marked"
CREDIT_FIELDS = (
    "cc:attributionName", "dc:creator", "iptc:By-line", "photoshop:Credit", "iptc:Credit",
    "xmpRights:Owner",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One text that may speak of a licence, and what was read in it."""

    place: Place
    field: str
    text: str
    reading: Reading

    @property
    def told(self) -> str:
        """Where it stands and what it says; '' where it says nothing of a licence."""
        if not self.reading.ids and not self.reading.unread:
            return ""
        field = printable(self.field)[:LONGEST_FIELD]
        return f"{self.place} {field}: {' '.join(printable(self.text).split())[:LONGEST]}"


def record_claims(record: Mapping[str, str | None], extra: Mapping[str, Json]) -> Iterator[Claim]:
    """Yield what a record claims: licence and address, whatever they say; then its other columns.

    Args:
        record: the manifest row.
        extra: the columns that have no word of ours, by their own names.
    """
    version = extra.get("license_version") or extra.get("licence_version") or ""
    numbered = _is_flickrs(record, extra)
    for field in ("licence", "licence_url"):
        text = record[field] or ""
        reading = read_claim(text, str(version) if field == "licence" else "")
        if numbered and _NUMBER.fullmatch(text.strip()):
            reading = read_number(text.strip())
        yield Claim(place=RECORD, field=field, text=text, reading=reading)
    for name, value in extra.items():
        kind = _kind(name)
        for item in value if isinstance(value, list) and kind else [value]:
            said = _read(kind, item, numbered=numbered) if kind else None
            if said is not None:
                yield Claim(place=RECORD, field=name, text=str(item), reading=said)


def file_claims(
    said: Xmp, exif: Exif, text: tuple[tuple[str, str], ...], manifest: Manifest
) -> Iterator[Claim]:
    """Yield what a file claims: fields for licences may stay unread, notices may not."""
    for field in LICENCE_FIELDS:
        yield from (_of_file(field, value, read_claim(value)) for value in said.get(field, ()))
    for field in NOTICE_FIELDS:
        yield from (_notice(field, value) for value in said.get(field, ()))
    if "False" in said.get(MARKED, ()):  # XMP, rights management: then it is public domain
        yield _of_file(MARKED, "False", Reading(frozenset({"LicenseRef-Public-Domain"})))
    if notice := exif.text.get(COPYRIGHT):
        yield _notice("exif:Copyright", notice)
    for name, value in text:
        if name.lower() in {"license", "licence"}:
            yield _of_file(name, value, read_claim(value))
        elif name.lower() in {"copyright", "rights"}:
            yield _notice(name, value)
    if manifest.state == "invalid":  # what it licenses is not believed, nor is it overheard
        for value in manifest.said.get("cc:license", ()):
            yield _of_file("c2pa, invalid", value, Reading(unread=True))


def credit_in(said: Xmp, exif: Exif) -> str:
    """Return who the file names as its author or source, '' where nobody."""
    if artist := exif.text.get(ARTIST):
        return artist
    return next(("; ".join(said[name]) for name in CREDIT_FIELDS if said.get(name)), "")


def _of_file(field: str, value: str, reading: Reading) -> Claim:
    return Claim(place=FILE, field=field, text=value, reading=reading)


def _notice(field: str, value: str) -> Claim:
    return _of_file(field, value, Reading(read_rights(value)))


def _read(kind: str, item: Json, *, numbered: bool) -> Reading | None:
    """Return what an extra column claims, None where it is no claim."""
    if isinstance(item, bool) or not isinstance(item, str | int):
        return None
    text = str(item).strip()
    if text.isdigit() or text.lower() in MEANINGLESS:
        number = numbered and kind == "licence" and _NUMBER.fullmatch(text)
        return read_number(text) if number else None
    return read_claim(text) if kind == "licence" else Reading(read_rights(text))


def _kind(name: str) -> str:
    plain = squashed(name)
    if OTHER_SUBJECTS.search(plain):
        return ""
    if "license" in plain or plain == "usageterms":
        return "licence"
    return "rights" if plain.startswith(("copyright", "rights")) else ""


def _is_flickrs(record: Mapping[str, str | None], extra: Mapping[str, Json]) -> bool:
    """Say whether the record comes from Flickr or COCO, by its source, address or columns."""
    speaking = (record["source"] or "", record["source_url"] or "", *extra)
    return any(_FLICKR.search(text) for text in speaking)
