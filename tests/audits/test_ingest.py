import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audits.reading.ingest import ingest
from audits.reading.shards import ShardWriter, fits_in_place
from audits.reading.sources import _hub, samples_of
from governance.canon import sha256
from made import folder_of, parquet_of, png, tar_of


def rows_of(snapshot):
    return {row["id"]: row for row in snapshot.manifest().to_pylist()}


def read_back(snapshot):
    """Return the bytes of every sample, read through the hash checks of the snapshot."""
    found = {}
    for index in range(len(snapshot.shards)):
        rows = [r for r in snapshot.manifest().to_pylist() if r["shard"] == index]
        rows.sort(key=lambda row: row["row"])
        images = snapshot.open_shard(index).images(
            [row["row"] for row in rows], [row["sha256"] for row in rows]
        )
        found |= dict(zip((row["id"] for row in rows), images, strict=True))
    return found


def test_a_folder_with_metadata_becomes_shards_and_rows(tmp_path):
    records = [{"file_name": "a.png", "text": "first"}, {"file_name": "b.png", "text": "second"}]
    source = folder_of(tmp_path / "photos", records)
    snapshot = ingest([str(source)], snapshots=tmp_path / "snapshots")
    assert {key: row["caption"] for key, row in rows_of(snapshot).items()} == {
        "a.png": "first",
        "b.png": "second",
    }
    assert read_back(snapshot) == {"a.png": png(0), "b.png": png(1)}
    assert [shard.path for shard in snapshot.shards] == ["shards/shard-00000.parquet"]


def test_bare_pictures_are_sealed_without_captions(tmp_path):
    source = folder_of(tmp_path / "photos", "")
    (source / "metadata.jsonl").unlink()
    rows = rows_of(ingest([str(source)], snapshots=tmp_path / "snapshots"))
    assert {key: row["caption"] for key, row in rows.items()} == {"a.png": None, "b.png": None}


def test_every_csv_cell_is_kept_as_it_stands(tmp_path):
    text = '\ufefffile_name,caption,license,n\na.png,"two\nlines",CC0,007\nb.png,,NA,1e5\n'
    source = folder_of(tmp_path / "photos", text, name="metadata.csv")
    rows = rows_of(ingest([str(source)], snapshots=tmp_path / "snapshots"))
    assert rows["a.png"]["caption"] == "two\nlines"
    assert json.loads(rows["a.png"]["extra"]) == {"n": "007"}
    assert rows["b.png"]["caption"] is None
    assert rows["b.png"]["licence"] == "NA"
    assert json.loads(rows["b.png"]["extra"]) == {"n": "1e5"}


def test_metadata_in_a_subfolder_names_pictures_beside_it(tmp_path):
    folder_of(tmp_path / "photos" / "train", [{"file_name": "a.png", "text": "x"}])
    rows = rows_of(ingest([str(tmp_path / "photos")], snapshots=tmp_path / "snapshots"))
    assert rows["a.png"]["caption"] == "x"
    assert rows["train/b.png"]["caption"] is None, "a picture nobody names is still a row"


def test_a_named_file_that_is_missing_or_no_picture_is_still_a_row(tmp_path):
    records = [{"file_name": "gone.png", "text": "x"}, {"file_name": "notes.pdf", "text": "y"}]
    source = folder_of(tmp_path / "photos", records, pictures=())
    (source / "notes.pdf").write_bytes(b"%PDF-1.7")
    (source / "unnamed.pdf").write_bytes(b"%PDF-1.7")
    rows = rows_of(ingest([str(source)], snapshots=tmp_path / "snapshots"))
    assert set(rows) == {"gone.png", "notes.pdf"}
    assert rows["gone.png"]["sha256"] == sha256(b"")
    assert "No such file" in json.loads(rows["gone.png"]["extra"])["ingest_fault"]
    assert rows["notes.pdf"]["size_bytes"] == 8


def test_parquet_with_pictures_stays_where_it_is(tmp_path):
    path = parquet_of(tmp_path / "set.parquet", id=["x", "y", "z"])
    snapshot = ingest([str(path)], snapshots=tmp_path / "snapshots")
    (shard,) = snapshot.shards
    assert (shard.path, shard.rows, shard.column) == (str(path.resolve()), 3, "image")
    assert not (snapshot.folder / "shards").exists()
    assert read_back(snapshot) == {"x": png(0), "y": png(1), "z": png(2)}


def test_parquet_written_by_datasets_is_read_undecoded(tmp_path):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"photo": {"_type": "Image"}, "text": {"dtype": "string", "_type": "Value"}}
    cells = [{"bytes": png(7), "path": None}, {"bytes": b"not a picture", "path": "x.jpg"}, None]
    table = pa.table({"photo": pa.array(cells, kind), "text": ["a", "b", "c"]})
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(about), tmp_path / "set.parquet")
    snapshot = ingest([str(tmp_path / "set.parquet")], snapshots=tmp_path / "snapshots")
    assert snapshot.shards[0].column == "photo"
    assert list(read_back(snapshot).values()).count(png(7)) == 1
    assert rows_of(snapshot)["set/2"]["size_bytes"] == 0


def test_a_folder_of_parquet_is_one_source(tmp_path):
    (tmp_path / "data").mkdir()
    parquet_of(tmp_path / "data" / "one.parquet")
    parquet_of(tmp_path / "data" / "two.parquet", count=5)
    snapshot = ingest([str(tmp_path / "data")], snapshots=tmp_path / "snapshots")
    assert (snapshot.samples, len(snapshot.shards)) == (8, 2)
    assert {row["source"] for row in rows_of(snapshot).values()} == {"data"}


def test_row_groups_too_large_for_a_worker_are_noticed(tmp_path):
    path = parquet_of(tmp_path / "set.parquet")
    assert fits_in_place(path, "image")
    assert not fits_in_place(path, "image", most_bytes=10)


def test_shards_are_cut_before_they_exceed_their_size(tmp_path):
    with ShardWriter(tmp_path, shard_bytes=1000) as shards:
        places = [shards.add(bytes([place]) * 400) for place in range(5)]
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert [shard.rows for shard in shards.shards] == [2, 2, 1]


def test_a_webdataset_tar_joins_members_by_name(tmp_path):
    about = json.dumps({"license": "CC0-1.0", "key": "k1", "width": 4}).encode()
    members = [("d/0.png", png()), ("d/0.txt", b"a cat"), ("d/0.json", about), ("d/1.jpg", b"?")]
    source = tar_of(tmp_path / "00000.tar", members)
    rows = rows_of(ingest([str(source)], snapshots=tmp_path / "snapshots"))
    assert set(rows) == {"d/0", "d/1"}, "not every sample has an id, so the keys are the ids"
    assert rows["d/0"]["caption"] == "a cat"
    assert rows["d/0"]["licence"] == "CC0-1.0"
    assert rows["d/1"]["size_bytes"] == 1


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ([("0.png", b"x"), ("0.txt", b"c"), ("0.json", b"{broken")], "its metadata is not JSON"),
        ([("0.png", b"x"), ("0.txt", b"c"), ("0.json", b"[1]")], "its metadata is no JSON object"),
        ([("0.txt", b"c")], None),
        ([("0.png", b"x"), ("0.txt", b"\xff\xfe")], None),
    ],
    ids=["broken JSON", "JSON of another shape", "no picture", "caption not UTF-8"],
)
def test_an_odd_sample_in_a_tar_is_a_row(tmp_path, members, fault):
    source = tar_of(tmp_path / "00000.tar", [*members, ("9.png", png()), ("9.txt", b"good")])
    rows = rows_of(ingest([str(source)], snapshots=tmp_path / "snapshots"))
    assert rows["9"]["caption"] == "good"
    assert json.loads(rows["0"]["extra"]).get("ingest_fault") == fault


def test_a_repeated_name_in_a_tar_makes_two_samples(tmp_path):
    members = [("0.png", png(1)), ("0.txt", b"one"), ("0.png", png(2)), ("0.txt", b"two")]
    source = tar_of(tmp_path / "00000.tar", members)
    snapshot = ingest([str(source)], snapshots=tmp_path / "snapshots")
    assert sorted(row["caption"] for row in rows_of(snapshot).values()) == ["one", "two"]


@pytest.mark.parametrize("name", ["list.jsonl", "list.csv", "list.parquet"])
def test_a_list_of_local_paths_is_read(tmp_path, name):
    folder_of(tmp_path / "in" / "pictures", "", name="readme.txt")
    names = ["pictures/a.png", str((tmp_path / "in/pictures/b.png").resolve())]
    records = [{"path": path, "caption": f"c{n}"} for n, path in enumerate(names)]
    path = tmp_path / "in" / name
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(records), path)
    elif name.endswith("csv"):
        path.write_text(
            "path,caption\n" + "".join(f"{r['path']},{r['caption']}\n" for r in records)
        )
    else:
        path.write_text("\n\n".join(json.dumps(record) for record in records))
    snapshot = ingest([str(path)], snapshots=tmp_path / "snapshots")
    assert sorted(read_back(snapshot).values()) == sorted([png(0), png(1)])


def test_a_link_inside_the_source_is_followed(tmp_path):
    source = folder_of(tmp_path / "photos", [{"file_name": "link.png", "text": "x"}])
    (source / "link.png").symlink_to(source / "a.png")
    snapshot = ingest([str(source)], snapshots=tmp_path / "snapshots")
    assert read_back(snapshot)["link.png"] == png(0)


def test_a_mapping_wins_over_the_usual_names(tmp_path):
    path = parquet_of(tmp_path / "set.parquet", count=1, wording=["said"], photo=[b"raw"])
    mapping = {"wording": "caption", "photo": "image"}
    snapshot = ingest([str(path)], snapshots=tmp_path / "snapshots", mapping=mapping)
    (row,) = rows_of(snapshot).values()
    assert (row["caption"], row["size_bytes"]) == ("said", 3)
    assert json.loads(row["extra"])["caption"] == "picture 0"


def test_ids_that_meet_are_told_apart(tmp_path):
    one = parquet_of(tmp_path / "one.parquet", id=["a", "b", "c"])
    two = parquet_of(tmp_path / "two.parquet", id=["c", "d", "e"])
    three = parquet_of(tmp_path / "three.parquet", id=["f", "f", None])
    sources = [str(path) for path in (one, two, three)]
    rows = rows_of(ingest(sources, snapshots=tmp_path / "snapshots"))
    assert {"a", "b", "one/c", "two/c", "d", "e", "three/0", "three/1", "three/2"} == set(rows)


def test_the_root_does_not_depend_on_the_order_of_sources_or_on_the_run(tmp_path):
    sources = [str(parquet_of(tmp_path / f"{name}.parquet", count=n)) for n, name in
               enumerate(("one", "two"), start=2)]  # fmt: skip
    first = ingest(sources, snapshots=tmp_path / "s")
    again = ingest(sources, snapshots=tmp_path / "s")
    turned = ingest(sources[::-1], snapshots=tmp_path / "t")
    assert first == again
    assert first.root == turned.root
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == [first.root]


def test_what_a_killed_run_left_is_removed(tmp_path):
    source = folder_of(tmp_path / "photos", [{"file_name": "a.png", "text": "x"}])
    clean = ingest([str(source)], snapshots=tmp_path / "clean")
    left = tmp_path / "snapshots" / ".incoming" / "shards"
    left.mkdir(parents=True)
    (left / "shard-00007.parquet").write_bytes(b"half a shard")
    snapshot = ingest([str(source)], snapshots=tmp_path / "snapshots")
    assert snapshot.root == clean.root
    assert [p.name for p in (snapshot.folder / "shards").iterdir()] == ["shard-00000.parquet"]


def test_the_progress_adds_up_to_the_samples(tmp_path):
    seen = []
    snapshot = ingest(
        [str(parquet_of(tmp_path / "set.parquet", count=5))],
        snapshots=tmp_path / "snapshots",
        progress=seen.append,
    )
    assert sum(seen) == snapshot.samples == 5


@pytest.mark.shared
def test_all_emoji_are_read_and_keep_what_is_said_of_them(tmp_path, shared: Path):
    source = shared / "emoji" / "emoji-openmoji.parquet"
    snapshot = ingest([str(source)], snapshots=tmp_path)
    table = pq.read_table(source, columns=["id", "sha256", "gender"]).to_pylist()
    rows = rows_of(snapshot)
    assert {row["id"]: row["sha256"] for row in table} == {k: r["sha256"] for k, r in rows.items()}
    assert all(json.loads(rows[r["id"]]["attributes"])["gender"] == r["gender"] for r in table)


@pytest.mark.shared
def test_every_malformed_file_is_a_row(tmp_path, shared: Path):
    files = [p for p in (shared / "malformed").rglob("*") if p.is_file() and "." in p.name[1:]]
    source = tmp_path / "malformed"
    source.mkdir()
    names = [f"{place}{path.suffix}" for place, path in enumerate(files)]
    for name, path in zip(names, files, strict=True):
        shutil.copy(path, source / name)
    records = (json.dumps({"file_name": name, "text": "x"}) for name in names)
    (source / "metadata.jsonl").write_text("\n".join(records))
    snapshot = ingest([str(source)], snapshots=tmp_path / "snapshots")
    assert set(rows_of(snapshot)) == set(names)


def test_a_dataset_that_the_hub_library_finds_is_read_split_by_split(tmp_path, monkeypatch):
    """A folder stands in for the hub: `load_dataset` resolves both in the same way."""
    (tmp_path / "data").mkdir()
    cells = pa.array([{"bytes": png(5), "path": None}] * 2)
    features = {"image": {"_type": "Image"}, "text": {"dtype": "string", "_type": "Value"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": cells, "text": ["a", "b"]}).replace_schema_metadata(about)
    for split in ("train", "test"):
        pq.write_table(table, tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    monkeypatch.chdir(tmp_path)
    pieces = list(_hub("data", mapping={}, cache=str(tmp_path / "cache")))
    found = [sample for piece in pieces for sample in samples_of(piece)]
    assert sorted(s.place for s in found) == ["test/0", "test/1", "train/0", "train/1"]
    assert {s.image for s in found} == {png(5)}
    assert [piece.column for piece in pieces] == [None, None], "nothing stays on the hub"
