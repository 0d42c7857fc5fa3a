"""What the locality audit answers where the answer is known: planted positions, cloud regions.

    python benchmarks/locality_answers.py [DATA]

DATA is the folder of reference data, ../shared/data where none is given. Exit status 5 without it.
"""

import csv
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from audits.audit import Batch
from audits.locality import LocalityAudit
from audits.places.boundary import OUTSIDE, Boundary, BoundaryTable, countries_of
from audits.places.positions import IMPLAUSIBLE
from governance.images import decode
from governance.places import country_named, country_of
from governance.snapshot import MANIFEST

EXPECTED = {"1": "IN", "0": OUTSIDE, "unknown": IMPLAUSIBLE, "invalid": IMPLAUSIBLE}
SHORT = {"US": "US", "UK": "GB"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A cloud region: what an outside list says, and what we say."""

    name: str
    in_india: bool  # as the outside list has it
    inside: bool  # its position lies inside the boundary
    country: str | None  # by our table
    named: frozenset[str]  # countries whose names stand in the region's name there

    @property
    def odd(self) -> bool:
        """Whether a name in the outside list speaks against the country in our table."""
        return bool(self.named) and self.named != {self.country}


def india(data: Path) -> Boundary:
    """Return the boundary in the reference data."""
    told = BoundaryTable(
        name="India (Government of India boundary, datameet 2019)",
        country="IN",
        path="india.geojson",
    )
    return Boundary.of(told, data / "geo")


def planted(data: Path) -> list[tuple[str, str, object]]:
    """Return each planted picture, the country it should have, and the one the audit measures."""
    with (data / "metadata" / "planted.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["field"] == "gps"]
    images = [(data / "metadata" / row["file"]).read_bytes() for row in rows]
    samples = pa.Table.from_pylist([{"id": row["file"]} for row in rows], schema=MANIFEST)
    batch = Batch(samples, tuple(decode(image, longest_px=320) for image in images), tuple(images))
    found = LocalityAudit(boundaries=(india(data),)).measure(batch)["gps_country"]
    expected = [EXPECTED[row["in_india"]] for row in rows]
    return [(row["file"], e, f) for row, e, f in zip(rows, expected, found, strict=True)]


def regions(data: Path) -> list[Region]:
    """Return every region of the outside list beside what boundary and table say of it."""
    with (data / "geo" / "cloud_regions.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    where = [(float(row["lat"]), float(row["lon"])) for row in rows]
    inside = countries_of(where, (india(data),))
    return [
        Region(
            name=f"{row['provider']}:{row['region']}",
            in_india=row["in_india"] == "1",
            inside=country == "IN",
            country=country_of(f"{row['provider']}:{row['region']}"),
            named=_named(row["name"]),
        )
        for row, country in zip(rows, inside, strict=True)
    ]


def _named(name: str) -> frozenset[str]:
    """Return the countries whose names stand in the name of a region, such as 'Brazil South'."""
    words = re.findall(r"[^\W\d_]+", name)
    runs = {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, i + 4)}
    codes = {SHORT[run] for run in runs if run in SHORT}
    long = {country_named(run) for run in runs if len(run) > 2}  # noqa: PLR2004  'AR' is no word
    return frozenset(codes | {code for code in long if code})


def main() -> int:
    """Print both tables. Return the exit status."""
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    if not (data / "geo").is_dir():
        print(f"There is no reference data in {data}; give its folder as argument.")
        return 5
    answers = planted(data)
    for file, expected, found in answers:
        print(f"{'  ' if found == expected else '! '}{file:44}{expected:12} {found}")
    print(f"planted positions: {sum(e == f for _, e, f in answers)} of {len(answers)} right\n")

    rows = regions(data)
    print(f"cloud regions of an outside list of January 2025: {len(rows)}")
    indian = sum(r.in_india for r in rows)
    print(f"  in India by the list / by boundary / by our table: {indian} / "
          f"{sum(r.inside for r in rows)} / {sum(r.country == 'IN' for r in rows)}")  # fmt: skip
    wrong = [r.name for r in rows if not r.in_india == r.inside == (r.country == "IN")]
    print(f"  of which any two disagree: {wrong or 'none'}")
    print(f"  without a country in our table: {[r.name for r in rows if r.country is None]}")
    named = [r for r in rows if r.named]
    print(f"  with a country's name in their own: {len(named)}, of which our table has another:")
    for region in (r for r in named if r.odd):
        print(f"    {region.name}: named {', '.join(region.named)}, in our table {region.country}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
