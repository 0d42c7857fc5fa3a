"""What is kept of a suspected sample: its id and its digest, and that it is suspected."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from audits.engine import joined, measure, open_measures
from audits.reading.ingest import ingest
from audits.registry import AUDITS

pytest.importorskip("nudenet", reason="the detector's weights are not installed")


def test_no_hash_score_size_or_term_of_a_suspected_sample_reaches_the_disk(tmp_path):
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 60).save(stream, "PNG")
    captions = ["a naked child", "a stone"]  # words alone; the pictures are grey noise
    table = pa.table(
        {"image": [stream.getvalue()] * 2, "caption": captions, "license": ["MIT"] * 2}
    )
    pq.write_table(table, tmp_path / "set.parquet")
    snapshot = ingest([str(tmp_path / "set.parquet")], snapshots=tmp_path / "snapshots")
    done = measure(
        snapshot, AUDITS, folder=tmp_path / "m", recorded={}, record=lambda *_: None, workers=1
    )
    measures = open_measures(tmp_path / "m", recorded=done.parts, snapshot=snapshot)
    rows = measures.to_pylist()
    (suspected,) = [row for row in rows if row["suspected"]]
    (other,) = [row for row in rows if not row["suspected"]]
    assert {name for name, value in suspected.items() if value is not None} == {
        "id", "sha256", "suspected", "suspected_by",
    }  # fmt: skip
    assert (other["phash"], other["licence_spdx"]) != (None, None)
    shown = joined(snapshot.manifest(), measures).to_pylist()  # what conclusions and rules read
    (suspected,) = [row for row in shown if row["suspected"]]
    (other,) = [row for row in shown if not row["suspected"]]
    assert (suspected["caption"], suspected["licence"], suspected["extra"]) == (None, None, "{}")
    assert (other["caption"], other["licence"]) == ("a stone", "MIT")
    assert suspected["size_bytes"] > 0
