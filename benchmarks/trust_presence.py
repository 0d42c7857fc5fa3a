"""How long it takes to prove that a picture is not among so many samples, and how large that is.

    python benchmarks/trust_presence.py
    python benchmarks/trust_presence.py --samples 10000

Both sizes are made in one run. The leaves of a real manifest are made from its rows (canonical JSON
and SHA-256 a row), which is most of the time; the tree, the proof and its check come after. Times
are of the processor, so that what else the machine does is not in them.

Does not see: reading the Parquet file, or the ledger's proof and the signature that a proof file
carries as well.
"""

import argparse
import hashlib
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import TypeVar

import pyarrow as pa

from governance.canon import canonical
from governance.rights.presence import check, prove
from governance.snapshot import MANIFEST, sample_leaves
from governance.trail import merkle

SAMPLES = (10_000, 1_000_000)
ASKED = 100  # checks, of which the median is printed
PART = 50_000  # rows made at a time

T = TypeVar("T")


def timed(act: Callable[[], T]) -> tuple[T, float]:
    """Return what an act returned, and the seconds of processor time it took."""
    began = time.process_time()
    made = act()
    return made, time.process_time() - began


def digests(count: int) -> list[str]:
    """Return so many digests in order, the same in every run."""
    return sorted(hashlib.sha256(b"%d" % number).hexdigest() for number in range(count))


def manifests(images: list[str]) -> Iterator[pa.Table]:
    """Yield manifests whose rows say about as much as those of a photograph do."""
    for start in range(0, len(images), PART):
        rows = [
            {
                "id": f"photo-{start + number:08}", "sha256": image, "size_bytes": 48_213,
                "shard": 0, "row": number, "licence": "CC-BY-4.0", "source": "photos.parquet",
                "caption": "two people cross a street in the rain under one umbrella",
                "creator": "a photographer", "attributes": "{}", "extra": '{"width":512}',
                "source_url": f"https://photos.example.org/{start + number}.jpg",
            }
            for number, image in enumerate(images[start : start + PART])
        ]  # fmt: skip
        yield pa.Table.from_pylist(rows, schema=MANIFEST)


def leaves_of(images: list[str]) -> tuple[list[bytes], float]:
    """Return the leaves of a manifest, and the seconds they took, without making its rows."""
    leaves, seconds = list[bytes](), 0.0
    for table in manifests(images):
        part, took_s = timed(lambda table=table: list(sample_leaves(table)))
        leaves, seconds = leaves + part, seconds + took_s
    return leaves, seconds


def measured(count: int) -> tuple[float, float, int, float]:
    """Return seconds for the leaves, seconds for the proof, its bytes, and seconds for a check."""
    leaves, leaves_s = leaves_of(digests(count))
    absent = [hashlib.sha256(b"absent %d" % number).hexdigest() for number in range(ASKED)]
    proof, prove_s = timed(lambda: prove(leaves, absent[0]))
    root = merkle.Tree.of(leaves).root().hex()
    times = []
    for _ in absent:
        found, took_s = timed(lambda: check(proof, sha256=absent[0], root=root, size=count))
        if found:
            raise SystemExit("A picture that is absent was found; the proof is worth nothing.")
        times.append(took_s)
    size_bytes = len(canonical(proof.to_json()))
    return leaves_s, prove_s, size_bytes, statistics.median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=SAMPLES)
    asked = parser.parse_args()
    print(f"Python {platform.python_version()}, pyarrow {version('pyarrow')}; processor time")
    print("   samples  leaves s  tree and proof s  proof bytes     check")
    for count in asked.samples:
        leaves_s, prove_s, size_bytes, check_s = measured(count)
        print(
            f"{count:>10,} {leaves_s:>9.2f} {prove_s:>17.2f} {size_bytes:>12,} "
            f"{check_s * 1e6:>6.0f} us"
        )


if __name__ == "__main__":
    main()
