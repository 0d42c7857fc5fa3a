import io
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from audits.audit import Conclusion, count_of
from audits.engine import (
    audit_code_digest,
    audits_digest,
    conclude,
    joined,
    measure,
    measures_digest,
    open_measures,
    promised,
)
from audits.locality import LocalityAudit
from audits.personal import PersonalAudit
from audits.reading.ingest import ingest
from audits.worker import held
from governance.errors import EvidenceMissing, PramanaError, Tampered

AUDITS = (PersonalAudit(), LocalityAudit())


def png(shade, size=(6, 4)):
    stream = io.BytesIO()
    Image.new("RGB", size, (shade % 256, shade // 256, 9)).save(stream, "PNG")
    return stream.getvalue()


def snapshot_of(folder, *counts, broken=()):
    """Seal one Parquet file a count, with that many pictures that all differ."""
    folder.mkdir(parents=True, exist_ok=True)
    sources, shade = [], 0
    for place, count in enumerate(counts):
        pictures = [b"no picture" if s in broken else png(s) for s in range(shade, shade + count)]
        captions = [f"call 98765 {s:05}" for s in range(shade, shade + count)]
        table = pa.table({"image": pictures, "caption": captions})
        sources.append(folder / f"set{place}.parquet")
        pq.write_table(table, sources[-1], row_group_size=128)
        shade += count
    return ingest([str(path) for path in sources], snapshots=folder / "snapshots")


def measured(snapshot, folder, recorded=None, *, workers=1, progress=lambda _: None):
    """Measure with the real audits; return what was recorded."""
    parts = dict(recorded or {})
    done = measure(
        snapshot,
        AUDITS,
        folder=folder,
        recorded=recorded or {},
        record=parts.__setitem__,
        workers=workers,
        progress=progress,
    )
    assert done.parts == parts
    return parts


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A snapshot of two shards and three parts, one picture broken, and its measures."""
    folder = tmp_path_factory.mktemp("engine")
    snapshot = snapshot_of(folder, 520, 7, broken={3})
    return snapshot, folder / "measures", measured(snapshot, folder / "measures")


def copied(source, target):
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_parts_are_cut_at_512_samples_and_at_shards(sealed):
    _, folder, parts = sealed
    names = ["part-00000-000000000", "part-00000-000000512", "part-00001-000000000"]
    assert sorted(parts) == [f"{name}.parquet" for name in names]
    assert [pq.read_metadata(folder / name).num_rows for name in sorted(parts)] == [512, 8, 7]


def test_measures_stand_in_the_order_of_the_manifest(sealed):
    snapshot, folder, parts = sealed
    table = open_measures(folder, parts, snapshot)
    assert table["id"].equals(snapshot.manifest()["id"])
    assert table.schema.equals(promised(AUDITS))
    assert set(table["pii_count"].to_pylist()) == {1}


def test_a_picture_that_cannot_be_decoded_is_a_row_with_its_reason(sealed):
    snapshot, folder, parts = sealed
    rows = open_measures(folder, parts, snapshot).to_pylist()
    (broken,) = [row for row in rows if not row["decoded"]]
    assert broken["id"] == "set0/3"
    assert "cannot identify image file" in broken["decode_error"]
    assert broken["width_px"] is None
    assert all((r["width_px"], r["format"]) == (6, "PNG") for r in rows if r["decoded"])


def test_the_bytes_do_not_depend_on_the_number_of_workers(sealed, tmp_path):
    snapshot, _, parts = sealed
    assert measured(snapshot, tmp_path, workers=2) == parts


def test_what_is_recorded_is_not_measured_again(sealed, tmp_path):
    snapshot, source, parts = sealed
    folder = copied(source, tmp_path / "measures")
    kept = min(parts)
    for name in sorted(parts)[1:]:
        (folder / name).write_bytes(b"an unrecorded file is no evidence")
    (folder / ".part-00000-000000512.parquet.x.part").write_bytes(b"left by a killed worker")
    before, progress = (folder / kept).stat().st_mtime_ns, []
    again = measured(snapshot, folder, {kept: parts[kept]}, progress=progress.append)
    assert again == parts
    assert (folder / kept).stat().st_mtime_ns == before
    assert progress[0] == 512
    assert sum(progress) == snapshot.samples
    assert {path.name for path in folder.iterdir()} == set(parts)


def edited(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)


def removed(folder, name):
    (folder / name).unlink()


@pytest.mark.parametrize(
    ("attack", "said"), [(edited, "has sha256"), (removed, "is gone")], ids=["edited", "removed"]
)
def test_a_recorded_part_that_changed_is_tampered(sealed, tmp_path, attack, said):
    snapshot, source, parts = sealed
    folder = copied(source, tmp_path / "measures")
    attack(folder, sorted(parts)[1])
    with pytest.raises(Tampered, match=rf"part-00000-000000512.parquet were recorded .* {said}"):
        measured(snapshot, folder, parts)
    with pytest.raises(Tampered, match=said):
        open_measures(folder, parts, snapshot)


def test_a_recorded_part_of_another_snapshot_is_tampered(sealed, tmp_path):
    snapshot, source, parts = sealed
    folder = copied(source, tmp_path / "measures")
    (folder / "part-00009-000000000.parquet").write_bytes(b"")
    with pytest.raises(Tampered, match="which this snapshot cannot have"):
        measured(snapshot, folder, {**parts, "part-00009-000000000.parquet": "0" * 64})


def test_samples_without_a_row_are_counted(sealed):
    snapshot, folder, parts = sealed
    few = {name: parts[name] for name in sorted(parts)[:1]}
    with pytest.raises(EvidenceMissing, match="15 of 527 samples have no row"):
        open_measures(folder, few, snapshot)
    with pytest.raises(EvidenceMissing, match="None of the 527 samples"):
        open_measures(folder, {}, snapshot)


def test_rows_of_another_set_are_tampered(sealed, tmp_path):
    snapshot, _, parts = sealed
    other = snapshot_of(tmp_path, 520, 7, broken={4})
    foreign = measured(other, tmp_path / "measures")
    assert set(foreign) == set(parts)
    with pytest.raises(Tampered, match="rows of other samples"):
        open_measures(tmp_path / "measures", foreign, snapshot)


def test_a_flipped_byte_in_a_shard_comes_out_of_the_workers_as_tampered(tmp_path):
    snapshot = snapshot_of(tmp_path, 5)
    path = snapshot.shard_path(0)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 9] ^= 1
    path.write_bytes(data)
    with pytest.raises(Tampered, match=r"Shard 0 .* is not the file that was sealed"):
        measured(snapshot, tmp_path / "measures")


RUN = """
import sys
from pathlib import Path
from audits.engine import measure
from audits.locality import LocalityAudit
from audits.personal import PersonalAudit
from governance.snapshot import Snapshot

def record(name, digest):
    print(name, digest, flush=True)

if __name__ == "__main__":
    snapshot = Snapshot.open(Path(sys.argv[1]))
    measure(snapshot, (PersonalAudit(), LocalityAudit()), folder=Path(sys.argv[2]), recorded={},
            record=record, workers=2)
"""


def children_of(pid):
    """Return the processes whose parent is `pid`, by /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
def test_a_killed_run_leaves_no_worker_and_loses_nothing(tmp_path):
    snapshot = snapshot_of(tmp_path, 700, 700, 700)
    (tmp_path / "run.py").write_text(RUN)
    command = [sys.executable, tmp_path / "run.py", snapshot.folder, tmp_path / "measures"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        first = run.stdout.readline().split()
        workers = children_of(run.pid)
        run.send_signal(signal.SIGKILL)
        recorded = dict([first, *(line.split() for line in run.stdout)])
    assert workers
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in workers):
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert len(recorded) < 6, "the run was killed before its end"
    resumed = measured(snapshot, tmp_path / "measures", recorded)
    assert resumed == measured(snapshot, tmp_path / "clean")


PROMISE = pa.schema([("score", pa.float32()), ("words", pa.list_(pa.float64()))])
GOOD = {"score": [0.5, None], "words": [[1.0], []]}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"score": [0.5, None]}, r"other columns than it promised: \['words'\]"),
        ({**GOOD, "extra": [1, 2]}, r"other columns than it promised: \['extra'\]"),
        ({**GOOD, "score": [0.5]}, "gave 1 values of score for 2 samples"),
        ({**GOOD, "score": [0.5, float("nan")]}, "gave NaN in score"),
        ({**GOOD, "words": [[1.0], [float("nan")]]}, "gave NaN in words"),
        ({**GOOD, "score": ["secret caption", 1.0]}, "values of score that are not float"),
    ],
    ids=["missing", "unpromised", "short", "NaN", "NaN in a list", "wrong type"],
)
def test_an_audit_is_held_to_its_promise_by_name(columns, said):
    with pytest.raises(PramanaError, match=f"Audit odd .*{said}") as refused:
        held("odd", PROMISE, columns, count=2)
    assert "secret caption" not in str(refused.value)


def test_a_kept_promise_passes():
    assert [len(array) for array in held("even", PROMISE, GOOD, count=2)] == [2, 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An audit whose conclusion a test chooses."""

    name: ClassVar[str] = "told"
    columns: ClassVar[pa.Schema] = pa.schema([])
    relations: ClassVar[pa.Schema] = pa.schema([("twin", pa.string())])
    agents: frozenset[str] = frozenset()
    said: object = None

    def measure(self, batch):
        return {}

    def conclude(self, measures, pictures):
        return self.said(measures, pictures) if callable(self.said) else Conclusion((), self.said)


@pytest.mark.parametrize(
    "columns",
    [
        None,
        pa.table({"id": ["set0/1"], "other": ["set0/2"]}),
        pa.table({"id": ["set0/1"], "twin": [1]}),
        pa.table({"id": ["set0/1", "set0/1"], "twin": ["a", "b"]}),
        pa.table({"id": ["nobody"], "twin": ["a"]}),
    ],
    ids=["none", "other name", "other type", "twice", "unknown sample"],
)
def test_relations_are_held_to_their_schema(sealed, columns):
    snapshot, folder, parts = sealed
    with pytest.raises(PramanaError, match=r"Audit told (gives|relates)"):
        conclude(snapshot, (Told(said=columns),), open_measures(folder, parts, snapshot))


def test_a_conclusion_sees_manifest_and_measures_and_pictures(sealed):
    snapshot, folder, parts = sealed

    def look(measures, pictures):
        rows = measures.sql(
            "SELECT id, caption, width_px, pii_count FROM measures WHERE id = 'set1/2'"
        ).fetchall()
        assert rows == [("set1/2", "call 98765 00522", 6, 1)]
        assert np.array_equal(pictures("set1/2")[0, 0], [522 % 256, 2, 9])
        assert pictures("set1/2").shape == (4, 6, 3)
        with pytest.raises(PramanaError, match="does not exist"):
            pictures("nobody")
        twins = pa.table({"id": ["set1/2"], "twin": ["set0/9"]})
        return Conclusion((count_of("told", "twins", ["set1/2"]),), twins)

    measures = open_measures(folder, parts, snapshot)
    concluded = conclude(snapshot, (Told(said=look),), measures)
    assert [(name, said.findings[0].value) for name, said in concluded] == [("told", 1)]
    table = joined(snapshot.manifest(), measures, concluded)
    assert table["id"].equals(snapshot.manifest()["id"])
    twins = {r["id"]: r["twin"] for r in table.to_pylist() if r["twin"]}
    assert twins == {"set1/2": "set0/9"}


def test_a_conclusion_needs_every_promised_column(sealed):
    snapshot, folder, parts = sealed
    measures = open_measures(folder, parts, snapshot).drop_columns(["gps"])
    with pytest.raises(EvidenceMissing, match="The measures lack gps"):
        conclude(snapshot, AUDITS, measures)


@pytest.mark.parametrize("taken", ["caption", "decoded", "gps"])
def test_two_columns_of_one_name_are_refused(taken):
    @dataclass(frozen=True)
    class Greedy:
        name: ClassVar[str] = "greedy"
        columns: ClassVar[pa.Schema] = pa.schema([(taken, pa.bool_())])
        relations: ClassVar[pa.Schema] = pa.schema([])

    with pytest.raises(PramanaError, match=f"greedy promises a column {taken}, which exists"):
        promised((*AUDITS, Greedy()))


def test_digests_speak_of_settings_order_code_and_parts():
    one, two = Told(agents=frozenset("abcdefgh")), Told(agents=frozenset("abcdefg"))
    assert audits_digest([one]) == audits_digest([Told(agents=frozenset("hgfedcba"))])
    assert len({audits_digest(a) for a in ([one], [two], [one, two], [two, one])}) == 4
    assert audit_code_digest(AUDITS) == audit_code_digest(AUDITS)
    assert measures_digest({"b": "2", "a": "1"}) == measures_digest({"a": "1", "b": "2"})


def test_the_digest_of_settings_is_the_same_in_another_process():
    code = (
        "from audits.engine import audits_digest; from audits.registry import AUDITS;"
        "print(audits_digest(AUDITS))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_weights_are_part_of_the_code():
    @dataclass(frozen=True)
    class Weighed:
        name: ClassVar[str] = "weighed"
        weights_sha256: str = "0" * 64

    assert audit_code_digest([Weighed()]) != audit_code_digest([Weighed(weights_sha256="1" * 64)])


@pytest.mark.parametrize("kind", [PramanaError, Tampered, EvidenceMissing])
def test_errors_survive_the_way_between_processes(kind):
    fault = pickle.loads(pickle.dumps(kind("a sentence")))  # noqa: S301  our own bytes
    assert type(fault) is kind
    assert str(fault) == "a sentence"
