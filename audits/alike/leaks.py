"""Leakage: samples that stand in an evaluation set as well, told by that set's table of hashes.

The table comes from an audit of the evaluation set; its pictures are not needed, and so what only
looks alike to the hash is not compared any further, and is told apart from what is equal.

Does not see: copies of evaluation pictures that are cropped, turned or changed beyond the hash.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audits.alike.search import Hashes, close_pairs
from audits.alike.views import ENTRY
from audits.audit import count_of
from governance.canon import file_sha256
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.records import Finding

AUDIT = "duplicates"
EXACT, ALIKE = "exact", "alike"
TABLE = pa.schema(
    [
        ("id", pa.string()),
        ("sha256", pa.string()),
        ("pixels_sha256", pa.string()),
        ("phash_views", pa.binary()),  # packed `views.ENTRY`s
    ]
)
Leaks = Mapping[str, Sequence[str]]  # by sample id: `exact:NAME` or `alike:NAME`, sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSet:
    """A set that must not be trained on: its name, and the digest of its table of hashes."""

    name: str
    sha256: str
    path: Path = field(repr=False)  # what is audited is named by content, not by place


def hash_table(measures: pa.Table) -> pa.Table:
    """Return what another audit needs to find these samples again: digests and hashes, no pixels.

    Samples without pixels have no place in it, nor has what was withheld.
    """
    return measures.select(TABLE.names).cast(TABLE).filter(measures["pixels_sha256"].is_valid())


def leaks_of(samples: pa.Table, sets: Sequence[EvaluationSet], *, bits: int) -> Leaks:
    """Return which samples stand in which sets.

    Args:
        samples: with the columns of `TABLE`.
        sets: the evaluation sets.
        bits: how far apart two hashes of the same view may be, of 64.

    Raises:
        EvidenceMissing: a table is not where it was said to be.
        Tampered: it has another digest, or is no table of hashes.
    """
    found: dict[str, list[str]] = {}
    ids = np.array(samples["id"].to_pylist(), dtype=object)
    own = _Known.of(samples)
    for known in sorted(sets, key=lambda one: one.name):
        other = _Known.of(_loaded(known))
        exact = {n for n, kin in enumerate(own.digests) if kin & other.all_digests}
        for n in sorted(exact):
            found.setdefault(ids[n], []).append(f"{EXACT}:{known.name}")
        for n in sorted(_alike(own, other, bits=bits) - exact):
            found.setdefault(ids[n], []).append(f"{ALIKE}:{known.name}")
    return {name: sorted(said) for name, said in found.items()}


def leak_findings(leaks: Leaks, sets: Sequence[EvaluationSet]) -> Iterator[Finding]:
    """Yield how many samples stand in each evaluation set."""
    yield Finding(
        audit=AUDIT,
        name="evaluation sets compared",
        value=len(sets),
        note="Leakage is looked for in the sets that pramana.toml names, and in no other.",
    )
    for known in sorted(sets, key=lambda one: one.name):
        for kind, note in (
            (EXACT, "The same bytes or the same pixels."),
            (ALIKE, "The hash of a view lies close; there are no pixels to compare."),
        ):
            ids = sorted(name for name, said in leaks.items() if f"{kind}:{known.name}" in said)
            yield count_of(AUDIT, f"leakage {kind}:{known.name}", ids, note=note)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of the samples of a set."""

    digests: tuple[frozenset[str], ...]  # of bytes and pixels, a set a sample
    all_digests: frozenset[str]
    codes: Hashes
    owners: "np.ndarray[tuple[int], np.dtype[np.int64]]"

    @classmethod
    def of(cls, table: pa.Table) -> "_Known":
        packed = [views or b"" for views in table["phash_views"].to_pylist()]
        sizes = [len(views) // ENTRY.itemsize for views in packed]
        columns = (table[name].to_pylist() for name in ("sha256", "pixels_sha256"))
        digests = tuple(frozenset(filter(None, pair)) for pair in zip(*columns, strict=True))
        return cls(
            digests=digests,
            all_digests=frozenset().union(*digests),
            codes=np.frombuffer(b"".join(packed), ENTRY)["code"].astype(np.uint64),
            owners=np.repeat(np.arange(len(packed)), sizes),
        )


def _alike(own: _Known, other: _Known, *, bits: int) -> set[int]:
    """Return which of our samples have a view whose hash is close to one of the other set."""
    unique = np.unique(np.concatenate([own.codes, other.codes]))
    theirs = np.isin(unique, other.codes)
    near = theirs.copy()
    for one, two in ((0, 1), (1, 0)):
        pairs = close_pairs(unique, bits)
        near[pairs[theirs[pairs[:, one]], two]] = True
    return set(own.owners[near[np.searchsorted(unique, own.codes)]].tolist())


def _loaded(known: EvaluationSet) -> pa.Table:
    return _read(known.path, known.sha256, known.name)


@lru_cache(maxsize=8)
def _read(path: Path, sha256: str, name: str) -> pa.Table:
    """Read a table of hashes. Raises EvidenceMissing, Tampered."""
    if not path.is_file():
        raise EvidenceMissing(f"The hashes of evaluation set {name!r} are gone; put them back.")
    if file_sha256(path) != sha256:
        raise Tampered(
            f"The hashes of evaluation set {name!r} have another digest than pramana.toml says; "
            "restore the file, or write down the digest of the new one."
        )
    try:
        return pq.read_table(path).select(TABLE.names).cast(TABLE)
    except (pa.ArrowException, KeyError):
        raise UsageError(
            f"The file of evaluation set {name!r} is no table of hashes; write one from an audit "
            "of that set."
        ) from None
