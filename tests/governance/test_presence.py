"""Presence: a sorted tree answers for one image and shows no other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.canon import canonical, sha256
from governance.errors import Tampered
from governance.rights.presence import Place, Presence, check, prove
from governance.snapshot import MANIFEST, Snapshot, sample_leaves, samples_root, seal, write_table
from governance.trail import merkle

Edit = Callable[[Presence], Presence]


def _image(number: int) -> str:
    return bytes([number] * 32).hex()


def _leaves(*numbers: int) -> list[bytes]:
    said = [bytes.fromhex(sha256(str(place).encode())) for place in range(len(numbers))]
    return [bytes([n] * 32) + more for n, more in zip(sorted(numbers), said, strict=True)]


def _root(leaves: list[bytes]) -> str:
    return merkle.root(leaves).hex()


def _counted(leaves: list[bytes], image: str) -> int:
    return check(prove(leaves, image), sha256=image, root=_root(leaves), size=len(leaves))


@settings(max_examples=300, deadline=None)
@given(numbers=st.lists(st.integers(1, 40), max_size=300), asked=st.integers(0, 41))
def test_the_proof_counts_the_samples_of_an_image_and_shows_only_its_neighbours(
    numbers: list[int], asked: int
) -> None:
    leaves, image = _leaves(*numbers), _image(asked)
    proof = prove(leaves, image)
    assert _counted(leaves, image) == numbers.count(asked)
    others = [place for place in proof.places if place.image.hex() != image]
    assert len(others) <= 2
    assert Presence.from_json(proof.to_json()) == proof


EDGES = {
    "in an empty table": ((), 5, 0),
    "before the only sample": ((9,), 5, 0),
    "after the only sample": ((3,), 5, 0),
    "the only sample": ((5,), 5, 1),
    "every sample": ((5, 5, 5), 5, 3),
    "between two": ((3, 9), 5, 0),
    "at the first edge": ((5, 9, 9), 5, 1),
    "at the last edge": ((3, 3, 5), 5, 1),
}


@pytest.mark.parametrize(("numbers", "asked", "count"), EDGES.values(), ids=EDGES.keys())
def test_edges_and_the_empty_table_are_answered(
    numbers: tuple[int, ...], asked: int, count: int
) -> None:
    leaves = _leaves(*numbers)
    assert _counted(leaves, _image(asked)) == count
    assert len(prove(leaves, _image(asked)).places) <= count + 2


LEAVES = _leaves(1, 2, 3, 5, 5, 7, 8, 9, 10)  # 5 stands twice, 4 and 6 do not stand


def _without(*places: int) -> Edit:
    def edit(proof: Presence) -> Presence:
        kept = [p for n, p in enumerate(proof.places) if n not in places]
        return replace(proof, places=tuple(kept))

    return edit


def _changed(place: int, **fields: object) -> Edit:
    def edit(proof: Presence) -> Presence:
        places = list(proof.places)
        places[place] = replace(places[place], **fields)
        return replace(proof, places=tuple(places))

    return edit


def _shown(*indices: int) -> Edit:
    tree = merkle.Tree.of(LEAVES)
    places = tuple(
        Place(index=i, leaf=LEAVES[i], path=tuple(merkle.inclusion_proof(tree.node, i, tree.size)))
        for i in indices
    )
    return lambda proof: replace(proof, places=places)


FORGED: dict[str, tuple[int, int, Edit]] = {
    "another size": (1, 4, lambda proof: replace(proof, size=8)),
    "nothing shown": (1, 4, lambda proof: replace(proof, places=())),
    "a leaf invented": (2, 4, _changed(0, leaf=bytes([3] * 32) + bytes(32))),
    "a leaf cut short": (2, 4, _changed(0, leaf=bytes(32))),
    "no path": (2, 4, _changed(0, path=())),
    "an index moved": (2, 4, _changed(0, index=1)),
    "a sample between left out": (3, 5, _without(1)),
    "a gap where the image stands": (3, 5, _shown(2, 5)),
    "one leaf shown twice": (3, 4, _shown(2, 2, 3)),
    "neighbours of another image": (4, 4, _shown(4, 5)),
    "only those before": (4, 6, _without(1)),
    "only those after": (4, 4, _without(0)),
    "one of two copies": (4, 5, _without(2, 3)),
    "the other of two copies": (4, 5, _without(0, 1)),
    "more than the one before": (4, 4, _shown(1, 2, 3)),
    "more than the one after": (4, 4, _shown(2, 3, 4)),
    "the first edge, of an image further on": (4, 9, _shown(0)),
    "the last edge, of an image further back": (4, 2, _shown(8)),
}


@pytest.mark.parametrize(("number", "asked", "edit"), FORGED.values(), ids=FORGED.keys())
def test_each_check_refuses_alone(number: int, asked: int, edit: Edit) -> None:
    forged = edit(prove(LEAVES, _image(asked)))
    with pytest.raises(Tampered, match=rf"presence \({number}\)"):
        check(forged, sha256=_image(asked), root=_root(LEAVES), size=len(LEAVES))


def test_a_proof_of_one_table_says_nothing_of_another() -> None:
    proof = prove(LEAVES, _image(4))
    other = _leaves(1, 2, 3, 4, 5, 7, 8, 9, 10)
    with pytest.raises(Tampered, match=r"presence \(2\)"):
        check(proof, sha256=_image(4), root=_root(other), size=len(other))


@pytest.mark.parametrize(
    ("size", "root"),
    [(0, _root(LEAVES)), (9, _root([])), (1, _root([]))],
    ids=["no sample under a root of some", "samples under the root of none", "one under it"],
)
def test_an_empty_table_has_the_root_of_none(size: int, root: str) -> None:
    with pytest.raises(Tampered, match=r"presence \([12]\)"):
        check(prove([], _image(4)), sha256=_image(4), root=root, size=size)


def test_an_image_cannot_hide_out_of_order() -> None:
    leaves = _leaves(1, 2, 3, 5, 7)
    unsorted = [*leaves[:2], leaves[3], leaves[2], leaves[4]]  # 1 2 5 3 7: is 3 there?
    tree = merkle.Tree.of(unsorted)
    places = [
        Place(index=i, leaf=unsorted[i], path=tuple(merkle.inclusion_proof(tree.node, i, 5)))
        for i in (2, 3)
    ]
    proof = Presence(size=5, places=tuple(places))
    with pytest.raises(Tampered, match=r"presence \(3\).*unsorted"):
        check(proof, sha256=_image(4), root=_root(unsorted), size=5)


JSON_EDITS: dict[str, Callable[[dict], object]] = {
    "a key more": lambda r: {**r, "caption": "secret"},
    "a key less": lambda r: {"size": r["size"]},
    "a key more in a place": lambda r: {**r, "places": [{**r["places"][0], "id": "x"}]},
    "a size of true": lambda r: {**r, "size": True},
    "a size below none": lambda r: {**r, "size": -1},
    "places that are text": lambda r: {**r, "places": "none"},
    "a leaf in capitals": lambda r: _with_leaf(r, str.upper),
    "a leaf with a space": lambda r: _with_leaf(r, lambda leaf: leaf[:2] + " " + leaf[2:]),
    "a path that is no base64": lambda r: {**r, "places": [{**r["places"][0], "path": "*"}]},
    "a list": lambda r: [r],
}


def _with_leaf(record: dict, change: Callable[[str], str]) -> dict:
    place = record["places"][0]
    return {**record, "places": [{**place, "leaf": change(place["leaf"])}]}


@pytest.mark.parametrize("edit", JSON_EDITS.values(), ids=JSON_EDITS.keys())
def test_json_that_is_not_a_proof_to_the_letter_is_refused(
    edit: Callable[[dict], object],
) -> None:
    record = prove(_leaves(0xAB), _image(4)).to_json()
    with pytest.raises(Tampered):
        Presence.from_json(edit(record))


def test_a_proof_over_four_thousand_samples_is_small() -> None:
    leaves = sorted(bytes.fromhex(sha256(b"%d" % n)) + bytes(32) for n in range(4096))
    proof = prove(leaves, _image(4))
    assert len(canonical(proof.to_json())) < 1600
    assert check(proof, sha256=_image(4), root=_root(leaves), size=4096) == 0


def _samples(numbers: list[int]) -> pa.Table:
    rows = [
        {"id": f"{place}", "shard": 0, "row": place, "sha256": _image(n), "size_bytes": 9,
         "caption": f"secret {n}", "source": "s", "attributes": "{}", "extra": "{}"}
        for place, n in enumerate(numbers)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, MANIFEST)


def test_a_sealed_manifest_proves_presence_and_absence(tmp_path: Path) -> None:
    snapshot = seal(tmp_path, rows=_samples([5, 3, 9, 5]), shards=(), sources=("s",))
    leaves = list(sample_leaves(snapshot.manifest()))
    for asked, count in ((5, 2), (3, 1), (4, 0), (1, 0), (10, 0)):
        proof = prove(leaves, _image(asked))
        assert check(proof, sha256=_image(asked), root=snapshot.root, size=4) == count


def test_a_manifest_that_was_sealed_unsorted_is_tampered(tmp_path: Path) -> None:
    table = _samples([3, 9, 5])
    root = samples_root(table)
    record = {"root": root, "samples": 3, "sources": ["s"], "shards": []}
    write_table(tmp_path / root / "manifest.parquet", table)
    (tmp_path / root / "snapshot.json").write_bytes(canonical(record))
    assert samples_root(pq.read_table(tmp_path / root / "manifest.parquet")) == root
    with pytest.raises(Tampered, match="sealed in another order"):
        Snapshot.open(tmp_path / root).manifest()
