"""Who says what of which picture, as tables: what the bias audit counts from.

Samples that the duplicate audit found to be one picture are one picture here, with everything that
is declared and said of it: five captions of a photograph are one photograph.

Does not see: copies that audit did not find, and anything of samples whose measures were withheld.
"""

from typing import Final, Literal

import duckdb

Kind = Literal["declared", "stated"]
KINDS: Final[tuple[Kind, ...]] = ("declared", "stated")
AMBIGUOUS: Final = "ambiguous"  # an axis of words that may name a group, a person or a thing
WORK: Final = ("occupation", "profession")  # what people do: no identity, but groups are made of it
NOBODY: Final = ("not-applicable", "not applicable", "n/a", "na", "none", "null", "unknown")
LEAST: Final = 30  # samples below which a rate says nothing; the usual rule of thumb
SCARCE: Final = "Insufficient evidence"

# The picture a sample is a copy of: the end of its chain of `duplicate_of`.
_ROOTS = """
WITH RECURSIVE up(id, root) AS (
  SELECT id, duplicate_of FROM measures WHERE duplicate_of IS NOT NULL
  UNION
  SELECT up.id, m.duplicate_of FROM up JOIN measures m ON m.id = up.root
  WHERE m.duplicate_of IS NOT NULL
)
SELECT id, min(root) AS root FROM up
WHERE root NOT IN (SELECT id FROM measures WHERE duplicate_of IS NOT NULL) GROUP BY id
"""
_SAMPLES = """
CREATE OR REPLACE TEMP TABLE bias_samples AS
WITH roots AS ({roots}), numbered AS (
  SELECT row_number() OVER () AS sample, id, declared, stated, traits,
    len(regexp_extract_all(coalesce(caption, ''), '\\S+')) AS words,
    {area} AS area_px, {score} AS nsfw_score
  FROM measures
), copies AS (SELECT r.id, n.sample AS picture FROM roots r JOIN numbered n ON n.id = r.root)
SELECT numbered.* EXCLUDE (id), coalesce(copies.picture, sample) AS picture
FROM numbered LEFT JOIN copies USING (id)
"""
_SAID = """
CREATE OR REPLACE TEMP TABLE bias_said AS
SELECT *, split_part(said, '=', 1) AS axis FROM (
  SELECT sample, picture, 'declared' AS kind, unnest(declared) AS said FROM bias_samples
  UNION ALL
  SELECT sample, picture, 'stated' AS kind, unnest(stated) AS said FROM bias_samples
)
"""


def lay_out(measures: duckdb.DuckDBPyConnection) -> None:
    """Make the tables `bias_samples` (a row a sample) and `bias_said` (a row a group it says).

    Columns that audits of other subjects measure are NULL where they did not run.
    """
    there = {row[0] for row in measures.sql("DESCRIBE measures").fetchall()}
    nobody = "SELECT NULL::VARCHAR AS id, NULL::VARCHAR AS root LIMIT 0"
    measures.execute(
        _SAMPLES.format(
            roots=_ROOTS if "duplicate_of" in there else nobody,
            area="width_px * height_px" if "width_px" in there else "NULL::BIGINT",
            score="nsfw_score" if "nsfw_score" in there else "NULL::DOUBLE",
        )
    )
    measures.execute(_SAID)


def names_somebody(group: str) -> bool:
    """Say whether `axis=value` names a group at all, not that there is none or none is known."""
    return group.partition("=")[2].casefold() not in NOBODY


def axis_of(group: str) -> str:
    """Return the axis of `axis=value`."""
    return group.partition("=")[0]


def stem(kind: str) -> str:
    """Return what the names of findings begin with: declared groups stand without a word."""
    return "" if kind == "declared" else f"{kind} "
