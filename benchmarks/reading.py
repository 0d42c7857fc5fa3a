"""How fast training gets its pictures: from the snapshot's shards, from a pack, from memory.

All sides read the same JPEGs (noise on gradients, about as many bytes as photographs) as a run
does: from the shards as `read_into_memory` does once, from the pack and from memory as `Batches`
does at each step. From the pack every picture is hashed each time; the share that takes is told
from the same bytes hashed alone. Turns are short and alternate, figures are medians of turns; wall
is what waits, CPU is what all threads of this process take together.

    python benchmarks/reading.py
    python benchmarks/reading.py --count 4096 --side-px 40 --image-px 32 --form png

Does not see: disks, as everything lies in the page cache; and a machine with neighbours has walls
that wander.
"""

import argparse
import io
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from audits.reading.ingest import ingest
from governance.canon import sha256
from governance.clearance import Clearance
from governance.workspace import Workspace
from training.data.cleared import ClearedList, thread_count
from training.data.memory import needed_bytes, read_into_memory
from training.data.pack import Packs
from training.data.packed import Pack, Packed
from training.data.shapes import Shapes

BATCH = 32


def render(path: Path, *, count: int, side_px: int, form: str) -> int:
    """Write pictures of noise on gradients; return their bytes in all."""
    rng, size = np.random.default_rng(1), 0
    slope = np.linspace(0, 160, side_px)
    pictures = []
    for _ in range(count):
        ground = slope[:, None, None] * rng.random(3) + slope[None, :, None] * rng.random(3)
        noise = rng.normal(0, 12, (side_px, side_px, 3))
        stream = io.BytesIO()
        image = Image.fromarray(np.clip(ground + noise, 0, 255).astype(np.uint8))
        image.save(stream, form, quality=85)
        pictures.append(stream.getvalue())
        size += len(pictures[-1])
    table = pa.table({"image": pictures, "caption": ["noise"] * count})
    pq.write_table(table, path, row_group_size=128)
    return size


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of wall and of CPU."""

    wall_s: float
    cpu_s: float

    @classmethod
    def of(cls, act: Callable[[], object]) -> Self:
        """Return what an act takes."""
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        return cls(time.perf_counter() - wall, time.process_time() - cpu)


def sides(
    workspace: Workspace, source: Path, *, image_px: int
) -> tuple[dict[str, Callable[[], object]], dict[str, int]]:
    """Return what is compared, each going through all pictures once, and bytes by place."""
    snapshot = ingest([str(source)], snapshots=workspace.snapshots)
    listed = ClearedList.read(snapshot.folder / "manifest.parquet")
    clearance = Clearance(
        id="", decision="", snapshot=snapshot.root, cleared_root=listed.root,
        cleared=listed.rows.num_rows, run_config="", budget_s=0, host="", nonce="",
        issued_at="", expires_at="",
    )  # fmt: skip
    shapes, rows, count = Shapes.square(image_px), listed.rows, listed.rows.num_rows
    packs = Packs(folder=workspace.state / "packs", ledger=workspace.ledger)

    def read(threads: int) -> Callable[[], object]:
        return lambda: read_into_memory(rows, snapshot, shapes, bar=int, threads=threads)

    def batches(taken: Callable[[Sequence[int]], object]) -> Callable[[], object]:
        numbers = np.random.default_rng(1).permutation(count).tolist()
        return lambda: [taken(numbers[at : at + BATCH]) for at in range(0, count, BATCH)]

    folder, index = packs.make(
        clearance, listed=listed, snapshot=snapshot, shapes=shapes, bar=lambda _: None
    )
    packed, _, _ = Packed.of(Pack.open(folder, told=index), rows, shapes)
    kept, _, _ = read_into_memory(rows, snapshot, shapes, bar=lambda _: None)
    alone = replace(packed, pool=type(packed.pool)(1))
    buffers = [packed._read(row) for row in range(count)]  # noqa: SLF001  the very bytes
    wanted = {"image_px": image_px, "shape": 0}
    compared = {
        "shards, 1 thread": read(1),
        f"shards, {thread_count()} threads": read(thread_count()),
        "pack, 1 thread": batches(lambda places: alone.take(places, **wanted)),
        f"pack, {thread_count()} threads": batches(lambda places: packed.take(places, **wanted)),
        "memory": batches(lambda places: kept.take(places, **wanted)),
        "SHA-256 of packed bytes alone": lambda: [sha256(data) for data in buffers],
    }
    sizes = {
        "pack": sum(path.stat().st_size for path in folder.iterdir()),
        "of which index": (folder / "index.parquet").stat().st_size,
        "memory": needed_bytes(count, shapes),
    }
    return compared, sizes


def measured(compared: Mapping[str, Callable[[], object]], turns: int) -> Iterator[dict[str, Took]]:
    """Yield what each side takes in each turn, in an order that rotates; the first only warms."""
    names = list(compared)
    for turn in range(turns + 1):
        shift = turn % len(names)
        taken = {name: Took.of(compared[name]) for name in names[shift:] + names[:shift]}
        if turn:
            yield taken


def main() -> None:
    """Make the pictures, measure in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--side-px", type=int, default=512)
    parser.add_argument("--image-px", type=int, default=256)
    parser.add_argument("--form", choices=("jpeg", "png"), default="jpeg")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "set.parquet"
        size = render(source, count=asked.count, side_px=asked.side_px, form=asked.form)
        workspace = Workspace.at(Path(name) / "workspace")
        compared, sizes = sides(workspace, source, image_px=asked.image_px)
        turns = list(measured(compared, asked.turns))
    print(f"pillow {version('pillow')}, pyarrow {version('pyarrow')}, {platform.machine()}")
    print(f"{asked.count} {asked.form} of {asked.side_px} px, trained on at {asked.image_px} px")
    print(f"{'':32}{'wall 1/s':>12}{'CPU 1/s':>12}   pictures a second, {len(turns)} turns")
    for side in compared:
        wall = statistics.median(turn[side].wall_s for turn in turns)
        cpu = statistics.median(turn[side].cpu_s for turn in turns)
        print(f"{side:32}{asked.count / wall:12,.0f}{asked.count / cpu:12,.0f}")
    one, hashed = "pack, 1 thread", "SHA-256 of packed bytes alone"
    share = statistics.median(turn[hashed].cpu_s / turn[one].cpu_s for turn in turns)
    print(f"hashing takes {share:.1%} of the CPU of reading from the pack")
    for place, count in {"source": size, **sizes}.items():
        print(f"{place:32}{count / asked.count:12,.0f} bytes a picture")


if __name__ == "__main__":
    main()
