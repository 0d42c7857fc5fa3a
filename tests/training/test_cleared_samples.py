"""Cleared samples: only the list that was cleared, only the bytes that were sealed."""

import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from governance.canon import sha256
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.snapshot import Shard, write_table
from training.data.cleared import ClearedList
from training.data.samples import ClearedSamples


def _opened(house, clearance, *, image_px=16):
    return ClearedSamples.open(
        clearance,
        listed=ClearedList.read(house.cleared),
        snapshot=house.snapshot,
        image_px=image_px,
    )


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def test_every_cleared_sample_is_read_and_no_other(house, tiny) -> None:
    samples = _opened(house, house.clearance(tiny))
    listed = pq.read_table(house.cleared)
    assert [digest.hex() for digest in samples.digests] == listed["sha256"].to_pylist()
    assert list(samples.captions) == listed["caption"].to_pylist()
    assert samples.pixels.shape == (84, 3, 16, 16)


def test_pictures_of_any_size_are_cut_to_the_middle_square(make_house, tiny) -> None:
    wide = Image.new("RGB", (90, 30), "white")
    wide.paste((255, 0, 0), (30, 0, 60, 30))
    tall = wide.rotate(90, expand=True)
    pictures = [_png(wide), _png(tall), _png(wide.resize((72, 24))), _png(wide.resize((9, 3)))]
    house = make_house(pictures, ["red"] * len(pictures))
    samples = _opened(house, house.clearance(tiny))
    assert len(samples) == 3
    assert (samples.pixels[:, :, 4:12, 4:12] == np.array([255, 0, 0])[:, None, None]).all()


def test_reading_is_told_to_a_bar(house, tiny) -> None:
    told = []
    ClearedSamples.open(
        house.clearance(tiny),
        listed=ClearedList.read(house.cleared),
        snapshot=house.snapshot,
        image_px=16,
        bars=lambda what, total: told.append((what, total)) or told.append,
    )
    assert told == [("reading", 84), *[1] * 84]


def _with_caption(rows: pa.Table) -> pa.Table:
    captions = ["something else", *rows["caption"].to_pylist()[1:]]
    return rows.set_column(rows.schema.get_field_index("caption"), "caption", [captions])


EDITS = {
    "caption edited": _with_caption,
    "row removed": lambda rows: rows.slice(1),
    "row doubled": lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]),
    "rows moved": lambda rows: rows.take(list(reversed(range(rows.num_rows)))),
    "nothing left": lambda rows: rows.slice(0, 0),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_a_list_that_is_not_the_cleared_one_is_refused(house, tiny, edit) -> None:
    clearance = house.clearance(tiny)
    write_table(house.cleared, edit(pq.read_table(house.cleared)))
    with pytest.raises(Refused, match=r"clearance \(2\)"):
        _opened(house, clearance)


@pytest.mark.parametrize("field", ["snapshot", "cleared_root", "cleared"])
def test_a_clearance_of_something_else_is_refused(house, tiny, field) -> None:
    other = 83 if field == "cleared" else "0" * 64
    with pytest.raises(Refused, match=r"clearance \(2\)"):
        _opened(house, replace(house.clearance(tiny), **{field: other}))


@pytest.mark.parametrize("column", ["shard", "row"])
def test_a_place_that_is_not_there_is_refused(house, tiny, column) -> None:
    clearance, rows = house.clearance(tiny), pq.read_table(house.cleared)
    index = rows.schema.get_field_index(column)
    places = pa.array([9_000, *rows[column].to_pylist()[1:]], pa.int32())
    write_table(house.cleared, rows.set_column(index, column, places))
    with pytest.raises(Tampered, match="no row"):
        _opened(house, clearance)


def test_a_place_of_another_picture_is_refused(house, tiny) -> None:
    clearance, rows = house.clearance(tiny), pq.read_table(house.cleared)
    swapped = rows["row"].to_pylist()
    shards = rows["shard"].to_pylist()
    other = next(n for n in range(1, len(shards)) if shards[n] == shards[0])
    swapped[0], swapped[other] = swapped[other], swapped[0]
    index = rows.schema.get_field_index("row")
    write_table(house.cleared, rows.set_column(index, "row", pa.array(swapped, pa.int32())))
    with pytest.raises(Tampered, match="other bytes"):
        _opened(house, clearance)


@pytest.mark.parametrize("shard", [0, 1])
def test_one_flipped_byte_in_a_shard_is_refused(house, tiny, shard) -> None:
    path = house.snapshot.shard_path(shard)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Tampered, match="not the file that was sealed"):
        _opened(house, house.clearance(tiny))


def test_the_buffer_that_is_decoded_is_hashed_even_when_the_shard_is_vouched_for(
    house, tiny
) -> None:
    """Whoever can rewrite a shard and its record still cannot slip another picture in."""
    path = house.snapshot.shard_path(0)
    pictures = pq.read_table(path)["image"].to_pylist()
    pictures[3:5] = pictures[4], pictures[3]
    pq.write_table(pa.table({"image": pictures}), path, row_group_size=16)
    data = path.read_bytes()
    vouched = Shard(
        path=house.snapshot.shards[0].path,
        sha256=sha256(data),
        size_bytes=len(data),
        rows=len(pictures),
    )
    house.snapshot = replace(house.snapshot, shards=(vouched, house.snapshot.shards[1]))
    with pytest.raises(Tampered, match="other bytes"):
        _opened(house, house.clearance(tiny))


def test_a_shard_that_is_gone_is_missing_evidence(house, tiny) -> None:
    house.snapshot.shard_path(1).unlink()
    with pytest.raises(EvidenceMissing):
        _opened(house, house.clearance(tiny))


@pytest.mark.parametrize(
    "torn",
    [b"no picture", b"", _png(Image.new("RGB", (40, 40)))[:60]],
    ids=["text", "none", "torn"],
)
def test_a_cleared_picture_that_cannot_be_decoded_is_never_skipped(make_house, tiny, torn) -> None:
    pictures = [_png(Image.new("RGB", (8, 8), (n, 0, 0))) for n in range(8)]
    house = make_house([torn, *pictures], ["secret caption"] * 9)
    rows = house.snapshot.manifest()
    write_table(house.cleared, rows)
    with pytest.raises(EvidenceMissing, match="cannot be decoded") as raised:
        _opened(house, house.clearance(tiny))
    assert "secret" not in str(raised.value)


def test_each_epoch_sees_every_sample_once_in_another_order(house, tiny) -> None:
    samples = _opened(house, house.clearance(tiny))
    first, second = samples.places(1, 0, 84), samples.places(1, 84, 84)
    assert Counter(first) == Counter(second) == Counter(range(84))
    assert first != second
    assert samples.places(2, 0, 84) != first


def test_the_order_is_a_function_of_seed_and_number_alone(house, tiny) -> None:
    samples = _opened(house, house.clearance(tiny))
    whole = samples.places(1, 0, 200)
    assert [samples.places(1, n, 1)[0] for n in range(200)] == whole
    assert samples.places(1, 80, 10) == whole[80:90]
    assert samples.places(20260301, 0, 5) == [17, 40, 75, 59, 45]


def test_copies_of_a_picture_stay_on_one_side_of_the_split(make_house, tiny) -> None:
    pictures = [_png(Image.new("RGB", (8, 8), (n, 0, 0))) for n in range(100)]
    house = make_house([*pictures, *pictures], ["one"] * 100 + ["two"] * 100)
    write_table(house.cleared, house.snapshot.manifest())
    trained, heldout = _opened(house, house.clearance(tiny)).split(0.2)
    assert len(trained) + len(heldout) == 200
    assert 10 <= len(heldout) <= 80
    assert not set(trained.digests) & set(heldout.digests)


def test_a_split_that_leaves_nothing_is_refused(house, tiny) -> None:
    with pytest.raises(Refused, match="none is left"):
        _opened(house, house.clearance(tiny)).split(1.0)


def test_a_list_that_was_cleared_unsorted_is_tampered(house, tiny) -> None:
    rows = pq.read_table(house.cleared)
    write_table(house.cleared, rows.take(list(reversed(range(rows.num_rows)))))
    with pytest.raises(Tampered, match="in another order"):
        _opened(house, house.clearance(tiny))  # of this very list, so its root is the cleared one
