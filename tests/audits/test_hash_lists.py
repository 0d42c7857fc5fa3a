"""Hash lists of an operator: what they match, what refuses, and that nobody learns what they hold.

The pictures on the lists are gradients drawn here and Meta's own test picture of a bridge.
"""

import hashlib
import io
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw, ImageOps

from audits.audit import LONGEST_PX
from audits.engine import parts_of, promised
from audits.nsfw import NsfwAudit
from audits.reading.ingest import ingest
from audits.screening.hashlists import BANDS, Fingerprints, HashList, ListTable, PdqIndex
from audits.worker import measure_part
from governance.canon import sha256
from governance.errors import EvidenceMissing, Tampered, UsageError
from governance.images import decode
from made import measured_by

# Published by facebook/ThreatExchange for this picture at its full size of 1,920 pixels
BRIDGE = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"


def encoded(image, form="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def drawn(seed=5):
    """Blots of grey: a picture with enough in it for a perceptual hash, and nothing else."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (300, 200), (128, 128, 128))
    pen = ImageDraw.Draw(image)
    for x, y, side, shade in rng.integers(0, (300, 200, 90, 256), (40, 4)).tolist():
        pen.ellipse((x, y, x + side, y + side), fill=(shade, shade, shade))
    return image


def table(folder, lines, *, kind="md5", name="watch", version="1", **more):
    data = ("\n".join(lines) + "\n").encode()
    (folder / f"{name}-{version}.txt").write_bytes(data)
    return {
        "name": name, "version": version, "kind": kind, "path": f"{name}-{version}.txt",
        "sha256": sha256(data), **more,
    }  # fmt: skip


def audit_with(folder, *tables):
    return NsfwAudit.of({"hash_lists": list(tables)}, folder)


def matched(audit, data):
    """Return what suspects these bytes, as the audit measures them; the detector is left out."""
    lists = audit.hash_lists
    prints = Fingerprints(data, decode(data, longest_px=LONGEST_PX))
    return next((one.label for one in lists if one.holds(prints)), None)


def pdq_of(image):
    data = encoded(image)
    turned, _ = Fingerprints(data, decode(data, longest_px=LONGEST_PX)).pdq
    return turned[0].tobytes().hex()


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_an_exact_list_matches_these_bytes_and_no_others(tmp_path, kind):
    data = encoded(drawn())
    digest = hashlib.new(kind, data).hexdigest()
    audit = audit_with(tmp_path, table(tmp_path, ["# comment", digest.upper()], kind=kind))
    assert matched(audit, data) == "watch@1"
    assert matched(audit, data + b"\0") is None


def test_a_match_is_suspected_before_any_detector_is_asked_and_says_by_which_list(tmp_path):
    data = encoded(drawn())
    listed = table(tmp_path, [md5(data)], version="2026-11")
    audit = audit_with(tmp_path, listed)
    audit = NsfwAudit(hash_lists=audit.hash_lists, weights=None)  # asking it would raise
    picture = decode(data, longest_px=LONGEST_PX)
    (row,) = measured_by(audit, {"caption": "blots"}, pictures=[picture], images=[data])
    assert {name: value for name, value in row.items() if value is not None} == {
        "suspected": True, "suspected_by": "CS-07 list watch@2026-11",
    }  # fmt: skip


def test_bytes_that_no_decoder_reads_are_still_held_against_the_lists(tmp_path):
    data = b"no picture at all"
    listed = table(tmp_path, [md5(data)])
    (row,) = measured_by(audit_with(tmp_path, listed), {"caption": ""}, images=[data])
    assert row["suspected_by"] == "CS-07 list watch@1"


LINES = {
    "a heading, comments, blank lines": (["digest", "# a", "", "{}  # b"], True),
    "more columns behind a comma": (["hash,added", "{},2026-11-01"], True),
    "windows line ends": (["{}\r"], True),
    "only another digest": (["0" * 32], False),
}


@pytest.mark.parametrize(("lines", "held"), LINES.values(), ids=LINES.keys())
def test_a_list_is_one_digest_a_line_however_it_is_laid_out(tmp_path, lines, held):
    data = encoded(drawn())
    digest = md5(data)
    audit = audit_with(tmp_path, table(tmp_path, [line.format(digest) for line in lines]))
    assert (matched(audit, data) == "watch@1") is held


REFUSED = {
    "a digest of another kind": (["0" * 40], UsageError, r"Line 1 .* no md5 digest of 32"),
    "a word among digests": (["0" * 32, "secret-word"], UsageError, r"Line 2 .* no md5 digest"),
    "nothing in it": (["# nobody"], UsageError, "holds no digest"),
}


@pytest.mark.parametrize(("lines", "error", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_list_that_cannot_be_read_is_told_before_anything_is_measured(
    tmp_path, lines, error, said
):
    with pytest.raises(error, match=said) as refused:
        audit_with(tmp_path, table(tmp_path, lines))
    assert "secret-word" not in str(refused.value)


SETTINGS = {
    "a list without a file": ({"path": "gone.txt"}, EvidenceMissing, "no file 'gone.txt'"),
    "other bytes than were pinned": ({"sha256": "0" * 64}, Tampered, "other bytes than its sha256"),
    "an unknown kind": ({"kind": "crc32"}, UsageError, r"hash_lists\.0\.kind"),
    "an unknown key": ({"colour": "red"}, UsageError, r"hash_lists\.0\.colour"),
    "a name that is markup": ({"name": "<b>"}, UsageError, r"hash_lists\.0\.name"),
    "a distance no band can answer": ({"distance": 32}, UsageError, r"hash_lists\.0\.distance"),
}


@pytest.mark.parametrize(("changed", "error", "said"), SETTINGS.values(), ids=SETTINGS.keys())
def test_a_wrong_setting_is_a_sentence_that_names_its_key(tmp_path, changed, error, said):
    with pytest.raises(error, match=said):
        audit_with(tmp_path, table(tmp_path, ["0" * 32]) | changed)


def test_two_lists_of_one_name_and_version_are_refused(tmp_path):
    listed = table(tmp_path, ["0" * 32])
    with pytest.raises(UsageError, match="name them apart"):
        audit_with(tmp_path, listed, listed)


def test_a_list_that_changes_after_it_was_named_is_not_used(tmp_path):
    told = ListTable(**table(tmp_path, ["0" * 32]))
    named = HashList.of(told, tmp_path)
    named.path.write_text("1" * 32)
    with pytest.raises(Tampered, match="other bytes"):
        named.holds(Fingerprints(b"x", None))


def test_settings_name_the_list_by_digest_and_nobodys_folder(tmp_path):
    audit = audit_with(tmp_path, table(tmp_path, ["0" * 32]))
    (tmp_path / "moved").mkdir()
    moved = audit_with(tmp_path / "moved", table(tmp_path / "moved", ["0" * 32]))
    assert str(tmp_path) not in repr(audit)
    assert repr(moved) == repr(audit) == repr(pickle.loads(pickle.dumps(audit)))  # noqa: S301  ours
    assert audit.hash_lists[0].sha256 in repr(audit)


CHANGES = {
    "as it is": encoded,
    "as JPEG 40": lambda i: encoded(i, "JPEG", quality=40),
    "half the size": lambda i: encoded(i.resize((150, 100))),
    "mirrored": lambda i: encoded(ImageOps.mirror(i)),
    "turned": lambda i: encoded(i.rotate(90, expand=True)),
    "upside down, as JPEG": lambda i: encoded(i.rotate(180), "JPEG", quality=60),
}
pdq_only = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import pdqhash"], check=False, capture_output=True)
    .returncode != 0, reason="pramana[pdq] is absent",
)  # fmt: skip


@pdq_only
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_pdq_list_matches_a_picture_that_was_re_encoded_scaled_turned_or_mirrored(
    tmp_path, change
):
    audit = audit_with(tmp_path, table(tmp_path, [pdq_of(drawn())], kind="pdq"))
    assert matched(audit, change(drawn())) == "watch@1"
    assert matched(audit, change(drawn(seed=6))) is None


@pdq_only
@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["bridge-1-original", "bridge-2-rotate-90", "bridge-5-flipx", "bridge-8-flip-minus-1"]
)
def test_the_published_hash_of_the_bridge_matches_it_in_every_position(tmp_path, shared, name):
    data = (shared / "neardup" / "pdq" / f"{name}.jpg").read_bytes()
    audit = audit_with(tmp_path, table(tmp_path, [BRIDGE], kind="pdq"))
    assert matched(audit, data) == "watch@1"


@pdq_only
def test_a_plain_picture_is_too_poor_for_pdq_and_the_measures_say_so(tmp_path):
    data = encoded(Image.new("RGB", (64, 64), (90, 90, 90)))
    audit = audit_with(tmp_path, table(tmp_path, ["0" * 64], kind="pdq"))
    assert matched(audit, data) is None
    assert Fingerprints(data, decode(data)).pdq[1] < 50


def test_a_pdq_list_without_the_library_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pdqhash", None)
    with pytest.raises(EvidenceMissing, match=r"watch has PDQ digests.*install pramana\[pdq\]"):
        audit_with(tmp_path, table(tmp_path, ["0" * 64], kind="pdq"))


@pytest.mark.parametrize("distance", [0, 15, 16, 31])
def test_the_index_finds_exactly_what_a_search_of_all_hashes_finds(distance):
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 256, (500, 32), dtype=np.uint8)
    index = PdqIndex(hashes)
    for apart in range(max(0, distance - 3), distance + 4):
        bits = np.unpackbits(hashes[rng.integers(500)])
        bits[rng.permutation(256)[:apart]] ^= 1
        query = np.packbits(bits)[None]
        near = np.bitwise_count(hashes ^ query).sum(axis=1) <= distance
        assert index.holds(query, distance) is bool(near.any())


def test_bits_that_differ_as_evenly_as_they_can_are_found_all_the_same():
    """31 bits over 16 bands: 15 bands differ in two bits, and one in a single bit."""
    bits = np.zeros(256, np.uint8)
    for band in range(BANDS):
        bits[band * 16 : band * 16 + (1 if band == 9 else 2)] = 1
    assert PdqIndex(np.zeros((1, 32), np.uint8)).holds(np.packbits(bits)[None], 31)


@pytest.mark.shared
def test_files_that_collide_in_md5_are_both_on_an_md5_list_and_apart_on_a_sha256_list(
    tmp_path, shared
):
    folder = shared / "malformed" / "collisions"
    one, two = ((folder / f"md5-{n}.jpg").read_bytes() for n in "12")
    by_md5 = table(tmp_path, [md5(one)])
    by_sha256 = table(tmp_path, [sha256(one)], kind="sha256", name="exact")
    assert [matched(audit_with(tmp_path, by_md5), data) for data in (one, two)] == ["watch@1"] * 2
    assert [matched(audit_with(tmp_path, by_sha256), d) for d in (one, two)] == ["exact@1", None]


class _Noting:
    """An audit that notes how many pictures it is handed."""

    name = "noting"
    columns = pa.schema([("handed", pa.int32())])
    relations = pa.schema([])
    weights_sha256 = None

    def measure(self, batch):
        return {"handed": [len(batch.images)] * len(batch.images)}


def test_no_other_audit_is_handed_what_a_list_holds(tmp_path):
    images = [encoded(drawn(seed)) for seed in range(3)]
    pq.write_table(pa.table({"image": images, "caption": ["x"] * 3}), tmp_path / "set.parquet")
    snapshot = ingest([str(tmp_path / "set.parquet")], snapshots=tmp_path / "snapshots")
    listed = table(tmp_path, [md5(images[1])])
    audits = (_Noting(), audit_with(tmp_path, listed))
    (part,) = parts_of(snapshot, snapshot.manifest())
    name, *_ = measure_part(part, audits, folder=tmp_path, schema=promised(audits))
    rows = pq.read_table(tmp_path / name).to_pylist()
    assert sorted((row["suspected"], row["handed"]) for row in rows if not row["suspected"]) == [
        (False, 2), (False, 2),
    ]  # fmt: skip
    assert [row["handed"] for row in rows if row["suspected"]] == [None]
