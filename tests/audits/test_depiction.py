import numpy as np
import pyarrow as pa
import pytest
from told import concluded, measured


def people(**declared):
    return [
        (f"{group}{n}", {"gender": group}, caption)
        for group, (count, caption) in declared.items()
        for n in range(count)
    ]


def test_one_picture_under_two_labels_is_found_with_its_samples():
    rows = [("a", {"gender": "man"}, ""), ("b", {"gender": "unspecified"}, ""),
            ("c", {"gender": "man"}, ""), ("d", {"gender": "man"}, "")]  # fmt: skip
    pixels = pa.array(["1", "1", "2", "2"], pa.string())
    found = concluded(measured(rows, pixels_sha256=pixels))
    assert found["one picture for gender=man | unspecified"].ids == ("a", "b")
    assert found["pictures under several gender groups"].value == 1
    assert found["samples whose picture stands for another group too"].ids == ("a", "b")


def test_a_copy_that_declares_nothing_where_the_other_does_is_told():
    rows = [("a", {"gender": "man"}, ""), ("b", {}, "")]
    found = concluded(measured(rows, pixels_sha256=pa.array(["1", "1"])))
    assert found["one picture for gender=man | nothing"].value == 1


def test_with_whom_a_neutral_label_shares_its_pictures_is_a_share():
    rows = [(f"{n}{g}", {"gender": g}, "") for n in range(40) for g in
            ("neutral", "woman" if n < 10 else "man")]  # fmt: skip
    pixels = pa.array([str(n) for n in range(40) for _ in range(2)])
    found = concluded(measured(rows, pixels_sha256=pixels))
    assert found["pictures shared by gender=man share"].value == 0.75
    assert found["pictures shared by gender=woman share"].value == 0.25


def test_equal_labels_on_equal_pixels_and_withheld_measures_are_no_finding():
    rows = [("a", {"gender": "man"}, ""), ("b", {"gender": "man"}, "")]
    table = measured(rows, pixels_sha256=pa.array(["1", "1"]))
    nulls = pa.array([None, None], pa.list_(pa.string()))
    withheld = table.set_column(table.column_names.index("declared"), "declared", nulls)
    for measures in (table, withheld):
        found = concluded(measures)
        assert found["samples whose picture stands for another group too"].value == 0
        assert not [name for name in found if name.startswith("one picture for")]


def test_captions_scores_and_sizes_of_groups_are_told_with_their_number():
    rows = people(woman=(40, "a b c d"), man=(60, "a b"), hijra=(5, "a"))
    count = len(rows)
    score = pa.array([0.5 if row[1]["gender"] == "woman" else 0.1 for row in rows])
    side = pa.array([100 if row[1]["gender"] == "woman" else 200 for row in rows], pa.int32())
    found = concluded(measured(rows, nsfw_score=score, width_px=side,
                               height_px=pa.array([10] * count, pa.int32())))  # fmt: skip
    words = found["gender=woman caption words"]
    assert (words.value, words.low, words.high, words.note) == (4, 4, 4, "Of 40 samples.")
    assert found["gender caption words difference"].value == 2
    assert found["gender=woman NSFW score"].value == pytest.approx(0.5)
    assert found["gender=man picture area px"].value == 2000
    assert found["groups too small to describe"].value == 1
    assert "gender=hijra caption words" not in found


def test_a_mean_score_has_the_interval_of_a_mean():
    rows = people(woman=(100, "a"))
    score = [0.2] * 50 + [0.4] * 50
    found = concluded(measured(rows, nsfw_score=pa.array(score)))["gender=woman NSFW score"]
    half = 1.959963984540054 * np.std(score, ddof=1) / 10
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))


def test_pictures_of_one_size_and_captions_that_are_all_there_are_not_told_again():
    rows = people(woman=(40, "a b"), man=(40, "a b"))
    side = pa.array([10] * 80, pa.int32())
    found = concluded(measured(rows, width_px=side, height_px=side))
    assert not [name for name in found if name.endswith(("area px", "captions share"))]


def test_captions_that_are_empty_are_a_share_of_their_group():
    found = concluded(
        measured(
            [*people(woman=(30, "a b")), *[(str(n), {"gender": "woman"}, None) for n in range(10)]]
        )
    )
    assert found["gender=woman empty captions share"].value == 0.25
