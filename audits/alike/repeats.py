"""Captions that repeat: letter by letter, and all but so.

Near-repeats are found by MinHash over runs of three words: each caption is held against the
earlier ones that share most of its runs.

Does not see: the same meaning in other words, or in another language.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from governance.records import Finding

AUDIT = "duplicates"
RUN_WORDS = 3
PERMUTATIONS = 64  # the deviation of an estimate is at most 1 / (2 * sqrt(64)), 0.06
SEED = 1
SPOKEN = (
    "SELECT DISTINCT lower(trim(regexp_replace(caption, '\\s+', ' ', 'g'))) AS said "
    "FROM measures WHERE len(regexp_extract_all(caption, '\\w+')) >= {words}"
)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How many runs of words two captions share to be called nearly the same."""

    shared_runs: float = 0.8  # Jaccard similarity, 0..1
    most_captions: int = 200_000  # that are compared, chosen by digest; about 12 s

    def findings(self, measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
        """Yield how many samples have a caption that repeats."""
        samples, captions = measures.sql(
            "SELECT coalesce(sum(n), 0), count(*) FROM (SELECT count(*) AS n FROM measures "
            "WHERE caption <> '' GROUP BY caption HAVING n > 1)"
        ).fetchall()[0]
        yield Finding(
            audit=AUDIT,
            name="samples whose caption stands more than once",
            value=int(samples),
            note=f"{captions} captions, compared letter by letter.",
        )
        total, compared, near = self._near(measures)
        yield Finding(
            audit=AUDIT,
            name="captions nearly the same as another",
            value=near,
            note=f"{compared} of {total} different captions of {RUN_WORDS} words or more were "
            f"compared, by shared runs of {RUN_WORDS} words (MinHash; estimates).",
        )

    def _near(self, measures: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
        """Return how many different captions there are, were compared, and are nearly the same."""
        spoken = SPOKEN.format(words=RUN_WORDS)
        total = measures.sql(f"SELECT count(*) FROM ({spoken})").fetchall()[0][0]  # noqa: S608  ours
        rows = measures.sql(
            f"SELECT said FROM ({spoken}) ORDER BY md5(said) LIMIT {int(self.most_captions)}"  # noqa: S608  ours
        ).fetchall()
        return int(total), len(rows), self._count_near([row[0] for row in rows])

    def _count_near(self, captions: Sequence[str]) -> int:
        from datasketch import MinHash, MinHashLSH  # noqa: PLC0415  heavy

        index = MinHashLSH(threshold=self.shared_runs, num_perm=PERMUTATIONS)
        found = set[int]()
        sketches = MinHash.bulk(
            [_runs(caption) for caption in captions], num_perm=PERMUTATIONS, seed=SEED
        )
        kept = []
        for number, sketch in enumerate(sketches):
            kept.append(sketch)
            known = [int(str(key)) for key in index.query(sketch)]
            near = [n for n in known if kept[n].jaccard(sketch) >= self.shared_runs]
            if near:
                found |= {number, min(near)}
            else:
                index.insert(number, sketch)
        return len(found)


def _runs(caption: str) -> list[bytes]:
    words = _WORD.findall(caption)
    return [
        " ".join(words[at : at + RUN_WORDS]).encode() for at in range(len(words) - RUN_WORDS + 1)
    ]
