"""What the licence audit says of a whole set: mix, conflicts, gaps, opt-outs, models, licensors.

Does not see: which of two licensors owns a picture, and copies that the duplicates audit missed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from audits.audit import count_of, ids_where, share_of
from audits.rights.lineage import BETWEEN, GENERATORS, UNSTATED
from audits.rights.spdx import without_vaguer
from governance.canon import printable
from governance.records import Finding

NAME = "licence"
BLIND = "A tag is a claim, not title; nothing was fetched to check it."
KINDS, LONGEST = 10, 700  # kinds of conflict told one by one, characters of each note
NONE = "none"


class Member(NamedTuple):
    """One of several samples that show the same picture."""

    id: str
    claims: frozenset[str]
    credit: str
    source: str
    evidence: str


Groups = Mapping[str, Sequence[Member]]
_SHOWN = pa.schema([("id", pa.string()), ("picture", pa.string())])


def licensors(measures: duckdb.DuckDBPyConnection, groups: Groups) -> pa.Table:
    """Return for each sample whether the claims for its picture differ between samples.

    Claims that repeat, or that say less exactly what another says, do not differ.
    """
    table = measures.sql(
        "SELECT id, licence_claims IS NULL AS unsaid FROM measures"
    ).to_arrow_table()
    apart = [member.id for group in groups.values() if _differ(group) for member in group]
    found = pc.call_function(
        "is_in", [table["id"]], pc.SetLookupOptions(value_set=pa.array(apart, pa.string()))
    )
    told = pc.call_function("if_else", [table["unsaid"], pa.scalar(None, pa.bool_()), found])
    return pa.table({"id": table["id"], "licensor_conflict": told})


def findings(measures: duckdb.DuckDBPyConnection, groups: Groups) -> Iterator[Finding]:
    """Yield all findings of the licence audit, over the view `measures`."""
    yield from _mix(measures)
    yield from _conflicts(measures)
    yield from _licensors(groups)
    yield from _gaps(measures)
    yield from _optouts(measures)
    yield from _models(measures)


def _mix(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield the share of samples with each claim, in all and by source; `none` where none is."""
    rows = measures.sql(
        """
        WITH claims AS (
            SELECT unnest(CASE WHEN len(licence_claims) > 0 THEN licence_claims ELSE ['none'] END)
                AS claim, source, size_bytes FROM measures WHERE licence_claims IS NOT NULL),
        sizes AS (SELECT source, count(*) AS size FROM measures GROUP BY ROLLUP (source)),
        counts AS (
            SELECT claim, source, count(*) AS found, coalesce(sum(size_bytes), 0) AS bytes
            FROM claims GROUP BY GROUPING SETS ((claim), (claim, source)))
        SELECT claim, counts.source, found, bytes, size FROM counts
            JOIN sizes ON counts.source IS NOT DISTINCT FROM sizes.source
        ORDER BY ALL NULLS FIRST
        """
    ).fetchall()
    for claim, source, count, size_bytes, total in rows:
        name = f"licence={claim} share" if source is None else f"licence={claim} in {source} share"
        note = f"{count} of {total} samples, {int(size_bytes)} bytes; one may carry several claims"
        yield share_of(NAME, name, count=count, total=total, note=note)


def _conflicts(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield the samples whose claims disagree; then the first kinds of that, both texts quoted."""
    kinds = measures.sql(
        f"""
        SELECT array_to_string(licence_claims, ' / ') AS claims, count(*) AS found,
            first(array_to_string(licence_evidence, ' | ') ORDER BY id) AS quoted FROM measures
        WHERE licence_conflict GROUP BY claims ORDER BY found DESC, claims LIMIT {KINDS}
        """  # noqa: S608  a number of ours
    ).fetchall()
    listed = "; ".join(f"{claims} ({count})" for claims, count, _ in kinds)
    said = f"Both are claimed: {listed}." if listed else "No two claims disagree."
    yield count_of(NAME, "licence conflicts", ids_where(measures, "licence_conflict"), note=said)
    condition = "licence_conflict AND array_to_string(licence_claims, ' / ') = ?"
    for claims, _, quoted in kinds:
        note = f"The stricter decides. As it was read: {printable(quoted)}"[:LONGEST]
        yield count_of(
            NAME, f"conflict {claims}", ids_where(measures, condition, claims), note=note
        )


def _licensors(groups: Groups) -> Iterator[Finding]:
    """Yield pictures that several samples show, and what those samples say of rights."""
    apart = {name: members for name, members in groups.items() if _differ(members)}
    kinds = Counter(_claimed(members) for members in apart.values())
    shown = {_claimed(members): members for members in reversed(apart.values())}
    quoted = "; ".join(
        f"{claims} ({count} pictures), as in "
        + " | ".join(f"{m.id}: {m.evidence}" for m in shown[claims][:2])
        for claims, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:3]
    )
    yield _grouped(
        "licensor conflicts",
        apart,
        note=f"One picture, several claims: {quoted}" if apart else "No picture is claimed twice.",
    )
    yield _grouped(
        "pictures with several creators",
        {
            name: members
            for name, members in groups.items()
            if name not in apart and len({m.credit for m in members if m.credit}) > 1
        },
        note="The licence agrees and the names differ; who made it is for a person to say.",
    )
    yield _grouped(
        "pictures from several sources",
        {n: members for n, members in groups.items() if len({m.source for m in members}) > 1},
        note="The same picture came with more than one SOURCE of the command.",
    )


def _gaps(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield the samples whose claims are absent or unread, and those that name nobody."""
    silent = "len(licence_claims) = 0 AND NOT licence_unrecognised"
    yield count_of(NAME, "no licence", ids_where(measures, silent), note=BLIND)
    unread = ids_where(measures, "licence_unrecognised")
    note = "A claim stands there, unread; its text is in `licence_evidence`."
    yield count_of(NAME, "licence unrecognised", unread, note=note)
    nobody = ids_where(measures, "NOT attributed")
    yield count_of(NAME, "no attribution", nobody, note="Nobody is named as the author.")


def _optouts(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield opt-outs by signal, those that cannot be read, and whether anybody looked."""
    signals = measures.sql(
        "SELECT DISTINCT unnest(optout) AS signal FROM measures ORDER BY signal"
    ).fetchall()
    yield count_of(NAME, "opt-outs", ids_where(measures, "len(optout) > 0"))
    for (signal,) in signals:
        ids = ids_where(measures, "list_contains(optout, ?)", signal)
        yield count_of(NAME, f"opt-out {signal}", ids)
    broken = ids_where(measures, "array_to_string(optout, ' ') LIKE '%:unreadable%'")
    note = "What cannot be read counts as an opt-out."
    yield count_of(NAME, "unreadable opt-outs", broken, note=note)
    looked, total = measures.sql(
        "SELECT count(*) FILTER (len(optout_evidence) > 0), count(*) FROM measures"
    ).fetchall()[0]
    note = "Of the others, what the host said at crawl was not recorded; that permits nothing."
    yield share_of(NAME, "opt-out evidence share", count=looked, total=total, note=note)
    states = measures.sql(
        "SELECT DISTINCT c2pa_state FROM measures WHERE c2pa_state <> 'none' ORDER BY ALL"
    ).fetchall()
    for (state,) in states:
        yield count_of(NAME, f"c2pa={state}", ids_where(measures, "c2pa_state = ?", state))


def _models(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield the generators and captioners that are named."""
    known = sorted({*GENERATORS.values(), UNSTATED})
    for column, word in (("generator_id", "generator"), ("captioner_id", "captioner")):
        parts = f"string_split({column}, '{BETWEEN}')"
        for model in known:
            if ids := ids_where(measures, f"list_contains({parts}, ?)", model):
                yield count_of(NAME, f"{word}={model}", ids)
        if ids := ids_where(measures, f"NOT list_has_all(?, {parts})", known):
            yield count_of(NAME, f"{word}=other", ids, note="The name stated is in the measures.")


def same_pictures(measures: duckdb.DuckDBPyConnection) -> Groups:
    """Return the samples that show the same picture, where there are several, in order of ids.

    They do where the duplicates audit related them, exactly or nearly; where it did not run, where
    they have the same pixels.
    """
    shown = _shown(measures)
    table = pa.table({"id": [*shown], "picture": [*shown.values()]}, schema=_SHOWN)
    measures.register("shown", table)
    rows = measures.sql(
        """
        SELECT id, picture, licence_claims, coalesce(credit, ''), source,
            array_to_string(licence_evidence, ' | ')
        FROM measures JOIN shown USING (id) WHERE licence_claims IS NOT NULL ORDER BY id
        """
    ).fetchall()
    measures.unregister("shown")
    groups = defaultdict[str, list[Member]](list)
    for sample, picture, claims, credit, source, evidence in rows:
        said = " ".join(credit.casefold().split())
        groups[picture].append(Member(sample, frozenset(claims), said, source, evidence))
    return {picture: members for picture, members in groups.items() if len(members) > 1}


def _shown(measures: duckdb.DuckDBPyConnection) -> Mapping[str, str]:
    """Return which picture each sample shows that may not be alone with it."""
    columns = {row[0] for row in measures.sql("DESCRIBE measures").fetchall()}
    if "duplicate_of" in columns:
        related = "SELECT id, duplicate_of FROM measures WHERE duplicate_of IS NOT NULL"
        kept = dict(measures.sql(related).fetchall())
        return {sample: _root(sample, kept) for sample in (*kept, *kept.values())}
    if "pixels_sha256" in columns:
        equal = (
            "SELECT id, pixels_sha256 FROM measures WHERE pixels_sha256 IS NOT NULL "
            "QUALIFY count(*) OVER (PARTITION BY pixels_sha256) > 1"
        )
        return dict(measures.sql(equal).fetchall())
    return {}


def _root(sample: str, kept: Mapping[str, str]) -> str:
    """Return the sample that a chain of duplicates leads to; the least of them in a ring."""
    seen = {sample}
    while sample in kept and kept[sample] not in seen:
        sample = kept[sample]
        seen.add(sample)
    return min(seen) if sample in kept else sample


def _differ(members: Sequence[Member]) -> bool:
    exact = without_vaguer(frozenset().union(*(member.claims for member in members)))
    return len({member.claims & exact for member in members} - {frozenset()}) > 1


def _claimed(members: Sequence[Member]) -> str:
    return " / ".join(sorted(frozenset().union(*(member.claims for member in members))))


def _grouped(name: str, groups: Groups, *, note: str) -> Finding:
    ids = sorted(member.id for members in groups.values() for member in members)
    return Finding(
        audit=NAME, name=name, value=len(groups), ids=tuple(ids), note=printable(note)[:LONGEST]
    )
