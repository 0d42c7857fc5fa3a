"""Duplicate audit: samples with the same bytes, the same pixels, or pixels made from one picture.

A hash of five views in eight turns proposes; the two pictures, decoded again, are laid on each
other and compared before a near-duplicate is called one. Each near-duplicate was itself compared
with the sample in `duplicate_of`, not joined to it through a third. Samples whose declared
attributes differ are never compared: a drawing with another skin tone is another sample.

Does not see: a copy cropped to less than two fifths of its area or far from its middle, one turned
by other than quarters beyond a few degrees, one of a picture too plain to hash, and pictures that
mean the same and look different.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import duckdb
import pyarrow as pa
from pydantic import Field

from audits.alike.copies import Copies, Copy, Seen, Way
from audits.alike.duplicate_findings import (
    Told,
    cluster_findings,
    exact_findings,
    hash_findings,
    near_findings,
)
from audits.alike.duplicate_samples import (
    Clusters,
    Duplicate,
    Groups,
    Sample,
    equal_ones,
    groups_of,
    join_labels,
    near_one,
    samples_of,
)
from audits.alike.leaks import EvaluationSet, Leaks, leak_findings, leaks_of
from audits.alike.proposals import Proposals
from audits.alike.repeats import Repeats
from audits.alike.search import MOST_BITS
from audits.alike.views import hashes
from audits.audit import Batch, Columns, Conclusion, Pictures
from audits.settings import Hex, Label, Name, Written, place_of, read_table
from governance.canon import Json
from governance.errors import UsageError

AUDIT = "duplicates"
SEEN_KEPT = 256  # pictures of up to 300 kB kept while pairs are compared


class EvaluationTable(Written):
    """An entry of `evaluation_sets`: a table of hashes that another audit wrote."""

    name: Name
    path: Label
    sha256: Hex


class DuplicatesTable(Written):
    """The table [audits.duplicates]."""

    near_bits: int = 10
    caption_shared_runs: float = Field(default=0.8, gt=0, le=1)
    evaluation_sets: list[EvaluationTable] = Field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesAudit:
    """How close two hashes are compared, and how closely two pictures must agree."""

    name: ClassVar[str] = AUDIT
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("phash", pa.string()),  # 16 hex digits, as `str(imagehash.phash(thumbnail))`
            ("low_information", pa.bool_()),  # too plain for the hash to mean anything
            ("phash_views", pa.binary()),  # hashes of all views, packed as `views.ENTRY`
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema(
        [
            ("duplicate_of", pa.string()),
            ("duplicate_kind", pa.string()),  # exact-bytes, exact-pixels, near
            ("duplicate_same_attributes", pa.bool_()),
            ("duplicate_view", pa.string()),  # of a near one: whole, mirrored, part, grey, ...
            ("cluster", pa.string()),  # the id of the best sample of this picture
            ("leaks", pa.list_(pa.string())),  # exact:NAME, alike:NAME of evaluation sets
        ]
    )

    near_bits: int = 10  # of 64, upright
    turned_bits: int = 6  # of 64; a mirrored or quarter-turned copy keeps its hash
    leak_bits: int = 4  # of 64; there are no pixels of an evaluation set to compare
    most_apart: int = 32  # look-alikes of one sample that may differ before the rest is left
    copies: Copies = field(default_factory=Copies)
    repeats: Repeats = field(default_factory=Repeats)
    evaluation_sets: tuple[EvaluationSet, ...] = ()

    def __post_init__(self) -> None:
        """Raise UsageError for a distance at which the search could miss a pair."""
        for name in ("near_bits", "turned_bits", "leak_bits"):
            if not 0 <= getattr(self, name) <= MOST_BITS:
                raise UsageError(f"{name} is {getattr(self, name)}; give 0 to {MOST_BITS}.")

    @classmethod
    def of(cls, table: Mapping[str, Json], folder: Path) -> Self:
        """Read the operator's settings. Raises UsageError, EvidenceMissing."""
        read = read_table(DuplicatesTable, AUDIT, table)
        names = [known.name for known in read.evaluation_sets]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"The evaluation set {twice[0]!r} stands twice in pramana.toml.")
        return cls(
            near_bits=read.near_bits,
            repeats=Repeats(shared_runs=read.caption_shared_runs),
            evaluation_sets=tuple(
                EvaluationSet(
                    name=known.name,
                    sha256=known.sha256,
                    path=place_of(known.path, folder, "evaluation set"),
                )
                for known in read.evaluation_sets
            ),
        )

    def measure(self, batch: Batch) -> Columns:
        """Hash each thumbnail."""
        hashed = iter(hashes([picture.image for picture in batch.pictures if picture]))
        rows = [next(hashed) if picture else (None, None, None) for picture in batch.pictures]
        return {name: [row[n] for row in rows] for n, name in enumerate(self.columns.names)}

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Group equal pictures, propose near ones by hash, and compare the pictures of those."""
        samples, clusters = samples_of(measures), Clusters()
        groups = groups_of(samples)
        equal = list(equal_ones(groups, clusters))
        near, told = self._near(groups, pictures, clusters)
        join_labels(groups, clusters)
        roots, leaks = clusters.roots(), self._leaks(measures)
        findings = (
            *exact_findings(groups),
            *near_findings(near, told),
            *cluster_findings(samples, roots),
            *hash_findings(measures),
            *leak_findings(leaks, self.evaluation_sets),
            *self.repeats.findings(measures),
        )
        return Conclusion(findings, self._related([*equal, *near], roots, leaks))

    def _near(
        self, groups: Groups, pictures: Pictures, clusters: Clusters
    ) -> tuple[list[Duplicate], Told]:
        """Return the near-duplicates, and what else comparing came to.

        The best sample takes what agrees with it. What looks like one that is taken is compared
        with the sample that took it; if it does not agree with that, it is of the same cluster,
        and kept.
        """
        hashed = sorted(unit[0] for units in groups for unit in units if unit[0].views)
        proposals = Proposals(
            [sample.views for sample in hashed],
            near_bits=self.near_bits,
            turned_bits=self.turned_bits,
        )
        seen = functools.lru_cache(SEEN_KEPT)(lambda sample: Seen.of(pictures(sample.id)))
        taken, counts = dict[str, tuple[Sample, Copy]](), Counter[str]()
        for at, first in enumerate(hashed):
            differing = 0
            for place, ways in proposals.of(at):
                other = hashed[place]
                if other.labels != first.labels:
                    counts["labels apart"] += 1
                elif clusters.joined(first, other):
                    continue
                elif differing == self.most_apart:
                    counts["left"] += 1
                elif (copy := self._compared(first, other, ways, seen)) is None:
                    differing += 1
                else:
                    clusters.join(first, other)
                    self._take(first, other, copy, taken=taken, seen=seen)
            counts["apart"] += differing
        told = Told(
            apart=counts["apart"],
            labels_apart=counts["labels apart"],
            left=counts["left"] + proposals.cut,
            bits=proposals.bits,
        )
        best = {sample.id: sample for sample in hashed}
        return [near_one(best[name], kept, copy.how) for name, (kept, copy) in taken.items()], told

    def _compared(
        self, one: Sample, other: Sample, ways: Sequence[Way], seen: Callable[[Sample], Seen]
    ) -> Copy | None:
        same_words = one.words == other.words
        return self.copies.found(seen(one), seen(other), ways, same_words=same_words)

    def _take(
        self,
        first: Sample,
        other: Sample,
        copy: Copy,
        *,
        taken: dict[str, tuple[Sample, Copy]],
        seen: Callable[[Sample], Seen],
    ) -> None:
        """Note what `other`, a copy of `first`, repeats, unless it repeats something already."""
        if other.id in taken:
            return
        if first.id not in taken:
            taken[other.id] = first, copy
            return
        kept, between = taken[first.id]
        same_words = kept.words == other.words
        through = self.copies.through(seen(kept), between, seen(other), copy, same_words=same_words)
        if through is not None:
            taken[other.id] = kept, through

    def _leaks(self, measures: duckdb.DuckDBPyConnection) -> Leaks:
        if not self.evaluation_sets:
            return {}
        rows = measures.sql(
            "SELECT id, sha256, pixels_sha256, phash_views FROM measures "
            "WHERE size_bytes > 0 ORDER BY id"
        ).to_arrow_table()
        return leaks_of(rows, self.evaluation_sets, bits=self.leak_bits)

    def _related(
        self, found: Iterable[Duplicate], roots: Mapping[str, str], leaks: Leaks
    ) -> pa.Table:
        """Return a row for each sample that is not alone or stands in an evaluation set."""
        repeats = {row.id: row._asdict() for row in found}
        rows = [
            {
                "cluster": roots.get(name),
                "leaks": leaks.get(name),
                **repeats.get(name, {"id": name}),
            }
            for name in sorted({*roots, *leaks})
        ]
        schema = pa.schema([("id", pa.string()), *self.relations])
        return pa.Table.from_pylist(rows, schema=schema)
