"""Rights: what is taken back stays out, and nobody who is named stands in the ledger."""

from pathlib import Path

import pytest
from rightful import SECRETS, House, image_of, row_of

from governance.errors import EvidenceMissing, PramanaError, UsageError
from governance.rights.handles import NO_IMAGE
from governance.rights.withdrawals import (
    WITHDRAWN,
    LeftOut,
    standing,
    withdrawals,
)
from governance.signers.salts import forget


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.at(tmp_path)


REQUESTS: dict[str, tuple[dict, set[int]]] = {
    "an id": ({"samples": ("c",)}, {3}),
    "an id of one picture in two snapshots": ({"samples": ("b",)}, {2}),
    "an image, with its copy": ({"images": (image_of(1),)}, {1}),
    "a source": ({"sources": ("two.parquet",)}, {1, 4}),
    "a web host, in other letters": ({"sources": ("photos.example.ORG",)}, {1}),
    "a consent reference, and a sample without a picture": ({"subjects": ("consent-1",)}, {1}),
    "one of several references": ({"subjects": ("consent-3",)}, {1}),
    "a declared attribute": ({"subjects": ("p7",)}, {2}),
    "one of several people in a column": ({"subjects": ("asha rao ",)}, {3}),
    "a number": ({"subjects": ("7",)}, {4}),
    "several of several kinds": ({"samples": ("c", "f"), "subjects": ("P7",)}, {2, 3, 4}),
}


@pytest.mark.parametrize(("named", "images"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_finds_its_images_in_every_snapshot(
    house: House, named: dict, images: set[int]
) -> None:
    answer = house.withdraw(**named)
    assert answer.found.images == {image_of(number) for number in images}
    assert answer.found.snapshots == 2
    assert standing(house.workspace).images == answer.found.images


ODD: dict[str, tuple[dict, type[PramanaError], str]] = {
    "nothing": ({}, UsageError, "Name what"),
    "an empty name": ({"subjects": (" ",)}, UsageError, "Name what"),
    "no digest": ({"images": ("abc",)}, UsageError, "64 hex digits"),
    "the empty file": ({"images": (NO_IMAGE,)}, UsageError, "not empty"),
    "an unknown id": ({"samples": ("nobody",)}, EvidenceMissing, "1 of the 1"),
    "an unknown subject": ({"subjects": ("Nobody",)}, EvidenceMissing, "2 snapshots were searched"),
    "one known, one not": ({"samples": ("c", "x")}, EvidenceMissing, "1 of the 2"),
    "an id of two pictures": ({"samples": ("a",)}, UsageError, "names 2 pictures"),
    "a sample without a picture": ({"samples": ("d",)}, EvidenceMissing, "no picture"),
    "a reason with an escape": ({"samples": ("c",), "reason": "\x1b[2J"}, UsageError, "plain"),
    "too much of a name": ({"samples": ("c",), "by": "x" * 501}, UsageError, "at most 500"),
}


@pytest.mark.parametrize(("named", "kind", "said"), ODD.values(), ids=ODD.keys())
def test_what_cannot_be_withdrawn_is_refused_and_tells_nothing_of_others(
    house: House, named: dict, kind: type[PramanaError], said: str
) -> None:
    size = house.workspace.ledger.size()
    with pytest.raises(kind, match=said) as raised:
        house.withdraw(**named)
    assert not [
        word for word in (*SECRETS, "secret", image_of(1)[:12]) if word in str(raised.value)
    ]
    assert house.workspace.ledger.size() == size
    assert not withdrawals(house.workspace)


def test_neither_names_nor_reasons_stand_in_the_ledger_and_no_subject_in_the_record(
    house: House,
) -> None:
    answer = house.withdraw(
        subjects=("Asha Rao",), sources=("photos.example.org",), reason="she wrote to us",
        by="B. Sen",
    )  # fmt: skip
    (made,) = answer.withdrawals
    ledger = b"".join(house.workspace.ledger.leaves()).decode()
    assert not [word for word in SECRETS if word in ledger]
    record = house.workspace.load(made.record, "a record").decode()
    assert "sha rao" not in record.casefold()
    assert (made.reason, made.by, made.sources) == (
        "she wrote to us", "B. Sen", ("photos.example.org",),
    )  # fmt: skip
    assert house.told(WITHDRAWN) == [
        {"record": made.record, "images": 2, "subjects": list(made.subjects)}
    ]


LATER: dict[str, tuple[dict, dict, bool]] = {
    "the image under another name": ({"samples": ("c",)}, row_of("z", 3, source="new"), True),
    "another image": ({"samples": ("c",)}, row_of("z", 50), False),
    "more of the source": (
        {"sources": ("two.parquet",)}, row_of("z", 50, source="two.parquet"), True
    ),
    "more of the host": (
        {"sources": ("photos.example.org",)},
        row_of("z", 50, source_url="http://PHOTOS.example.org:80/a"),
        True,
    ),
    "a host below it": (
        {"sources": ("photos.example.org",)},
        row_of("z", 50, source_url="http://x.photos.example.org/a"),
        False,
    ),
    "more of the person": (
        {"subjects": ("Asha Rao",)}, row_of("z", 50, extra='{"person":"ASHA RAO"}'), True
    ),
    "without a picture, of the person": (
        {"subjects": ("consent-1",)}, row_of("z", None, consent_ref="consent-1"), True
    ),
    "somebody else": ({"subjects": ("Asha Rao",)}, row_of("z", 50, extra='{"person":"B"}'), False),
    "unreadable, of somebody else": ({"subjects": ("consent-1",)}, row_of("z", None), False),
}  # fmt: skip


@pytest.mark.parametrize(("named", "row", "covered"), LATER.values(), ids=LATER.keys())
def test_what_arrives_later_is_left_out_as_well(
    house: House, named: dict, row: dict, *, covered: bool
) -> None:
    house.withdraw(**named)
    left_out = LeftOut(standing(house.workspace))
    assert left_out(row) is covered
    assert left_out.count == covered


def test_forgetting_a_person_unlinks_the_tag_and_the_images_stay_withdrawn(house: House) -> None:
    house.withdraw(subjects=("Asha Rao",))
    forget(house.workspace.salts, "Asha Rao")
    known = standing(house.workspace)
    assert not known.covers(row_of("z", 50, extra='{"subject":"Asha Rao"}'))
    assert known.covers(row_of("z", 3))


def test_withdrawing_twice_changes_nothing_and_says_so(house: House) -> None:
    house.clear(house.decision, "run-1")
    named = {"subjects": ("Asha Rao",), "sources": ("photos.example.org",)}
    first, size = house.withdraw(**named), house.workspace.ledger.size()
    again = house.withdraw(**named)
    part = house.withdraw(images=(image_of(3),))
    assert (first.is_new, again.is_new, part.is_new) == (True, False, False)
    assert again.withdrawals == part.withdrawals == first.withdrawals
    assert house.workspace.ledger.size() == size


def test_a_name_is_withdrawn_as_well_though_its_images_are_already(house: House) -> None:
    house.withdraw(images=(image_of(3),))
    assert house.withdraw(subjects=("Asha Rao",)).is_new
    assert standing(house.workspace).covers(row_of("z", 50, extra='{"subject":"asha rao"}'))


def test_an_image_stays_withdrawn_when_no_snapshot_holds_it_any_more(house: House) -> None:
    house.withdraw(images=(image_of(10),))
    (house.second.folder / "manifest.parquet").unlink()
    again = house.withdraw(images=(image_of(10),))
    assert not again.is_new
    assert len(again.withdrawals) == 1
    assert again.found.unread == (house.second.root,)


def test_a_snapshot_that_cannot_be_read_is_told_and_searched_once_it_is_restored(
    house: House,
) -> None:
    path = house.second.folder / "manifest.parquet"
    data = path.read_bytes()
    path.write_bytes(b"altered")
    answer = house.withdraw(sources=("one.parquet",))
    assert answer.found.unread == (house.second.root,)
    assert image_of(9) not in answer.found.images
    path.write_bytes(data)
    more = house.withdraw(sources=("one.parquet",))
    assert more.is_new
    assert image_of(9) in more.found.images
