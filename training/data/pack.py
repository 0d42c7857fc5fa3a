"""Packs: cleared pictures at training size in a few large files, with an index, told to the ledger.

A pack is a folder: `index.parquet`, one row a sample in the order of the cleared list, and shards
in which encoded pictures follow one another. It appears whole or not at all; one that was being
made when its process was killed is made anew. The ledger is told of its index first, so a pack that
stands there untold was put there by somebody else.

Does not see: who reads it. `packed.py` lets nobody read what is not on the list of their clearance.
"""

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
from PIL import Image

from governance.canon import Json, digest, file_sha256, sha256, whole_file, whole_folder
from governance.clearance import Clearance
from governance.errors import Refused, Tampered
from governance.snapshot import Snapshot, write_table
from governance.trail.ledger import Ledger
from training.data.cleared import ClearedList, cropped, in_threads, read_images, thread_count
from training.data.shapes import Shapes
from training.records.record import Bar

PACKED = "packed"  # the act the ledger is told of
PACKING = 1  # of this code: another number, and no earlier pack is read
INDEX_FILE = "index.parquet"
SHARD_BYTES = 64 << 20  # so that copying one again is quick
JPEG_QUALITY = 92  # PRX part 4 (July 2026): trained no worse than on lossless pictures
LOSSLESS = ("BMP", "GIF", "PNG")  # WebP and AVIF may be; that they were is nowhere written
SMALL_BYTES = 16 << 10  # as PNG: any of 64 px, where JPEG's blocks would show; drawings above
PERMITTED = ("decision", "clearance")  # under which a pack was made
INDEX = pa.schema(
    [
        ("source_sha256", pa.string()),  # of the picture in the snapshot
        ("sha256", pa.string()),  # of the bytes in the pack
        ("shard", pa.int32()),
        ("offset", pa.int64()),
        ("length", pa.int32()),
        ("shape", pa.uint8()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("enlarged", pa.bool_()),
        ("caption_sha256", pa.string()),  # the text itself stays in the cleared list
        ("licence", pa.string()),
        *((name, pa.string()) for name in PERMITTED),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packs:
    """The folder of a workspace's packs, and the ledger that is told of them."""

    folder: Path
    ledger: Ledger

    def told(self, shapes: Shapes) -> Iterator[tuple[Path, str]]:
        """Yield packs with these shapes and the SHA-256 of their index, the latest first."""
        found = {
            str(entry.body["pack"]): str(entry.body["index"])
            for entry in self.ledger.entries(PACKED)
            if entry.body["layout"] == layout(shapes)
        }
        yield from ((self.folder / name, index) for name, index in reversed(found.items()))

    def make(
        self,
        clearance: Clearance,
        *,
        listed: ClearedList,
        snapshot: Snapshot,
        shapes: Shapes,
        bar: Bar,
    ) -> tuple[Path, str]:
        """Write a pack of all cleared samples of an admitted clearance; tell the ledger.

        Returns where it lies and the SHA-256 of its index. One process at a time may do so. What
        is kept of a sample until the index is written is about a kilobyte.

        Raises:
            Refused: the snapshot is encrypted, or not the one that was cleared.
            Tampered: bytes are not those that were sealed, or a pack lies there untold.
            EvidenceMissing: a shard is gone, or a cleared picture cannot be decoded.
        """
        listed.check(clearance, snapshot)
        check_plain(snapshot)
        named = {"snapshot": snapshot.root, "cleared": listed.root, "layout": layout(shapes)}
        folder = self.folder / digest(named)
        if folder.exists():
            raise Tampered(
                f"Pack {folder.name[:12]} lies here and the ledger was not told of it; remove it, "
                "and it is made anew."
            )
        with whole_folder(folder) as making:
            rows = _write_shards(making, listed.rows, snapshot, shapes=shapes, bar=bar)
            for name, of in zip(PERMITTED, (clearance.decision, clearance.id), strict=True):
                rows = rows.append_column(name, pa.repeat(pa.scalar(of), rows.num_rows))
            write_table(making / INDEX_FILE, rows.cast(INDEX))
            index = file_sha256(making / INDEX_FILE)
            body = {**named, "pack": folder.name, "index": index, "samples": rows.num_rows}
            self.ledger.append(PACKED, body)
        return folder, index


def check_plain(snapshot: Snapshot) -> None:
    """Refuse a pack of encrypted pictures, which would lie beside them in plain."""
    if snapshot.encrypted:
        raise Refused(
            f"Snapshot {snapshot.root[:12]} is encrypted, and a pack would lie beside it in plain. "
            "Set data.keep to memory."
        )


def layout(shapes: Shapes) -> str:
    """Return the digest of what a pack's pictures look like."""
    said: dict[str, Json] = {
        "packing": PACKING,
        "quality": JPEG_QUALITY,
        "shapes": [list(shape) for shape in shapes.at(shapes.largest_px)],
    }
    return digest(said)


def shard_path(folder: Path, number: int) -> Path:
    """Return where a shard of a pack lies."""
    return folder / f"shard-{number:05d}.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    """A picture as it is packed."""

    data: bytes
    shape: int
    height: int
    width: int
    enlarged: bool


def _encoded(found: tuple[int, str, bytes], *, shapes: Shapes) -> tuple[str, _Encoded]:
    _, source, data = found
    picture = cropped(source, data, shapes)
    return source, _Encoded(
        data=encoded(picture.image, picture.format),
        shape=picture.shape,
        height=picture.image.height,
        width=picture.image.width,
        enlarged=picture.enlarged,
    )


def encoded(image: Image.Image, source_format: str) -> bytes:
    """Return a picture as PNG where its source was lossless and it stays small, else as JPEG.

    Pixels alone: comments and colour profiles of the source, which Pillow would keep, are dropped.
    """
    stream = io.BytesIO()
    image.info.clear()
    if source_format in LOSSLESS:
        image.save(stream, "PNG")
        if stream.tell() <= SMALL_BYTES:
            return stream.getvalue()
        stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


def _write_shards(
    folder: Path, rows: pa.Table, snapshot: Snapshot, *, shapes: Shapes, bar: Bar
) -> pa.Table:
    """Write the shards; return what the index says of each sample. Copies are packed once."""
    seen = in_threads(
        partial(_encoded, shapes=shapes), _once(rows, snapshot), threads=thread_count()
    )
    places: dict[str, dict[str, Json]] = {}
    waiting: list[tuple[str, _Encoded]] = []
    number = size = 0
    for source, picture in seen:
        waiting.append((source, picture))
        size += len(picture.data)
        bar(1)
        if size >= SHARD_BYTES:
            places |= _write_shard(folder, number, waiting)
            waiting, number, size = [], number + 1, 0
    places |= _write_shard(folder, number, waiting)
    said = rows.select(["sha256", "caption", "licence"]).to_pylist()
    index = [{**places[row["sha256"]], **_said(row)} for row in said]
    return pa.Table.from_pylist(index, schema=pa.schema(list(INDEX)[: -len(PERMITTED)]))


def _once(rows: pa.Table, snapshot: Snapshot) -> Iterator[tuple[int, str, bytes]]:
    """Yield each picture once; copies follow one another in the list."""
    digests = rows["sha256"].to_pylist()
    first = [place for place, one in enumerate(digests) if not place or one != digests[place - 1]]
    yield from read_images(rows.take(first), snapshot)


def _said(row: dict[str, str | None]) -> dict[str, Json]:
    caption = row["caption"]
    return {
        "source_sha256": row["sha256"],
        "caption_sha256": None if caption is None else sha256(caption.encode()),
        "licence": row["licence"],
    }


def _write_shard(
    folder: Path, number: int, pictures: list[tuple[str, _Encoded]]
) -> dict[str, dict[str, Json]]:
    """Write one shard whole; return where each picture lies in it."""
    places: dict[str, dict[str, Json]] = {}
    with whole_file(shard_path(folder, number)) as stream:
        for source, picture in pictures:
            said = {key: value for key, value in asdict(picture).items() if key != "data"}
            places[source] = {
                **said,
                "sha256": sha256(picture.data),
                "shard": number,
                "offset": stream.tell(),
                "length": stream.write(picture.data),
            }
    return places
