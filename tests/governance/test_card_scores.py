"""What the card prints of an evaluation: each score with its interval, its number and its judge."""

from governance.canon import canonical
from governance.cards.evidence import Evidence
from governance.cards.fields import Field, evaluated
from governance.cards.render import LONGEST, plain

BY = {
    "count": 64, "reference": 2048, "extractor": "dinov2: a folder", "sha256": "ab" * 32,
    "protocol": "224 px, Pillow bicubic, mean 0.485 0.456 0.406, std 0.229 0.224 0.225",
}  # fmt: skip
EVALUATION = {
    "all_attributes": {"right": 53, "asked": 64, "share": 0.83, "low": 0.79, "high": 0.87},
    "heldout_error_by_time": {
        "0.1": {"value": 0.01, "low": 0.008, "high": 0.013, "count": 1040},
        "0.9": {"value": 0.02, "count": 1},
    },
    "scores": {"frechet": {"value": 12.5, "low": 11.0, "high": 14.0, **BY}},
    "memorised": {
        "by_hash": {
            "closer": {"right": 1, "asked": 64, "share": 0.0156, "low": 0.003, "high": 0.083},
        },
        "nearest_sha256": "cd" * 32,
    },
    "not_judged": "there was no time left",
}


def rows() -> dict[str, Field]:
    evidence = Evidence({"evaluation.json": canonical(EVALUATION)})
    return {row.name: row for row in evaluated(evidence)}


def test_a_score_says_on_how_many_pictures_and_by_whom_it_was_taken() -> None:
    row = rows()["scores / frechet"]
    assert row.value == (
        "12.5 (95 % interval 11 to 14), 64 drawn, 2,048 of training, dinov2: a folder "
        f"abababababab, {BY['protocol']}"
    )
    assert "same number, weights and protocol" in row.note
    assert not plain(row.value).endswith("…")
    assert len(row.note) <= LONGEST


def test_an_error_has_its_interval_where_there_is_one() -> None:
    said = rows()
    first, last = (said[f"heldout_error_by_time / {time}"].value for time in ("0.1", "0.9"))
    assert first == "0.01 (95 % interval 0.008 to 0.013), 1,040 samples"
    assert last == "0.02, 1 samples"


def test_what_is_memorised_is_a_share_with_its_yardstick_and_names_nobody() -> None:
    said = rows()
    row = said["memorised / by_hash / closer"]
    assert row.value == "0.0156 (95 % interval 0.003 to 0.083)"
    assert len(row.note) <= LONGEST
    assert [name for name, row in said.items() if "cdcd" in (row.value or "")] == [
        "memorised / nearest_sha256"  # of a list that stays with the run
    ]
    assert said["not_judged"].value == "there was no time left"
