"""Depiction: how groups are shown; one picture under several labels, captions by group.

Labels may be balanced where pictures are not: a set that draws its neutral people as men has as
many labels of each gender, and more pictures of men. That is told by equal pixels under different
declared groups, never by looking at a face.

Does not see: what a picture shows, pictures that differ by a pixel, and groups of fewer than 30.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, NamedTuple

import duckdb

from audits.audit import Z_95, count_of, share_of
from audits.people.groups import AMBIGUOUS, KINDS, LEAST, SCARCE, axis_of, names_somebody, stem
from audits.people.intervals import median
from governance.records import Finding

AUDIT = "bias"
SHOWN: Final = 8  # groups of an axis told one by one, the largest first
TOLD: Final = 20  # combinations of labels told one by one
LONGEST: Final = 120  # characters of the groups in a name
NOTHING: Final = "nothing"  # a sample that declares nothing on an axis where its copy does

_SHARED = """
SELECT pixels_sha256, id, list_sort(declared) FROM measures
WHERE declared IS NOT NULL AND pixels_sha256 IN (
  SELECT pixels_sha256 FROM measures WHERE declared IS NOT NULL
  GROUP BY 1 HAVING count(DISTINCT list_sort(declared)) > 1)
ORDER BY ALL
"""
_TREATED = """
SELECT kind, said, words, count(*) FROM bias_said JOIN bias_samples USING (sample, picture)
WHERE axis <> $ambiguous GROUP BY ALL ORDER BY ALL
"""
# Scores are added as whole millionths: sums of floats depend on the order threads come in.
_MEANS = """
SELECT kind, said, count(score), sum(score), sum(score * score), median(area_px), count(area_px)
FROM bias_said JOIN (
  SELECT sample, area_px, CAST(round(nsfw_score * 1000000) AS HUGEINT) AS score FROM bias_samples
) USING (sample) WHERE axis <> $ambiguous GROUP BY ALL
"""
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Shared:
    """The pictures that several groups of one axis share: all, by which groups, and by group."""

    pictures: list[list[str]] = field(default_factory=list)  # ids of the samples of each
    spelt: dict[str, list[list[str]]] = field(default_factory=dict)
    sides: Counter[str] = field(default_factory=Counter)

    def add(self, labels: Iterable[str], ids: list[str]) -> None:
        """Add a picture whose samples declare `labels`."""
        self.pictures.append(ids)
        self.spelt.setdefault(" | ".join(sorted(labels))[:LONGEST], []).append(ids)
        self.sides.update(labels)


class Group(NamedTuple):
    """A declared or stated group: samples by the words of their captions, and means of the rest."""

    kind: str
    said: str
    words: Mapping[int, int]
    scored: int
    score_sum: int | None  # in millionths
    score_squares: int | None
    area_px: float | None
    sized: int

    @property
    def score(self) -> tuple[float, float]:
        """The mean score of those scored, and its standard error."""
        n, total, squares = self.scored, self.score_sum or 0, self.score_squares or 0
        variance = (n * squares - total**2) / (n * (n - 1))  # whole numbers up to here
        return total / n / MILLION, math.sqrt(variance / n) / MILLION

    @property
    def samples(self) -> int:
        """How many samples are of this group."""
        return sum(self.words.values())


def shared_pictures(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield, axis by axis, how many pictures stand for more than one group, and for which."""
    columns = {row[0] for row in measures.sql("DESCRIBE measures").fetchall()}
    by_axis = _shared(measures.sql(_SHARED).fetchall()) if "pixels_sha256" in columns else {}
    yield count_of(
        AUDIT,
        "samples whose picture stands for another group too",
        sorted({i for shared in by_axis.values() for ids in shared.pictures for i in ids}),
        note="Equal pixels under different declared groups: counts by label overstate variety.",
    )
    for axis in sorted(by_axis):
        yield from _axis(axis, by_axis[axis])


def _shared(rows: Iterable[tuple[str, str, list[str]]]) -> dict[str, Shared]:
    """Return, by axis, which pictures samples of different groups share."""
    found = defaultdict[str, Shared](Shared)
    for _, samples in groupby(rows, key=lambda row: row[0]):
        told = [(sample, groups) for _, sample, groups in samples]
        for axis in {axis_of(group) for _, groups in told for group in groups}:
            labels = {_label(axis, groups) for _, groups in told}
            if len(labels) > 1:
                found[axis].add(labels, [sample for sample, _ in told])
    return found


def _label(axis: str, groups: Iterable[str]) -> str:
    own = (group.partition("=")[2] for group in groups if axis_of(group) == axis)
    return " and ".join(own) or NOTHING


def _axis(axis: str, shared: Shared) -> Iterator[Finding]:
    total = len(shared.pictures)
    yield Finding(
        audit=AUDIT,
        name=f"pictures under several {axis} groups",
        value=total,
        ids=tuple(sample for ids in shared.pictures for sample in ids),
        note="Equal pixels; which of the groups is drawn is not looked at.",
    )
    for labels, pictures in sorted(shared.spelt.items(), key=lambda s: (-len(s[1]), s[0]))[:TOLD]:
        yield Finding(
            audit=AUDIT,
            name=f"one picture for {axis}={labels}",
            value=len(pictures),
            ids=tuple(sample for ids in pictures for sample in ids),
        )
    if total < LEAST:
        return
    # With whom a neutral label shares its pictures: with men in 102 of 108 is no balance.
    for label, count in sorted(shared.sides.items(), key=lambda side: (-side[1], side[0]))[:SHOWN]:
        yield share_of(
            AUDIT,
            f"pictures shared by {axis}={label[:LONGEST]} share",
            count=count,
            total=total,
            note=f"Of the {total} pictures under several {axis} groups.",
        )


def depicted(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield length of captions, detector's score and size of pictures, by group."""
    groups = _groups(measures)
    small = sum(group.samples < LEAST for group in groups)
    yield Finding(
        audit=AUDIT,
        name="groups too small to describe",
        value=small,
        note=f"{SCARCE}: of {len(groups)} groups, these have fewer than {LEAST} samples.",
    )
    large = [group for group in groups if group.samples >= LEAST]
    for kind in KINDS:
        of_kind = [group for group in large if group.kind == kind]
        for axis in sorted({axis_of(group.said) for group in of_kind}):
            own = [group for group in of_kind if axis_of(group.said) == axis]
            yield from _depicted(axis, sorted(own, key=lambda g: (-g.samples, g.said))[:SHOWN])


def _groups(measures: duckdb.DuckDBPyConnection) -> list[Group]:
    words = defaultdict[tuple[str, str], dict[int, int]](dict)
    for kind, said, length, count in measures.execute(
        _TREATED, {"ambiguous": AMBIGUOUS}
    ).fetchall():
        words[kind, said][length] = count
    means = measures.execute(_MEANS, {"ambiguous": AMBIGUOUS}).fetchall()
    rest = {(kind, said): values for kind, said, *values in means}
    return [Group(*key, words[key], *rest[key]) for key in sorted(words) if names_somebody(key[1])]


def _depicted(axis: str, groups: list[Group]) -> Iterator[Finding]:
    """Yield the figures of each group of an axis, then how far their captions lie apart."""
    sized = len({group.area_px for group in groups}) > 1  # else no group is told by it
    for group in groups:
        yield from _described(group, sized=sized)
    if len(groups) > 1:
        middles = sorted((median(group.words)[0], group.said) for group in groups)
        (least, shortest), (most, longest) = middles[0], middles[-1]
        yield Finding(
            audit=AUDIT,
            name=f"{stem(groups[0].kind)}{axis} caption words difference",
            value=most - least,
            note=f"Between {longest} ({most:g}) and {shortest} ({least:g}), of medians.",
        )


def _described(group: Group, *, sized: bool) -> Iterator[Finding]:
    name, of = f"{stem(group.kind)}{group.said}", f"Of {group.samples} samples."
    middle, low, high = median(group.words)
    yield Finding(
        audit=AUDIT, name=f"{name} caption words", value=middle, low=low, high=high, note=of
    )
    if empty := group.words.get(0):
        yield share_of(
            AUDIT, f"{name} empty captions share", count=empty, total=group.samples, note=of
        )
    if group.scored >= LEAST:
        yield _score(f"{name} NSFW score", group)
    if sized and group.area_px is not None:
        yield Finding(
            audit=AUDIT,
            name=f"{name} picture area px",
            value=group.area_px,
            note=f"The median of {group.sized} samples.",
        )


def _score(name: str, group: Group) -> Finding:
    mean, error = group.score
    return Finding(
        audit=AUDIT,
        name=name,
        value=mean,
        low=max(mean - Z_95 * error, 0.0),
        high=min(mean + Z_95 * error, 1.0),
        note=f"The mean of {group.scored} samples that a detector scored.",
    )
