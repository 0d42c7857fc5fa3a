"""Parity: whom the exclusions of a decision meet, rule by rule, and who is left afterwards.

Fairlearn is given the table of counts with weights, not the rows: the same figures to the last bit,
and some forty times faster at a million rows. A gap is also looked for within each source: where it
turns there (Simpson's paradox), or is not there at all, the sources explain it.

Does not see: whether an exclusion was right, groups of fewer than 30 samples, causes that no column
names, and the figures a rule could have read: parity is measured after the rules have judged.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from audits.audit import share_of, wilson
from audits.people.groups import AMBIGUOUS, LEAST, SCARCE, axis_of, names_somebody, stem
from audits.people.intervals import Stratum, common_difference, difference, multinomial_half, ratio
from audits.people.representation import GROUPS, effective
from governance.errors import EvidenceMissing
from governance.records import Finding

AUDIT = "bias"
ANY_RULE: Final = ""  # what was excluded at all
UNDER_RULE: Final = 8  # groups told one by one under each rule, the largest first
TWO: Final = 2  # a gap needs two groups, and a comparison two sources


class Kept(NamedTuple):
    """How many samples were kept, of how many."""

    kept: int
    total: int


class Selection(NamedTuple):
    """Fairlearn's selection rates, and the difference and ratio of the extremes."""

    rates: Mapping[str, float]
    difference: float
    ratio: float


Groups = dict[str, Kept]
Cells = Mapping[tuple[str, str, bool], int]  # samples by control, group, and whether they were kept
_SAID = f"""
CREATE TEMP TABLE said AS SELECT *, split_part(said, '=', 1) AS axis FROM (
  SELECT id, coalesce(source, '') AS source, 'declared' AS kind, unnest(declared) AS said
  FROM samples
  UNION ALL
  SELECT id, coalesce(source, '') AS source, 'stated' AS kind, unnest(stated) AS said
  FROM samples
) WHERE NOT starts_with(said, '{AMBIGUOUS}=')
"""  # noqa: S608  a word of ours
_TOTALS = "SELECT kind, said, source, count(*) FROM said GROUP BY ALL"
_OUT = """
SELECT kind, said, source, rule, count(*) FROM said JOIN (
  SELECT DISTINCT id, CAST(rule AS VARCHAR) AS rule FROM excluded
  UNION ALL SELECT DISTINCT id, '' AS rule FROM excluded
) USING (id) GROUP BY ALL
"""
_AXES = """
SELECT kind, axis, count(DISTINCT id) FILTER (id NOT IN (SELECT id FROM excluded)),
  count(DISTINCT id)
FROM said GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Samples of one axis, in all, and by group and source; and those out, by rule."""

    kind: str
    name: str
    samples: Kept
    totals: Mapping[tuple[str, str], int]
    out: Mapping[str, Mapping[tuple[str, str], int]]

    @property
    def title(self) -> str:
        """What the names of findings about the axis begin with."""
        return f"{stem(self.kind)}{self.name}"

    @property
    def sources(self) -> list[str]:
        """Where its samples came from, sorted."""
        return sorted({source for _, source in self.totals})

    def groups(self, rule: str = ANY_RULE, source: str | None = None) -> Groups:
        """Return each group's counts under a rule, the largest first; of all sources or one."""
        out, found = self.out.get(rule, {}), defaultdict[str, Kept](lambda: Kept(0, 0))
        for (group, of), count in self.totals.items():
            if source in {None, of}:
                kept, total = found[group]
                found[group] = Kept(kept + count - out.get((group, of), 0), total + count)
        return dict(sorted(found.items(), key=lambda item: (-item[1].total, item[0])))


def parity(samples: pa.Table, excluded: pa.Table) -> tuple[Finding, ...]:
    """Return what a decision does to each group: overall, rule by rule, and to who is left.

    Args:
        samples: a table with the columns `id`, `source`, `declared` and `stated`.
        excluded: a row for each sample and rule that takes it out, with `id` and `rule`.

    Raises:
        EvidenceMissing: fairlearn is not installed.
    """
    return tuple(finding for axis in _axes(samples, excluded) for finding in _axis(axis))


def selections(cells: Cells) -> dict[str, Selection]:
    """Return fairlearn's selection rate of each group, and their gaps, for each control.

    Raises:
        EvidenceMissing: fairlearn is not installed.
    """
    try:
        from fairlearn.metrics import MetricFrame, selection_rate  # noqa: PLC0415  heavy
    except ModuleNotFoundError:
        raise EvidenceMissing("Parity is measured by pramana[bias]: install it.") from None
    kept = [int(was_kept) for *_, was_kept in cells]
    frame = MetricFrame(
        metrics=selection_rate,
        y_true=kept,
        y_pred=kept,
        sensitive_features=[group for _, group, _ in cells],
        control_features=[control for control, *_ in cells],
        sample_params={"sample_weight": list(cells.values())},
    )
    rates, gaps, parts = (
        dict(zip(series.index.tolist(), np.asarray(series).tolist(), strict=True))
        for series in (frame.by_group, frame.difference(), frame.ratio())
    )
    return {
        control: Selection(
            {group: rate for (of, group), rate in rates.items() if of == control},
            gaps[control],
            parts[control],
        )
        for control in gaps
    }


def cells_of(by_control: Mapping[str, Groups]) -> Cells:
    """Return the contingency table of groups under controls, without its empty cells."""
    return {
        (control, group, was_kept): count
        for control, groups in by_control.items()
        for group, (kept, total) in groups.items()
        for was_kept, count in ((True, kept), (False, total - kept))
        if count
    }


def _axes(samples: pa.Table, excluded: pa.Table) -> Iterator[Axis]:
    with duckdb.connect() as connection:
        connection.register("samples", samples.select(["id", "source", "declared", "stated"]))
        connection.register("excluded", excluded.select(["id", "rule"]))
        connection.execute(_SAID)
        axes = connection.sql(_AXES).fetchall()
        totals = connection.sql(_TOTALS).fetchall()
        out = connection.sql(_OUT).fetchall()
    rules = sorted({row[3] for row in out})
    for kind, name, kept, total in axes:
        own = [row for row in out if row[0] == kind and axis_of(row[1]) == name]
        yield Axis(
            kind=kind,
            name=name,
            samples=Kept(kept, total),
            totals={
                row[1:3]: row[3] for row in totals if row[0] == kind and axis_of(row[1]) == name
            },
            out={r: found for r in rules if (found := {o[1:3]: o[4] for o in own if o[3] == r})},
        )


def _axis(axis: Axis) -> Iterator[Finding]:
    """Yield what every rule keeps of an axis, what its sources explain, and who is left."""
    rules = {ANY_RULE: axis.groups(), **{rule: axis.groups(rule) for rule in sorted(axis.out)}}
    compared = {rule: _comparable(groups) for rule, groups in rules.items()}
    rates = selections(cells_of(rules))
    gaps = selections(cells_of(compared)) if len(compared[ANY_RULE]) >= TWO else {}
    for rule, groups in rules.items():
        under, most = (f" under {rule}", UNDER_RULE) if rule else ("", GROUPS)
        for group in list(groups)[:most]:
            title = f"{stem(axis.kind)}{group} retention{under}"
            yield _retention(title, groups[group], rates[rule].rates[group])
        title = f"{axis.title} retention {{}}{under}"
        yield from _gaps(title, groups, compared[rule], gaps.get(rule))
    if gaps:
        yield from _within_sources(axis, compared[ANY_RULE], gaps[ANY_RULE].rates)
    yield from _left(axis, rules[ANY_RULE])


def _retention(title: str, group: Kept, rate: float) -> Finding:
    low, high = wilson(*group)
    note = "" if group.total >= LEAST else f"{SCARCE}: {group.total} samples."
    return Finding(audit=AUDIT, name=title, value=rate, low=low, high=high, note=note)


def _comparable(groups: Groups) -> Groups:
    """Return the groups that are large enough to be compared, and are groups of somebody."""
    return {g: n for g, n in groups.items() if n.total >= LEAST and names_somebody(g)}


def _gaps(
    title: str, groups: Groups, compared: Groups, found: Selection | None
) -> Iterator[Finding]:
    """Yield the difference and the ratio of retention between the groups that are large enough."""
    note = f"Between {len(compared)} of {len(groups)} groups, those of at least {LEAST} samples."
    names = title.format("difference"), title.format("ratio")
    if found is None:
        note = f"{SCARCE} for a comparison. {note}"
        yield from (Finding(audit=AUDIT, name=name, note=note) for name in names)
        return
    least, most = _extremes(found.rates)
    pairs = math.comb(len(compared), TWO)
    note = f"{note} The extremes are {most} and {least}; the intervals hold for all {pairs} pairs."
    low, high = difference(compared[most], compared[least], pairs)
    yield Finding(audit=AUDIT, name=names[0], value=found.difference, low=low, high=high, note=note)
    value = None if math.isnan(found.ratio) else found.ratio  # a ratio to nothing kept at all
    low_part, high_part = ratio(compared[least], compared[most], pairs) or (None, None)
    yield Finding(audit=AUDIT, name=names[1], value=value, low=low_part, high=high_part, note=note)


def _extremes(rates: Mapping[str, float]) -> tuple[str, str]:
    """Return the groups that are kept least and most; never one group twice."""
    ranked = sorted(rates, key=lambda group: (rates[group], group))
    return ranked[0], ranked[-1]


def _within_sources(axis: Axis, compared: Groups, rates: Mapping[str, float]) -> Iterator[Finding]:
    """Yield the gap between the extremes within sources, and in how many it turns."""
    if len(axis.sources) < TWO:
        return
    least, most = _extremes(rates)
    both = {source: _comparable(axis.groups(source=source)) for source in axis.sources}
    both = {
        s: {g: of[g] for g in (least, most)} for s, of in both.items() if {least, most} <= {*of}
    }
    note = (
        f"Between {most} and {least}, in {len(both)} of {len(axis.sources)} sources, those with "
        f"at least {LEAST} samples of both."
    )
    names = (
        f"{axis.title} retention difference within sources",
        f"{axis.title} sources where the gap turns",
    )
    if not both:
        yield from (Finding(audit=AUDIT, name=n, note=f"{SCARCE}. {note}") for n in names)
        return
    pairs = math.comb(len(compared), TWO)
    strata = [Stratum(*of[most], *of[least]) for of in both.values()]
    value, low, high = common_difference(strata, pairs)
    pooled, _ = difference(compared[most], compared[least], pairs)
    if pooled > 0 >= low:
        note = f"{note} Over all sources there is a gap, within them none is shown."
    turned = sum(of.rates[most] < of.rates[least] for of in selections(cells_of(both)).values())
    yield Finding(audit=AUDIT, name=names[0], value=value, low=low, high=high, note=note)
    yield Finding(audit=AUDIT, name=names[1], value=turned, note=note)


def _left(axis: Axis, groups: Groups) -> Iterator[Finding]:
    """Yield how evenly the cleared set is spread, and each group's share of it and its change."""
    somebody = [n for group, n in groups.items() if names_somebody(group)]
    if not axis.samples.kept or not sum(n.kept for n in somebody):
        return
    yield Finding(
        audit=AUDIT,
        name=f"{axis.title} effective groups cleared",
        value=effective([n.kept for n in somebody]),
        note=f"{effective([n.total for n in somebody]):.2f} before anything was excluded.",
    )
    for group in list(groups)[:GROUPS]:
        yield from _change(f"{stem(axis.kind)}{group}", groups[group], axis.samples)


def _change(name: str, group: Kept, whole: Kept) -> Iterator[Finding]:
    """Yield a group's share of what is cleared, and by how much the exclusions changed it."""
    yield share_of(AUDIT, f"{name} cleared share", count=group.kept, total=whole.kept)
    out, others = group.total - group.kept, whole.kept - group.kept
    cells = np.array([group.kept, out, others, whole.total - whole.kept - out]) / whole.total
    after = group.kept / whole.kept
    inside = whole.kept / whole.total
    slope = np.array([(1 - after) / inside - 1, -1.0, -after / inside, 0.0])
    half = float(multinomial_half(cells, slope, whole.total))
    value = after - group.total / whole.total
    yield Finding(
        audit=AUDIT,
        name=f"{name} share change",
        value=value,
        low=value - half,
        high=value + half,
        note="The share after the exclusions less the share before them.",
    )
