"""Duplicate audit: samples with the same bytes, the same pixels, or all but the same pixels.

A hash proposes; the two pictures, decoded again, are compared before a near-duplicate is called
one. Each near-duplicate was itself compared with the sample in `duplicate_of`, not joined to it
through a third. Samples whose declared attributes differ are never compared: a drawing with
another skin tone is another sample.

Does not see: a copy that was mirrored, turned, cropped or turned grey, one of a picture too plain
to hash, and pictures that mean the same and look different.
"""

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures, count_of, share_of
from audits.likeness import MOST_BITS, Agreement, close_pairs, hashes, reduced
from governance.canon import parse_json, printable
from governance.errors import UsageError
from governance.records import Finding, as_object

AUDIT = "duplicates"
REDUCED_KEPT = 4096  # pictures of 12 kB kept while pairs are compared
SPELLINGS, LONGEST_NAME = 20, 120  # label differences reported one by one, characters of each


class Sample(NamedTuple):
    """What tells samples apart; the one to keep sorts first: larger, better told, lower id."""

    area: int  # of the picture in pixels, negative
    told: int  # characters of the caption, negative
    id: str
    sha256: str
    picture: str  # digest of the pixels; of the bytes where they could not be decoded
    phash: str  # '' where there is none, or the picture is too plain for one
    labels: str  # the declared attributes as canonical JSON


Groups = list[list[list[Sample]]]  # equal pictures, then equal labels, best sample first
Reach = dict[str, list[str]]  # a hash, and the hashes near it


class Duplicate(NamedTuple):
    """A sample, the sample it repeats, how, and whether both declare the same attributes."""

    id: str
    duplicate_of: str
    duplicate_kind: str
    duplicate_same_attributes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesAudit:
    """How close two hashes are compared, and how closely two pictures must agree."""

    name: ClassVar[str] = AUDIT
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("phash", pa.string()),  # 16 hex digits, as `str(imagehash.phash(thumbnail))`
            ("low_information", pa.bool_()),  # too plain for the hash to mean anything
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema(
        [
            ("duplicate_of", pa.string()),
            ("duplicate_kind", pa.string()),  # exact-bytes, exact-pixels, near
            ("duplicate_same_attributes", pa.bool_()),
        ]
    )

    near_bits: int = 8  # of 64
    agreement: Agreement = field(default_factory=Agreement)

    def __post_init__(self) -> None:
        """Raise UsageError for a distance at which the search could miss a pair."""
        if not 0 <= self.near_bits <= MOST_BITS:
            raise UsageError(f"near_bits is {self.near_bits}; give 0 to {MOST_BITS}.")

    def measure(self, batch: Batch) -> Columns:
        """Hash each thumbnail."""
        hashed = iter(hashes([picture.image for picture in batch.pictures if picture]))
        rows = [next(hashed) if picture else (None, None) for picture in batch.pictures]
        return {"phash": [row[0] for row in rows], "low_information": [row[1] for row in rows]}

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Group equal pictures, propose near ones by hash, and compare the pictures of those."""
        groups = _groups(_samples(measures))
        hashed = sorted(unit[0] for units in groups for unit in units if unit[0].phash)
        reach = _reach(hashed, self.near_bits)
        near, told_apart = self._near(hashed, reach, pictures)
        found = {row.id: row for row in (*_exact(groups), *near)}
        findings = (
            *_exact_findings(groups),
            *_label_findings(groups),
            *_near_findings(near, told_apart, _labels_apart(hashed, reach)),
            *_hash_findings(measures),
        )
        rows = [found[sample]._asdict() for sample in sorted(found)]
        return Conclusion(
            findings,
            pa.Table.from_pylist(rows, schema=pa.schema([("id", pa.string()), *self.relations])),
        )

    def _near(
        self, hashed: Sequence[Sample], reach: Reach, pictures: Pictures
    ) -> tuple[list[Duplicate], int]:
        """Return the near-duplicates, and how many proposed pairs were compared and differ.

        The best sample takes what agrees with it; what is taken takes nothing itself.
        """
        seen = functools.lru_cache(REDUCED_KEPT)(lambda sample: reduced(pictures(sample)))
        alike = defaultdict[tuple[str, str], list[Sample]](list)
        for sample in hashed:
            alike[sample.labels, sample.phash].append(sample)
        taken, told_apart = dict[str, Duplicate](), 0
        for first in hashed:
            if first.id in taken:
                continue
            for other in (s for phash in reach[first.phash] for s in alike[first.labels, phash]):
                if other.id in taken or other <= first:
                    continue
                if self.agreement.holds(seen(first.id), seen(other.id)):
                    taken[other.id] = Duplicate(other.id, first.id, "near", True)  # noqa: FBT003
                else:
                    told_apart += 1
        return list(taken.values()), told_apart


def _samples(measures: duckdb.DuckDBPyConnection) -> list[Sample]:
    """Return the samples that have bytes, best first.

    What is suspected (see `audits.nsfw`) is told apart by its digests alone.
    """
    columns = {row[0] for row in measures.sql("DESCRIBE measures").fetchall()}
    hidden = "low_information OR suspected" if "suspected" in columns else "low_information"
    rows = measures.sql(
        "SELECT coalesce(-width_px * height_px, 0), -length(coalesce(caption, '')), id, sha256, "  # noqa: S608  words of ours
        f"coalesce(pixels_sha256, sha256), CASE WHEN NOT ({hidden}) THEN phash ELSE '' END, "
        "coalesce(nullif(attributes, ''), '{}') FROM measures WHERE size_bytes > 0 ORDER BY ALL"
    )
    return [Sample(*row) for row in rows.fetchall()]


def _groups(samples: Iterable[Sample]) -> Groups:
    """Return pictures that are equal, each as units that also declare the same."""
    by_picture = defaultdict[str, dict[str, list[Sample]]](dict)
    for sample in samples:
        by_picture[sample.picture].setdefault(sample.labels, []).append(sample)
    return [list(units.values()) for units in by_picture.values()]


def _exact(groups: Groups) -> Iterator[Duplicate]:
    """Yield, within each unit, the repeats of its first; then the first of the other units."""
    for units in groups:
        for unit in units:
            for repeat in unit[1:]:
                yield _equal(repeat, unit[0])
        for other in units[1:]:
            yield _equal(other[0], units[0][0])


def _equal(one: Sample, kept: Sample) -> Duplicate:
    kind = "exact-bytes" if one.sha256 == kept.sha256 else "exact-pixels"
    return Duplicate(one.id, kept.id, kind, one.labels == kept.labels)


def _reach(hashed: Iterable[Sample], bits: int) -> Reach:
    """Return, for each hash, itself and the others at most `bits` away."""
    unique = sorted({sample.phash for sample in hashed})
    reach = {phash: [phash] for phash in unique}
    numbers = np.array([int(phash, 16) for phash in unique], dtype=np.uint64)
    for one, other in close_pairs(numbers, bits).tolist():
        reach[unique[one]].append(unique[other])
        reach[unique[other]].append(unique[one])
    return reach


def _labels_apart(hashed: Iterable[Sample], reach: Reach) -> int:
    """Return how many pairs look alike to the hash and were not compared: their labels differ."""
    labels = defaultdict[str, Counter[str]](Counter)
    for sample in hashed:
        labels[sample.phash][sample.labels] += 1
    apart = 0
    for phash, ones in labels.items():
        for other in reach[phash]:
            others = labels[other]
            apart += ones.total() * others.total()
            apart -= sum(count * others[label] for label, count in ones.items())
    return apart // 2  # each pair was met from both sides


def _exact_findings(groups: Groups) -> Iterator[Finding]:
    repeated = [[sample for unit in units for sample in unit] for units in groups]
    digests = Counter(sample.sha256 for samples in repeated for sample in samples)
    bytes_ids = [s.id for samples in repeated for s in samples if digests[s.sha256] > 1]
    yield Finding(
        audit=AUDIT,
        name="groups of equal bytes",
        value=sum(count > 1 for count in digests.values()),
        ids=tuple(bytes_ids),
        note="Samples whose image files have one SHA-256.",
    )
    pixels = [samples for samples in repeated if len(samples) > 1]
    yield Finding(
        audit=AUDIT,
        name="groups of equal pixels",
        value=len(pixels),
        ids=tuple(sample.id for samples in pixels for sample in samples),
        note="Samples that decode to the same pixels; `duplicate_of` says which belong together.",
    )


def _label_findings(groups: Groups) -> Iterator[Finding]:
    """Yield the groups whose labels differ where pixels do not, then how they differ."""
    mixed = [units for units in groups if len(units) > 1]
    yield Finding(
        audit=AUDIT,
        name="groups of equal pixels under different labels",
        value=len(mixed),
        ids=tuple(sample.id for units in mixed for unit in units for sample in unit),
        note="One picture stands for several groups of people: counts by label overstate variety.",
    )
    spelt = Counter(text for units in mixed for text in _differences(units))
    for text, count in sorted(spelt.items(), key=lambda item: (-item[1], item[0]))[:SPELLINGS]:
        yield Finding(audit=AUDIT, name=f"equal pixels under {text}", value=count)


def _differences(units: Iterable[Sequence[Sample]]) -> Iterator[str]:
    """Yield `axis: one | other` for each axis on which units of one picture differ."""
    declared = [as_object(parse_json(unit[0].labels), "attributes") for unit in units]
    for axis in sorted(set().union(*declared)):
        values = {str(labels.get(axis, "nothing declared")) for labels in declared}
        if len(values) > 1:
            yield printable(f"{axis}: {' | '.join(sorted(values))}")[:LONGEST_NAME]


def _near_findings(
    near: Sequence[Duplicate], told_apart: int, labels_apart: int
) -> Iterator[Finding]:
    yield count_of(
        AUDIT,
        "near-duplicates",
        sorted(row.id for row in near),
        note="Not seen: mirrored, turned, cropped or grey copies, and pictures too plain to hash.",
    )
    yield Finding(
        audit=AUDIT,
        name="look-alike pairs told apart by their pixels",
        value=told_apart,
        note="The hash proposed them; compared at 64 x 64 in grey and colour, they differ.",
    )
    yield Finding(
        audit=AUDIT,
        name="look-alike pairs with different labels",
        value=labels_apart,
        note="Never compared, so that removing duplicates cannot remove a group of people.",
    )


def _hash_findings(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    total, hashed, plain = measures.sql(
        "SELECT count(*), count(phash), count(*) FILTER (low_information) FROM measures"
    ).fetchall()[0]
    yield share_of(AUDIT, "hashed", count=hashed, total=total)
    yield Finding(
        audit=AUDIT,
        name="pictures too plain to hash",
        value=plain,
        note="They are compared by bytes and pixels alone.",
    )
    repeats = measures.sql(
        "SELECT coalesce(sum(n), 0) FROM "
        "(SELECT count(*) AS n FROM measures WHERE caption <> '' GROUP BY caption HAVING n > 1)"
    ).fetchall()[0][0]
    yield Finding(
        audit=AUDIT,
        name="samples whose caption stands more than once",
        value=int(repeats),
        note="Compared letter by letter.",
    )
