"""What the measures of the NSFW audit say of the whole set: rates, counts, matches, estimates.

Does not see: pictures, captions, or anything of a suspected sample but which one it is.
"""

from collections.abc import Iterator, Sequence

import duckdb

from audits.audit import count_of, share_of
from audits.screening.boxes import CLASSES, EXPOSED, FACE_FLOOR, FLOOR
from audits.screening.hashlists import HashList
from audits.screening.recapture import LEAST_SHARED, Recapture
from audits.screening.second import Second
from governance.canon import printable
from governance.records import Finding

AUDIT = "nsfw"
RECALL = ((0.2, 0.606), (0.4, 0.466), (0.5, 0.378))  # share found at a score; NudeNet#159
CAPTURED = 0.45  # 17 of 1,258 photographs without nudity reach it: benchmarks/nsfw_answers.py


def findings(
    measures: duckdb.DuckDBPyConnection, lists: Sequence[HashList], second: Second | None
) -> Iterator[Finding]:
    """Yield what is suspected first, then what was screened by what, then rates and classes."""
    yield from _suspected(measures, lists)
    yield from _counts(measures)
    if any(one.kind == "pdq" for one in lists):
        yield _too_plain(measures, max(one.quality for one in lists if one.kind == "pdq"))
    yield from _declared() if second is None else _recaptured(measures, second)
    yield from _by_class(measures)
    yield from _by_source(measures)


def _suspected(measures: duckdb.DuckDBPyConnection, lists: Sequence[HashList]) -> Iterator[Finding]:
    told = "Each case is for a person, with counsel; no score or box of it was kept."
    rows = measures.sql("SELECT suspected_by, id FROM measures WHERE suspected ORDER BY id")
    by: dict[str, list[str]] = {}
    for said, sample in rows.fetchall():
        by.setdefault(said if said.startswith("CS-07") else "CS-01", []).append(sample)
    both = by.get("CS-01", [])
    yield count_of(
        AUDIT,
        "suspected: minor and nudity together",
        both,
        note=f"{_match(both)} by NudeNet 320n + caption terms; no claim of absence. {told}",
    )
    for one in lists:
        held = by.get(f"CS-07 list {one.label}", [])
        yield count_of(
            AUDIT,
            f"suspected: on the list {one.label}",
            held,
            note=f"{_match(held)} by {one.label}; no claim of absence. {told}",
        )


def _match(ids: Sequence[str]) -> str:
    return "No other match" if ids else "No match"


def _counts(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    total, scored, faces, terms = measures.sql(
        "SELECT count(*), count(*) FILTER (nsfw_scored), count(*) FILTER (faces > 0), "
        "count(*) FILTER (nsfw_terms) FROM measures"
    ).fetchall()[0]
    yield share_of(
        AUDIT,
        "scored by the detector",
        count=scored,
        total=total,
        note="What could not be decoded has no score; what is suspected keeps none.",
    )
    yield Finding(
        audit=AUDIT,
        name="captions with terms of nudity",
        value=terms,
        note="English, Hindi, Tamil and Bengali words; a caption may leave it unsaid.",
    )
    yield Finding(
        audit=AUDIT,
        name="samples with a face box",
        value=faces,
        note=f"Boxes of a detector from score {FACE_FLOOR}: not people, and not who they are.",
    )


def _too_plain(measures: duckdb.DuckDBPyConnection, quality: int) -> Finding:
    """Return how many pictures PDQ cannot tell from others: no list of PDQ digests saw them."""
    total, plain = measures.sql(
        "SELECT count(pdq_quality), count(*) FILTER (pdq_quality < $quality) FROM measures",
        params={"quality": quality},
    ).fetchall()[0]
    return share_of(
        AUDIT,
        "too plain for PDQ lists",
        count=plain,
        total=total,
        note=f"Pictures of PDQ quality below {quality} are not matched: too many look alike.",
    )


def _declared() -> Iterator[Finding]:
    """Yield the miss rate that others published, where nothing here can say another."""
    found = ", ".join(f"{share:.1%} at {score}" for score, share in RECALL)
    yield Finding(
        audit=AUDIT,
        name="declared miss rate",
        value=1 - RECALL[0][1],
        note=f"Published elsewhere, not measured here: of 10,000 explicit pictures NudeNet 320n "
        f"found {found} (notAI-tech/NudeNet issue 159). Precision was not published. A second "
        "detector would let this set's own miss rate be estimated.",
    )


def _recaptured(measures: duckdb.DuckDBPyConnection, second: Second) -> Iterator[Finding]:
    """Yield the declared miss rate, and what two detectors together say of this set's own."""
    yield from _declared()
    first, other, both = measures.sql(
        "SELECT count(*) FILTER (a), count(*) FILTER (b), count(*) FILTER (a AND b) FROM (SELECT "
        "nsfw_score >= $first::FLOAT AS a, nsfw_second_score >= $second::FLOAT AS b FROM measures)",
        params={"first": CAPTURED, "second": second.score},
    ).fetchall()[0]
    caught = (
        f"NudeNet 320n caught {first} from score {CAPTURED}, {second.label} {other} from "
        f"{second.score:g}, both {both}."
    )
    yield from _estimated(Recapture(first=first, second=other, both=both), caught)
    yield share_of(
        AUDIT,
        "of the second detector's catches NudeNet missed",
        count=other - both,
        total=other,
        note=f"{caught} The miss rate of NudeNet on what {second.label} finds, no other.",
    )


def _estimated(seen: Recapture, caught: str) -> Iterator[Finding]:
    """Yield how many there may be, and how many both missed; no number where too few are shared."""
    low, high = seen.interval()
    told = (
        "Assumes that they err independently and that each catch is true: too low where both find "
        "the same easy pictures, too high by false alarms. Suspected samples are not in it."
    )
    if seen.both < LEAST_SHARED:
        told = f"Nothing is estimated from fewer than {LEAST_SHARED} that both caught."
    for name, known in (
        ("exposed pictures, estimated from two detectors", seen.seen),
        ("missed by both detectors, estimated", 0),
    ):
        yield Finding(
            audit=AUDIT,
            name=name,
            value=None if seen.both < LEAST_SHARED else round(known + seen.missed, 2),
            low=None if seen.both < LEAST_SHARED else round(known + low, 2),
            high=None if seen.both < LEAST_SHARED else round(known + high, 2),
            note=f"{caught} {told}",
        )


def _by_class(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield how many samples have a box of each class; of exposed classes, which samples."""
    rows = measures.sql(
        "SELECT label, count(DISTINCT id), "
        "list(DISTINCT id ORDER BY id) FILTER (list_contains($exposed, label)) FROM (SELECT id, "
        "unnest(json_extract_string(nsfw_detections, '$[*][0]')) AS label FROM measures) "
        "GROUP BY label",
        params={"exposed": sorted(EXPOSED)},
    )
    found = {label: (count, ids) for label, count, ids in rows.fetchall()}
    for label in sorted(CLASSES, key=lambda name: (name not in EXPOSED, name)):
        count, ids = found.get(label, (0, []))
        yield Finding(
            audit=AUDIT,
            name=f"samples with {label}",
            value=count,
            ids=tuple(ids) if label in EXPOSED else (),
            note=f"Boxes from score {FLOOR}; what score is too much is for a policy to say.",
        )


def _by_source(measures: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Yield each source's rate at the scores whose recall was published."""
    for score, recall in RECALL:
        rows = measures.sql(
            "SELECT source, count(*) FILTER (nsfw_score >= $score::FLOAT), count(nsfw_score) "
            "FROM measures GROUP BY source ORDER BY source",
            params={"score": score},
        )
        for source, count, total in rows.fetchall():
            yield share_of(
                AUDIT,
                f"exposed rate from {score} in {printable(source or 'no named source')}",
                count=count,
                total=total,
                note=f"Share of scored samples with a box of an exposed class from {score}, where "
                f"a published recall is {recall:.1%}; the interval is of sampling alone.",
            )
