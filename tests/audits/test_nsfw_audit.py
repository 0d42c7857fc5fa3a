import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageOps

from audits.audit import LONGEST_PX, Batch
from audits.methods import method_of
from audits.nsfw import NsfwAudit
from audits.screening.boxes import CLASSES, EXPOSED, detections, network_input
from audits.screening.detector import PLAIN, Detector, Weights, started
from governance.errors import EvidenceMissing, Tampered
from governance.images import Picture, decode

detector_only = pytest.mark.skipif(Weights.installed() is None, reason="pramana[nsfw] is absent")


def picture(image):
    return Picture(
        image=image, width_px=image.width, height_px=image.height, format="PNG", mode="RGB",
        frames=1, trailing_bytes=0, pixels_sha256="0" * 64, exif=b"", xmp=b"", text=(),
    )  # fmt: skip


def disc():
    """A brown disc on white, which the network takes for skin: a drawing, and nothing else."""
    image = Image.new("RGB", (72, 72), "white")
    ImageDraw.Draw(image).ellipse((2, 2, 70, 70), fill=(193, 105, 79))
    return image


def landscape():
    image = Image.new("RGB", (300, 100), (120, 170, 230))
    ImageDraw.Draw(image).rectangle((0, 60, 300, 100), fill=(60, 130, 60))
    return image


def measured(rows, **settings):
    """Measure (caption, image or None) rows; return one mapping a sample."""
    manifest = pa.table({"caption": pa.array([caption for caption, _ in rows], pa.string())})
    pictures = tuple(image and picture(image) for _, image in rows)
    columns = NsfwAudit(**settings).measure(Batch(manifest, pictures, (b"",) * len(pictures)))
    assert list(columns) == NsfwAudit.columns.names
    for field in NsfwAudit.columns:
        pa.array(columns[field.name], field.type)  # each value is of the promised type
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def raw(*boxes, anchors=60):
    """Network output with planted boxes: (class, score, centre x, centre y, width, height)."""
    output = np.zeros((4 + len(CLASSES), anchors), np.float32)
    for anchor, (label, score, *box) in enumerate(boxes):
        output[:4, anchor] = box
        output[4 + CLASSES.index(label), anchor] = score
    return output


FACE, BELLY = "FACE_FEMALE", "BELLY_EXPOSED"
PLANTED = {
    "two of one class on one place": (
        [(FACE, 0.5, 100, 100, 40, 40), (FACE, 0.9, 104, 100, 40, 40)],
        [(FACE, 0.9, 84, 80, 40, 40)],
    ),
    "two classes on one place": (
        [(FACE, 0.5, 100, 100, 40, 40), (BELLY, 0.9, 100, 100, 40, 40)],
        [(BELLY, 0.9, 80, 80, 40, 40), (FACE, 0.5, 80, 80, 40, 40)],
    ),
    "two of one class apart": (
        [(FACE, 0.5, 100, 100, 40, 40), (FACE, 0.4, 200, 100, 40, 40)],
        [(FACE, 0.5, 80, 80, 40, 40), (FACE, 0.4, 180, 80, 40, 40)],
    ),
    "at the floor and below": (
        [(FACE, 0.2, 100, 100, 40, 40), (BELLY, 0.19, 50, 50, 9, 9)],
        [(FACE, 0.2, 80, 80, 40, 40)],
    ),
    "beyond the edges": ([(FACE, 0.5, 0, 310, 40, 40)], [(FACE, 0.5, 0, 290, 20, 30)]),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("boxes", "expected"), PLANTED.values(), ids=PLANTED.keys())
def test_boxes_are_read_class_by_class(boxes, expected):
    assert list(detections(raw(*boxes), (320, 320))) == expected


def test_two_classes_of_one_anchor_are_both_kept():
    output = raw((FACE, 0.5, 100, 100, 40, 40))
    output[4 + CLASSES.index(BELLY), 0] = 0.3
    assert [d.label for d in detections(output, (320, 320))] == [FACE, BELLY]


@pytest.mark.parametrize(
    "output",
    [raw() * np.nan, np.full((4 + 18, 60), np.inf, np.float32), np.zeros((4 + 80, 60), np.float32)],
    ids=["no numbers", "infinite", "another network's classes"],
)
def test_output_that_cannot_be_scores_is_missing_evidence_and_not_a_zero(output):
    with pytest.raises(EvidenceMissing, match="finite scores of 18 are read"):
        detections(output, (320, 320))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((320, 320), (320, 320)),
        ((72, 72), (320, 320)),
        ((320, 213), (320, 224)),
        ((100, 320), (96, 320)),
        ((320, 1), (320, 32)),
    ],
    ids=["square", "small", "photograph", "upright", "a line"],
)
def test_the_network_sees_the_whole_picture_and_no_padding(size, expected):
    image = Image.new("RGB", size, (200, 10, 30))
    pixels = network_input(image)
    assert pixels.shape == (expected[1], expected[0], 3)
    assert (pixels == (200, 10, 30)).all()


def test_boxes_are_given_in_pixels_of_the_thumbnail():
    wide = detections(raw((FACE, 0.5, 160, 112, 64, 64)), (320, 213))
    assert wide == ((FACE, 0.5, 128, 76, 64, 61),)  # the input is 320 x 224
    small = detections(raw((FACE, 0.5, 160, 160, 160, 160)), (80, 80))
    assert small == ((FACE, 0.5, 20, 20, 40, 40),)


@detector_only
@pytest.mark.shared
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda i: i, (87, 41, 50, 49)),
        (ImageOps.mirror, (256 - 87 - 50, 41, 50, 49)),
        (lambda i: i.convert("L").convert("RGB"), (87, 41, 50, 49)),
        (lambda i: i.resize((128, 128)), (43, 20, 25, 25)),
    ],
    ids=["as it is", "mirrored", "grey", "half size"],
)
def test_a_portrait_has_one_face_where_its_face_is(shared, change, expected):
    data = (shared / "neardup" / "copies" / "astronaut__orig.jpg").read_bytes()
    (row,) = measured([("an astronaut", change(decode(data, longest_px=LONGEST_PX).image))])
    faces = [found for found in json.loads(row["nsfw_detections"]) if found[0] == FACE]
    ((_, score, *box),) = faces
    assert row["faces"] == 1
    assert score > 0.6
    assert box == pytest.approx(expected, abs=8)
    assert (row["nsfw_scored"], row["nsfw_score"], row["nsfw_class"]) == (True, 0.0, None)


@detector_only
@pytest.mark.shared
def test_the_network_is_given_red_green_and_blue_in_this_order(shared):
    """NudeNet's own reader hands files over as blue, green, red; that portrait then has no face."""
    data = (shared / "neardup" / "hopper" / "hopper.jpg").read_bytes()
    image = decode(data, longest_px=LONGEST_PX).image
    swapped = Image.fromarray(np.asarray(image)[:, :, ::-1])
    right, wrong = measured([("", image), ("", swapped)])
    assert (right["faces"], wrong["faces"]) == (1, 0)


@detector_only
def test_a_batch_is_measured_as_its_pictures_are_alone_whatever_stands_beside_them():
    rows = [("a", disc()), ("b", None), ("c", landscape()), ("d", disc().resize((40, 72)))]
    together = measured(rows)
    assert together == [measured([row])[0] for row in rows]
    assert together == measured(rows[::-1])[::-1]
    assert together[0]["nsfw_class"] == "BUTTOCKS_EXPOSED"


@detector_only
def test_an_undecodable_picture_has_no_score_rather_than_zero():
    (row,) = measured([("a nude statue", None)])
    assert row == {
        "nsfw_scored": False, "nsfw_score": None, "nsfw_class": None, "nsfw_detections": None,
        "nsfw_second_score": None, "faces": None, "nsfw_terms": True, "pdq_quality": None,
        "suspected": False, "suspected_by": None,
    }  # fmt: skip


@detector_only
def test_a_picture_without_an_exposed_class_scores_zero():
    (row,) = measured([("hills", landscape())])
    assert row == {
        "nsfw_scored": True, "nsfw_score": 0.0, "nsfw_class": None, "nsfw_detections": "[]",
        "nsfw_second_score": None, "faces": 0, "nsfw_terms": False, "pdq_quality": None,
        "suspected": False, "suspected_by": None,
    }  # fmt: skip


WORDS = "CS-01 minor and nudity by caption terms"
SUSPECTED = {
    "a minor and a high score": ("a girl", disc, 0.3, f"{WORDS} and NudeNet 320n@"),
    "a minor and a high score in Hindi": ("एक लड़की", disc, 0.3, f"{WORDS} and NudeNet 320n@"),
    "an age and a high score": ("12-year-old model", disc, 0.3, f"{WORDS} and NudeNet 320n@"),
    "a minor and nudity in words": ("a naked child", landscape, 0.6, WORDS),
    "words alone, nothing decoded": ("a naked child", lambda: None, 0.6, WORDS),
}


@detector_only
@pytest.mark.parametrize(
    ("caption", "make", "limit", "by"), SUSPECTED.values(), ids=SUSPECTED.keys()
)
def test_of_a_suspected_sample_nothing_is_kept_but_what_suspects_it(caption, make, limit, by):
    (row,) = measured([(caption, make())], suspect_score=limit)
    assert {name for name, value in row.items() if value is not None} == {
        "suspected", "suspected_by",
    }  # fmt: skip
    assert row["suspected_by"].startswith(by)


def test_words_that_suspect_a_sample_keep_it_from_every_detector():
    (row,) = measured([("a naked child", landscape())], weights=None)
    assert row["suspected"] is True  # no detector was asked, or its absence would have been told


@detector_only
@pytest.mark.parametrize(
    ("caption", "limit"),
    [
        ("a disc", 0.3),
        ("a baby chick", 0.3),
        ("a girl", 0.9),
        ("a nude statue", 0.3),
        ("18-year-old whisky", 0.3),
    ],
    ids=["no minor", "another baby", "a low score", "nudity alone", "of age"],
)
def test_one_sign_alone_suspects_nobody(caption, limit):
    (row,) = measured([(caption, disc())], suspect_score=limit)
    assert row["suspected"] is False
    assert row["nsfw_score"] == pytest.approx(0.55, abs=0.1)


@pytest.mark.parametrize(
    ("label", "score", "suspected"),
    [
        ("BUTTOCKS_EXPOSED", 0.61, True),
        ("BUTTOCKS_EXPOSED", 0.59, False),
        ("ANUS_EXPOSED", 0.26, True),
        ("ANUS_EXPOSED", 0.24, False),
        ("BUTTOCKS_COVERED", 0.99, False),
    ],
)
def test_the_two_suspect_scores_hold_for_their_classes(label, score, suspected):
    found = detections(raw((label, score, 100, 100, 40, 40)), (320, 320))
    assert NsfwAudit()._suspicious(found) is suspected  # noqa: SLF001  no picture would show this


def concluded(rows, **settings):
    table = pa.table(
        {
            "id": [row["id"] for row in rows],
            "source": [row.get("source") for row in rows],
            **{
                field.name: pa.array([row.get(field.name) for row in rows], field.type)
                for field in NsfwAudit.columns
            },
        }
    )
    with duckdb.connect() as connection:
        connection.register("measures", table)
        audit = NsfwAudit(**settings)
        findings = audit.conclude(connection, lambda _: pytest.fail("no picture")).findings
    assert all(method_of("nsfw", finding.name).how for finding in findings)
    return {finding.name: finding for finding in findings}


def planted(name, source, *labels):
    boxes = [[label, 0.5, 1, 1, 9, 9] for label in labels]
    score = 0.5 if EXPOSED.intersection(labels) else 0.0
    return {
        "id": name, "source": source, "nsfw_scored": True, "nsfw_score": score,
        "nsfw_detections": json.dumps(boxes), "faces": labels.count(FACE), "nsfw_terms": False,
        "suspected": False,
    }  # fmt: skip


def test_findings_count_classes_faces_sources_and_what_is_suspected():
    found = concluded(
        [
            planted("a", "one.parquet", "ANUS_EXPOSED", "BUTTOCKS_EXPOSED", "BUTTOCKS_EXPOSED"),
            planted("b", "one.parquet", "BUTTOCKS_EXPOSED", FACE),
            planted("c", "two.parquet", FACE, BELLY),
            planted("d", "two.parquet"),
            {"id": "e", "source": None, "nsfw_scored": False, "nsfw_terms": True},
            {"id": "f", "source": None, "suspected": True, "suspected_by": WORDS},
        ]
    )
    assert found["samples with BUTTOCKS_EXPOSED"].ids == ("a", "b")
    assert found["samples with ANUS_EXPOSED"].ids == ("a",)
    assert found["samples with FEMALE_BREAST_EXPOSED"].value == 0
    assert (found[f"samples with {FACE}"].value, found[f"samples with {FACE}"].ids) == (2, ())
    assert {name for name in found if name.startswith("samples with ")} == {
        "samples with a face box", *(f"samples with {label}" for label in CLASSES),
    }  # fmt: skip
    assert found["samples with a face box"].value == 2
    assert found["captions with terms of nudity"].value == 1
    assert found["scored by the detector"].value == pytest.approx(4 / 6)
    assert found["exposed rate from 0.2 in one.parquet"].value == 1.0
    assert found["exposed rate from 0.5 in one.parquet"].value == 1.0
    assert found["exposed rate from 0.2 in two.parquet"].value == 0.0
    assert found["exposed rate from 0.4 in no named source"].high == 1.0
    assert found["suspected: minor and nudity together"].ids == ("f",)


def test_no_finding_claims_that_nothing_is_there():
    found = concluded([planted("a", "s")])
    told = " ".join(f"{finding.name} {finding.note}" for finding in found.values())
    assert "safe" not in told.lower()
    note = found["suspected: minor and nudity together"].note
    assert note.startswith("No match by NudeNet 320n + caption terms; no claim of absence.")
    assert "not measured here" in found["declared miss rate"].note
    assert found["declared miss rate"].value == pytest.approx(0.394)


def test_without_a_detector_the_first_picture_is_refused_and_not_scored_zero():
    with pytest.raises(EvidenceMissing, match=r"install pramana\[nsfw\]"):
        measured([("a", disc())], weights=None)


def test_weights_that_are_not_there_are_named_without_their_folder(tmp_path):
    with pytest.raises(EvidenceMissing, match=r"no detector file gone\.onnx"):
        Weights.at(tmp_path / "gone.onnx")


@detector_only
def test_settings_name_the_network_by_digest_and_nobodys_folder(tmp_path):
    installed = Weights.installed()
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(installed.path.read_bytes())
    audit = NsfwAudit(weights=Weights.at(copy))
    assert repr(audit) == repr(NsfwAudit())
    assert audit == NsfwAudit() == pickle.loads(pickle.dumps(NsfwAudit()))  # noqa: S301  ours
    assert audit.weights_sha256 in repr(audit)
    assert str(tmp_path) not in repr(audit)


@detector_only
def test_weights_that_change_after_they_were_named_are_not_run(tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(Weights.installed().path.read_bytes())
    weights = Weights.at(copy)
    copy.write_bytes(copy.read_bytes()[:-1])
    detector = Detector(weights)
    with pytest.raises(Tampered, match="weights changed"):
        detector.run(network_input(disc()))
    detector.close()


@detector_only
def test_a_detector_that_died_is_missing_evidence_and_the_next_batch_starts_another():
    audit = NsfwAudit()
    before = measured([("a", disc())])
    os.kill(started(audit.weights, PLAIN).pid, signal.SIGKILL)
    with pytest.raises(EvidenceMissing, match=r"ended with status -9.*finished shards are kept"):
        measured([("a", disc())])
    assert measured([("a", disc())]) == before


WORKER = """
import sys, time
from PIL import Image
from audits.screening.detector import Detector, Weights
from audits.screening.boxes import network_input
detector = Detector(Weights.installed())
detector.run(network_input(Image.new("RGB", (64, 64))))
print(detector.pid, "onnxruntime" in sys.modules, "nudenet" in sys.modules, flush=True)
time.sleep(60)
"""


@detector_only
def test_the_network_runs_in_a_process_of_its_own_that_dies_with_its_worker():
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE) as worker:
        child, *loaded = worker.stdout.readline().split()
        assert loaded == [b"False", b"False"]
        os.kill(int(child), 0)
        worker.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{int(child)}").exists() and time.monotonic() < deadline:
        if "Z (zombie)" in Path(f"/proc/{int(child)}/status").read_text():
            break  # ended; whoever adopted it has not looked yet
        time.sleep(0.05)
    assert time.monotonic() < deadline
