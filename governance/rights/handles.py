"""Handles: what a sample can be called by, by whoever wants it back.

Its id, the digest of its image, the source it came from or the web host it was found on, and the
person its dataset declares: a consent reference, or a `subject` or `person_id` among its columns.

Does not see: a person nobody declared. Nothing here looks at a picture or reads a caption.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from governance.canon import Json, parse_json, sha256
from governance.records import as_object

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE, IMAGE, SOURCE, SUBJECT = "--sample", "--sha256", "--source", "--subject"
Handle: TypeAlias = tuple[str, str]  # one of these kinds, and what the sample is called
Row: TypeAlias = Mapping[str, str | None]  # of a manifest: the text columns named below

COLUMNS: Final = (
    "id", "sha256", "source", "source_url", "consent_ref", "attributes", "extra",
)  # fmt: skip
NO_IMAGE: Final = sha256(b"")  # of a sample whose picture could not be read: it names no picture
PERSONS: Final = frozenset({"subject", "subjectid", "person", "personid"})
SEARCHED: Final = (
    "ids, digests of images, sources and the hosts of source_url, consent_ref, and columns and "
    "attributes called subject, subject_id, person or person_id"
)


def is_image(digest: str) -> bool:
    """Return whether a text is the SHA-256 of a file that is not empty, as 64 hex digits."""
    return re.fullmatch(r"[0-9a-f]{64}", digest) is not None and digest != NO_IMAGE


def plain(name: str) -> str:
    """Return a name as names are compared: without case, and without space around it."""
    return name.strip().casefold()


def rows_of(table: "pa.Table") -> Iterator[Row]:
    """Yield the rows of a manifest, with the columns that handles are read from."""
    columns = [table[name].to_pylist() for name in COLUMNS]
    for cells in zip(*columns, strict=True):
        yield dict(zip(COLUMNS, cells, strict=True))


def handles_of(row: Row, kinds: Collection[str]) -> Iterator[Handle]:
    """Yield what a sample may be called by, of the kinds that were asked for."""
    if SAMPLE in kinds:
        yield SAMPLE, str(row["id"])
    if IMAGE in kinds:
        yield IMAGE, str(row["sha256"])
    if SOURCE in kinds:
        yield from ((SOURCE, name) for name in sources_of(row))
    if SUBJECT in kinds:
        yield from ((SUBJECT, name) for name in subjects_of(row))


def sources_of(row: Row) -> set[str]:
    """Return the source a sample came from, and the web host it was found on."""
    try:
        host = urlsplit(row["source_url"] or "").hostname
    except ValueError:  # a hostile address
        host = None
    return {plain(name) for name in (row["source"], host) if name}


def subjects_of(row: Row) -> set[str]:
    """Return who a dataset declares as the person of a sample."""
    consent = row["consent_ref"] or ""
    said: list[Json] = [consent, *consent.split("; ")]
    for column in ("attributes", "extra"):
        for name, value in as_object(parse_json(row[column] or "{}"), column).items():
            if re.sub(r"[^a-z]", "", name.casefold()) in PERSONS:
                said += value if isinstance(value, list) else [value]
    names = {plain(str(name)) for name in said if isinstance(name, str | int)}
    return names - {""}
