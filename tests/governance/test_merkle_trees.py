"""RFC 6962 trees, held to published vectors and to all sizes up to 300."""

import base64
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.errors import Tampered
from governance.trail import merkle


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text) if text else b""


def _holds(check: object, **arguments: object) -> bool:
    try:
        check(**arguments)
    except Tampered:
        return False
    return True


@pytest.mark.shared
def test_every_node_and_every_root_equals_the_reference_trees(shared: Path) -> None:
    vector = json.loads((shared / "conformance/merkle/rfc6962_tree.json").read_text())
    leaves = [bytes.fromhex(leaf) for leaf in vector["leaves"]]
    tree = merkle.Tree.of(leaves)
    for level, hashes in enumerate(vector["levels"]):
        assert [tree.node(level, index).hex() for index in range(len(hashes))] == hashes
    for size, root in enumerate(vector["roots_by_size"]):
        assert merkle.root_of(tree.node, size).hex() == merkle.root(leaves[:size]).hex() == root


@pytest.mark.shared
def test_the_proofs_made_here_are_the_published_ones(shared: Path) -> None:
    folder = shared / "conformance/merkle"
    vector = json.loads((folder / "rfc6962_tree.json").read_text())
    node = merkle.Tree.of(bytes.fromhex(leaf) for leaf in vector["leaves"]).node
    made = 0
    for case in map(json.loads, (folder / "inclusion.jsonl").read_text().splitlines()):
        if not case["wantErr"]:
            proof = merkle.inclusion_proof(node, case["leafIdx"], case["treeSize"])
            assert proof == [_bytes(step) for step in case["proof"] or []], case["name"]
            made += 1
    for case in map(json.loads, (folder / "consistency.jsonl").read_text().splitlines()):
        if not case["wantErr"]:
            proof = merkle.consistency_proof(node, case["size1"], case["size2"])
            assert proof == [_bytes(step) for step in case["proof"] or []], case["name"]
            made += 1
    assert made == 12


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


LEAVES = [str(number).encode() for number in range(300)]


@functools.cache
def _tree_hash(start: int, end: int) -> bytes:
    """MTH of LEAVES[start:end], as RFC 6962 section 2.1 writes it."""
    if end - start == 1:
        return hashlib.sha256(b"\x00" + LEAVES[start]).digest()
    split = start + _split(end - start)
    return hashlib.sha256(b"\x01" + _tree_hash(start, split) + _tree_hash(split, end)).digest()


def _split(count: int) -> int:
    """Return the largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def _path(index: int, start: int, end: int) -> list[bytes]:
    """PATH of a leaf, as RFC 6962 section 2.1.1 writes it."""
    if end - start == 1:
        return []
    split = start + _split(end - start)
    if index < split:
        return [*_path(index, start, split), _tree_hash(split, end)]
    return [*_path(index, split, end), _tree_hash(start, split)]


def _subproof(old: int, start: int, end: int, *, complete: bool) -> list[bytes]:
    """SUBPROOF, as RFC 6962 section 2.1.2 writes it."""
    if old == end - start:
        return [] if complete else [_tree_hash(start, end)]
    half = _split(end - start)
    split = start + half
    if old <= half:
        return [*_subproof(old, start, split, complete=complete), _tree_hash(split, end)]
    return [*_subproof(old - half, split, end, complete=False), _tree_hash(start, split)]


def test_every_root_and_proof_up_to_300_leaves_is_what_the_rfc_defines() -> None:
    tree, frontier = merkle.Tree.of(LEAVES), merkle.Frontier()
    for size in range(1, 301):
        frontier = frontier.appended(LEAVES[size - 1])
        root = _tree_hash(0, size)
        assert merkle.Frontier.at(tree.node, size) == frontier
        assert frontier.root() == merkle.root_of(tree.node, size) == root
        for index in range(size):
            assert merkle.inclusion_proof(tree.node, index, size) == _path(index, 0, size)
            proof = merkle.consistency_proof(tree.node, index + 1, size)
            assert proof == _subproof(index + 1, 0, size, complete=True)


def test_a_leaf_completes_the_nodes_that_stand_over_it() -> None:
    tree, frontier = merkle.Tree.of(LEAVES), merkle.Frontier()
    for number, leaf in enumerate(LEAVES):
        completed = frontier.completed(leaf)
        assert len(completed) == 1 + merkle.trailing_ones(number)
        for level, hashed in enumerate(completed):
            assert hashed == tree.node(level, ((number + 1) >> level) - 1)
        frontier = frontier.grown(completed)


def test_no_proof_asks_for_more_nodes_than_the_tree_is_high() -> None:
    size, asked = 1_000_001, []
    told = lambda level, index: asked.append((level, index)) or b""  # noqa: E731
    for number in (0, 1, 524_287, 524_288, 999_999, 1_000_000):
        asked.clear()
        merkle.inclusion_proof(told, number, size)
        merkle.consistency_proof(told, number + 1, size)
        assert len(asked) <= 3 * size.bit_length()
        assert all((index + 1) << level <= size for level, index in asked)  # complete ones only


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 300), data=st.data())
def test_proofs_of_any_tree_hold_and_do_not_hold_for_another_leaf(
    size: int, data: st.DataObject
) -> None:
    tree = merkle.Tree.of(LEAVES[:size])
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(tree.node, index, size)
    ok = {"index": index, "size": size, "proof": proof, "expected_root": tree.root()}
    merkle.check_inclusion(tree.node(0, index), **ok)
    with pytest.raises(Tampered):
        merkle.check_inclusion(merkle.leaf_hash(b"another"), **ok)
    for forged in (
        {"index": data.draw(st.integers(0, size).filter(lambda other: other != index))},
        {"proof": [*proof, proof[-1] if proof else tree.root()]},
        {"expected_root": merkle.leaf_hash(b"another")},
    ):
        with pytest.raises(Tampered):
            merkle.check_inclusion(tree.node(0, index), **{**ok, **forged})


@settings(max_examples=60, deadline=None)
@given(size=st.integers(2, 300), data=st.data())
def test_a_grown_tree_is_consistent_and_a_rewritten_one_is_not(
    size: int, data: st.DataObject
) -> None:
    tree, old = merkle.Tree.of(LEAVES[:size]), data.draw(st.integers(1, size))
    ok = {
        "old_size": old, "size": size, "expected_root": tree.root(),
        "proof": merkle.consistency_proof(tree.node, old, size),
    }  # fmt: skip
    merkle.check_consistency(old_root=merkle.root(LEAVES[:old]), **ok)
    with pytest.raises(Tampered):
        merkle.check_consistency(old_root=merkle.root([b"x", *LEAVES[1:old]]), **ok)


@pytest.mark.parametrize(
    "ask",
    [
        lambda node: merkle.inclusion_proof(node, 5, 5),
        lambda node: merkle.inclusion_proof(node, -1, 5),
        lambda node: merkle.inclusion_proof(node, 0, 0),
        lambda node: merkle.consistency_proof(node, 0, 5),
        lambda node: merkle.consistency_proof(node, 6, 5),
        lambda node: node(0, 5),
        lambda node: node(3, 0),
    ],
)
def test_there_is_no_proof_of_what_is_not_in_the_tree(ask: Callable[[merkle.Node], object]) -> None:
    with pytest.raises(IndexError):
        ask(merkle.Tree.of(LEAVES[:5]).node)


def test_a_tree_of_nothing_has_the_empty_root() -> None:
    assert merkle.Tree.of([]).root() == merkle.root([]) == merkle.EMPTY_ROOT
    assert merkle.Frontier().root() == merkle.root_of(merkle.Tree.of([]).node, 0)
