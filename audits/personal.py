"""Personal data audit: identifiers in texts, what files tell of persons, minors, consent.

Kinds, scores and counts are kept, and digests under the workspace's salt; never a value. Of a
position, only that there is one. `pii_kinds` are kinds that something speaks for: a check digit
that holds, a form nothing else has, or a word near it. `pii_scores` has the doubtful ones as well,
which are written as other numbers are, or whose check digit fails; they are counted nowhere else.

Does not see: names, addresses and writing inside a picture, or whether a person is identifiable; a
minor of whom neither caption nor file speaks; whether a consent is valid.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import duckdb
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures
from audits.captions import lexicon, stated
from audits.identity.ages import states_minor
from audits.identity.documents import document_score
from audits.identity.identifiers import SUPPORTED, Identifier, identifiers_in
from audits.identity.personal_findings import IN_FILE, NAME, findings_of
from audits.identity.presidio_adapter import presidio_spans, presidio_version
from audits.identity.salt import salted
from audits.identity.shown import marks_face, names_in, release_in, shows_minor
from audits.rights.embedded import (
    ARTIST,
    BODY_SERIAL,
    CAMERA_OWNER,
    COPYRIGHT,
    DESCRIPTION,
    LENS_SERIAL,
    NO_EXIF,
    USER_COMMENT,
    Exif,
    Xmp,
    exif_of,
    xmp_of,
)
from audits.rights.segments import segments_of
from audits.settings import Written, read_table
from governance.canon import Json
from governance.images import Picture

NO_CONSENT = frozenset({"", "0", "f", "false", "n", "na", "n/a", "nil", "no", "none", "null"})

# Columns with long numbers that are nobody's: addresses, hashes, ids, sizes.
IMPERSONAL = re.compile(r"sha|md5|hash|ur[il]|href|repo|exif|width|height|size|(?:^|_)(?:id|key)$")


class PersonalTable(Written):
    """What `[audits.personal]` of pramana.toml may say."""

    presidio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalAudit:
    """Every kind it knows is always looked for; Presidio is asked too where its version stands."""

    name: ClassVar[str] = NAME
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("pii_kinds", pa.list_(pa.string())),
            ("pii_scores", pa.map_(pa.string(), pa.float64())),  # best of each kind, doubtful too
            ("pii_count", pa.int32()),  # values of `pii_kinds`
            ("pii_digests", pa.list_(pa.string())),  # kind:hex, salted; null without a salt
            ("pii_presidio_kinds", pa.list_(pa.string())),  # null where Presidio was not asked
            ("gps", pa.bool_()),
            ("device_owner", pa.bool_()),
            ("person_named", pa.bool_()),  # by the file
            ("face_marked", pa.bool_()),  # by the file
            ("model_release", pa.string()),  # PLUS: MR-NON, MR-NAP, MR-UMR, MR-LMR
            ("minor_terms", pa.bool_()),
            ("document_like", pa.float32()),  # 0..1; null where nothing was decoded
            ("consent", pa.bool_()),
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([])

    presidio: str | None = None  # its version
    salt: bytes | None = field(default=None, repr=False)  # a secret; None makes no digests

    @classmethod
    def of(cls, table: Mapping[str, Json], folder: Path) -> Self:
        """Return the audit as `[audits.personal]` sets it.

        Raises:
            EvidenceMissing: Presidio is asked for and not installed.
            UsageError: another key, or a value of another type.
        """
        del folder  # no setting is a path
        asked = read_table(PersonalTable, NAME, table).presidio
        return cls(presidio=presidio_version() if asked else None)

    def measure(self, batch: Batch) -> Columns:
        """Look for identifiers in what record and file say, and for documents among pictures.

        Raises:
            EvidenceMissing: Presidio is asked for and not installed.
        """
        samples = zip(batch.samples.to_pylist(), batch.pictures, batch.images, strict=True)
        rows = [self._row(record, picture, image) for record, picture, image in samples]
        return {name: [row[name] for row in rows] for name in self.columns.names}

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Count kinds, repeats, positions, owners, minors, documents and consent."""
        del pictures  # whom a picture shows is not asked here
        return Conclusion(tuple(findings_of(measures)))

    def _row(
        self, record: Mapping[str, str | None], picture: Picture | None, image: bytes
    ) -> dict[str, object]:
        """Return the promised columns of one sample."""
        exif = exif_of(picture) if picture else NO_EXIF
        xmp = _xmp(picture, image) if picture else {}
        texts = [*_texts(record), *_texts_in_file(picture, exif, xmp)]
        names = names_in(xmp)
        found = [one for text in texts for one in identifiers_in(text)]
        caption = record["caption"] or ""
        told = "about=minor" in stated(caption, lexicon("safety")) or states_minor(caption)
        return {
            **self._identified(found, names),
            "pii_presidio_kinds": self._second_opinion(texts),
            "gps": exif.has_position or {"exif:GPSLatitude", "exif:GPSLongitude"} <= xmp.keys(),
            "device_owner": _has_owner(exif, xmp),
            "person_named": bool(names),
            "face_marked": marks_face(xmp),
            "model_release": release_in(xmp),
            "minor_terms": told or shows_minor(xmp),
            "document_like": document_score(picture.image) if picture else None,
            "consent": (record["consent_ref"] or "").strip().lower() not in NO_CONSENT,
        }

    def _identified(self, found: Sequence[Identifier], names: Sequence[str]) -> dict[str, object]:
        """Return kinds, scores, counts and digests; a name the file gives counts as certain."""
        values = [(one.kind, one.score, one.value) for one in found]
        values += [(IN_FILE, 1.0, name) for name in names]
        sure = [value for value in values if value[1] >= SUPPORTED]
        best = {kind: score for kind, score, _ in sorted(values)}  # a kind's last is its best
        digests = None
        if self.salt is not None:
            digests = sorted({salted(self.salt, kind, value) for kind, _, value in sure})
        return {
            "pii_kinds": [kind for kind, score in best.items() if score >= SUPPORTED],
            "pii_scores": list(best.items()),
            "pii_count": len(sure),
            "pii_digests": digests,
        }

    def _second_opinion(self, texts: Sequence[str]) -> list[str] | None:
        if self.presidio is None:
            return None
        return sorted({kind for text in texts if text for kind, *_ in presidio_spans(text)})


def _xmp(picture: Picture, image: bytes) -> Xmp:
    extended = b"HasExtendedXMP" in picture.xmp
    return xmp_of(picture, segments_of(image) if extended else ())


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
    yield from (exif.text.get(t, "") for t in (DESCRIPTION, USER_COMMENT, ARTIST, COPYRIGHT))
    for name in ("dc:title", "dc:description", "dc:creator", "dc:rights"):
        yield from xmp.get(name, ())
    for name, value in picture.text if picture else ():
        if ":" not in name and name != "exif":  # Pillow lists other blocks there as well
            yield value


def _has_owner(exif: Exif, xmp: Xmp) -> bool:
    """Say whether the file names the camera's owner or its serial number."""
    tags = exif.text.keys() & {CAMERA_OWNER, BODY_SERIAL, LENS_SERIAL}
    named = {"aux:SerialNumber", "aux:OwnerName", "exifEX:BodySerialNumber"} & xmp.keys()
    return bool(tags or named)
