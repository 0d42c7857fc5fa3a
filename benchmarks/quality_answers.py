"""The quality suite counted twice, and how well its blur measure tells what was blurred.

    python benchmarks/quality_answers.py [DATA]

Great Expectations and one DuckDB query count the same made-up measures; both times are printed.
DATA is the folder of reference data, ../shared/data where none is given; its photographs are
blurred here by a known radius. Exit status 5 without it.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter

from audits.expectations.appearance import appearance, blur
from audits.expectations.suite import Expectation, Suite, frame_of, gx_version, packaged, validated
from governance.images import decode

ROWS = 100_000
ABSENT = 0.02  # of a column's values
RADII_PX = (1, 2, 3)
LONGEST_PX = 320


def made_up(rows: int, seed: int = 0) -> pa.Table:
    """Return measures of which some are unusual in every way the suite knows, and some absent."""
    random = np.random.default_rng(seed)

    def some(part: float = ABSENT) -> npt.NDArray[np.bool_]:
        return random.random(rows) < part

    def whole(low: int, high: int, kind: pa.DataType) -> pa.Array:
        return pa.array(random.integers(low, high, rows), kind, mask=some())

    def share(low: float, high: float) -> pa.Array:
        values = random.uniform(low, high, rows).astype(np.float32)
        return pa.array(values, mask=some())

    scripts = np.array(["latin", "devanagari", "none", "mixed"])
    digests = np.array(["0" * 64, "f" * 64, "F" * 64, "short"])
    return pa.table(
        {
            "id": pa.array(
                [f"{n:08}" for n in random.integers(0, 50 * rows, rows)],
                mask=some(),
            ),
            "sha256": digests[random.integers(0, 4, rows)],
            "size_bytes": whole(0, 9, pa.int64()),
            "decoded": pa.array(some(0.9), mask=some()),
            "trailing_bytes": whole(0, 3, pa.int64()),
            "frames": whole(1, 3, pa.int32()),
            "width_px": whole(1, 9000, pa.int32()),
            "height_px": whole(1, 9000, pa.int32()),
            "aspect": share(0, 5),
            "blur": share(-0.1, 1.1),
            "entropy": share(-0.1, 8.1),
            "brightness": share(-0.1, 1.1),
            "caption_chars": whole(0, 2500, pa.int32()),
            "caption_words": whole(0, 400, pa.int32()),
            "caption_script": scripts[random.integers(0, 4, rows)],
        }
    )


def by_gx(measures: pa.Table, suite: Suite) -> dict[str, int]:
    """Return how many values are unusual, by the name of the finding, as GX counts them."""
    said = validated(frame_of(measures, suite), suite, complete=True)
    return {
        one.expectation_config.meta["finding"]: int(one.result["unexpected_count"])
        for one in said.results
        if one.expectation_config
    }


def by_sql(measures: pa.Table, suite: Suite) -> dict[str, int]:
    """Return the same as one query counts them."""
    counts = ", ".join(
        f"count(*) FILTER (WHERE {_unusual(one)}) AS '{one.finding.replace(chr(39), chr(39) * 2)}'"
        for one in suite.expectations
    )
    with duckdb.connect() as connection:
        connection.register("measures", measures)
        twice = "SELECT *, count(*) OVER (PARTITION BY id) AS copies FROM measures"
        answer = connection.sql(f"SELECT {counts} FROM ({twice})")  # noqa: S608  our own suite
        return dict(zip(answer.columns, answer.fetchall()[0], strict=True))


def _unusual(one: Expectation) -> str:
    """Return the SQL condition of a value that is there and not as expected."""
    listed = ", ".join(f"'{v}'" if isinstance(v, str) else str(v) for v in one.values)
    match one.kind:
        case "not_null":
            return f"{one.column} IS NULL"
        case "unique":
            return f"{one.column} IS NOT NULL AND copies > 1"
        case "match_regex":
            return f"NOT regexp_matches({one.column}, '{one.regex}')"
        case "in_set":
            return f"{one.column} NOT IN ({listed})"
        case "not_in_set":
            return f"{one.column} IN ({listed})"
        case "between":
            ends = [f"{one.column} < {one.min}" if one.min is not None else ""]
            ends += [f"{one.column} > {one.max}" if one.max is not None else ""]
            return " OR ".join(filter(None, ends))


def blurred(data: Path, step: int = 1) -> Iterator[tuple[int, float, float, float]]:
    """Yield a radius, and what blurring photographs by it does to their blur measure.

    That is: in which share of them it grows, in which share of pairs a blurred one exceeds a sharp
    one (AUC), and the median of the blurred ones. Every `step`-th photograph is taken.
    """
    table = pq.read_table(data / "photos" / "grocery.parquet", columns=["image"])
    photos = [
        decode(image if isinstance(image, bytes) else image["bytes"], longest_px=LONGEST_PX).image
        for image in table["image"].to_pylist()[::step]
    ]
    sharp = _blurs(photos)
    for radius in RADII_PX:
        soft = _blurs([photo.filter(ImageFilter.GaussianBlur(radius)) for photo in photos])
        pairs = soft[:, None] > sharp[None]
        yield radius, float((soft > sharp).mean()), float(pairs.mean()), float(np.median(soft))


def _blurs(photos: list[Image.Image]) -> npt.NDArray[np.float64]:
    found = [blur(np.asarray(photo.convert("L"))) for photo in photos]
    return np.array([1.0 if one is None else one for one in found])


def cost_ms(pictures: int = 200) -> float:
    """Return the CPU milliseconds that one picture of 320 x 320 costs."""
    noise = np.random.default_rng(0).integers(0, 256, (320, 320, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    start = time.process_time()
    for _ in range(pictures):
        appearance(picture)
    return (time.process_time() - start) / pictures * 1e3


def main() -> int:
    """Print both tables. Return the exit status."""
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    measures, suite, version = made_up(ROWS), packaged(), gx_version()
    times, counts = [], []
    for count in (by_gx, by_sql):
        start = time.perf_counter()
        counts.append(count(measures, suite))
        times.append(time.perf_counter() - start)
    for name, found in counts[0].items():
        print(
            f"{' ' if found == counts[1][name] else '!'} {name:38}{found:>9,}{counts[1][name]:>9,}"
        )
    print(f"{suite}: {len(counts[0])} expectations over {ROWS:,} rows")
    print(f"Great Expectations {version}: {times[0]:.2f} s; one DuckDB query: {times[1]:.2f} s\n")
    print(f"measures of how a picture looks: {cost_ms():.2f} ms CPU for 320 x 320 pixels")
    if not (data / "photos").is_dir():
        print(f"There is no reference data in {data}; give its folder as argument.")
        return 5
    print("blur by a Gaussian of radius     grows in   over sharp (AUC)   median")
    for radius, grows, auc, median in blurred(data):
        print(f"{radius:>28} px{grows:>13.1%}{auc:>19.3f}{median:>9.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
