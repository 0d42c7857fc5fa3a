import csv
import hashlib
import io
import json
from collections import defaultdict
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from audits.audit import LONGEST_PX, Batch
from audits.duplicates import DuplicatesAudit
from governance.errors import UsageError
from governance.images import decode

ATTRIBUTES = ("gender", "skin_tone", "skin_tones", "occupation", "cultural_marker")
MEASURES = pa.schema(
    [
        ("id", pa.string()),
        ("caption", pa.string()),
        ("attributes", pa.string()),
        ("sha256", pa.string()),
        ("size_bytes", pa.int64()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("pixels_sha256", pa.string()),
        *DuplicatesAudit.columns,
        ("suspected", pa.bool_()),
    ]
)


def picture(seed=1, *, side=96, form="PNG", colour=None, **options):
    """Encoded bytes of a textured scene; the same seed is the same scene."""
    noise = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    if colour:
        image.paste(colour, (side // 4, side // 4, side // 2, side // 2))
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def sample(name, data, *, caption="", **attributes):
    return {"id": name, "caption": caption, "data": data, "attributes": attributes}


def measured(audit, samples):
    """Return the measures of samples, as the engine would, and a function to their pictures."""
    rows, thumbnails = [], []
    for given in samples:
        decoded = decode(given["data"], longest_px=LONGEST_PX) if given["data"][:1] else None
        thumbnails.append(decoded)
        rows.append(
            {
                "id": given["id"],
                "caption": given["caption"],
                "attributes": json.dumps(given["attributes"], sort_keys=True),
                "sha256": hashlib.sha256(given["data"]).hexdigest(),
                "size_bytes": len(given["data"]),
                "width_px": decoded and decoded.width_px,
                "height_px": decoded and decoded.height_px,
                "pixels_sha256": decoded and decoded.pixels_sha256,
                "suspected": given.get("suspected", False),
            }
        )
    columns = audit.measure(
        Batch(pa.table({"id": [r["id"] for r in rows]}), tuple(thumbnails), (b"",) * len(rows))
    )
    for name, values in columns.items():
        rows = [row | {name: value} for row, value in zip(rows, values, strict=True)]
    shown = {r["id"]: t and np.asarray(t.image) for r, t in zip(rows, thumbnails, strict=True)}
    return pa.Table.from_pylist(rows, schema=MEASURES), shown.__getitem__


def concluded(samples, audit=None):
    audit = audit or DuplicatesAudit()
    table, pictures = measured(audit, samples)
    with duckdb.connect() as connection:
        connection.register("measures", table)
        conclusion = audit.conclude(connection, pictures)
    related = {
        row["id"]: (
            row["duplicate_of"], row["duplicate_kind"], row["duplicate_same_attributes"],
        )
        for row in conclusion.columns.to_pylist()
    }  # fmt: skip
    return related, {finding.name: finding for finding in conclusion.findings}


def emoji(shared, *vendors):
    samples = []
    for vendor in vendors:
        for row in pq.read_table(shared / "emoji" / f"emoji-{vendor}.parquet").to_pylist():
            said = {name: row[name] for name in ATTRIBUTES if row.get(name) not in (None, "", [])}
            samples.append(sample(row["id"], row["image"], caption=row["caption"], **said))
    return samples


def csv_rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


PAIRS = {
    "the same bytes": (picture(), picture(), "exact-bytes"),
    "the same pixels": (picture(), picture(compress_level=1), "exact-pixels"),
    "a JPEG of it": (picture(), picture(form="JPEG", quality=60), "near"),
    "a smaller one": (picture(side=192), picture(side=96), "near"),
}


@pytest.mark.parametrize(("one", "other", "kind"), PAIRS.values(), ids=PAIRS.keys())
def test_a_copy_points_to_what_it_repeats(one, other, kind):
    related, findings = concluded([sample("a", one), sample("b", other), sample("c", picture(2))])
    assert related == {"b": ("a", kind, True)}
    assert findings["near-duplicates"].value == (kind == "near")
    assert findings["groups of equal bytes"].value == (kind == "exact-bytes")
    assert findings["groups of equal pixels"].value == (kind in {"exact-bytes", "exact-pixels"})


def test_a_near_duplicate_with_other_labels_is_another_sample():
    one = sample("a", picture(), skin_tone="light")
    other = sample("b", picture(form="JPEG", quality=60), skin_tone="dark")
    related, findings = concluded([one, other])
    assert related == {}
    assert findings["look-alike pairs with different labels"].value == 1
    assert findings["look-alike pairs told apart by their pixels"].value == 0


def test_a_changed_skin_is_another_picture_even_where_nothing_is_declared():
    light, dark = picture(colour="#f7dece"), picture(colour="#5c4033")
    assert concluded([sample("a", light), sample("b", dark)])[0] == {}


def test_equal_pixels_under_different_labels_are_related_and_never_marked_for_exclusion():
    samples = [
        sample("man 1", picture(), gender="man"),
        sample("man 2", picture(), gender="man"),
        sample("person 1", picture(), gender="unspecified"),
        sample("person 2", picture(), gender="unspecified"),
    ]
    related, findings = concluded(samples)
    assert related == {
        "man 2": ("man 1", "exact-bytes", True),
        "person 1": ("man 1", "exact-bytes", False),
        "person 2": ("person 1", "exact-bytes", True),
    }
    mixed = findings["groups of equal pixels under different labels"]
    assert (mixed.value, sorted(mixed.ids)) == (1, sorted(s["id"] for s in samples))
    assert findings["equal pixels under gender: man | unspecified"].value == 1


def test_no_group_of_people_loses_its_last_sample():
    samples = [
        sample(f"{tone} {n}", data, skin_tone=tone)
        for tone in ("light", "dark")
        for n, data in enumerate([picture(), picture(), picture(form="JPEG", quality=60)])
    ]
    related, _ = concluded(samples)
    kept = [s for s in samples if not related.get(s["id"], (None, None, False))[2]]
    assert sorted(s["attributes"]["skin_tone"] for s in kept) == ["dark", "light"]


KEEPERS = {
    "the larger": (("b", 192, ""), ("a", 96, "a longer caption")),
    "then the better told": (("b", 96, "a longer caption"), ("a", 96, "")),
    "then the lower id": (("a", 96, ""), ("b", 96, "")),
}


@pytest.mark.parametrize(("kept", "gone"), KEEPERS.values(), ids=KEEPERS.keys())
@pytest.mark.parametrize("order", [1, -1], ids=["in order", "reversed"])
def test_the_sample_kept_does_not_depend_on_order(kept, gone, order):
    samples = [sample(name, picture(side=side), caption=text) for name, side, text in (kept, gone)]
    related, _ = concluded(samples[::order])
    assert {name: row[0] for name, row in related.items()} == {gone[0]: kept[0]}


def test_a_near_duplicate_was_compared_with_the_very_sample_it_points_to():
    """Three steps of a fade: each is like the next, the ends are not alike."""
    ends = [Image.open(io.BytesIO(picture(seed, side=96))) for seed in (1, 3)]

    def faded(share):
        stream = io.BytesIO()
        Image.blend(*ends, share).save(stream, "PNG")
        return stream.getvalue()

    audit = DuplicatesAudit(near_bits=15)
    middle, near, far = faded(0.0), faded(0.08), faded(0.16)
    assert concluded([sample("a", middle), sample("b", near)], audit)[0]["b"][0] == "a"
    assert concluded([sample("b", near), sample("c", far)], audit)[0]["c"][0] == "b"
    assert concluded([sample("a", middle), sample("c", far)], audit)[0] == {}
    related, _ = concluded([sample("a", middle), sample("b", near), sample("c", far)], audit)
    assert related == {"b": ("a", "near", True)}


def test_samples_without_bytes_are_not_copies_of_each_other():
    related, findings = concluded([sample("a", b""), sample("b", b""), sample("c", picture())])
    assert related == {}
    assert findings["hashed"].value == pytest.approx(1 / 3)


def test_plain_pictures_are_told_apart_by_bytes_and_pixels_alone():
    plain = [sample(str(n), picture_of(grey)) for n, grey in enumerate([250, 251, 251])]
    related, findings = concluded(plain)
    assert related == {"2": ("1", "exact-bytes", True)}
    assert findings["pictures too plain to hash"].value == 3


def picture_of(grey):
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), (grey,) * 3).save(stream, "PNG")
    return stream.getvalue()


def test_a_suspected_picture_is_never_decoded_again():
    suspected = sample("b", picture(form="JPEG", quality=60)) | {"suspected": True}
    assert concluded([sample("a", picture()), suspected])[0] == {}
    assert concluded([sample("a", picture(form="JPEG", quality=60)), suspected])[0] == {
        "b": ("a", "exact-bytes", True)
    }


def test_without_an_nsfw_audit_nothing_is_suspected():
    audit = DuplicatesAudit()
    table, pictures = measured(audit, [sample("a", picture()), sample("b", picture(form="JPEG"))])
    with duckdb.connect() as connection:
        connection.register("measures", table.drop_columns(["suspected"]))
        assert audit.conclude(connection, pictures).columns["id"].to_pylist() == ["b"]


def test_repeated_captions_are_counted_letter_by_letter():
    captions = ["a cat", "a cat", "A cat", "", ""]
    samples = [sample(str(n), picture(n), caption=text) for n, text in enumerate(captions)]
    _, findings = concluded(samples)
    assert findings["samples whose caption stands more than once"].value == 2


@pytest.mark.parametrize("bits", [-1, 16])
def test_a_distance_at_which_pairs_could_be_missed_is_refused(bits):
    with pytest.raises(UsageError, match=rf"near_bits is {bits}; give 0 to 15"):
        DuplicatesAudit(near_bits=bits)


def test_settings_say_what_was_run():
    audit = DuplicatesAudit(near_bits=4)
    assert "near_bits=4" in repr(audit)
    assert "least_ncc=0.9" in repr(audit)
    assert replace(audit, near_bits=8) == DuplicatesAudit()


@pytest.mark.shared
def test_in_openmoji_the_neutral_person_is_drawn_as_a_man_102_times(shared):
    related, findings = concluded(emoji(shared, "openmoji"))
    assert findings["equal pixels under gender: man | unspecified"].value == 102
    assert findings["equal pixels under gender: unspecified | woman"].value == 6
    assert findings["groups of equal pixels under different labels"].value == 108
    marked = {name for name, row in related.items() if row[2] and row[1] != "near"}
    assert not marked & set(findings["groups of equal pixels under different labels"].ids)


@pytest.mark.shared
@pytest.mark.slow
def test_of_12184_drawings_every_known_group_is_found_and_no_look_alike_is_merged(shared):
    vendors = ("fluent", "mutant-nc", "noto", "openmoji", "twemoji")
    related, findings = concluded(emoji(shared, *vendors))
    groups = defaultdict(set)
    for row in csv_rows(shared / "emoji" / "exact_duplicates.csv"):
        groups[row["group"]].add(row["id"])
    found = defaultdict(set)
    for name, (kept, kind, _) in related.items():
        if kind != "near":
            found[kept] |= {kept, name}
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, groups.values()))
    assert findings["groups of equal pixels"].value == len(groups) == 111
    assert findings["groups of equal bytes"].value == 110
    merged = {frozenset((name, row[0])) for name, row in related.items() if row[2]}
    look_alikes = csv_rows(shared / "emoji" / "hard_negatives.csv")
    assert not [row for row in look_alikes if {row["id_a"], row["id_b"]} in merged]
    assert findings["near-duplicates"].value <= 10  # 8: people with and without pale hair


@pytest.mark.shared
def test_no_two_photographs_of_a_shelf_are_merged(shared):
    rows = pq.read_table(shared / "photos" / "grocery.parquet").to_pylist()
    related, findings = concluded([sample(r["id"], r["image"], caption=r["caption"]) for r in rows])
    assert related == {}
    assert findings["look-alike pairs told apart by their pixels"].value > 0
