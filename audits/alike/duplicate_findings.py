"""What the duplicate audit says of a whole set, from samples already grouped and compared.

Does not see: pictures.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import duckdb

from audits.alike.duplicate_samples import Duplicate, Groups, Sample
from audits.audit import count_of, share_of
from governance.records import Finding

AUDIT = "duplicates"


class Told(NamedTuple):
    """What comparing came to, beside the copies."""

    apart: int  # pairs that differ
    labels_apart: int  # pairs not compared, since their labels differ
    left: int  # pairs not compared, since too many like them were told apart
    bits: int  # how far apart upright views were compared


def exact_findings(groups: Groups) -> Iterator[Finding]:
    """Yield the groups of equal bytes and of equal pixels."""
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


def near_findings(near: Sequence[Duplicate], told: Told) -> Iterator[Finding]:
    """Yield the near-duplicates, how they were changed, and what was not one or not compared."""
    yield count_of(
        AUDIT,
        "near-duplicates",
        sorted(row.id for row in near),
        note=f"Views at most {told.bits} of 64 bits apart were compared by their pixels.",
    )
    changed = defaultdict[str, list[str]](list)
    for row in near:
        changed[row.duplicate_view or ""].append(row.id)
    for view in sorted(changed):
        yield count_of(AUDIT, f"near-duplicates: {view}", sorted(changed[view]))
    yield Finding(
        audit=AUDIT,
        name="look-alike pairs told apart by their pixels",
        value=told.apart,
        note="The hash proposed them; laid on each other and compared at 64 x 64, they differ.",
    )
    yield Finding(
        audit=AUDIT,
        name="look-alike pairs with different labels",
        value=told.labels_apart,
        note="Never compared, so that removing duplicates cannot remove a group of people.",
    )
    yield Finding(
        audit=AUDIT,
        name="look-alike pairs left uncompared",
        value=told.left,
        note="Of samples with many look-alikes that differ, the less alike are not compared.",
    )


def cluster_findings(samples: Sequence[Sample], roots: Mapping[str, str]) -> Iterator[Finding]:
    """Yield how many pictures stand more than once, and how many of those in several sources."""
    sources = {sample.id: sample.source for sample in samples}
    clusters = defaultdict[str, list[str]](list)
    for name, root in roots.items():
        clusters[root].append(name)
    yield Finding(
        audit=AUDIT,
        name="pictures that stand more than once",
        value=len(clusters),
        note="Clusters of equal and near copies, and of copies of those.",
    )
    across = [names for names in clusters.values() if len({sources[name] for name in names}) > 1]
    yield Finding(
        audit=AUDIT,
        name="pictures that stand in several sources",
        value=len(across),
        ids=tuple(sorted(name for names in across for name in names)),
        note="Sources are those the audit was given.",
    )


def hash_findings(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield how many pictures could be hashed."""
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
