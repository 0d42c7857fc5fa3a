"""tlog-proofs: one text file which proves that an act stands in a ledger, to be checked offline.

It holds the act's place, the audit path, and the checkpoint with its signatures and cosignatures
(c2sp.org/tlog-proof@v1). Who has the leaf and the keys needs nothing else, and nothing of ours.

Does not see: whether the act is true, or whether a later one took it back.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from governance.errors import EvidenceMissing, Tampered
from governance.signers.trust import Trust
from governance.trail import merkle
from governance.trail.note import Checkpoint, decoded, number, unbase64, unverified
from governance.trail.witness import check_checkpoint, check_cosigned

if TYPE_CHECKING:
    from governance.trail.ledger import Ledger

HEADER = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
MAX_HASHES = 63  # a tree has fewer than 2**63 leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a proof proved: the act's number, the size of the tree, and who cosigned it, when.

    `witnesses` are pairs of a person or organisation and a POSIX time.
    """

    index: int
    size: int
    witnesses: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFile:
    """A proof as it is written down. `extra` is for who made it; nothing vouches for it."""

    index: int
    path: tuple[bytes, ...]  # hashes, the leaf's sibling first
    note: str
    extra: bytes = b""

    def text(self) -> str:
        """Return the text. Source: c2sp.org/tlog-proof, Format."""
        extra = [f"extra {_base64(self.extra)}"] if self.extra else []
        lines = [HEADER, *extra, f"index {self.index}", *map(_base64, self.path)]
        return "".join(f"{line}\n" for line in lines) + f"\n{self.note}"

    @classmethod
    def parse(cls, data: str | bytes) -> Self:
        """Read a proof strictly; the note in it is not verified.

        Raises:
            Tampered: it is not one.
        """
        head, blank, note = decoded(data, "A tlog-proof").partition("\n\n")
        header, *lines = head.split("\n")
        if header != HEADER or not blank or not lines:
            raise Tampered(f"A tlog-proof begins with {HEADER} and an index, and ends in a note.")
        extra = _after("extra ", lines.pop(0)) if lines[0].startswith("extra ") else ""
        index = number(_after("index ", lines.pop(0) if lines else ""))
        path = tuple(map(unbase64, lines))
        if len(path) > MAX_HASHES or any(len(step) != merkle.HASH_BYTES for step in path):
            raise Tampered("The audit path of a tlog-proof is at most 63 hashes of 32 bytes.")
        return cls(index=index, path=path, note=note, extra=unbase64(extra) if extra else b"")


def write_proof(ledger: "Ledger", act: int, *, size: int | None = None) -> str:
    """Return the proof of one act at a checkpoint: the newest one, or that of `size` acts.

    Raises:
        EvidenceMissing: there is no such checkpoint, or the act is not under it.
        Tampered: the ledger does not lead from this act to the root that it signed.
    """
    note = ledger.note(size)
    if not note:
        raise EvidenceMissing("The ledger is empty: there is no checkpoint to prove anything by.")
    checkpoint = unverified(note)  # whoever reads the proof verifies it
    path = ledger.inclusion(act, checkpoint.size)
    _check_path(ledger.leaf(act), act, path, checkpoint)
    return ProofFile(index=act, path=tuple(path), note=note).text()


def covering(ledger: "Ledger", act: int, witnesses: int) -> int:
    """Return the size of the newest checkpoint over an act that so many witnesses cosigned.

    Raises:
        EvidenceMissing: there is none yet.
    """
    sizes = ledger.cosigned(witnesses) if witnesses else [ledger.size()]
    if not sizes or sizes[-1] <= act:
        raise EvidenceMissing(
            f"No checkpoint over act {act} carries the {witnesses} cosignature(s) that the trust "
            "file asks for. Ask the witnesses: `pramana ledger witness`."
        )
    return sizes[-1]


def check_proof(data: str | bytes, leaf: bytes, trust: Trust) -> Proof:
    """Return what a proof proves of a leaf, with nothing but the keys in the trust file.

    Raises:
        Tampered: it is no proof, is not signed by the log, or does not lead from this leaf to the
            root.
        EvidenceMissing: fewer witnesses cosigned than the trust file asks for.
    """
    proof = ProofFile.parse(data)
    # (1) A log key of the ledger we trust signed the checkpoint.
    checkpoint = check_checkpoint(proof.note, trust)
    # (2) The leaf is in the tree of that checkpoint, at this place.
    _check_path(leaf, proof.index, proof.path, checkpoint)
    # (3) As many witnesses as are asked for saw it.
    witnesses = check_cosigned(proof.note, trust)
    return Proof(index=proof.index, size=checkpoint.size, witnesses=tuple(witnesses))


def _check_path(leaf: bytes, act: int, path: Sequence[bytes], checkpoint: Checkpoint) -> None:
    merkle.check_inclusion(
        merkle.leaf_hash(leaf),
        index=act,
        size=checkpoint.size,
        proof=path,
        expected_root=checkpoint.root,
    )


def _after(word: str, line: str) -> str:
    if not line.startswith(word) or line == word:
        raise Tampered(f"A line of a tlog-proof reads {line[:40]!r}; `{word}` and more was due.")
    return line.removeprefix(word)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
