"""Locality audit: where subjects, samples, stores, copies, processors and compute are said to be.

A subject's country is what the dataset declares, else the named boundary that holds the position
in the picture; never what somebody looks like. The position itself is not kept.

Does not see: whether bytes lie where records say, places nobody declares, or who controls them.
Which duty follows, and from when, stands in the policies.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import duckdb
import pyarrow as pa
from pydantic import Field

from audits.audit import Batch, Columns, Conclusion, Pictures, count_of, share_of
from audits.places.boundary import OUTSIDE, Boundary, BoundaryTable, Code, countries_of
from audits.places.flows import UNKNOWN, Processor, Stop, findings_of
from audits.places.positions import IMPLAUSIBLE, position_of
from audits.settings import Label, Written, read_table
from governance.canon import Json, parse_json, printable, sha256
from governance.errors import UsageError
from governance.places import country_named, table_bytes
from governance.records import Finding, as_object

NAME = "locality"
BLIND = "A declared region is a claim; copies and the position of the bytes are not seen."
SILENT = frozenset({"", "n/a", "na", "none", "null", "unknown", "unspecified"})
REGION_LENGTH = 64  # characters; no provider's name comes near it
REGIONS = 50  # regions, and countries of subjects, that get a finding of their own
SUBJECT = ("country_of_origin", "nationality", "region_of_origin")  # the first that is a country


class LocalityTable(Written):
    """The table [audits.locality]: where data goes, each region as `provider:region`."""

    home: Code = "IN"
    boundaries: list[BoundaryTable] = Field(default_factory=list)
    stores: list[Label] = Field(default_factory=list)
    copies: list[Label] = Field(default_factory=list)
    processors: list[Processor] = Field(default_factory=list)
    compute: Label | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityAudit:
    """Home is the country that flows are counted out of; boundaries count in their order."""

    name: ClassVar[str] = NAME
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("storage_region", pa.string()),
            ("subject_country", pa.string()),  # 'unknown' where what is declared is no country
            ("gps_country", pa.string()),  # also 'outside' and 'implausible'
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([])

    home: str = "IN"
    boundaries: tuple[Boundary, ...] = ()
    processors: tuple[Processor, ...] = ()
    stops: tuple[Stop, ...] = ()
    regions_sha256: str = field(default_factory=lambda: sha256(table_bytes()))

    @classmethod
    def of(cls, table: Mapping[str, Json], folder: Path) -> Self:
        """Read the operator's table.

        Raises:
            UsageError: a key is unknown or ill-typed, a place stands twice, or a boundary is none.
            EvidenceMissing: a boundary's file is not there.
        """
        told = read_table(LocalityTable, NAME, table)
        stops = (
            *(Stop("store", region, region) for region in told.stores),
            *(Stop("copy", region, region) for region in told.copies),
            *(Stop("processor", one.name, one.region) for one in told.processors),
            *(Stop("compute", region, region) for region in filter(None, [told.compute])),
        )
        if twice := [name for name, n in Counter((s.kind, s.name) for s in stops).items() if n > 1]:
            raise UsageError(
                f"pramana.toml, [audits.locality], has the {' '.join(twice[0])!r} twice; keep one."
            )
        return cls(
            home=told.home,
            boundaries=tuple(Boundary.of(one, folder) for one in told.boundaries),
            processors=tuple(told.processors),
            stops=stops,
        )

    def measure(self, batch: Batch) -> Columns:
        """Read the declared region and origin, and in which boundary the picture was taken.

        Raises what `Boundary.holds` raises.
        """
        pictures = batch.pictures if self.boundaries else [None] * len(batch.pictures)
        positions = [None if picture is None else position_of(picture) for picture in pictures]
        return {
            "storage_region": [region_of(text) for text in batch.text("region")],
            "subject_country": [origin_of(text) for text in batch.text("attributes")],
            "gps_country": countries_of(positions, self.boundaries),
        }

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Count regions, origins and positions, and say what flows from where to where."""
        del pictures  # a picture does not say where it lies
        return Conclusion((
            *_shares(measures, "storage_region", "region={} share", "region unknown share"),
            *_shares(measures, "subject_country", "subjects of {} share", "subjects unsaid share"),
            *self._positions(measures),
            *findings_of(
                _held(measures), self.stops, self.processors, audit=NAME, home=self.home
            ),
        ))  # fmt: skip

    def _positions(self, measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
        """Yield how many positions lie where; nothing where no boundary was named."""
        if not self.boundaries:
            return
        named = (f"{b.country} by {b.name}, sha256 {b.sha256[:12]}" for b in self.boundaries)
        note = f"Held against {'; '.join(named)}. Where a position is genuine is not seen."
        found = _grouped(measures, "gps_country")
        countries = sorted({boundary.country for boundary in self.boundaries})
        for value in (*countries, OUTSIDE, IMPLAUSIBLE):
            ids = next((ids for said, ids in found if said == value), [])
            yield count_of(NAME, _position_name(value), ids, note=note)


def region_of(declared: str) -> str | None:
    """Return a declared region in one spelling: lower case, `provider:region` or `region`."""
    said = " ".join(printable(unicodedata.normalize("NFKC", declared)).casefold().split())
    return None if said in SILENT else re.sub(r" ?[/:] ?", ":", said)[:REGION_LENGTH]


def origin_of(attributes: str) -> str | None:
    """Return the country of a subject as declared, `unknown` where it is no country, or None.

    Raises:
        UsageError: the text is not JSON.
        Tampered: it is JSON and not an object.
    """
    if not any(key in attributes for key in SUBJECT):
        return None
    told = as_object(parse_json(attributes), "the attributes of a sample")
    said = [region_of(value) for key in SUBJECT for value in _texts(told.get(key))]
    named = [country_named(text) for text in said if text]
    return next(filter(None, named), UNKNOWN) if named else None


def _texts(value: Json) -> Iterable[str]:
    """Return a value that is one text; several people's origins are not one country."""
    if isinstance(value, list | tuple) and len(value) == 1:
        (value,) = value
    if isinstance(value, str):
        return (value,)
    return () if value is None else ("several",)


def _position_name(value: str) -> str:
    return {
        OUTSIDE: "positions outside every boundary",
        IMPLAUSIBLE: "positions that are implausible",
    }.get(value, f"positions in {value}")


def _grouped(
    measures: duckdb.DuckDBPyConnection, column: str
) -> Sequence[tuple[str | None, list[str]]]:
    """Return the values of a column with their samples, most frequent first."""
    return measures.sql(
        f"""
        SELECT {column}, list(id ORDER BY id) AS ids FROM measures
        GROUP BY {column} ORDER BY len(ids) DESC, {column}
        """  # noqa: S608  one of our columns
    ).fetchall()


def _shares(
    measures: duckdb.DuckDBPyConnection, column: str, name: str, unsaid: str
) -> Iterator[Finding]:
    rows = _grouped(measures, column)
    total = sum(len(ids) for _, ids in rows)
    said = [(value, ids) for value, ids in rows if value is not None]
    for value, ids in said[:REGIONS]:
        yield share_of(NAME, name.format(value), count=len(ids), total=total, ids=ids, note=BLIND)
    if rest := sum(len(ids) for _, ids in said[REGIONS:]):
        yield share_of(NAME, name.format("other"), count=rest, total=total)
    ids = next((ids for value, ids in rows if value is None), [])
    yield share_of(NAME, unsaid, count=len(ids), total=total, ids=ids, note=BLIND)


def _held(measures: duckdb.DuckDBPyConnection) -> dict[tuple[str, str | None], int]:
    """Return how many samples of subjects from where are held in which region."""
    rows = measures.execute(
        """
        SELECT coalesce(
            nullif(subject_country, $unknown),
            CASE WHEN gps_country NOT IN ($outside, $implausible) THEN gps_country END,
            $unknown
        ) AS subject, storage_region, count(*)
        FROM measures GROUP BY ALL ORDER BY ALL
        """,
        {"unknown": UNKNOWN, "outside": OUTSIDE, "implausible": IMPLAUSIBLE},
    ).fetchall()
    return {(subject, region): count for subject, region, count in rows}
