"""What the bias audit says of data whose answers are published, and what its parity costs.

    python benchmarks/bias_answers.py                     # the data lie in ../shared/data
    python benchmarks/bias_answers.py DATA --rows 100000

Does not see: how good the lexicons are on captions of India: no set with known answers is here.
"""

import argparse
import csv
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audits.audit import LONGEST_PX, Batch, Pixels
from audits.bias import LEXICONS, BiasAudit
from audits.captions import lexicon, stated, words
from audits.people.association import RATE, Cells, strengths
from audits.people.parity import Kept, Selection, cells_of, parity, selections
from governance.errors import EvidenceMissing
from governance.images import decode
from governance.records import Finding

VENDORS = ("noto", "twemoji", "openmoji", "fluent")
DECLARED = ("gender", "skin_tone", "skin_tones", "occupation", "cultural_marker")
SCRIPTS = ("", "_hi", "_ta", "_bn")  # of the captions: English, Hindi, Tamil, Bengali
RULES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Fairlearn on rows and on counts: seconds of each, and whether every figure is the same."""

    rows_s: float
    counts_s: float
    equal: bool


def concluded(manifest: pa.Table) -> dict[str, Finding]:
    """Return the findings of the audit about rows with id, caption and attributes, by name."""
    audit, rows = BiasAudit(), manifest.num_rows
    columns = audit.measure(Batch(manifest, (None,) * rows, (b"",) * rows))
    for column in audit.columns:
        array = pa.array(columns[column.name], column.type)
        manifest = manifest.append_column(column.name, array)
    with duckdb.connect() as connection:
        connection.register("measures", manifest)
        findings = audit.conclude(connection, _no_picture).findings
    return {finding.name: finding for finding in findings}


def _no_picture(sample_id: str) -> Pixels:
    raise EvidenceMissing(f"The bias audit asked for the picture {sample_id}; it never may.")


def coco(data: Path) -> dict[str, Finding]:
    """Return what is found in COCO's captions, each a sample, those of a picture its copies."""
    rows = []
    for picture in _coco(data):
        first = f"{picture['image_id']:012}-0"
        for place, caption in enumerate(picture["captions"]):
            sample = f"{picture['image_id']:012}-{place}"
            copy_of = None if sample == first else first
            rows.append({"id": sample, "caption": caption, "duplicate_of": copy_of})
    table = pa.Table.from_pylist(rows)
    return concluded(table.append_column("attributes", pa.array([""] * len(rows))))


def made_rocks(data: Path) -> int:
    """Return in how many pictures of COCO no man is named but in "man made"."""
    men = {"man", "men", "male", "males", "boy", "boys", "guy", "guys", "gentleman", "gentlemen"}
    count = 0
    for picture in _coco(data):
        said = [" ".join(words(caption)) for caption in picture["captions"]]
        without = {word for text in said for word in text.replace("man made", "").split()}
        count += any("man made" in text for text in said) and not men & without
    return count


def emoji(data: Path, vendor: str) -> dict[str, Finding]:
    """Return what is found in the pictures of one vendor."""
    rows = []
    for row in _table(data / "emoji" / f"emoji-{vendor}.parquet"):
        said = {name: row[name] for name in DECLARED if row[name]}
        picture = decode(row["image"], longest_px=LONGEST_PX)
        rows.append(
            {
                "id": row["id"],
                "caption": row["caption"],
                "attributes": json.dumps(said),
                "pixels_sha256": picture.pixels_sha256,
            }
        )
    return concluded(pa.Table.from_pylist(rows))


def scripts(data: Path) -> dict[str, tuple[int, int]]:
    """Return, by language, how many of the captions of a woman or man alone state that gender.

    The captions are Unicode's names of the same pictures; a name that leaves the gender open in
    its language states none, rightly.
    """
    terms, found = lexicon(*LEXICONS), {}
    rows = _table(data / "emoji" / "emoji-noto.parquet")
    people = [row for row in rows if row["gender"] in {"woman", "man"}]
    for language in SCRIPTS:
        told = [(row[f"caption{language}"], f"gender={row['gender']}") for row in people]
        found[language] = (sum(g in stated(c or "", terms) for c, g in told), len(told))
    return found


def term_lists(data: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each published list of terms: its name, all terms, those the lexicons do not state."""
    text, terms = data / "text", lexicon(*LEXICONS)
    lists = {
        f"india_{axis}_terms": _lines(text / f"india_{axis}_terms.tsv")[1:]
        for axis in ("caste", "gender", "region", "religion")
    }
    lists["winogender_occupations"] = [
        line.split("\t")[0] for line in _lines(text / "winogender_occupations.tsv")[1:]
    ]
    for gender in ("female", "male"):
        name = f"winobias_{gender}_occupations"
        lists[name] = _lines(text / f"{name}.txt")
    with (text / "entigen_prompts.csv").open(encoding="utf-8", newline="") as stream:
        lists["entigen_professions"] = [
            row["Attribute"]
            for row in csv.DictReader(stream)
            if (row["Category"], row["Type"]) == ("profession", "neutral")
        ]
    for name, said in lists.items():
        yield name, said, [term for term in said if not stated(f"a photo of a {term}", terms)]


def crowd(count: int, seed: int = 0) -> tuple[pa.Table, pa.Table]:
    """Return samples with gender and twenty occupations, and what five rules take out of them."""
    rng = np.random.default_rng(seed)
    gender = rng.choice(["woman", "man", "hijra"], count, p=[0.45, 0.54, 0.01])
    work = rng.integers(0, 20, count)
    groups = [[f"gender={g}", f"occupation={w}"] for g, w in zip(gender, work, strict=True)]
    lists = pa.list_(pa.string())
    samples = pa.table(
        {
            "id": [f"{n:08}" for n in range(count)],
            "source": pa.array(rng.choice(["north", "south"], count)),
            "declared": pa.array(groups, lists),
            "stated": pa.array([[]] * count, lists),
        }
    )
    out = []
    for rule in range(RULES):
        rows = np.flatnonzero(rng.random(count) < 0.05 + 0.05 * (work == 0))
        ids = samples["id"].take(pa.array(rows))
        out.append(pa.table({"id": ids, "rule": [f"RULE-{rule}"] * len(rows)}))
    return samples, pa.concat_tables(out)


def on_rows(samples: pa.Table, excluded: pa.Table, axis: str) -> Selection:
    """Return what fairlearn says of an axis when it is given one row a sample."""
    from fairlearn.metrics import MetricFrame, selection_rate  # noqa: PLC0415  heavy

    out = set(excluded["id"].to_pylist())
    kept = [int(sample not in out) for sample in samples["id"].to_pylist()]
    said = samples["declared"].to_pylist()
    groups = [next(g for g in row if g.startswith(f"{axis}=")) for row in said]
    frame = MetricFrame(metrics=selection_rate, y_true=kept, y_pred=kept, sensitive_features=groups)
    rates = zip(frame.by_group.index.tolist(), np.asarray(frame.by_group).tolist(), strict=True)
    gap, part = np.asarray(frame.difference()), np.asarray(frame.ratio())
    return Selection(dict(rates), gap.item(), part.item())


def on_counts(samples: pa.Table, excluded: pa.Table, axis: str) -> Selection:
    """Return what fairlearn says of an axis when it is given the contingency table."""
    with duckdb.connect() as connection:
        connection.register("samples", samples)
        connection.register("excluded", excluded)
        rows = connection.execute(
            "SELECT said, count(*) FILTER (id NOT IN (SELECT id FROM excluded)), count(*) FROM "
            "(SELECT id, unnest(declared) AS said FROM samples) WHERE starts_with(said, ?) "
            "GROUP BY said ORDER BY said",
            [f"{axis}="],
        ).fetchall()
    return selections(cells_of({"": {said: Kept(kept, total) for said, kept, total in rows}}))[""]


def timed(count: int) -> Timed:
    """Return what both ways take at `count` samples, the table made from the rows included."""
    samples, excluded = crowd(count)
    on_counts(samples.slice(0, 100), excluded, "occupation")  # imports
    start = time.perf_counter()
    by_rows = on_rows(samples, excluded, "occupation")
    middle = time.perf_counter()
    by_counts = on_counts(samples, excluded, "occupation")
    end = time.perf_counter()
    return Timed(rows_s=middle - start, counts_s=end - middle, equal=by_rows == by_counts)


def _coco(data: Path) -> list[dict[str, Any]]:
    return _table(data / "licences" / "coco_val2017_captions.parquet")


def _table(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise EvidenceMissing(f"There is no {path.name} in the data folder; give the folder.")
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def discoveries(corpora: int = 200, seed: int = 0) -> float:
    """Return the share of corpora without any association in which one is found.

    Each has 2,000 pictures of four groups of unequal size and 30 terms of unequal frequency, all
    drawn independently. Where nothing is true, this is the false discovery rate.
    """
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(corpora):
        group = rng.choice(4, 2000, p=[0.5, 0.3, 0.15, 0.05])
        terms = rng.random((2000, 30)) < np.geomspace(0.01, 0.5, 30)
        both = np.array([terms[group == g].sum(axis=0) for g in range(4)], dtype=np.float64)
        cells = Cells(
            whole=np.full(120, 2000.0),
            group=np.repeat(np.bincount(group, minlength=4).astype(np.float64), 30),
            term=np.tile(both.sum(axis=0), 4),
            both=both.ravel(),
        )
        tested = Cells(*(column[cells.enough] for column in cells))
        found += bool((strengths(tested).q < RATE).any())
    return found / corpora


def _print_coco(data: Path) -> None:
    found = coco(data)
    print(
        "COCO val2017, 4,003 pictures: captions name only men in 928, only women in 400, both 185"
    )
    for name, finding in found.items():
        if name.startswith(("pictures with stated", "pictures with several stated", "nPMI ")):
            low, high = finding.low, finding.high
            spread = "" if low is None or high is None else f"  {low:+.2f} to {high:+.2f}"
            print(f"  {finding.value or 0:9.4g}{spread}  {name}")
    print(f'  {made_rocks(data):9} of the men are in the words "man made"')


def _print_emoji(data: Path) -> None:
    print("\nEmoji: as many women as men by label. One picture under several labels:")
    for vendor in VENDORS:
        found = emoji(data, vendor)
        shared = [f for n, f in found.items() if n.startswith("one picture for ")]
        beyond, of = found["associations beyond chance"], found["associations compared"]
        print(f"  {vendor:9} associations beyond chance: {beyond.value:g} of {of.value:g}")
        for finding in shared:
            print(f"  {finding.value or 0:9g} {finding.name}")


def _print_terms(data: Path) -> None:
    print("\nTerms of published lists that the lexicons state")
    for name, terms, missing in term_lists(data):
        print(f"  {len(terms) - len(missing):4} of {len(terms):3}  {name}  {', '.join(missing)}")
    print("\nGender stated by Unicode's names of 944 pictures of one woman or man")
    for language, (said, total) in scripts(data).items():
        print(f"  {said:4} of {total}  caption{language}")
    captions = [c for row in _coco(data) for c in row["captions"]]
    people, start = lexicon(*LEXICONS), time.perf_counter()
    for caption in captions:
        stated(caption, people)
    rate = len(captions) / (time.perf_counter() - start)
    print(f"\nCaptions of COCO read: {rate:,.0f}/s on one core, {len(people.terms):,} terms")


def _print_parity(rows: int) -> None:
    print(
        f"\nFalse discoveries in 200 corpora without associations: {discoveries():.3f} of corpora"
    )
    both = timed(rows)
    print(f"\nParity of one axis at {rows:,} samples, fairlearn {version('fairlearn')}")
    print(f"  {both.rows_s:8.3f} s  given the rows\n  {both.counts_s:8.3f} s  given the counts")
    print(f"  {both.rows_s / both.counts_s:8.1f} times as fast, every figure equal: {both.equal}")
    samples, excluded = crowd(rows)
    start = time.perf_counter()
    count = len(parity(samples, excluded))
    spent = time.perf_counter() - start
    print(
        f"  {spent:8.3f} s  all {count} findings: two axes, {RULES} rules and all of them, sources"
    )
    print(f"  Python {platform.python_version()}")


def main(arguments: Sequence[str]) -> int:
    """Print the answers. Returns an exit status."""
    parser = argparse.ArgumentParser(description="What the bias audit says of known data.")
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args(arguments)
    try:
        _print_coco(asked.data)
        _print_emoji(asked.data)
        _print_terms(asked.data)
    except EvidenceMissing as fault:
        print(fault, file=sys.stderr)
        return fault.status
    _print_parity(asked.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
