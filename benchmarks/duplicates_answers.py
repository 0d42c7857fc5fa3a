"""What the duplicate audit answers where the answer is known: copies, look-alikes, bursts.

    python benchmarks/duplicates_answers.py [DATA] [--emoji]

DATA is the folder of reference data, ../shared/data where none is given. Exit status 5 without it.
With --emoji the 12,184 drawings are audited too, which takes a minute or two.

How it is counted. Each folder is ingested and audited through the engine with the duplicate audit
alone. A labelled copy is found when both pictures end in one cluster of that audit; a picture that
is not a copy must be in another cluster. Beside it stands what comparing just the two finds, and
what `imagehash.phash` finds at 10 bits or less over the same decoded pictures. Copies in formats
that are not decoded (ICO, PPM, PSD, QOI, TIFF, DDS, SGI) count as missed; they are named apart.
"""

import csv
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import imagehash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audits import engine
from audits.alike.copies import Copies, Seen
from audits.alike.proposals import Proposals
from audits.alike.views import hashes
from audits.audit import LONGEST_PX, Conclusion
from audits.duplicates import DuplicatesAudit
from audits.reading.ingest import ingest
from governance.images import Picture, Undecodable, decode

IMAGEHASH_BITS = 10  # the default of imagededup
VENDORS = ("fluent", "mutant-nc", "noto", "openmoji", "twemoji")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A labelled pair, and what each side says of it."""

    one: str
    other: str
    kind: str
    copy: bool
    decoded: bool
    clustered: bool  # both in one cluster of the audit
    excluded: bool  # the audit names another picture that the second one repeats
    compared: bool  # comparing just the two finds a copy
    hashed: bool  # imagehash, 10 bits or less


@dataclass(frozen=True, slots=True)
class Answers:
    """What an audit said of single samples and of the set."""

    related: Mapping[str, Mapping[str, object]]
    findings: Mapping[str, float | None]

    def cluster(self, name: str) -> str:
        """Return the id that stands for the cluster of a sample."""
        return str(self.related[name]["cluster"]) if name in self.related else name

    @property
    def merged(self) -> list[tuple[str, str, str]]:
        """Return near-duplicates with the one each repeats, and how it was changed."""
        return sorted(
            (str(row["duplicate_of"]), name, str(row["duplicate_view"]))
            for name, row in self.related.items()
            if row["duplicate_kind"] == "near"
        )

    @property
    def excluded(self) -> set[frozenset[str]]:
        """Return the pairs of which one would be excluded for the other."""
        return {
            frozenset((name, str(row["duplicate_of"])))
            for name, row in self.related.items()
            if row["duplicate_of"] and row["duplicate_same_attributes"]
        }


def answers_of(paths: Sequence[Path]) -> Answers:
    """Ingest Parquet files, audit them through the engine, and return what was said."""
    audits = (DuplicatesAudit(),)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snapshot = ingest([str(path) for path in paths], snapshots=folder)
        parts = engine.measure(
            snapshot, audits, folder=folder / "measures", recorded={}, record=lambda *_: None
        ).parts
        measures = engine.open_measures(folder / "measures", parts, snapshot)
        ((_, conclusion),) = engine.conclude(snapshot, audits, measures)
    return _told(conclusion)


def _told(conclusion: Conclusion) -> Answers:
    rows = conclusion.columns.to_pylist() if conclusion.columns is not None else []
    return Answers(
        {row["id"]: row for row in rows},
        {finding.name: finding.value for finding in conclusion.findings},
    )


def neardup(data: Path) -> list[Pair]:
    """Return the 475 labelled pairs with what each side says of them."""
    folder = data / "neardup"
    rows = list(csv.DictReader((folder / "pairs.csv").read_text().splitlines()))
    names = sorted({row[side] for row in rows for side in ("image_a", "image_b")})
    images = [(folder / name).read_bytes() for name in names]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "neardup.parquet"
        table = pa.table({"id": names, "image": images, "caption": [""] * len(names)})
        pq.write_table(table, path)
        answers = answers_of([path])
    pictures = {name: _decoded(image) for name, image in zip(names, images, strict=True)}
    return [_pair(row, pictures, answers) for row in rows]


def _pair(row: Mapping[str, str], pictures: Mapping[str, Picture | None], answers: Answers) -> Pair:
    one, other = row["image_a"], row["image_b"]
    both = [picture for picture in (pictures[one], pictures[other]) if picture]
    decoded = len(both) == 2  # noqa: PLR2004  both of them
    return Pair(
        one=one,
        other=other,
        kind=row["kind"],
        copy=row["is_copy"] == "1",
        decoded=decoded,
        clustered=answers.cluster(one) == answers.cluster(other),
        excluded=bool(answers.related.get(other, {}).get("duplicate_of")),
        compared=decoded and _compared(*both),
        hashed=decoded and _distance(*both) <= IMAGEHASH_BITS,
    )


def _compared(one: Picture, other: Picture) -> bool:
    audit = DuplicatesAudit()
    packed = [hashed.entries for hashed in hashes([one.image, other.image])]
    proposals = Proposals(packed, near_bits=audit.near_bits, turned_bits=audit.turned_bits)
    ways = [way for _, found in proposals.of(0) for way in found]
    first, second = (Seen.of(np.asarray(picture.image)) for picture in (one, other))
    return bool(ways) and Copies().found(first, second, ways, same_words=True) is not None


def _distance(one: Picture, other: Picture) -> int:
    return int(imagehash.phash(one.image) - imagehash.phash(other.image))


def _decoded(image: bytes) -> Picture | None:
    try:
        return decode(image, longest_px=LONGEST_PX)
    except Undecodable:
        return None


def photos(data: Path) -> Answers:
    """Return what is said of 1,243 photographs of shelves, many of them bursts."""
    return answers_of([data / "photos" / "grocery.parquet"])


@cache
def emoji(data: Path) -> Answers:
    """Return what is said of 12,184 drawings by five vendors."""
    return answers_of([data / "emoji" / f"emoji-{vendor}.parquet" for vendor in VENDORS])


def look_alikes(data: Path) -> list[Mapping[str, str]]:
    """Return the pairs of drawings that look alike and are not copies."""
    return list(csv.DictReader((data / "emoji" / "hard_negatives.csv").read_text().splitlines()))


def excluded_look_alikes(data: Path, answers: Answers) -> Counter[str]:
    """Return how many look-alikes of each kind would be excluded as duplicates."""
    excluded = answers.excluded
    return Counter(
        row["kind"]
        for row in look_alikes(data)
        if frozenset((row["id_a"], row["id_b"])) in excluded
    )


def _print_pairs(pairs: Iterable[Pair]) -> None:
    pairs = list(pairs)
    copies = [pair for pair in pairs if pair.copy]
    print(f"{'copies':18}{'pairs':>7}{'decoded':>9}{'audit':>7}{'two':>6}{'phash<=10':>11}")
    for kind in [*dict.fromkeys(pair.kind for pair in copies), "all"]:
        of_kind = [pair for pair in copies if kind in {pair.kind, "all"}]
        counts = (
            sum(getattr(pair, side) for pair in of_kind)
            for side in ("decoded", "clustered", "compared", "hashed")
        )
        print("{:18}{:7}{:9}{:7}{:6}{:11}".format(kind, len(of_kind), *counts))
    others = [pair for pair in pairs if not pair.copy]
    wrong = (sum(getattr(p, side) for p in others) for side in ("clustered", "compared", "hashed"))
    print("{:18}{:7}{:9}{:7}{:6}{:11}".format("not copies", len(others), len(others), *wrong))
    left = sum(pair.excluded for pair in copies)
    print(f"of these copies, {left} pictures would be excluded, the others kept")
    missed = [pair.other for pair in copies if pair.decoded and not pair.clustered]
    print(f"missed though decoded: {', '.join(missed) or 'none'}")


def _print_merged(title: str, answers: Answers) -> None:
    apart = answers.findings["look-alike pairs told apart by their pixels"]
    print(f"\n{title}: {len(answers.merged)} merged, {apart} look-alike pairs told apart")
    for kept, name, how in answers.merged:
        print(f"  {name} repeats {kept}: {how}")


def main() -> int:
    """Print the tables."""
    given = [word for word in sys.argv[1:] if word != "--emoji"]
    data = Path(given[0] if given else "../shared/data")
    if not (data / "neardup").is_dir():
        print(f"There is no reference data in {data}; give its folder.", file=sys.stderr)
        return 5
    _print_pairs(neardup(data))
    _print_merged("photographs of shelves", photos(data))
    if "--emoji" in sys.argv:
        answers = emoji(data)
        _print_merged("drawings", answers)
        total, out = (
            Counter(r["kind"] for r in look_alikes(data)),
            excluded_look_alikes(data, answers),
        )
        for kind, count in sorted(total.items()):
            print(f"look-alikes, {kind}: {out[kind]} of {count} excluded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
