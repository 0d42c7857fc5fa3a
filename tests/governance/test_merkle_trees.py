"""RFC 6962 trees, held to published vectors and to all sizes up to 300."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance import merkle
from governance.errors import Tampered


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text) if text else b""


def _holds(check: object, **arguments: object) -> bool:
    try:
        check(**arguments)
    except Tampered:
        return False
    return True


@pytest.mark.shared
def test_roots_equal_the_reference_tree(shared: Path) -> None:
    vector = json.loads((shared / "conformance/merkle/rfc6962_tree.json").read_text())
    leaves = [bytes.fromhex(leaf) for leaf in vector["leaves"]]
    assert [merkle.leaf_hash(leaf).hex() for leaf in leaves] == vector["levels"][0]
    assert merkle.root(leaves).hex() == vector["levels"][-1][0]


@pytest.mark.shared
def test_every_published_inclusion_case_is_judged_as_published(shared: Path) -> None:
    lines = (shared / "conformance/merkle/inclusion.jsonl").read_text().splitlines()
    assert len(lines) == 98
    for case in map(json.loads, lines):
        proof = [_bytes(step) for step in case["proof"] or []]
        held = _holds(
            lambda c=case, p=proof: merkle.check_inclusion(
                _bytes(c["leafHash"]), index=c["leafIdx"], size=c["treeSize"], proof=p,
                expected_root=_bytes(c["root"]),
            )
        )  # fmt: skip
        assert held is not case["wantErr"], case["name"]


@pytest.mark.shared
def test_every_published_consistency_case_is_judged_as_published(shared: Path) -> None:
    lines = (shared / "conformance/merkle/consistency.jsonl").read_text().splitlines()
    assert len(lines) == 98
    for case in map(json.loads, lines):
        held = _holds(
            merkle.check_consistency, old_size=case["size1"], size=case["size2"],
            proof=[_bytes(step) for step in case["proof"] or []],
            old_root=_bytes(case["root1"]), expected_root=_bytes(case["root2"]),
        )  # fmt: skip
        assert held is not case["wantErr"], case["name"]


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 300), data=st.data())
def test_proofs_of_any_tree_hold_and_do_not_hold_for_another_leaf(
    size: int, data: st.DataObject
) -> None:
    leaves = [str(number).encode() for number in range(size)]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    root, index = merkle.root(leaves), data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(hashes, index)
    ok = {"index": index, "size": size, "proof": proof, "expected_root": root}
    merkle.check_inclusion(hashes[index], **ok)
    with pytest.raises(Tampered):
        merkle.check_inclusion(merkle.leaf_hash(b"another"), **ok)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(2, 300), data=st.data())
def test_a_grown_tree_is_consistent_and_a_rewritten_one_is_not(
    size: int, data: st.DataObject
) -> None:
    leaves = [str(number).encode() for number in range(size)]
    old = data.draw(st.integers(1, size))
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    ok = {
        "old_size": old, "size": size, "proof": merkle.consistency_proof(hashes, old),
        "expected_root": merkle.root(leaves),
    }  # fmt: skip
    merkle.check_consistency(old_root=merkle.root(leaves[:old]), **ok)
    with pytest.raises(Tampered):
        merkle.check_consistency(old_root=merkle.root([b"x", *leaves[1:old]]), **ok)


def test_appending_one_by_one_gives_the_root_of_all() -> None:
    frontier = merkle.Frontier()
    for size in range(1, 130):
        frontier = frontier.appended(str(size).encode())
        assert frontier.root() == merkle.root(str(n).encode() for n in range(1, size + 1))
    assert merkle.Frontier().root() == merkle.EMPTY_ROOT
