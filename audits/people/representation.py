"""Representation: how many of each group, how evenly, and which pictures name one gender alone.

Does not see: anybody who is neither declared nor named.
"""

import math
from collections.abc import Collection, Iterator, Mapping

import duckdb

from audits.audit import share_of
from audits.people.groups import AMBIGUOUS, KINDS, Kind, axis_of, names_somebody, stem
from governance.records import Finding

AUDIT = "bias"
GROUPS = 50  # groups of an axis reported one by one, the largest first
GENDER = "gender"
SCRIPTS = ("Latin", "Devanagari", "Tamil", "Bengali", "Telugu", "Kannada", "Malayalam", "Gujarati",
           "Gurmukhi", "Oriya", "Arabic")  # fmt: skip


def spread(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield what each of our two columns covers, its axes, and who stands alone in a picture."""
    for kind in KINDS:
        yield from _kind(measures, kind)
    for kind in KINDS:
        yield from _alone(measures, kind)
    yield from _scripts(measures)


def effective(counts: Collection[int]) -> float:
    """Return the effective number of groups, exp(H). Source: Hill 1973, Ecology 54(2), order 1."""
    total = sum(counts)
    return math.exp(-sum(n / total * math.log(n / total) for n in counts if n))


def _kind(measures: duckdb.DuckDBPyConnection, kind: Kind) -> Iterator[Finding]:
    total = measures.sql("SELECT count(*) FROM bias_samples").fetchall()[0][0]
    covered = measures.execute(
        "SELECT count(DISTINCT sample) FROM bias_said WHERE kind = ? AND axis <> ?",
        [kind, AMBIGUOUS],
    ).fetchall()[0][0]
    yield share_of(AUDIT, f"samples with a {kind} group", count=covered, total=total)
    by_axis = measures.execute(
        "SELECT axis, count(DISTINCT sample) FROM bias_said WHERE kind = ? GROUP BY 1 ORDER BY 1",
        [kind],
    ).fetchall()
    by_group = measures.execute(
        "SELECT said, count(*) AS n FROM bias_said WHERE kind = ? GROUP BY 1 ORDER BY n DESC, said",
        [kind],
    ).fetchall()
    for axis, samples in by_axis:
        groups = {group: n for group, n in by_group if axis_of(group) == axis}
        yield share_of(AUDIT, f"{kind} {axis} coverage", count=samples, total=total)
        yield from _axis(groups, samples, kind) if axis != AMBIGUOUS else _ambiguous(groups)


def _axis(groups: Mapping[str, int], samples: int, kind: Kind) -> Iterator[Finding]:
    """Yield how evenly an axis is spread over its groups, and each group's count and share."""
    axis = axis_of(next(iter(groups)))
    somebody = [count for group, count in groups.items() if names_somebody(group)]
    yield Finding(
        audit=AUDIT,
        name=f"{stem(kind)}{axis} effective groups",
        value=effective(somebody) if somebody else 0.0,
        note=f"Of {len(somebody)}: the exponential of Shannon's entropy; equal groups all count.",
    )
    for group, count in list(groups.items())[:GROUPS]:
        yield Finding(audit=AUDIT, name=f"{stem(kind)}{group} samples", value=count)
        yield share_of(
            AUDIT,
            f"{stem(kind)}{group} share",
            count=count,
            total=samples,
            note=f"Of the samples that say anything of {axis}.",
        )


def _ambiguous(groups: Mapping[str, int]) -> Iterator[Finding]:
    """Yield the words that may name a group and may not; they are counted in no group."""
    note = "A surname, a thing or a group: not counted as a group, and not guessed."
    for group, count in list(groups.items())[:GROUPS]:
        yield Finding(audit=AUDIT, name=f"stated {group} samples", value=count, note=note)


def _alone(measures: duckdb.DuckDBPyConnection, kind: Kind) -> Iterator[Finding]:
    """Yield in how many pictures each gender stands alone, and in how many there are several."""
    rows = measures.execute(
        "SELECT said, count(*) AS n FROM (SELECT list_sort(list(DISTINCT said)) AS said "
        "FROM bias_said WHERE kind = ? AND axis = ? GROUP BY picture) "
        "GROUP BY said ORDER BY n DESC, said",
        [kind, GENDER],
    ).fetchall()
    pictures = sum(count for _, count in rows)
    note = f"Of {pictures} pictures with any {kind} {GENDER}; copies and captions count once."
    for (group,), count in (row for row in rows if len(row[0]) == 1):
        name = f"pictures with {kind} {group} alone"
        yield Finding(audit=AUDIT, name=name, value=count, note=note)
        yield share_of(AUDIT, f"{name} share", count=count, total=pictures, note=note)
    if pictures:
        several = sum(count for groups, count in rows if len(groups) > 1)
        name = f"pictures with several {kind} {GENDER} groups"
        yield Finding(audit=AUDIT, name=name, value=several, note=note)


def _scripts(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield which scripts captions are written in; a caption may hold several."""
    others = "strlen(caption) > length(caption) AND"  # looks no further where all is ASCII
    counts = ", ".join(
        f"count(*) FILTER ({'' if script == SCRIPTS[0] else others} "
        f"regexp_matches(caption, '\\p{{{script}}}'))"
        for script in SCRIPTS
    )
    total, *found = measures.sql(
        f"SELECT count(*), {counts} FROM measures WHERE caption <> ''"  # noqa: S608  words of ours
    ).fetchall()[0]
    for script, count in zip(SCRIPTS, found, strict=True):
        if count:
            yield share_of(AUDIT, f"captions in {script} script share", count=count, total=total)
