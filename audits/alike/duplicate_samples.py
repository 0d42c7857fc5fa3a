"""Samples as the duplicate audit sees them: which is kept first, and which are equal.

Does not see: near-duplicates; `audits.duplicates` compares those.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import duckdb

from audits.alike.keeping import conditions

LICENCE = ("licence_claims", "licence_unrecognised", "licence_conflict", "optout")


class Sample(NamedTuple):
    """What tells samples apart; the one to keep sorts first.

    That is the one whose licence asks least, then the larger, the better told, the lower id.
    """

    asked: int  # of whoever uses it, see `keeping.conditions`
    area: int  # of the picture in pixels, negative
    told: int  # characters of the caption, negative
    id: str
    sha256: str
    picture: str  # digest of the pixels; of the bytes where they could not be decoded
    views: bytes  # packed hashes; none where there are no pixels, or they are too plain
    labels: str  # the declared attributes as canonical JSON
    words: int  # a hash of the caption, without case
    source: str


class Clusters:
    """Which samples are one picture, through any number of copies. A union-find forest."""

    def __init__(self) -> None:
        """Begin with every sample apart."""
        self._above: dict[Sample, Sample] = {}

    def join(self, one: Sample, other: Sample) -> None:
        """Put two samples and all that is with them together."""
        first, second = sorted((self.root(one), self.root(other)))
        self._above.setdefault(first, first)
        self._above[second] = first

    def root(self, sample: Sample) -> Sample:
        """Return the best of the samples that are one picture with this one."""
        while (above := self._above.get(sample, sample)) != sample:
            sample = above
        return sample

    def joined(self, one: Sample, other: Sample) -> bool:
        """Return whether two samples are known to be one picture."""
        return self.root(one) == self.root(other)

    def roots(self) -> dict[str, str]:
        """Return, for each sample that is not alone, the id of the best in its cluster."""
        return {sample.id: self.root(sample).id for sample in list(self._above)}


class Duplicate(NamedTuple):
    """A sample, the sample it repeats, how, and whether both declare the same attributes."""

    id: str
    duplicate_of: str
    duplicate_kind: str
    duplicate_same_attributes: bool
    duplicate_view: str | None = None


Groups = list[list[list[Sample]]]  # equal pictures, then equal labels, best sample first


def samples_of(measures: duckdb.DuckDBPyConnection) -> list[Sample]:
    """Return the samples that have bytes, best first.

    What is suspected (see `audits.nsfw`) is told apart by its digests alone. Without a licence
    audit nothing is known of any licence.
    """
    columns = {row[0] for row in measures.sql("DESCRIBE measures").fetchall()}
    views = "phash_views" if "suspected" not in columns else "if(suspected, NULL, phash_views)"
    claims = LICENCE if columns.issuperset(LICENCE) else ("NULL", "true", "false", "NULL")
    rows = measures.sql(
        f"SELECT {', '.join(claims)}, "  # noqa: S608  words of ours
        "coalesce(-width_px * height_px, 0), -length(coalesce(caption, '')), id, sha256, "
        f"coalesce(pixels_sha256, sha256), coalesce({views}, ''::BLOB), "
        "coalesce(nullif(attributes, ''), '{}'), hash(lower(trim(coalesce(caption, '')))), "
        "coalesce(source, '') FROM measures WHERE size_bytes > 0"
    )
    return sorted(
        Sample(
            conditions(
                claimed,
                unrecognised=unrecognised is not False,
                conflict=conflict is not False,
                opted_out=bool(optout),
            ),
            *rest,
        )
        for claimed, unrecognised, conflict, optout, *rest in rows.fetchall()
    )


def groups_of(samples: Iterable[Sample]) -> Groups:
    """Return pictures that are equal, each as units that also declare the same."""
    by_picture = defaultdict[str, dict[str, list[Sample]]](dict)
    for sample in samples:
        by_picture[sample.picture].setdefault(sample.labels, []).append(sample)
    return [list(units.values()) for units in by_picture.values()]


def equal_ones(groups: Groups, clusters: Clusters) -> Iterator[Duplicate]:
    """Yield, within each unit, the repeats of its first; then the first of the other units."""
    for units in groups:
        for unit in units:
            for repeat in unit[1:]:
                clusters.join(repeat, unit[0])
                yield _equal(repeat, unit[0])
        for other in units[1:]:
            yield _equal(other[0], units[0][0])


def join_labels(groups: Groups, clusters: Clusters) -> None:
    """Put equal pictures together whatever is declared of them.

    Only once near ones were compared: a picture in one group of people stands for no other group.
    """
    for units in groups:
        for other in units[1:]:
            clusters.join(other[0], units[0][0])


def near_one(one: Sample, kept: Sample, view: str) -> Duplicate:
    """Return a sample as a near-duplicate of another with the same labels."""
    return Duplicate(one.id, kept.id, "near", duplicate_same_attributes=True, duplicate_view=view)


def _equal(one: Sample, kept: Sample) -> Duplicate:
    kind = "exact-bytes" if one.sha256 == kept.sha256 else "exact-pixels"
    return Duplicate(one.id, kept.id, kind, one.labels == kept.labels)
