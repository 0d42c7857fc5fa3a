"""Personal data audit: identifiers in captions, columns and files; positions; minors; consent.

Only kinds and counts are kept, never a value; of a position, only that there is one.

Does not see: names, addresses, faces, text inside a picture, or whether a person is identifiable; a
minor of whom neither caption nor file speaks; whether a consent is valid.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import duckdb
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures, count_of, share_of
from audits.captions import lexicon, stated
from audits.embedded import (
    BODY_SERIAL,
    CAMERA_OWNER,
    DESCRIPTION,
    LENS_SERIAL,
    USER_COMMENT,
    Exif,
    Xmp,
    exif_of,
    xmp_of,
)
from audits.identifiers import KIND_NAMES, kinds_in
from governance.images import Picture
from governance.records import Finding

NAME = "personal"
BLIND = (
    "Names, addresses, faces and text inside pictures are not seen; whether a person is "
    "identifiable is for a person to say."
)
NO_CONSENT = frozenset({"", "0", "f", "false", "n", "na", "n/a", "nil", "no", "none", "null"})
IN_FILE = "person_in_file"  # the file names who is shown
KINDS = (*KIND_NAMES, IN_FILE)
AGE = re.compile(r"(?<![\w.])(\d{1,2})[\s-]*(?:years?|yrs?)[\s-]*(?:old\b|of age\b)", re.IGNORECASE)
ADULT_YEARS = 18  # DPDP Act 2023, section 2(f)
MINOR_IN_FILE = re.compile(r"AG-(?:U14|A1[4-7])$")  # PLUS LDF: age of the youngest model

# Columns with long numbers that are nobody's: addresses, hashes, ids, sizes.
IMPERSONAL = re.compile(r"sha|md5|hash|ur[il]|href|repo|exif|width|height|size|(?:^|_)(?:id|key)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalAudit:
    """The audit has no settings: every kind it knows is always looked for."""

    name: ClassVar[str] = NAME
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("pii_kinds", pa.list_(pa.string())),
            ("pii_count", pa.int32()),
            ("gps", pa.bool_()),
            ("device_owner", pa.bool_()),
            ("minor_terms", pa.bool_()),
            ("consent", pa.bool_()),
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([])

    def measure(self, batch: Batch) -> Columns:
        """Look for identifiers in what record and file say of each sample."""
        rows = [
            _measured(record, picture)
            for record, picture in zip(batch.samples.to_pylist(), batch.pictures, strict=True)
        ]
        return {name: [row[name] for row in rows] for name in self.columns.names}

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Count kinds, positions, owners, minors and consent."""
        del pictures  # whom a picture shows is not asked here
        return Conclusion(tuple(_findings(measures)))


def _measured(record: Mapping[str, str | None], picture: Picture | None) -> dict[str, object]:
    """Return the promised columns of one sample."""
    xmp = xmp_of(picture) if picture else {}
    exif = exif_of(picture) if picture else Exif({}, has_position=False)
    caption = record["caption"] or ""
    found: Counter[str] = Counter()
    for text in (*_texts(record), *_texts_in_file(picture, exif, xmp)):
        found.update(kinds_in(text))
    if named := xmp.get("Iptc4xmpExt:PersonInImage"):
        found[IN_FILE] += len(named)
    return {
        "pii_kinds": sorted(found),
        "pii_count": found.total(),
        "gps": exif.has_position or {"exif:GPSLatitude", "exif:GPSLongitude"} <= xmp.keys(),
        "device_owner": _has_owner(exif, xmp),
        "minor_terms": _speaks_of_minor(caption, xmp),
        "consent": (record["consent_ref"] or "").strip().lower() not in NO_CONSENT,
    }


def _texts(record: Mapping[str, str | None]) -> Iterator[str]:
    """Yield what the record says in words; a column's name stands before its value."""
    for name in ("caption", "creator", "attribution"):
        yield record[name] or ""
    for name, value in json.loads(record["extra"] or "{}").items():
        if IMPERSONAL.search(name.lower()):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str | int) and not isinstance(item, bool):
                yield f"{name.replace('_', ' ')}: {item}"


def _texts_in_file(picture: Picture | None, exif: Exif, xmp: Xmp) -> Iterator[str]:
    yield from (exif.text.get(tag, "") for tag in (DESCRIPTION, USER_COMMENT))
    for name in ("dc:title", "dc:description"):
        yield from xmp.get(name, ())
    for name, value in picture.text if picture else ():
        if ":" not in name and name != "exif":  # Pillow lists other blocks there as well
            yield value


def _has_owner(exif: Exif, xmp: Xmp) -> bool:
    """Say whether the file names the camera's owner or its serial number."""
    tags = exif.text.keys() & {CAMERA_OWNER, BODY_SERIAL, LENS_SERIAL}
    named = {"aux:SerialNumber", "aux:OwnerName", "exifEX:BodySerialNumber"} & xmp.keys()
    return bool(tags or named)


def _speaks_of_minor(caption: str, xmp: Xmp) -> bool:
    """Say whether caption or file speak of a person under 18."""
    ages = (int(years) for years in AGE.findall(caption))
    declared = xmp.get("plus:MinorModelAgeDisclosure", ())
    return (
        "about=minor" in stated(caption, lexicon("safety"))
        or any(years < ADULT_YEARS for years in ages)
        or any(MINOR_IN_FILE.search(value) for value in declared)
    )


def _findings(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    total = len(_ids(measures, "TRUE"))
    for kind in KINDS:
        yield count_of(
            NAME, f"identifier {kind}", _ids(measures, f"list_contains(pii_kinds, '{kind}')")
        )
    conditions = {
        "identifiers": ("pii_count > 0", BLIND),
        "positions": ("gps", "The file says where it was taken; where is not kept."),
        "device owners": ("device_owner", "The file names a camera's owner or serial number."),
        "minors spoken of": ("minor_terms", "By words of the caption or a note in the file."),
    }
    for name, (condition, note) in conditions.items():
        ids = _ids(measures, condition)
        yield share_of(NAME, f"{name} share", count=len(ids), total=total, ids=ids, note=note)
    consented = len(_ids(measures, "consent"))
    note = f"{consented} of {total} samples carry a consent reference; its validity is not seen."
    yield share_of(NAME, "consent share", count=consented, total=total, note=note)
    alone = _ids(measures, "(pii_count > 0 OR gps OR device_owner) AND NOT consent")
    yield count_of(NAME, "personal data without consent reference", alone, note=BLIND)


def _ids(measures: duckdb.DuckDBPyConnection, condition: str) -> list[str]:
    """Return the ids of samples for which a condition of ours holds."""
    query = f"SELECT id FROM measures WHERE {condition} ORDER BY id"  # noqa: S608  ours
    return [row[0] for row in measures.sql(query).fetchall()]
