"""Locality audit: in which region each sample is said to be stored.

Does not see: whether bytes lie where the record says, copies elsewhere, or where a GPS position
lies. A region's country is the policies' reference data: a name alone does not say its provider.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import duckdb
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures, share_of
from governance.canon import printable
from governance.records import Finding

NAME = "locality"
BLIND = "A declared region is a claim; copies and the position of the bytes are not seen."
SILENT = frozenset({"", "n/a", "na", "none", "null", "unknown", "unspecified"})
REGION_LENGTH = 64  # characters; no provider's name comes near it
REGIONS = 50  # regions that get a finding of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityAudit:
    """The audit has no settings."""

    name: ClassVar[str] = NAME
    columns: ClassVar[pa.Schema] = pa.schema([("storage_region", pa.string())])
    relations: ClassVar[pa.Schema] = pa.schema([])

    def measure(self, batch: Batch) -> Columns:
        """Return each sample's declared region, normalised, or None."""
        return {"storage_region": [region_of(text) for text in batch.text("region")]}

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Count regions, and samples of which none is said."""
        del pictures  # a picture does not say where it lies
        return Conclusion(tuple(_findings(measures)))


def region_of(declared: str) -> str | None:
    """Return a declared region in one spelling: lower case, `provider:region` or `region`."""
    said = " ".join(printable(unicodedata.normalize("NFKC", declared)).casefold().split())
    return None if said in SILENT else re.sub(r" ?[/:] ?", ":", said)[:REGION_LENGTH]


def _findings(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    rows = measures.sql(
        """
        SELECT storage_region, count(*) AS found, list(id ORDER BY id), sum(found) OVER ()
        FROM measures GROUP BY storage_region ORDER BY found DESC, storage_region
        """
    ).fetchall()
    said = [row for row in rows if row[0] is not None]
    total = int(rows[0][3]) if rows else 0
    for region, count, ids, _ in said[:REGIONS]:
        name = f"region={region} share"
        yield share_of(NAME, name, count=count, total=total, ids=ids, note=BLIND)
    rest = sum(row[1] for row in said[REGIONS:])
    if rest:
        yield share_of(NAME, "region=other share", count=rest, total=total)
    count, ids = next(((row[1], row[2]) for row in rows if row[0] is None), (0, []))
    yield share_of(NAME, "region unknown share", count=count, total=total, ids=ids, note=BLIND)
