"""Packs: what was cleared at training size, told to the ledger, hashed each time it is read."""

import io
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from governance.canon import file_sha256, sha256
from governance.errors import EvidenceMissing, Refused, Tampered
from governance.snapshot import write_table
from training.batches import Batches
from training.config import DataConfig, StageConfig
from training.data import memory
from training.data.cleared import ClearedList, in_threads
from training.data.opening import Source
from training.data.pack import INDEX_FILE, Packs, encoded, layout, shard_path
from training.data.packed import Pack, Packed, find_pack
from training.data.shapes import Shapes

SMALL = StageConfig(time_share=0.5, image_px=16, batch_size=4, repa=True)
SIZES = ((40, 40), (64, 32), (30, 60), (52, 40), (20, 9))


def _picture(number: int, *, form: str = "PNG") -> bytes:
    """Return a gradient with a bar, so that crops and turns would show."""
    width, height = SIZES[number % len(SIZES)]
    rows = np.linspace(0, 255, height)[:, None, None] * np.ones((1, width, 1))
    pixels = (rows * np.random.default_rng(number).random(3)).astype(np.uint8)
    pixels[:, width // 3 : width // 2] = number % 256
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


@pytest.fixture
def mixed(make_house):
    """Forty drawings of five shapes, of which every eighth was excluded."""
    return make_house([_picture(n) for n in range(40)], [f"picture {n}" for n in range(40)])


@pytest.fixture
def shaped(tiny):
    """Two stages, three shapes, from a pack."""
    return replace(
        tiny,
        earlier=(SMALL,),
        image_px=32,
        data=DataConfig(keep="packed", shapes=3, widest=2.0),
        evaluation=replace(tiny.evaluation, reference_samples=10, loss_samples=4),
    )


def _source(house, config, **changes) -> Source:
    packs = Packs(folder=house.workspace.state / "packs", ledger=house.workspace.ledger)
    return Source(
        clearance=house.clearance(config),
        listed=ClearedList.read(house.cleared),
        snapshot=house.snapshot,
        packs=changes.pop("packs", packs),
        **changes,
    )


def _kept(config, keep: str):
    return replace(config, data=replace(config.data, keep=keep))


def _opened(source: Source, config):
    return source.open(config, source.keep(config))


def _made(house, config) -> Path:
    """Make the pack, and return its folder."""
    _opened(_source(house, config), config)
    (folder,) = (house.workspace.state / "packs").iterdir()
    return folder


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_pack_reads_as_memory_does(make_house, shaped, form) -> None:
    house = make_house([_picture(n, form=form) for n in range(40)], ["a"] * 40)
    packed, kept = (
        _opened(_source(house, shaped), _kept(shaped, keep)) for keep in ("packed", "memory")
    )
    for side in ("trained", "heldout"):
        ours, theirs = getattr(packed, side), getattr(kept, side)
        assert (ours.digests, ours.captions) == (theirs.digests, theirs.captions)
        assert (ours.shapes == theirs.shapes).all()
        for px in (16, 32):
            for place, shape in enumerate(ours.shapes):
                (one,) = ours.take([place], image_px=px, shape=int(shape))
                (other,) = theirs.take([place], image_px=px, shape=int(shape))
                assert one.shape == (3, *Shapes.of(shaped).at(px)[shape]) == other.shape
                apart = np.abs(one.astype(int) - other.astype(int)).mean()
                assert apart == 0 if form == "PNG" else 0 < apart < 10
    assert len(set(kept.shapes.tolist())) == 3
    assert packed.facts["samples_by_shape"] == kept.facts["samples_by_shape"]
    assert packed.facts["enlarged"] == kept.facts["enlarged"] == 7


def test_what_judges_a_model_gets_some_squares(mixed, shaped) -> None:
    opened = _opened(_source(mixed, shaped), shaped)
    assert opened.trained.pixels.shape == (10, 3, 32, 32)
    assert len(opened.trained) > 10
    assert opened.facts["judged_against"]["trained"] == 10
    (first,) = opened.trained.take([0], image_px=32, shape=int(opened.trained.shapes[0]))
    middle = np.abs(opened.trained.pixels[0, :, 12:20].mean() - first[:, 12:20].mean())
    assert middle < 25  # the same picture, squared
    assert len(opened.trained.reference(1, 6)) == 6


def test_the_index_names_source_place_licence_and_clearance_and_no_text(mixed, shaped) -> None:
    folder = _made(mixed, shaped)
    index = pq.read_table(folder / INDEX_FILE)
    listed = pq.read_table(mixed.cleared)
    assert index["source_sha256"].to_pylist() == listed["sha256"].to_pylist()
    captions = [sha256(text.encode()) for text in listed["caption"].to_pylist()]
    assert index["caption_sha256"].to_pylist() == captions
    clearance = mixed.clearance(shaped)
    assert set(index["decision"].to_pylist()) == {clearance.decision}
    for row in index.to_pylist():
        data = shard_path(folder, row["shard"]).read_bytes()[row["offset"] :][: row["length"]]
        assert sha256(data) == row["sha256"]
        assert Image.open(io.BytesIO(data)).size == (row["width"], row["height"])
    (told,) = mixed.told("packed")
    assert told == {
        "pack": folder.name, "snapshot": mixed.snapshot.root, "cleared": clearance.cleared_root,
        "layout": layout(Shapes.of(shaped)), "index": file_sha256(folder / INDEX_FILE),
        "samples": 35,
    }  # fmt: skip


def test_the_next_run_reads_the_pack_that_is_there(mixed, shaped) -> None:
    folder = _made(mixed, shaped)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    _opened(_source(mixed, shaped), shaped)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(mixed.told("packed")) == 1


def test_a_withdrawn_sample_is_never_read_and_the_pack_stays_as_it_is(mixed, shaped) -> None:
    folder = _made(mixed, shaped)
    index = pq.read_table(folder / INDEX_FILE).to_pylist()
    withdrawn, rows = index[20], pq.read_table(mixed.cleared)
    left = rows.filter([one != withdrawn["source_sha256"] for one in rows["sha256"].to_pylist()])
    write_table(mixed.cleared, left)
    with shard_path(folder, withdrawn["shard"]).open("r+b") as stream:
        stream.seek(withdrawn["offset"])
        stream.write(bytes(withdrawn["length"]))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}

    opened = _opened(_source(mixed, shaped), shaped)

    gone = bytes.fromhex(withdrawn["source_sha256"])
    assert gone not in opened.trained.digests + opened.heldout.digests
    batches = Batches(config=shaped, samples=opened.trained)
    seen = {d for n in range(60) for d in batches.after(8 * n, stage=1).digests}
    assert seen == set(opened.trained.digests)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(mixed.told("packed")) == 1


def test_a_sample_that_is_cleared_later_on_makes_another_pack(mixed, shaped) -> None:
    first = _made(mixed, shaped)
    write_table(mixed.cleared, mixed.snapshot.manifest())
    _opened(_source(mixed, shaped), shaped)
    assert len(mixed.told("packed")) == 2
    rows = mixed.snapshot.manifest()
    pack = Pack.open(first, told=file_sha256(first / INDEX_FILE))
    with pytest.raises(EvidenceMissing, match="lacks samples that are cleared now"):
        Packed.of(pack, rows, Shapes.of(shaped))


def test_a_pack_of_other_shapes_is_another_pack(mixed, shaped, tiny) -> None:
    _made(mixed, shaped)
    _opened(_source(mixed, tiny), _kept(tiny, "packed"))
    assert len({told["layout"] for told in mixed.told("packed")}) == 2


def test_copies_of_a_picture_are_packed_once_and_read_twice(make_house, shaped) -> None:
    pictures = [_picture(n) for n in range(20)]
    house = make_house([*pictures, *pictures], ["one"] * 20 + ["two"] * 20)
    write_table(house.cleared, house.snapshot.manifest())
    opened = _opened(_source(house, shaped), shaped)
    assert len(opened.trained) + len(opened.heldout) == 40
    (folder,) = (house.workspace.state / "packs").iterdir()
    assert len(set(pq.read_table(folder / INDEX_FILE)["offset"].to_pylist())) == 20


def _flip(path: Path, place: int = 60) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "error", "said"),
    [
        (lambda f: _flip(shard_path(f, 0)), Tampered, "other bytes than were packed"),
        (lambda f: shard_path(f, 0).write_bytes(b""), Tampered, "other bytes than were packed"),
        (lambda f: shard_path(f, 0).unlink(), EvidenceMissing, "Shard 0 of pack .* is gone"),
        (lambda f: _flip(f / INDEX_FILE), Tampered, "not the one that the ledger was told of"),
        (lambda f: (f / INDEX_FILE).unlink(), EvidenceMissing, "has no index.parquet"),
    ],
    ids=["a byte", "a torn shard", "no shard", "the index", "no index"],
)
def test_a_pack_that_is_not_as_it_was_told_is_refused(mixed, shaped, harm, error, said) -> None:
    source, folder = _source(mixed, shaped), _made(mixed, shaped)
    harm(folder)
    with pytest.raises(error, match=said):
        _read_all(source, shaped)


def _read_all(source: Source, config) -> None:
    batches = Batches(config=config, samples=_opened(source, config).trained)
    for number in range(40):
        batches.after(8 * number, stage=1)


def test_a_pack_that_nobody_told_of_is_refused(mixed, shaped, tmp_path) -> None:
    folder = _made(mixed, shaped)
    another = Packs(folder=folder.parent, ledger=mixed.workspace.ledger)
    silent = replace(another, ledger=_Silent())
    with pytest.raises(Tampered, match="the ledger was not told of it"):
        _opened(_source(mixed, shaped, packs=silent), shaped)


class _Silent:
    """A ledger in which nothing stands."""

    def entries(self, _kind: str) -> list:
        return []


def test_of_encrypted_pictures_no_pack_is_made(mixed, shaped, monkeypatch) -> None:
    monkeypatch.setattr(memory, "FREE_SHARE", 0.0)  # nothing fits
    _made(mixed, shaped)  # of the same pictures, while they lay here in plain
    secret = tuple(replace(shard, encrypted=True) for shard in mixed.snapshot.shards)
    mixed.snapshot = replace(mixed.snapshot, shards=secret)
    with pytest.raises(Refused, match="a pack would lie beside it in plain"):
        _opened(_source(mixed, shaped), shaped)
    with pytest.raises(EvidenceMissing, match="no keys"):  # so it goes into memory, with keys
        _opened(_source(mixed, shaped), _kept(shaped, "planned"))


@pytest.mark.parametrize(("free_share", "keep"), [(0.5, "memory"), (0.0, "packed")])
def test_planned_is_memory_where_half_of_the_free_memory_is_enough(
    mixed, shaped, monkeypatch, free_share, keep
) -> None:
    monkeypatch.setattr(memory, "FREE_SHARE", free_share)
    opened = _opened(_source(mixed, shaped), _kept(shaped, "planned"))
    assert (opened.facts["asked"], opened.facts["keep"]) == ("planned", keep)
    assert bool(mixed.told("packed")) is (keep == "packed")


def test_batches_read_ahead_are_those_read_when_asked(mixed, shaped) -> None:
    opened = _opened(_source(mixed, shaped), shaped)
    ahead = Batches(config=shaped, samples=opened.trained)
    at_once = Batches(config=shaped, samples=opened.trained)
    at_once.ahead.count = 0
    asked = [(0, 0), (4, 0), (8, 0), (8, 0), (8, 1), (16, 1), (24, 1), (4, 0), (32, 1)]
    for seen, stage in asked:
        one, other = ahead.after(seen, stage=stage), at_once.after(seen, stage=stage)
        assert one.digests == other.digests
        for number, part in one.parts.items():
            assert part.places == other.parts[number].places
            assert part.pixels.equal(other.parts[number].pixels)
        assert len(ahead.ahead.waiting) == 2


def test_lossless_and_small_stays_lossless_and_the_rest_becomes_jpeg() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    drawn, noisy = Image.new("RGB", (128, 128), "red"), Image.fromarray(noise)
    forms = [
        Image.open(io.BytesIO(encoded(image, form))).format
        for image, form in ((drawn, "PNG"), (noisy, "PNG"), (drawn, "JPEG"))
    ]
    assert forms == ["PNG", "JPEG", "JPEG"]


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_pack_holds_pixels_and_nothing_else_of_a_file(make_house, shaped, form) -> None:
    stream, said = io.BytesIO(), b"where the children live"
    Image.new("RGB", (40, 40)).save(stream, form, comment=said, icc_profile=said)
    house = make_house([stream.getvalue(), *(_picture(n) for n in range(9))], ["a"] * 10)
    write_table(house.cleared, house.snapshot.manifest())
    assert said in stream.getvalue() or form == "PNG"
    _opened(_source(house, shaped), shaped)
    (folder,) = (house.workspace.state / "packs").iterdir()
    for data in (path.read_bytes() for path in folder.iterdir()):
        assert said not in data
        assert b"iCCP" not in data


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_keep_the_order_and_tell_the_first_fault(threads) -> None:
    assert list(in_threads(lambda n: n * n, range(50), threads=threads)) == [
        n * n for n in range(50)
    ]
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda n: 1 // (n - 7), range(50), threads=threads))


PACKING = """
import sys
from pathlib import Path
from governance.clearance import read_clearance
from governance.statements import payload_of
from governance.workspace import Workspace
from training.data import pack
from training.data.cleared import ClearedList
from training.data.shapes import Shapes

pack.SHARD_BYTES = 2_000
workspace, place = Workspace.at(Path(sys.argv[1])), Path(sys.argv[1])
packs = pack.Packs(folder=workspace.state / "packs", ledger=workspace.ledger)
packs.make(
    read_clearance(payload_of((place / "envelope.json").read_bytes())),
    listed=ClearedList.read(place / "cleared.parquet"),
    snapshot=workspace.snapshot(sys.argv[2]),
    shapes=Shapes.square(64),
    bar=lambda _: None,
)
"""


def test_a_pack_whose_making_was_killed_counts_for_nothing(make_house, tiny) -> None:
    count = 600
    house = make_house([_picture(n) for n in range(count)], ["a"] * count)
    place, packs = house.workspace.folder, house.workspace.state / "packs"
    (place / "envelope.json").write_bytes(house.envelope(tiny, 60.0))
    command = [sys.executable, "-c", PACKING, str(place), house.snapshot.root]
    process = subprocess.Popen(command)
    while len(list(packs.glob(".*.making/shard-*"))) < 3:
        assert process.poll() is None, "it ended before it wrote three shards"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert [path for path in packs.iterdir() if not path.name.startswith(".")] == []
    shapes, rows = Shapes.square(64), ClearedList.read(house.cleared).rows
    known = Packs(folder=packs, ledger=house.workspace.ledger)
    assert find_pack(known, rows, shapes) is None

    subprocess.run(command, check=True)

    pack = find_pack(known, rows, shapes)
    assert pack.index.num_rows == rows.num_rows
    assert [path.name for path in packs.iterdir()] == [pack.folder.name]
    read, _, _ = Packed.of(pack, rows, shapes)
    assert read.take(range(rows.num_rows), image_px=64, shape=0).shape == (525, 3, 64, 64)
    house.workspace.ledger.verify()
