"""Association: which groups go together with which work, traits and places, beyond chance.

Counted over pictures that name any group of the axis, so that "a woman" and "a man" are compared
with each other, not with landscapes. A picture counts once, whatever number of copies and captions
it has. What is too rare to say anything of is counted as such.

Does not see: why two words stand together, words beyond the lexicons, and associations that hold in
one source and not in another.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

from audits.audit import Z_95
from audits.people.groups import AMBIGUOUS, LEAST, NOBODY, SCARCE, WORK, stem
from audits.people.intervals import Floats, false_discovery, multinomial_half
from governance.records import Finding

AUDIT = "bias"
PRIOR: Final = 10.0  # pictures: the weight of "as often as elsewhere" before any is counted
LEAST_EXPECTED: Final = 5.0  # pictures in each cell by chance alone; Cochran 1954's rule
RATE: Final = 0.05  # of false discoveries, that of the 95 % of all our intervals
MOST: Final = 30  # associations told one by one, the surest first

_WHO = f"axis NOT IN {(AMBIGUOUS, *WORK)} AND lower(split_part(said, '=', 2)) NOT IN {NOBODY}"
_CELLS = f"""
WITH who AS (SELECT DISTINCT picture, kind, axis, said FROM bias_said WHERE {_WHO}),
what AS (
  SELECT DISTINCT picture, kind, said FROM bias_said WHERE axis IN {WORK}
  UNION
  SELECT DISTINCT picture, 'stated', unnest(traits) FROM bias_samples
), whole AS (SELECT kind, axis, count(DISTINCT picture) AS whole FROM who GROUP BY ALL),
groups AS (SELECT kind, axis, said, count(*) AS n FROM who GROUP BY ALL),
terms AS (
  SELECT p.kind, p.axis, t.kind AS term_kind, t.said AS term, count(*) AS n
  FROM (SELECT DISTINCT picture, kind, axis FROM who) p JOIN what t USING (picture) GROUP BY ALL
), pairs AS (
  SELECT w.kind, w.said, t.kind AS term_kind, t.said AS term, count(*) AS n
  FROM who w JOIN what t USING (picture) GROUP BY ALL
)
SELECT g.kind, g.said, t.term_kind, t.term, whole, g.n, t.n, coalesce(b.n, 0)
FROM groups g JOIN terms t USING (kind, axis) JOIN whole USING (kind, axis)
LEFT JOIN pairs b ON (b.kind, b.said, b.term_kind, b.term) = (g.kind, g.said, t.term_kind, t.term)
ORDER BY ALL
"""  # noqa: S608  words of ours


class Cells(NamedTuple):
    """Counts of pictures by pair: of the axis, of the group, of the term, of both; (N,) each."""

    whole: Floats
    group: Floats
    term: Floats
    both: Floats

    @property
    def enough(self) -> npt.NDArray[np.bool_]:
        """Where each of the four cells of a pair can be expected to hold some pictures."""
        rest, without = self.whole - self.group, self.whole - self.term
        least = np.minimum(self.group, rest) * np.minimum(self.term, without)
        large = (self.group >= LEAST) & (rest >= LEAST)
        found: npt.NDArray[np.bool_] = large & (least >= LEAST_EXPECTED * self.whole)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Strengths:
    """How strongly each pair goes together, (N,) each; 0 is as often as by chance."""

    npmi: Floats
    npmi_half: Floats
    log_odds: Floats
    error: Floats
    q: Floats

    @property
    def z(self) -> Floats:
        """The log-odds in units of their standard error."""
        return self.log_odds / self.error


def associations(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield how many pairs were compared, how many go together, and the surest of those."""
    rows = measures.sql(_CELLS).fetchall()
    counts = Cells(*np.array([row[4:] for row in rows], dtype=np.float64).reshape(-1, 4).T)
    enough = counts.enough
    pairs = [row for row, is_enough in zip(rows, enough.tolist(), strict=True) if is_enough]
    cells = Cells(*(column[enough] for column in counts))
    found = strengths(cells)
    beyond = found.q < RATE
    yield Finding(audit=AUDIT, name="associations compared", value=len(pairs), note=_COMPARED)
    yield Finding(
        audit=AUDIT,
        name="associations with insufficient evidence",
        value=len(rows) - len(pairs),
        note=f"{SCARCE}: fewer than {LEAST} pictures, or fewer than {LEAST_EXPECTED:g} expected.",
    )
    yield Finding(
        audit=AUDIT,
        name="associations beyond chance",
        value=int(beyond.sum()),
        note=f"At a false discovery rate of {RATE:.0%}; the {MOST} surest are told one by one.",
    )
    z = np.abs(found.z)
    surest = sorted(np.flatnonzero(beyond).tolist(), key=lambda at: (-z[at], pairs[at][:4]))
    for at in surest[:MOST]:
        yield _association(pairs[at], found, at)


_COMPARED = (
    "Groups with work, traits and places, among the pictures that name any group of an axis."
)


def strengths(cells: Cells) -> Strengths:
    """Return smoothed nPMI, and log-odds with an informative Dirichlet prior, of each pair.

    Both start from `PRIOR` pictures that have the term as often as the whole axis has it. The
    variance of the log-odds keeps all four terms: the usual two hold for rare words alone.

    Source: Bouma 2009 (nPMI); Monroe, Colaresi and Quinn 2008, Political Analysis 16(4), equations
    15, 16 and 19; Benjamini and Hochberg 1995.
    """
    whole, group, term, both = cells
    rate = term / whole
    ours, others = both + PRIOR * rate, term - both + PRIOR * rate
    not_ours, not_others = group + PRIOR - ours, whole - group + PRIOR - others
    log_odds = np.log(ours / not_ours) - np.log(others / not_others)
    error = np.sqrt(1 / ours + 1 / not_ours + 1 / others + 1 / not_others)
    npmi, half = _npmi(cells)
    p = np.array([math.erfc(z / math.sqrt(2)) for z in np.abs(log_odds / error)])
    return Strengths(
        npmi=npmi, npmi_half=half, log_odds=log_odds, error=error, q=false_discovery(p)
    )


def _npmi(cells: Cells) -> tuple[Floats, Floats]:
    """Return the smoothed nPMI of each pair, -1..1, and half the width of its interval."""
    whole, group, term, both = cells
    of_group, of_term = group / whole, term / whole
    joint = (both + PRIOR * of_group * of_term) / (whole + PRIOR)
    log_joint, log_apart = np.log(joint), np.log(of_group * of_term)
    shares = np.array([joint, of_group - joint, of_term - joint])
    slope = np.array([1 / of_group + 1 / of_term, 1 / of_group, 1 / of_term]) / log_joint
    slope[0] -= log_apart / (log_joint**2 * joint)
    return log_apart / log_joint - 1, multinomial_half(shares, slope, whole + PRIOR)


def _association(pair: Sequence[str | int], found: Strengths, at: int) -> Finding:
    kind, group, term_kind, term, whole, size, _, both = pair
    npmi, half = float(found.npmi[at]), float(found.npmi_half[at])
    odds, spread = float(found.log_odds[at]), Z_95 * float(found.error[at])
    total = int(pair[6])
    return Finding(
        audit=AUDIT,
        name=f"nPMI {stem(str(kind))}{group}, {stem(str(term_kind))}{term}",
        value=npmi,
        low=max(npmi - half, -1.0),
        high=min(npmi + half, 1.0),
        note=f"{both} of {size} pictures, against {total - int(both)} of {int(whole) - int(size)}; "
        f"log-odds {odds:+.2f} ({odds - spread:+.2f} to {odds + spread:+.2f}), "
        f"z {odds / float(found.error[at]):+.1f}, q {float(found.q[at]):.2g}.",
    )
