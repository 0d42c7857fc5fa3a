"""The shape of an audit: columns it promises, a measure for each sample, a conclusion for the set.

An audit never judges: no threshold, no verdict. What is allowed stands in `policies/`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from governance.images import Picture
from governance.records import Finding

Columns = Mapping[str, Sequence[object]]  # one value a sample, None where nothing was measured
Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB
Pictures = Callable[[str], Pixels]  # the decoded picture of a sample id, longest side 320 px

LONGEST_PX = 320  # what the detector reads; the hashes are made from the same thumbnail
Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples as manifest rows; each one's picture, None where it is none; its encoded bytes."""

    samples: pa.Table
    pictures: tuple[Picture | None, ...]
    images: tuple[bytes, ...]

    def text(self, column: str) -> list[str]:
        """Return a text column of the manifest, with '' where nothing is said."""
        return [value or "" for value in self.samples[column].to_pylist()]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What an audit says of the whole set: findings, and columns only the whole set can tell.

    `columns` has an `id` column and the audit's promised `relations`; a sample without a row has
    NULL there.
    """

    findings: tuple[Finding, ...]
    columns: pa.Table | None = None


class Audit(Protocol):
    """An audit. Settings are dataclass fields, so `repr(audit)` says exactly what was run."""

    name: ClassVar[str]
    columns: ClassVar[pa.Schema]  # what `measure` promises for each sample
    relations: ClassVar[pa.Schema]  # what `conclude` promises for some samples, beside their id

    def measure(self, batch: Batch) -> Columns:
        """Return the promised columns, one value a sample, in the order of the batch."""
        ...

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:
        """Return findings by SQL over the view `measures`.

        The view has the columns of manifest, engine and every audit, and the relations of the
        audits that concluded before this one.
        """
        ...


def wilson(count: int, total: int, z: float = Z_95) -> tuple[float, float]:
    """Return the interval of a share, of 95 % unless told, both ends in 0..1; (0, 1) of nothing.

    Source: Wilson 1927, JASA 22(158), equation for the score interval.
    """
    if total == 0:
        return 0.0, 1.0
    share, spread = count / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    low = 0.0 if count == 0 else centre - half  # exactly, where rounding would leave 1e-19
    return low, 1.0 if count == total else centre + half


def share_of(
    audit: str, name: str, *, count: int, total: int, ids: Iterable[str] = (), note: str = ""
) -> Finding:
    """Return a share as a finding with its Wilson interval."""
    low, high = wilson(count, total)
    value = count / total if total else 0.0
    return Finding(
        audit=audit, name=name, value=value, low=low, high=high, ids=tuple(ids), note=note
    )


def ids_where(
    measures: duckdb.DuckDBPyConnection, condition: str, *values: str | Sequence[str]
) -> list[str]:
    """Return the ids of samples for which a condition of ours holds, sorted.

    Args:
        measures: with the view `measures`.
        condition: SQL of ours, never of a dataset; `?` stands for each of the values.
        values: what is compared.
    """
    query = f"SELECT id FROM measures WHERE {condition} ORDER BY id"  # noqa: S608  ours
    return [row[0] for row in measures.execute(query, list(values)).fetchall()]


def count_of(audit: str, name: str, ids: Sequence[str], *, note: str = "") -> Finding:
    """Return a count as a finding, with the samples it counts."""
    return Finding(audit=audit, name=name, value=len(ids), ids=tuple(ids), note=note)
