import io
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from duplicates_made import concluded_of, measured, picture, sample
from PIL import Image

from audits.alike.leaks import hash_table
from audits.duplicates import DuplicatesAudit
from audits.methods import method_of
from audits.registry import audits_of
from governance.canon import file_sha256
from governance.errors import EvidenceMissing, Tampered, UsageError


def evaluation(tmp_path, *pictures, name="coco-val"):
    """Write a table of hashes as an audit of an evaluation set would; return its setting."""
    table, _ = measured(DuplicatesAudit(), [sample(f"e{n}", p) for n, p in enumerate(pictures)])
    path = tmp_path / f"{name}.parquet"
    pq.write_table(hash_table(table), path)
    return {"name": name, "path": path.name, "sha256": file_sha256(path)}


def audit_of(tmp_path, *sets):
    return DuplicatesAudit.of({"evaluation_sets": list(sets)}, tmp_path)


def leaks(audit, samples):
    conclusion = concluded_of(samples, audit)
    found = {row["id"]: row["leaks"] for row in conclusion.columns.to_pylist() if row["leaks"]}
    return found, {finding.name: finding for finding in conclusion.findings}


def noisy(seed):
    """The picture, saved again at a quarter of its size."""
    image = Image.open(io.BytesIO(picture(seed)))
    stream = io.BytesIO()
    image.resize((48, 48)).save(stream, "JPEG", quality=70)
    return stream.getvalue()


def test_samples_in_an_evaluation_set_are_named_and_exact_ones_apart(tmp_path):
    audit = audit_of(tmp_path, evaluation(tmp_path, picture(1), picture(2), picture(3)))
    found, findings = leaks(
        audit,
        [
            sample("bytes", picture(1)),
            sample("pixels", picture(2, compress_level=1)),
            sample("again", noisy(3)),
            sample("other", picture(4)),
        ],
    )
    assert found == {
        "again": ["alike:coco-val"],
        "bytes": ["exact:coco-val"],
        "pixels": ["exact:coco-val"],
    }
    assert findings["evaluation sets compared"].value == 1
    assert findings["leakage exact:coco-val"].ids == ("bytes", "pixels")
    assert findings["leakage alike:coco-val"].ids == ("again",)
    for name in findings:
        assert method_of("duplicates", name).measured


def test_each_set_is_named(tmp_path):
    sets = [evaluation(tmp_path, picture(1), name=name) for name in ("b", "a")]
    found, _ = leaks(audit_of(tmp_path, *sets), [sample("x", picture(1))])
    assert found == {"x": ["exact:a", "exact:b"]}


def test_without_a_set_there_is_no_leakage_and_it_says_so():
    found, findings = leaks(DuplicatesAudit(), [sample("x", picture(1))])
    assert found == {}
    assert findings["evaluation sets compared"].value == 0


def test_the_table_has_no_pixels_and_nothing_withheld():
    samples = [sample("a", picture(1)), sample("b", b"")]
    table, _ = measured(DuplicatesAudit(), samples)
    told = hash_table(table)
    assert told.column_names == ["id", "sha256", "pixels_sha256", "phash_views"]
    assert told["id"].to_pylist() == ["a"]


def test_settings_name_the_content_of_a_set_and_not_its_place(tmp_path):
    audit = audit_of(tmp_path, evaluation(tmp_path, picture(1)))
    assert str(tmp_path) not in repr(audit)
    assert file_sha256(tmp_path / "coco-val.parquet") in repr(audit)
    assert pickle.loads(pickle.dumps(audit)) == audit  # noqa: S301  our own bytes
    (found,) = (a for a in audits_of({"duplicates": {"near_bits": 4}}, folder=tmp_path)
                if a.name == "duplicates")  # fmt: skip
    assert found == DuplicatesAudit(near_bits=4)


def test_a_table_that_was_altered_is_refused(tmp_path):
    audit = audit_of(tmp_path, evaluation(tmp_path, picture(1)))
    (tmp_path / "coco-val.parquet").write_bytes(b"other")
    with pytest.raises(Tampered, match="another digest than pramana"):
        leaks(audit, [sample("x", picture(1))])


def test_a_table_that_is_gone_is_refused(tmp_path):
    audit = audit_of(tmp_path, evaluation(tmp_path, picture(1)))
    (tmp_path / "coco-val.parquet").unlink()
    with pytest.raises(EvidenceMissing, match="are gone; put them back"):
        leaks(audit, [sample("x", picture(1))])


@pytest.mark.parametrize("form", ["other columns", "no Parquet"])
def test_a_file_that_is_no_table_of_hashes_is_refused(tmp_path, form):
    path = tmp_path / "set.parquet"
    path.write_bytes(b"PAR1")
    if form == "other columns":
        pq.write_table(pa.table({"id": ["a"]}), path)
    told = {"name": "set", "path": "set.parquet", "sha256": file_sha256(path)}
    with pytest.raises(UsageError, match="is no table of hashes"):
        leaks(audit_of(tmp_path, told), [sample("x", picture(1))])


ODD = {
    "an unknown key": ({"near": 4}, UsageError, "near"),
    "a digest that is none": (
        {"evaluation_sets": [{"name": "a", "path": "a", "sha256": "12"}]}, UsageError, "sha256",
    ),
    "a file that is not there": (
        {"evaluation_sets": [{"name": "a", "path": "a.parquet", "sha256": "0" * 64}]},
        EvidenceMissing, "a.parquet",
    ),
    "too many bits": ({"near_bits": 16}, UsageError, "give 0 to 15"),
    "captions beyond equal": ({"caption_shared_runs": 1.5}, UsageError, "caption_shared_runs"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "fault", "said"), ODD.values(), ids=ODD.keys())
def test_settings_that_cannot_be_are_refused(tmp_path, table, fault, said):
    with pytest.raises(fault, match=said):
        DuplicatesAudit.of(table, tmp_path)


def test_a_set_that_stands_twice_is_refused(tmp_path):
    known = evaluation(tmp_path, picture(1))
    with pytest.raises(UsageError, match="'coco-val' stands twice"):
        audit_of(tmp_path, known, known)


def test_packed_hashes_survive_the_file(tmp_path):
    known = evaluation(tmp_path, picture(1), picture(2))
    table = pq.read_table(tmp_path / known["path"])
    assert all(len(views) % 9 == 0 for views in table["phash_views"].to_pylist())
    assert np.unique(table["phash_views"].to_pylist()).size == 2
