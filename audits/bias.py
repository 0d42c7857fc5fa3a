"""Bias audit: who a dataset declares and its captions name, how many of each, and who is excluded.

Groups come from columns the dataset carries (*declared*) and from words of its captions (*stated*,
by an English and Indian lexicon). Nothing is ever read from a picture.

Does not see: anybody who is neither declared nor named, what a face is, or whether a label is true.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import duckdb
import numpy as np
import pyarrow as pa

from audits.audit import Batch, Columns, Conclusion, Pictures, share_of, wilson
from audits.captions import lexicon, stated
from governance.canon import Json, canonical, parse_json, printable
from governance.errors import EvidenceMissing
from governance.records import Finding, as_object

AUDIT = "bias"
Cells = Mapping[tuple[str, bool], int]  # samples by declared group, and whether they were kept
LONGEST = 80  # characters of one `axis=value`
GROUPS = 50  # groups of an axis reported one by one, the largest first
LEAST_CELL = 30  # samples below which a rate says nothing; the usual rule of thumb
SCARCE = "Insufficient evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasAudit:
    """Representation of declared and stated groups, with their intervals."""

    name: ClassVar[str] = AUDIT
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("declared", pa.list_(pa.string())),  # "axis=value" of the manifest's attributes
            ("stated", pa.list_(pa.string())),  # "axis=value" of the caption's words
        ]
    )
    relations: ClassVar[pa.Schema] = pa.schema([])

    def measure(self, batch: Batch) -> Columns:
        """Read each sample's attributes and caption."""
        return {
            "declared": [declared(text) for text in batch.text("attributes")],
            "stated": [stated(caption, lexicon("people")) for caption in batch.text("caption")],
        }

    def conclude(self, measures: duckdb.DuckDBPyConnection, pictures: Pictures) -> Conclusion:  # noqa: ARG002  the shape of an audit
        """Count each group, and say how evenly each axis is spread and how far it is declared."""
        return Conclusion((*_spread(measures, "declared"), *_spread(measures, "stated")))


def declared(attributes: str) -> list[str]:
    """Return what a sample's attributes declare, as sorted `axis=value`; lists count each value.

    Raises:
        UsageError: the text is not JSON.
        Tampered: it is JSON and not an object.
    """
    if not attributes:
        return []
    said = as_object(parse_json(attributes), "the attributes of a sample")
    return sorted({group for axis, value in said.items() for group in _groups(axis, value)})


def _groups(axis: str, value: Json) -> Iterator[str]:
    """Yield one `axis=value` for each value that says something."""
    for item in value if isinstance(value, list | tuple) else (value,):
        text = item if isinstance(item, str) else "" if item is None else canonical(item).decode()
        if text.strip():
            yield printable(f"{axis.replace('=', ' ')}={text.strip()}")[:LONGEST]


def _spread(measures: duckdb.DuckDBPyConnection, column: str) -> Iterator[Finding]:
    """Yield what one of our two columns covers, then each of its axes."""
    said = f"(SELECT id, unnest({column}) AS said FROM measures)"  # noqa: S608  a column of ours
    total, covered = measures.sql(
        f"SELECT count(*), count(*) FILTER (len({column}) > 0) FROM measures"  # noqa: S608
    ).fetchall()[0]
    by_axis = measures.sql(
        f"SELECT split_part(said, '=', 1), count(DISTINCT id) FROM {said} GROUP BY 1 ORDER BY 1"  # noqa: S608
    ).fetchall()
    by_group = measures.sql(
        f"SELECT said, count(*) AS n FROM {said} GROUP BY 1 ORDER BY n DESC, said"  # noqa: S608
    ).fetchall()
    yield share_of(AUDIT, f"samples with a {column} group", count=covered, total=total)
    for axis, samples in by_axis:
        groups = {group: n for group, n in by_group if group.partition("=")[0] == axis}
        yield share_of(AUDIT, f"{column} {axis} coverage", count=samples, total=total)
        yield from _axis(groups, samples, stem="" if column == "declared" else "stated ")


def _axis(groups: Mapping[str, int], samples: int, *, stem: str) -> Iterator[Finding]:
    """Yield how evenly an axis is spread over its groups, and each group's count and share."""
    axis = next(iter(groups)).partition("=")[0]
    yield Finding(
        audit=AUDIT,
        name=f"{stem}{axis} effective groups",
        value=_effective(groups.values()),
        note=f"Of {len(groups)}: the exponential of Shannon's entropy; equal groups all count.",
    )
    for group, count in list(groups.items())[:GROUPS]:
        yield Finding(audit=AUDIT, name=f"{stem}{group} samples", value=count)
        yield share_of(
            AUDIT,
            f"{stem}{group} share",
            count=count,
            total=samples,
            note=f"Of the samples that say anything of {axis}.",
        )


def _effective(counts: Collection[int]) -> float:
    """Return the effective number of groups, exp(H). Source: Hill 1973, Ecology 54(2), order 1."""
    total = sum(counts)
    return math.exp(-sum(n / total * math.log(n / total) for n in counts))


def parity(measures: pa.Table, excluded_ids: Collection[str]) -> tuple[Finding, ...]:
    """Return, for each declared group, the share of its samples that was kept; then the gaps.

    Fairlearn is given the table of counts with weights, not the rows: the same figures to the
    last bit, some forty times faster at a million rows.

    Args:
        measures: a table with the columns `id` and `declared`.
        excluded_ids: the samples a decision excluded.

    Raises:
        EvidenceMissing: fairlearn is not installed.
    """
    cells = _contingency(measures, excluded_ids)
    axes = sorted({group.partition("=")[0] for group, _ in cells})
    return tuple(finding for axis in axes for finding in _retention(axis, cells))


def _contingency(measures: pa.Table, excluded_ids: Collection[str]) -> Cells:
    """Return how many samples of each declared group were kept (True) and excluded (False)."""
    excluded = frozenset(excluded_ids)
    rows = zip(measures["id"].to_pylist(), measures["declared"].to_pylist(), strict=True)
    return Counter((group, id_ not in excluded) for id_, groups in rows for group in groups or ())


def _retention(axis: str, cells: Cells) -> Iterator[Finding]:
    own = {key: n for key, n in cells.items() if key[0].partition("=")[0] == axis}
    totals = Counter[str]()
    for (group, _), count in own.items():
        totals[group] += count
    rates, _, _ = _selection(own)
    for group in sorted(totals):
        low, high = wilson(own.get((group, True), 0), totals[group])
        yield Finding(
            audit=AUDIT,
            name=f"{group} retention",
            value=rates[group],
            low=low,
            high=high,
            note="" if totals[group] >= LEAST_CELL else f"{SCARCE}: {totals[group]} samples.",
        )
    enough = {key: n for key, n in own.items() if totals[key[0]] >= LEAST_CELL}
    yield from _gaps(axis, enough, len(totals))


def _gaps(axis: str, enough: Cells, groups: int) -> Iterator[Finding]:
    """Yield the difference and the ratio of retention between the groups that are large enough."""
    compared = len({group for group, _ in enough})
    note = f"Between {compared} of {groups} groups, those of at least {LEAST_CELL} samples."
    if compared < 2:  # noqa: PLR2004  a gap needs two
        note, gaps = f"{SCARCE} for a comparison. {note}", [math.nan, math.nan]
    else:
        _, *gaps = _selection(enough)
    for name, gap in zip(("difference", "ratio"), gaps, strict=True):
        value = None if math.isnan(gap) else gap  # a ratio to nothing kept at all
        yield Finding(audit=AUDIT, name=f"{axis} retention {name}", value=value, note=note)


def _selection(cells: Cells) -> tuple[dict[str, float], float, float]:
    """Return fairlearn's selection rate of each group, and the difference and ratio of extremes."""
    try:
        from fairlearn.metrics import MetricFrame, selection_rate  # noqa: PLC0415  heavy
    except ModuleNotFoundError:
        raise EvidenceMissing("Parity is measured by pramana[bias]: install it.") from None
    kept = [int(was_kept) for _, was_kept in cells]
    frame = MetricFrame(
        metrics=selection_rate,
        y_true=kept,
        y_pred=kept,
        sensitive_features=[group for group, _ in cells],
        sample_params={"sample_weight": list(cells.values())},
    )
    rates = zip(frame.by_group.index, np.asarray(frame.by_group).tolist(), strict=True)
    return dict(rates), float(np.asarray(frame.difference())), float(np.asarray(frame.ratio()))
