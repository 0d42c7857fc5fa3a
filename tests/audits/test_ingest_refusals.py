import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audits.reading.ingest import ingest
from governance.errors import UsageError
from made import folder_of, parquet_of, png, tar_of


def leaves(name):
    return lambda folder: folder_of(folder, [{"file_name": name, "text": "x"}], pictures=())


def linked(folder):
    folder_of(folder, [{"file_name": "link.png", "text": "x"}], pictures=())
    (folder.parent / "secret.png").write_bytes(png())
    (folder / "link.png").symlink_to(folder.parent / "secret.png")


def linked_unnamed(folder):
    linked(folder)
    (folder / "metadata.jsonl").write_text('{"file_name": "c.png", "text": "x"}')


def pipe(folder):
    folder_of(folder, [{"file_name": "pipe.png", "text": "x"}], pictures=())
    os.mkfifo(folder / "pipe.png")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (leaves("../secret.png"), "leaves the folder"),
        (leaves("/etc/passwd"), "leaves the folder"),
        (leaves("a/../../secret.png"), "leaves the folder"),
        (leaves("https://example.org/a.png"), "no local path"),
        (leaves("file:///etc/passwd"), "no local path"),
        (leaves("a\0.png"), "no local path"),
        (linked, "leaves the folder"),
        (linked_unnamed, "leaves the folder"),
        (pipe, "no regular file"),
    ],
    ids=["up", "absolute", "down and up", "address", "file address", "NUL", "link",
         "unnamed link", "pipe"],
)  # fmt: skip
def test_a_path_may_not_leave_its_source(tmp_path, make, said):
    make(tmp_path / "photos")
    with pytest.raises(UsageError, match=said):
        ingest([str(tmp_path / "photos")], snapshots=tmp_path / "snapshots")
    assert not [p for p in (tmp_path / "snapshots").glob("*") if p.name != ".incoming"]


@pytest.mark.parametrize("name", ["../0.png", "/0.png", "a/../../0.png"])
def test_a_tar_member_may_not_leave_the_archive(tmp_path, name):
    source = tar_of(tmp_path / "00000.tar", [(name, png()), ("0.txt", b"c")])
    with pytest.raises(UsageError, match="leaves the archive"):
        ingest([str(source)], snapshots=tmp_path / "snapshots")


def truncated_tar(folder):
    path = tar_of(folder / "set.tar", [("0.txt", b"caption"), ("0.png", png() * 400)])
    path.write_bytes(path.read_bytes()[:4000])
    return path


def broken_parquet(folder):
    (folder / "set.parquet").write_bytes(b"PAR1 and no more")
    return folder / "set.parquet"


def text_file(name, text):
    def make(folder):
        (folder / name).write_text(text)
        return folder / name

    return make


def empty_folder(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def captionless(folder):
    pq.write_table(pa.table({"image": [png()], "wording": ["x"]}), folder / "set.parquet")
    return folder / "set.parquet"


def no_rows(folder):
    return parquet_of(folder / "set.parquet", count=0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (truncated_tar, "cannot be read to its end"),
        (broken_parquet, "is not Parquet"),
        (text_file("set.zip", "PK"), "suffix that is not read"),
        (text_file("set.jsonl", "{not json}\n"), "not JSON we accept"),
        (text_file("set.jsonl", "[1, 2]\n"), "Line 1 of set.jsonl is not a JSON object"),
        (text_file("set.jsonl", '{"text": "x"}\n'), "names no pictures: found text"),
        (text_file("set.csv", "path,path\na,b\n"), "two columns of one name"),
        (text_file("set.csv", "path,caption\na,b,c\n"), "2 columns and a row of 3 cells"),
        (text_file("set.csv", "path,caption\na,b\na,b,c\n"), "cannot be read to its end"),
        (text_file("set.csv", ""), "holds no sample"),
        (empty_folder, "none that is read"),
        (captionless, "no caption column: found image, wording"),
        (no_rows, "holds no sample"),
        (lambda folder: folder / "nowhere.parquet", "no file or folder"),
        (lambda _: "/dev/null", "neither a file nor a folder"),
    ],
    ids=["truncated tar", "broken Parquet", "suffix", "JSON", "JSON shape", "no path", "twice",
         "shifted CSV", "ragged CSV", "empty CSV", "empty folder", "no caption",
         "no rows", "missing", "device"],
)  # fmt: skip
def test_a_source_that_cannot_be_read_is_refused_in_a_sentence(tmp_path, make, said):
    with pytest.raises(UsageError, match=said):
        ingest([str(make(tmp_path))], snapshots=tmp_path / "snapshots")


def test_a_hub_id_without_a_network_is_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="hub has it not either or cannot be reached"):
        ingest(["nobody/nothing"], snapshots=tmp_path / "snapshots")


@pytest.mark.parametrize(
    ("sources", "mapping", "said"),
    [
        ([], {}, "at least one"),
        (["set.parquet", "set.parquet"], {}, "Name each source once"),
        (["set.parquet"], {"caption": "kaption"}, "the words are id, image, caption"),
        (["set.parquet"], {"wording": "caption"}, "No source has the mapped column wording"),
    ],
    ids=["none", "twice", "no such word", "no such column"],
)
def test_a_command_that_means_nothing_is_refused(tmp_path, monkeypatch, sources, mapping, said):
    monkeypatch.chdir(tmp_path)
    parquet_of(tmp_path / "set.parquet")
    with pytest.raises(UsageError, match=said):
        ingest(sources, snapshots=tmp_path / "snapshots", mapping=mapping)
