"""Sealed samples: named by their root, and read back only as they were sealed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.canon import digest, file_sha256, sha256
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.snapshot import MANIFEST, Shard, Snapshot, sample_leaves, seal

IMAGES = [f"picture {number}".encode() * 40 for number in range(10)]


def _rows(images: list[bytes] = IMAGES, **change: list[object]) -> pa.Table:
    columns: dict[str, list[object]] = {
        name: [None] * len(images) for name in MANIFEST.names
    } | {
        "id": [f"id{n}" for n in range(len(images))],
        "shard": [0] * len(images),
        "row": list(range(len(images))),
        "sha256": [sha256(image) for image in images],
        "size_bytes": [len(image) for image in images],
        "caption": ["a"] * len(images),
    }  # fmt: skip
    return pa.table({**columns, **change}, schema=MANIFEST)


def _sealed(
    folder: Path, rows: pa.Table | None = None, *, snapshots: Path | None = None
) -> Snapshot:
    path = folder / "in-place.parquet"
    pq.write_table(pa.table({"picture": pa.array(IMAGES, pa.binary())}), path, row_group_size=4)
    shard = Shard(
        path=str(path), sha256=file_sha256(path), size_bytes=path.stat().st_size,
        rows=len(IMAGES), column="picture",
    )  # fmt: skip
    return seal(
        snapshots or folder / "snapshots",
        rows=_rows() if rows is None else rows,
        shards=[shard],
        sources=["x"],
    )


def test_the_same_samples_in_any_order_have_the_same_root(tmp_path: Path) -> None:
    first = _sealed(tmp_path)
    again = _sealed(tmp_path, _rows().take(list(range(9, -1, -1))))
    assert first.root == again.root
    assert first.manifest()["sha256"].to_pylist() == sorted(sha256(image) for image in IMAGES)


def test_a_file_that_moved_is_found_again_when_it_is_ingested_again(tmp_path: Path) -> None:
    first = _sealed(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    moved = _sealed(tmp_path / "elsewhere", snapshots=tmp_path / "snapshots")
    assert (moved.root, moved.folder) == (first.root, first.folder)
    assert moved.shard_path(0).parent.name == "elsewhere"


@settings(max_examples=200, deadline=None)
@given(caption=st.text(), extra=st.text(), size=st.integers(0, 2**53 - 1))
def test_what_is_said_of_a_sample_is_hashed_as_canonical_json(
    caption: str, extra: str, size: int
) -> None:
    said = {
        "id": "\u20ac", "sha256": "ab" * 32, "size_bytes": size, "caption": caption, "extra": extra,
    }  # fmt: skip
    table = pa.Table.from_pylist([{**said, "shard": 3, "row": 5}], MANIFEST)
    assert list(sample_leaves(table)) == [bytes.fromhex("ab" * 32) + bytes.fromhex(digest(said))]


def test_a_changed_caption_is_another_snapshot(tmp_path: Path) -> None:
    other = _rows(caption=["b", *["a"] * 9])
    assert _sealed(tmp_path).root != _sealed(tmp_path, other).root


def test_images_come_back_as_sealed(tmp_path: Path) -> None:
    shard = _sealed(tmp_path).open_shard(0)
    rows = [0, 3, 4, 9]
    digests = [sha256(IMAGES[row]) for row in rows]
    assert list(shard.images(rows, digests)) == [IMAGES[row] for row in rows]


def test_a_buffer_with_another_digest_is_never_handed_out(tmp_path: Path) -> None:
    shard = _sealed(tmp_path).open_shard(0)
    with pytest.raises(Tampered, match="Row 3 of shard 0"):
        list(shard.images([3], [sha256(IMAGES[4])]))


def test_one_flipped_byte_in_a_shard_is_noticed(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    data = bytearray(snapshot.shard_path(0).read_bytes())
    data[len(data) // 2] ^= 1
    snapshot.shard_path(0).write_bytes(data)
    with pytest.raises(Tampered, match="not the file that was sealed"):
        snapshot.open_shard(0)


def test_a_shard_that_is_gone_is_missing_evidence(tmp_path: Path) -> None:
    snapshot = _sealed(tmp_path)
    snapshot.shard_path(0).unlink()
    with pytest.raises(EvidenceMissing, match="put the file back"):
        snapshot.open_shard(0)


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: t.slice(1),
        lambda t: t.set_column(t.column_names.index("caption"), "caption", [["b"] * 10]),
        lambda t: pa.concat_tables([t, t.slice(0, 1)]),
        lambda t: t.take(list(range(9, -1, -1))),
    ],
    ids=["row removed", "caption edited", "row added", "rows moved"],
)
def test_an_edited_manifest_is_noticed(tmp_path: Path, edit: object) -> None:
    snapshot = _sealed(tmp_path)
    path = snapshot.folder / "manifest.parquet"
    pq.write_table(edit(pq.read_table(path)), path)
    with pytest.raises(Tampered, match=r"manifest.*altered"):
        snapshot.manifest()


def test_ids_name_one_sample_each_and_nothing_cannot_be_sealed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stands twice"):
        _sealed(tmp_path, _rows(id=["same"] * 10))
    with pytest.raises(UsageError, match="no sample"):
        _sealed(tmp_path, _rows([]))


def test_there_is_no_snapshot_where_none_was_sealed(tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match="run `pramana audit`"):
        Snapshot.open(tmp_path / ("0" * 64))
