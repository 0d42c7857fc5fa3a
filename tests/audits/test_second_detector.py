"""A second detector: pinned, run apart, refused in a sentence; and what two detectors tell.

The networks are made here and see magenta and nothing else, so every score is planted.
"""

import io
import json
import pickle
from dataclasses import replace

import duckdb
import onnx_made
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from audits.audit import LONGEST_PX
from audits.methods import method_of
from audits.nsfw import NsfwAudit
from audits.screening.detector import Weights
from audits.screening.second import folder_sha256
from governance.canon import file_sha256
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.images import decode
from made import measured_by

pytest.importorskip("onnxruntime", reason="what runs the networks is not installed")
MAGENTA, GREY = (255, 0, 255), (120, 120, 120)
CONFIG = {"id2label": {"0": "normal", "1": "nsfw"}}
STEPS = {
    "size": {"height": 32, "width": 32}, "image_mean": [0.0, 0.0, 0.0],
    "image_std": [1.0, 1.0, 1.0], "resample": 3,
}  # fmt: skip


def picture(colour=GREY, *, spot=False):
    image = Image.new("RGB", (96, 64), colour)
    if spot:
        ImageDraw.Draw(image).rectangle((32, 0, 95, 63), fill=MAGENTA)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return decode(stream.getvalue(), longest_px=LONGEST_PX)


def file_table(folder, network=None, **more):
    (folder / "second.onnx").write_bytes(network or onnx_made.classifier())
    told = {"labels": ["normal", "nsfw"], "size_px": 32, "name": "magenta"}
    return told | {"path": "second.onnx", "sha256": file_sha256(folder / "second.onnx")} | more


def folder_table(folder, *, config=CONFIG, steps=STEPS, network="model.onnx", **more):
    place = folder / "classifier"
    (place / network).parent.mkdir(parents=True, exist_ok=True)
    (place / network).write_bytes(onnx_made.classifier())
    (place / "config.json").write_text(json.dumps(config))
    (place / "preprocessor_config.json").write_text(json.dumps(steps))
    return {"path": "classifier", "sha256": folder_sha256(place)} | more


def audit_with(folder, second):
    """The audit with a second detector; the first one is made here too."""
    (folder / "first.onnx").write_bytes(onnx_made.nudenet())
    audit = NsfwAudit.of({"second": second}, folder)
    return replace(audit, weights=Weights.at(folder / "first.onnx"))


@pytest.mark.parametrize("make", [file_table, folder_table], ids=["a file", "a folder"])
def test_a_second_detector_scores_each_picture_by_its_own_network(tmp_path, make):
    audit = audit_with(tmp_path, make(tmp_path))
    rows = measured_by(
        audit, *[{"caption": "a colour"}] * 4,
        pictures=[picture(MAGENTA), picture(), None, picture(spot=True)],
    )  # fmt: skip
    assert [row["nsfw_second_score"] for row in rows] == [
        pytest.approx(0.9997, abs=1e-3), pytest.approx(0.0, abs=1e-3), None,
        pytest.approx(0.948, abs=0.01),  # two thirds magenta: a logit of 2.9
    ]  # fmt: skip
    assert [row["nsfw_score"] for row in rows] == [pytest.approx(0.8), 0.0, None,
                                                   pytest.approx(0.8)]  # fmt: skip


def test_pixels_are_scaled_by_the_mean_and_deviation_that_the_folder_says(tmp_path):
    """With mean 1 and deviation -1, magenta arrives as green: what was seen is seen no more."""
    steps = STEPS | {"image_mean": [1.0, 1.0, 1.0], "image_std": [-1.0, -1.0, -1.0]}
    audit = audit_with(tmp_path, folder_table(tmp_path, steps=steps))
    green, magenta = measured_by(
        audit, {"caption": ""}, {"caption": ""}, pictures=[picture((0, 255, 0)), picture(MAGENTA)]
    )
    assert green["nsfw_second_score"] > 0.99
    assert magenta["nsfw_second_score"] < 0.01


@pytest.mark.parametrize(
    ("size", "network"),
    [
        (40, "model.onnx"),
        ({"shortest_edge": 40}, "onnx/model.onnx"),
        ({"height": 40, "width": 40}, "model.onnx"),
    ],
    ids=["one number", "shortest edge", "both sides"],
)
def test_a_folder_may_say_its_size_in_any_way_that_transformers_writes_it(tmp_path, size, network):
    audit = audit_with(tmp_path, folder_table(tmp_path, steps=STEPS | {"size": size},
                                              network=network))  # fmt: skip
    assert audit.second.fed.size_px == (40, 40)
    assert audit.second.fed.labels == ("normal", "nsfw")
    assert audit.second.unsafe == ("nsfw",)


@pytest.mark.parametrize(
    ("caption", "first", "suspected_by"),
    [
        ("a girl", GREY, None),
        ("a girl", MAGENTA, "CS-01 minor and nudity by caption terms and NudeNet 320n@"),
        ("a colour", MAGENTA, None),
    ],
    ids=["no detector", "the first", "no minor"],
)
def test_a_minor_in_words_and_a_score_of_a_detector_suspect(tmp_path, caption, first, suspected_by):
    audit = audit_with(tmp_path, file_table(tmp_path))
    (row,) = measured_by(audit, {"caption": caption}, pictures=[picture(first)])
    assert (row["suspected_by"] or "").startswith(suspected_by or "")
    assert row["suspected"] is (suspected_by is not None)


def test_the_second_detector_suspects_where_the_first_one_sees_nothing(tmp_path):
    audit = replace(audit_with(tmp_path, file_table(tmp_path)), suspect_score=1.0)
    (row,) = measured_by(audit, {"caption": "a boy"}, pictures=[picture(MAGENTA)])
    assert row["suspected_by"].startswith("CS-01 minor and nudity by caption terms and magenta@")
    assert (row["nsfw_score"], row["nsfw_second_score"]) == (None, None)


SAFETENSORS = "no model.onnx or onnx/model.onnx; other formats are not run. Export it once"
REFUSED = {
    "other bytes than were pinned": (
        lambda f: file_table(f, sha256="0" * 64), Tampered, "pins 000000000000",
    ),
    "a file that is not there": (
        lambda f: file_table(f, path="gone.onnx"), EvidenceMissing, "no file 'gone.onnx'",
    ),
    "a file without labels": (lambda f: file_table(f, labels=None), UsageError, "give `labels`"),
    "no label that counts": (
        lambda f: file_table(f, labels=["cat", "dog"]), UsageError, "cat, dog; say .* `unsafe`",
    ),
    "a label that is not there": (
        lambda f: file_table(f, unsafe=["porn"]), UsageError, "normal, nsfw; say",
    ),
    "an unknown key": (lambda f: file_table(f, gpu=True), UsageError, r"second\.gpu"),
    "a score that is none": (lambda f: file_table(f, score=1.5), UsageError, r"second\.score"),
    "a folder that is told what it says": (
        lambda f: folder_table(f, size_px=32), UsageError, "take them out",
    ),
    "weights of another format": (
        lambda f: folder_table(f, network="model.safetensors"), UsageError, SAFETENSORS,
    ),
    "labels that are no mapping": (
        lambda f: folder_table(f, config={"id2label": 3}), UsageError, "does not say its labels",
    ),
    "no size": (
        lambda f: folder_table(f, steps={**STEPS, "size": "big"}), UsageError, "does not say",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "error", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_second_detector_that_cannot_be_run_is_told_before_anything_is_measured(
    tmp_path, make, error, said
):
    with pytest.raises(error, match=said):
        audit_with(tmp_path, make(tmp_path))


def test_a_network_whose_weights_lie_beside_it_is_refused(tmp_path):
    folder_table(tmp_path)
    (tmp_path / "classifier" / "model.onnx_data").write_bytes(b"weights")
    pinned = {"path": "classifier", "sha256": folder_sha256(tmp_path / "classifier")}
    with pytest.raises(UsageError, match="into one file"):
        audit_with(tmp_path, pinned)


@pytest.mark.parametrize(
    ("more", "said"),
    [({"labels": ["normal", "nsfw", "other"]}, "2 numbers for 3 labels"),
     ({"probabilities": True}, "no probabilities")],
    ids=["another count", "logits called probabilities"],
)  # fmt: skip
def test_output_that_cannot_be_scores_is_missing_evidence(tmp_path, more, said):
    audit = audit_with(tmp_path, file_table(tmp_path, **more))
    with pytest.raises(EvidenceMissing, match=said):
        measured_by(audit, {"caption": ""}, pictures=[picture(MAGENTA)])


def test_a_network_that_changes_after_it_was_named_is_not_run(tmp_path):
    audit = audit_with(tmp_path, file_table(tmp_path, onnx_made.classifier() + b"\x1a\0"))
    (tmp_path / "second.onnx").write_bytes(onnx_made.classifier())
    with pytest.raises(Tampered, match="weights changed"):
        measured_by(audit, {"caption": ""}, pictures=[picture()])


def test_settings_name_the_detector_by_digest_and_nobodys_folder(tmp_path):
    audit = audit_with(tmp_path, folder_table(tmp_path))
    assert audit == pickle.loads(pickle.dumps(audit))  # noqa: S301  ours
    assert audit.second.sha256 in repr(audit)
    assert str(tmp_path) not in repr(audit)


def concluded(audit, rows):
    columns = {"id": pa.string(), "source": pa.string()}
    columns |= {field.name: field.type for field in NsfwAudit.columns}
    table = pa.Table.from_pylist(rows, pa.schema(columns))
    with duckdb.connect() as connection:
        connection.register("measures", table)
        findings = audit.conclude(connection, lambda _: pytest.fail("no picture")).findings
    assert all(method_of("nsfw", finding.name).how for finding in findings)
    return {finding.name: finding for finding in findings}


def seen_by(*, first, second, both, neither=0):
    kinds = [(0.45, 0.1)] * (first - both) + [(0.1, 0.5)] * (second - both)
    kinds += [(0.9, 0.9)] * both + [(0.44, 0.49)] * neither
    return [
        {"id": str(place), "source": "set", "nsfw_scored": True, "nsfw_score": one,
         "nsfw_second_score": two, "nsfw_detections": "[]", "faces": 0, "nsfw_terms": False,
         "suspected": False}
        for place, (one, two) in enumerate(kinds)
    ]  # fmt: skip


def test_what_two_detectors_catch_tells_how_many_there_may_be(tmp_path):
    audit = audit_with(tmp_path, file_table(tmp_path))
    found = concluded(audit, seen_by(first=20, second=30, both=10, neither=70))
    there = found["exposed pictures, estimated from two detectors"]
    missed = found["missed by both detectors, estimated"]
    assert there.value == pytest.approx(21 * 31 / 11 - 1, abs=0.01)
    assert missed.value == pytest.approx(200 / 11, abs=0.01)
    assert 40 < there.low < there.value < there.high
    assert "err independently" in there.note
    assert "NudeNet 320n caught 20 from score 0.45, magenta@" in there.note
    alone = found["of the second detector's catches NudeNet missed"]
    assert alone.value == pytest.approx(20 / 30)
    assert found["declared miss rate"].value == pytest.approx(0.394)


@pytest.mark.parametrize("second", [0, 6], ids=["the second caught nothing", "six in common"])
def test_too_few_catches_in_common_estimate_nothing_rather_than_nothing_missed(tmp_path, second):
    audit = audit_with(tmp_path, file_table(tmp_path))
    found = concluded(audit, seen_by(first=6, second=second, both=second))
    missed = found["missed by both detectors, estimated"]
    assert (missed.value, missed.low, missed.high) == (None, None, None)
    assert missed.note.endswith("Nothing is estimated from fewer than 7 that both caught.")


def test_without_a_second_detector_nothing_is_estimated():
    found = concluded(NsfwAudit(), seen_by(first=10, second=15, both=5))
    assert not [name for name in found if "detectors" in name or "second" in name]
    assert "declared miss rate" in found


def test_each_list_has_a_finding_that_claims_no_absence(tmp_path):
    (tmp_path / "l.txt").write_text("0" * 64)
    lists = [
        {"name": name, "version": "7", "kind": kind, "path": "l.txt",
         "sha256": file_sha256(tmp_path / "l.txt")}
        for name, kind in (("one", "sha256"), ("two", "pdq"))
    ]  # fmt: skip
    pytest.importorskip("pdqhash")
    audit = NsfwAudit.of({"hash_lists": lists}, tmp_path)
    rows = [
        {"id": "a", "suspected": True, "suspected_by": "CS-07 list one@7"},
        {"id": "b", "suspected": False, "nsfw_scored": True, "nsfw_detections": "[]",
         "pdq_quality": 49, "nsfw_score": 0.0},
        {"id": "c", "suspected": False, "nsfw_scored": True, "nsfw_detections": "[]",
         "pdq_quality": 50, "nsfw_score": 0.0},
    ]  # fmt: skip
    found = concluded(audit, rows)
    assert found["suspected: on the list one@7"].ids == ("a",)
    said = found["suspected: on the list two@7"]
    assert said.note.startswith("No match by two@7; no claim of absence.")
    assert found["suspected: minor and nudity together"].value == 0
    assert found["too plain for PDQ lists"].value == pytest.approx(1 / 2)
