import duckdb
import pyarrow as pa
import pytest

from audits.alike.repeats import Repeats

LONG = "a red bicycle leaning against the old brick wall of a small bakery in the morning sun"


def counted(captions, **settings):
    """Return value and note of each finding, by name."""
    with duckdb.connect() as connection:
        connection.register("measures", pa.table({"caption": pa.array(captions, pa.string())}))
        findings = Repeats(**settings).findings(connection)
        return {finding.name: (finding.value, finding.note) for finding in findings}


NEAR = {
    "a word changed at the end": (LONG, LONG.replace("sun", "rain"), 2),
    "another case and more space": (LONG, LONG.upper().replace(" ", "  "), 0),  # one caption then
    "a full stop": (LONG, LONG + ".", 2),
    "half of it": (LONG, LONG[:44], 0),
    "another caption": (LONG, "two children playing chess under a tree in the park", 0),
    "the same words, another order": (LONG, " ".join(reversed(LONG.split())), 0),
    "too short to tell": ("a cat", "a cat!", 0),
}


@pytest.mark.parametrize(("one", "other", "count"), NEAR.values(), ids=NEAR.keys())
def test_captions_that_share_most_runs_of_words_are_nearly_the_same(one, other, count):
    assert counted([one, other])["captions nearly the same as another"][0] == count


def test_equal_captions_are_counted_letter_by_letter():
    value, note = counted(["a cat", "a cat", "A cat", "", "", None, "b", "b"])[
        "samples whose caption stands more than once"
    ]
    assert value == 4
    assert "2 captions" in note


def test_a_template_counts_each_filling_once_and_its_first():
    captions = [LONG.replace("bicycle", word) for word in ("bicycle", "scooter", "handcart")]
    assert counted(captions, shared_runs=0.5)["captions nearly the same as another"][0] == 3


def test_what_was_not_compared_is_said():
    captions = [f"the number {n} is written on this door" for n in range(20)]
    note = counted(captions, most_captions=5)["captions nearly the same as another"][1]
    assert "5 of 20 different captions" in note


def test_the_order_of_samples_does_not_matter():
    captions = [LONG.replace("bicycle", f"thing {n}").replace("sun", f"{n % 7}") for n in range(40)]
    assert counted(captions, shared_runs=0.5) == counted(captions[::-1], shared_runs=0.5)


def test_no_caption_is_no_fault():
    assert counted([None, ""])["captions nearly the same as another"][0] == 0
