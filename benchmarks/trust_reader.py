"""What proof and encryption cost the training reader: the same pictures, read side by side.

Each side is the reader that training uses (`ClearedSamples.open`: read, decrypt, hash, decode, fit)
over one snapshot, registered in place or encrypted. Where hashing is left out, SHA-256 is replaced
by a function that knows the answer, and nothing else changes. Times are CPU time of this process.
Neighbours make it wander by a tenth, so turns are short and many: in each, every side reads the
same pictures, in an order that rotates, and a ratio is the median of the ratios within a turn.

    python benchmarks/trust_reader.py
    python benchmarks/trust_reader.py --image-px 32

Does not see: disks. The pictures are in the page cache, which makes hashing look dearer than it is
where reading waits for a disk. Training reads each picture once a run and keeps small pixels.
"""

import argparse
import io
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from audits.reading.ingest import ingest
from governance.canon import file_sha256, sha256
from governance.clearance import Clearance
from governance.sealing.sealed import KEY_BYTES, NONCE_BYTES, NewKeys, decrypt, encrypt, read_keys
from governance.snapshot import Snapshot
from training.data.cleared import ClearedList
from training.data.samples import ClearedSamples

SIDE_PX = 512
NONE, FILE, PLAIN, SEALED = "no hashing", "hashing shards only", "plain reader", "sealed reader"
HASH, DECRYPT = "SHA-256 alone", "AES-256-GCM alone"
LIBRARIES = ("cryptography", "pillow", "pyarrow")


def render(path: Path, count: int) -> int:
    """Write JPEGs of noise on gradients, as large as photographs; return their mean bytes."""
    rng = np.random.default_rng(1)
    slope = np.linspace(0, 160, SIDE_PX)
    pictures = []
    for _ in range(count):
        ground = slope[:, None, None] * rng.random(3) + slope[None, :, None] * rng.random(3)
        noise = rng.normal(0, 12, (SIDE_PX, SIDE_PX, 3))
        stream = io.BytesIO()
        Image.fromarray(np.clip(ground + noise, 0, 255).astype(np.uint8)).save(
            stream, "JPEG", quality=85
        )
        pictures.append(stream.getvalue())
    pq.write_table(
        pa.table({"image": pictures, "caption": ["noise"] * count}), path, row_group_size=128
    )
    return sum(map(len, pictures)) // count


def reader(snapshot: Snapshot, image_px: int) -> Callable[[], object]:
    """Return a function that reads a whole snapshot as training does."""
    listed = ClearedList.read(snapshot.folder / "manifest.parquet")
    clearance = Clearance(
        id="", decision="", snapshot=snapshot.root, cleared_root=listed.root,
        cleared=listed.rows.num_rows, run_config="", budget_s=0, host="", nonce="",
        issued_at="", expires_at="",
    )  # fmt: skip
    return lambda: ClearedSamples.open(
        clearance, listed=listed, snapshot=snapshot, image_px=image_px
    )


@contextmanager
def without_hashing(snapshot: Snapshot, *, of_shards: bool) -> Iterator[None]:
    """Let SHA-256 of the buffers answer at once, and that of the shard files if asked."""
    table = snapshot.manifest().sort_by([("shard", "ascending"), ("row", "ascending")])
    digests = iter(table["sha256"].to_pylist())
    shards = {snapshot.shard_path(n): s.sha256 for n, s in enumerate(snapshot.shards)}
    file_digest = shards.__getitem__ if of_shards else file_sha256
    with (
        patch("governance.snapshot.sha256", lambda _: next(digests)),
        patch("governance.snapshot.file_sha256", file_digest),
    ):
        yield


def sides(plain: Snapshot, sealed: Snapshot, *, image_px: int) -> dict[str, Callable[[], float]]:
    """Return what is compared: each goes through all pictures once and returns its CPU seconds."""
    read, read_sealed = reader(plain, image_px), reader(sealed, image_px)
    rows = plain.manifest().sort_by("row")
    digests = rows["sha256"].to_pylist()
    pictures = list(plain.open_shard(0).images(rows["row"].to_pylist(), digests))
    key, nonce = bytes(KEY_BYTES), bytes(NONCE_BYTES)
    cells = [
        (encrypt(picture, key=key, digest=digest, nonce=nonce), digest)
        for picture, digest in zip(pictures, digests, strict=True)
    ]

    def bare(*, of_shards: bool) -> float:
        with without_hashing(plain, of_shards=of_shards):
            return timed(read)

    return {
        NONE: lambda: bare(of_shards=True),
        FILE: lambda: bare(of_shards=False),
        PLAIN: lambda: timed(read),
        SEALED: lambda: timed(read_sealed),
        HASH: lambda: timed(lambda: [sha256(picture) for picture in pictures]),
        DECRYPT: lambda: timed(lambda: [decrypt(c, key=key, digest=d) for c, d in cells]),
    }


def timed(act: Callable[[], object]) -> float:
    """Return the CPU seconds an act takes."""
    began = time.process_time()
    act()
    return time.process_time() - began


def measured(compared: Mapping[str, Callable[[], float]], turns: int) -> list[dict[str, float]]:
    """Return CPU seconds of each side in each turn; the first turn only warms the page cache."""
    names, taken = list(compared), []
    for turn in range(turns + 1):
        shift = turn % len(names)
        taken.append({name: compared[name]() for name in names[shift:] + names[:shift]})
    return taken[1:]


def report(turns: Sequence[Mapping[str, float]], count: int) -> Iterator[str]:
    """Yield the table, and each cost as a share of the side it is added to, with quartiles."""
    yield f"{'':22}{'pictures/s':>11}   CPU ms a picture: quartiles over {len(turns)} turns"
    for name in (NONE, FILE, PLAIN, SEALED, HASH, DECRYPT):
        each_ms = [1000 * turn[name] / count for turn in turns]
        low, middle, high = statistics.quantiles(each_ms, n=4)
        yield f"{name:22}{1000 / middle:11.1f}   {low:.3f}  {middle:.3f}  {high:.3f}"
    for what, cost, beside in (
        ("hashing the buffer that is decoded", lambda t: t[PLAIN] - t[FILE], FILE),
        ("the same, from hashing alone", lambda t: t[HASH], FILE),
        ("all hashing, shard files too", lambda t: t[PLAIN] - t[NONE], NONE),
        ("encryption", lambda t: t[SEALED] - t[PLAIN], PLAIN),
        ("the same, from decrypting alone", lambda t: t[DECRYPT], PLAIN),
    ):
        low, middle, high = statistics.quantiles([100 * cost(t) / t[beside] for t in turns], n=4)
        yield f"{what}: {middle:+.1f} % ({low:+.1f} to {high:+.1f}) of the time of: {beside}"


def main() -> None:
    """Make the pictures, measure in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--image-px", type=int, default=64, help="8 times this is decoded")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mean_bytes = render(folder / "set.parquet", asked.count)
        source = [str(folder / "set.parquet")]
        plain = ingest(source, snapshots=folder / "plain")
        sealed = ingest(source, snapshots=folder / "sealed", keys=NewKeys(folder / "keys"))
        sealed = replace(sealed, keys=read_keys(folder / "keys", sealed.root))
        turns = measured(sides(plain, sealed, image_px=asked.image_px), asked.turns)
    print(", ".join(f"{lib} {version(lib)}" for lib in LIBRARIES), platform.machine())
    print(f"{asked.count} JPEGs of {SIDE_PX} px, {mean_bytes} bytes each, to {asked.image_px} px")
    print(*report(turns, asked.count), sep="\n")


if __name__ == "__main__":
    main()
