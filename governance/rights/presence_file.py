"""A file that answers: is this picture in? It is checked with the trust file and nothing else.

It holds the gate's signed statement that names the table (a decision: the snapshot, and what of it
was cleared; a clearance: what a run was cleared on), the proof that the ledger was told of that
statement, and for each table a proof of how many samples have the picture's bytes.

Does not see: a copy that was saved anew; what was trained outside this ledger; what was withdrawn
or decided after the act that the file cites.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

from governance.attest import CLEARED, SNAPSHOT
from governance.canon import Json, canonical, sha256
from governance.clearance import ISSUED, read_clearance
from governance.errors import Tampered, UsageError
from governance.records import as_object, json_object
from governance.rights.handles import is_image
from governance.rights.presence import Presence, check
from governance.signers.trust import Trust
from governance.statements import SVR, open_envelope, read_statement
from governance.trail.proofs import check_proof
from governance.verify import Check, checked

SCHEMA: Final = "pramana.presence/v1"
DECIDED: Final = "decided"
NAMED_BY: Final = {DECIDED: "decision_statement", ISSUED: "envelope"}  # in the ledger's entry
LONGEST_BYTES: Final = 64 << 20
EXACT: Final = (
    "Exact bytes only: a copy that was cut, resized or saved again is another file, and nothing is "
    "said of it here."
)

Table = tuple[str, int]  # root in hex, and how many samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An entry of the ledger, as far as it is read: `statement` is the digest it names."""

    number: int
    at: str
    kind: str
    statement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceFile:
    """What the file holds: `statement` is a Sigstore bundle; `leaf` and `proof` the ledger's."""

    sha256: str
    statement: Mapping[str, Json]
    leaf: bytes
    proof: str
    tables: Mapping[str, Presence]

    def to_bytes(self) -> bytes:
        """Return the file, as canonical JSON."""
        return canonical(
            {
                "schema": SCHEMA,
                "sha256": self.sha256,
                "statement": self.statement,
                "leaf": base64.b64encode(self.leaf).decode(),
                "proof": self.proof,
                "tables": {name: found.to_json() for name, found in self.tables.items()},
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a file to the letter. Raises Tampered when it says more or less, or otherwise."""
        record = json_object(data, "a proof of presence")
        try:
            tables = as_object(record["tables"], "the tables of a proof")
            read = cls(
                sha256=str(record["sha256"]),
                statement=as_object(record["statement"], "a statement"),
                leaf=base64.b64decode(record["leaf"], validate=True),
                proof=str(record["proof"]),
                tables={name: Presence.from_json(said) for name, said in tables.items()},
            )
        except (KeyError, TypeError, ValueError) as fault:
            raise Tampered(f"This is no proof of presence: {fault}.") from None
        if read.to_bytes() != data or not is_image(read.sha256):
            raise Tampered("This proof of presence is not written as one is; ask for a new one.")
        return read

    def act(self) -> Act:
        """Return what the ledger was told. Raises Tampered when it is no decision or clearance."""
        entry = json_object(self.leaf, "a ledger entry")
        kind, body = str(entry.get("kind")), as_object(entry.get("body"), "an act")
        if kind not in NAMED_BY:
            raise Tampered(f"The act that this proof cites is {kind!r}: it clears nothing.")
        return Act(
            number=int(entry["number"]),
            at=str(entry["at"]),
            kind=kind,
            statement=str(body.get(NAMED_BY[kind])),
        )

    def signed(self, trust: Trust) -> bytes:
        """Return the payload of the statement, by a gate key that counted at the act.

        Raises:
            Tampered: the ledger was told of another statement, or it is none.
            Refused: no gate key that counted then signed it.
        """
        act, statement = self.act(), canonical(self.statement)
        if act.statement != sha256(statement):
            raise Tampered("The ledger was told of another statement than this one.")
        return open_envelope(statement, trust.of("gate", at=act.number))


def tables_of(kind: str, payload: bytes) -> dict[str, Table]:
    """Return the tables that a statement names: root and size of each. Raises Tampered."""
    if kind == ISSUED:
        clearance = read_clearance(payload)
        return {CLEARED: (clearance.cleared_root, clearance.cleared)}
    subjects, predicate = read_statement(payload, SVR)
    said = as_object(predicate.get("pramana"), "what the gate says of a decision")
    try:
        return {
            SNAPSHOT: (str(said["snapshot"]), int(said["samples"])),
            CLEARED: (subjects[CLEARED], int(said["cleared"])),
        }
    except (KeyError, TypeError, ValueError) as fault:
        raise Tampered(f"What was signed is no decision: {fault}.") from None


def check_presence_file(path: Path, trust: Trust) -> list[Check]:
    """Check a file with nothing but the keys, and say what it proves.

    Raises:
        Tampered: it is no such file.
        UsageError: it is larger than any is.
    """
    if path.stat().st_size > LONGEST_BYTES:
        raise UsageError(f"{path.name} has more than {LONGEST_BYTES >> 20} MiB; no proof has.")
    return check_presence(PresenceFile.from_bytes(path.read_bytes()), trust)


def check_presence(found: PresenceFile, trust: Trust) -> list[Check]:
    """Check what a file holds, and stop where the rest would stand on nothing."""
    checks = [
        Check(what=f"picture: sha256 {found.sha256}; compare it with `sha256sum FILE`"),
        checked("ledger: a signed checkpoint holds the act", partial(_check_act, found, trust)),
    ]
    if checks[-1].status:
        return checks
    checks.append(checked("gate: signed what the ledger was told of", partial(found.signed, trust)))
    if checks[-1].status:
        return checks
    act = found.act()
    tables = tables_of(act.kind, found.signed(trust))
    if set(tables) != set(found.tables):
        what = f"tables: {', '.join(sorted(tables))}"
        return [*checks, Check(what=what, status=Tampered.status, detail="One has no proof.")]
    checks += [_answered(found, name, table, act.kind) for name, table in sorted(tables.items())]
    return [
        *checks,
        Check(what=f"as of {act.at}, act {act.number} of {trust.origin}", detail=EXACT),
    ]


def _check_act(found: PresenceFile, trust: Trust) -> None:
    if check_proof(found.proof, found.leaf, trust).index != found.act().number:
        raise Tampered("The act is numbered otherwise than the ledger numbers it.")


def _answered(found: PresenceFile, name: str, table: Table, kind: str) -> Check:
    root, size = table
    allowed = "cleared a run to train on" if kind == ISSUED else "allowed in training"
    where = f"snapshot {root[:12]}" if name == SNAPSHOT else f"what the gate {allowed}"
    try:
        count = check(found.tables[name], sha256=found.sha256, root=root, size=size)
    except Tampered as fault:
        return Check(what=where, status=fault.status, detail=str(fault))
    said = f"is in it, {count:,} of" if count else "is not in it, none of"
    return Check(what=f"{where}: this exact file {said} {size:,} samples")
