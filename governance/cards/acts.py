"""Which acts the ledger must hold for a card to stand, and the proofs of them in a bundle.

All acts of one bundle are proved to one checkpoint: the first that covers them all, so that a card
exported twice is the same card.

Does not see: acts that nothing in the evidence speaks of.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from governance.attest import DRAWN
from governance.cards import drawn_files, waiver_files
from governance.cards.evidence import CHECKPOINT, DECISION_FILE, Evidence
from governance.errors import EvidenceMissing, Tampered
from governance.records import FINISHED, SPENT, as_object, json_object
from governance.signers.trust import Trust
from governance.trail.proofs import SUFFIX, Proof, ProofFile, check_proof, write_proof
from governance.trail.witness import check_cosigned
from governance.verify import RESULT_FILE

if TYPE_CHECKING:
    from governance.trail.ledger import Ledger

PROOFS, LEAF = "ledger", ".leaf"
DECIDED, CLEARED, WITHDRAWN = "decided", "cleared", "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An act the ledger must hold: its kind, what its entry must say, and its files' name."""

    kind: str
    said: Mapping[str, str]
    name: str

    def number_in(self, ledger: "Ledger") -> int:
        """Return the number of the first entry that says this. Raises EvidenceMissing."""
        for entry in ledger.entries(self.kind):
            if self.said.items() <= entry.body.items():
                return entry.number
        raise EvidenceMissing(
            f"The ledger holds no act {self.kind} on {', '.join(self.said)} of this run; verify it."
        )

    def proof_file(self, bundle: Path) -> ProofFile:
        """Return the proof of it in a bundle, not verified. Raises EvidenceMissing, Tampered."""
        return ProofFile.parse(read(bundle / PROOFS / f"{self.name}{SUFFIX}"))

    def leaf(self, bundle: Path) -> bytes:
        """Return the entry in a bundle, as the tree hashes it, not verified."""
        return read(bundle / PROOFS / f"{self.name}{LEAF}")

    def check(self, bundle: Path, trust: Trust) -> Proof:
        """Hold the proof in a bundle, and the leaf, to what must have been said.

        Raises:
            EvidenceMissing: a file is not there, or fewer witnesses cosigned than are asked for.
            Tampered: it does not prove this act.
        """
        leaf = self.leaf(bundle)
        proof = check_proof(read(bundle / PROOFS / f"{self.name}{SUFFIX}"), leaf, trust)
        entry = json_object(leaf, "a ledger entry")
        body = as_object(entry.get("body"), "the body of a ledger entry")
        said = entry.get("kind") == self.kind and self.said.items() <= body.items()
        if not said or entry.get("number") != proof.index:
            raise Tampered(f"The ledger entry shown for {self.name} speaks of something else.")
        return proof


def acts(evidence: Evidence) -> dict[str, Act]:
    """Return the acts that the ledger must hold, by name."""
    clearance, run = evidence.clearance(), str(evidence.json(RESULT_FILE).get("run"))
    said = [
        (DECIDED, DECIDED, {"decision": evidence.digest(DECISION_FILE)}),
        (CLEARED, CLEARED, {"clearance": clearance.id, "decision": clearance.decision}),
        (SPENT, SPENT, {"clearance": clearance.id, "run": run}),
        (FINISHED, FINISHED, {"run": run, "result": evidence.digest(RESULT_FILE)}),
    ]
    if DRAWN in evidence.files:
        digests = {name: evidence.digest(name) for name in (DRAWN, drawn_files.DRAWN_STATEMENT)}
        said.append((drawn_files.DREW, drawn_files.DREW, drawn_files.act_of(digests, run=run)))
    for row in evidence.withdrawals():
        record = str(row.get("record"))
        said.append((f"{WITHDRAWN}-{record[:12]}", WITHDRAWN, {"record": record}))
    for row in waiver_files.rows(evidence):
        body = {"waiver": str(row.get("waiver")), "document": str(row.get("document"))}
        said.append((waiver_act(row["number"]), str(row.get("kind")), body))
    return {name: Act(kind=kind, said=body, name=name) for name, kind, body in said}


def waiver_act(number: int) -> str:
    """Return the name of an act on a waiver, under which its leaf and its proof lie."""
    return f"waiver-{number}"


def checkpoint_of(ledger: "Ledger", trust: Trust, *, last: int) -> str:
    """Return the checkpoint to prove acts by: the first one that covers number `last`.

    One that enough witnesses cosigned is preferred, and in the production profile is needed.

    Raises:
        EvidenceMissing: the witnesses have not cosigned one that covers it.
    """
    needed = max(trust.witnesses, 1)
    for size in ledger.cosigned(needed):
        with contextlib.suppress(EvidenceMissing):  # its witnesses may be trusted no more
            if size > last:
                check_cosigned(ledger.note(size), trust, at_least=needed)
                return ledger.note(size)
    if trust.witnesses:
        raise EvidenceMissing(
            f"No checkpoint that covers act {last} was cosigned by {trust.witnesses} witness(es); "
            "ask them (`pramana ledger witness`), then export the card."
        )
    for size in range(last + 1, ledger.size()):
        with contextlib.suppress(EvidenceMissing):  # acts that came together have one checkpoint
            return ledger.note(size)
    return ledger.note()


def proofs(ledger: "Ledger", evidence: Evidence, *, size: int) -> dict[str, bytes]:
    """Return leaf and proof of each act at the checkpoint of `size`, by path in a bundle.

    With them, for each earlier size that papers of a waiver cite, the proof that it was extended.
    """
    files = {}
    for name, act in acts(evidence).items():
        number = act.number_in(ledger)
        files[f"{PROOFS}/{name}{LEAF}"] = ledger.leaf(number)
        files[f"{PROOFS}/{name}{SUFFIX}"] = write_proof(ledger, number, size=size).encode()
    cited = waiver_files.consistency_files(ledger, evidence, size=size)
    return {**files, **{f"{PROOFS}/{name}": data for name, data in cited.items()}}


def check_acts(bundle: Path, evidence: Evidence, trust: Trust) -> None:
    """Hold every act to one signed checkpoint, the one in the bundle.

    Raises:
        EvidenceMissing: a proof or leaf is not there, or too few witnesses cosigned.
        Tampered: an act is not proved, or by another checkpoint.
    """
    for act in acts(evidence).values():
        act.check(bundle, trust)
        if act.proof_file(bundle).note.encode() != evidence.bytes_of(CHECKPOINT):
            raise Tampered(f"The act {act.name} is proved by another checkpoint than the others.")


def read(path: Path) -> bytes:
    """Return a file of a bundle. Raises EvidenceMissing."""
    if not path.is_file():
        raise EvidenceMissing(f"The bundle has no {path.name}; ask for the whole bundle.")
    return path.read_bytes()
