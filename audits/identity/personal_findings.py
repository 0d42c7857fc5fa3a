"""What the personal data audit says of a whole set, by SQL over its measures.

Does not see: values. That one value stands in several samples is told by its salted digest alone.
"""

from collections.abc import Iterator
from itertools import groupby

import duckdb

from audits.audit import count_of, ids_where, share_of
from audits.identity.identifier_kinds import KIND_NAMES
from audits.identity.identifiers import SUPPORTED
from audits.identity.presidio_adapter import KINDS as PRESIDIO_KINDS
from governance.canon import printable
from governance.records import Finding

NAME = "personal"
IN_FILE = "person_in_file"  # the file names who is shown
KINDS = (*KIND_NAMES, IN_FILE)
BLIND = (
    "Names, addresses and writing inside pictures are not seen; whether a person is identifiable "
    "is for a person to say."
)
MEASURED = "pii_count IS NOT NULL"  # of a suspected sample nothing is kept
DOCUMENT_STEPS = (0.3, 0.6)  # scores that are counted; what is too much is for a policy to say
SHARES = {
    "identifiers": ("pii_count > 0", BLIND),
    "positions": ("gps", "The file says where it was taken; where is not kept."),
    "device owners": ("device_owner", "The file names a camera's owner or serial number."),
    "persons named in files": ("person_named", "By XMP; the names are not kept."),
    "faces marked in files": ("face_marked", "Somebody, or a program, marked a face region."),
    "minors spoken of": ("minor_terms", "By words of the caption or a note in the file."),
}


def findings_of(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield all findings, in the order they print."""
    for kind in KINDS:
        ids = ids_where(measures, f"list_contains(pii_kinds, '{kind}')")
        yield count_of(NAME, f"identifier {kind}", ids)
    for kind in KIND_NAMES:
        if ids := ids_where(measures, f"pii_scores['{kind}'] < {SUPPORTED}"):
            note = "Its check digit fails, or other numbers are written so and no word names it."
            yield count_of(NAME, f"doubtful {kind}", ids, note=note)
    yield from _repeats(measures)
    yield from _second_opinion(measures)
    total = len(ids_where(measures, MEASURED))
    for name, (condition, note) in SHARES.items():
        ids = ids_where(measures, condition)
        yield share_of(NAME, f"{name} share", count=len(ids), total=total, ids=ids, note=note)
    yield from _releases(measures)
    yield from _documents(measures)
    yield from _consent(measures)


def _repeats(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield, for each kind, how many values stand in more than one sample, and in which."""
    if not ids_where(measures, "pii_digests IS NOT NULL"):
        return
    rows = measures.sql(
        """
        WITH told AS (SELECT id, unnest(pii_digests) AS digest FROM measures)
        SELECT split_part(digest, ':', 1) AS kind, digest, list(id ORDER BY id) AS ids FROM told
            GROUP BY digest HAVING count(*) > 1 ORDER BY kind, digest
        """
    ).fetchall()
    found = {kind: [row[2] for row in group] for kind, group in groupby(rows, lambda row: row[0])}
    for kind in KINDS:
        values = found.get(kind, [])
        yield Finding(
            audit=NAME,
            name=f"repeated {kind} values",
            value=len(values),
            ids=tuple(sorted({sample for ids in values for sample in ids})),
            note="Values that stand in more than one sample, told apart by salted digests.",
        )


def _second_opinion(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield where Presidio and this audit differ, kind by kind."""
    if not ids_where(measures, "pii_presidio_kinds IS NOT NULL"):
        return
    for kind in PRESIDIO_KINDS.values():
        ours = f"list_contains(pii_kinds, '{kind}')"
        theirs = f"list_contains(pii_presidio_kinds, '{kind}')"
        for who, condition in (
            ("Presidio alone", f"{theirs} AND NOT {ours}"),
            ("Presidio missing", f"{ours} AND NOT {theirs}"),
        ):
            if ids := ids_where(measures, condition):
                yield count_of(NAME, f"{kind} by {who}", ids)


def _releases(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    query = "SELECT DISTINCT model_release FROM measures WHERE model_release IS NOT NULL ORDER BY 1"
    for (status,) in measures.sql(query).fetchall():
        ids = ids_where(measures, f"model_release = '{status}'")
        note = "What the file states; whether a release was signed is not seen."
        yield count_of(NAME, f"model release {status}", ids, note=note)


def _documents(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    total = len(ids_where(measures, "document_like IS NOT NULL"))
    note = "Lines of small dark writing on pale ground; nothing is read, and posters look so too."
    for step in DOCUMENT_STEPS:
        ids = ids_where(measures, f"document_like >= {step}")
        name = f"document-like from {step} share"
        yield share_of(NAME, name, count=len(ids), total=total, ids=ids, note=note)


def _consent(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield how many samples carry a consent reference: of all, and of those with persons."""
    shown = "pii_count > 0 OR person_named OR face_marked"
    seen = "identifiers, names or face regions in files"
    if "faces" in measures.sql("SELECT * FROM measures LIMIT 0").columns:
        shown, seen = f"{shown} OR faces > 0", f"detected faces, {seen}"
    yield from _coverage(measures, "consent share", MEASURED)
    yield from _coverage(measures, "consent share where persons", shown, seen=seen)
    alone = ids_where(measures, f"({shown} OR gps OR device_owner) AND NOT consent")
    yield count_of(NAME, "personal data without consent reference", alone, note=BLIND)


def _coverage(
    measures: duckdb.DuckDBPyConnection, name: str, condition: str, *, seen: str = ""
) -> Iterator[Finding]:
    """Yield the share with a consent reference among samples, in all and by source."""
    rows = measures.sql(
        "SELECT coalesce(source, ''), count(*), count(*) FILTER (consent) FROM measures "  # noqa: S608  ours
        f"WHERE {condition} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    places = {f"{name} in {printable(source or 'no named source')}": told for source, *told in rows}
    in_all = {name: [sum(row[1] for row in rows), sum(row[2] for row in rows)]}
    for place, (total, count) in {**in_all, **places}.items():
        note = f"{count} of {total} samples carry a consent reference; its validity is not seen."
        note += f" Persons here: {seen}." if seen else ""
        yield share_of(NAME, place, count=count, total=total, note=note)
