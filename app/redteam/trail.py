"""Attacks on the trail: rows edited, hidden, cut off, put back, or the whole of it written anew.

Does not see: a thief of the log's key whom nobody has ever looked at; `limits` says so.
"""

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from securesystemslib.signer import CryptoSigner

from app.redteam.attack import Attack, Unharmed, Victim
from app.redteam.forged import forged_note, raw_sql, rewritten, sql
from app.redteam.scratch import Scratch
from governance.canon import sha256
from governance.clearance import REVOKED, revoke
from governance.errors import Tampered
from governance.statements import payload_of
from governance.trail.log import Entry
from governance.trail.note import SignedNote
from governance.trail.proofs import check_proof, write_proof
from governance.trail.witness import accept, check_checkpoint, check_cosigned, check_grown

SIGNED: Final = "no act can be edited, hidden, moved or added without the signed tree showing it"
GROWS: Final = "a ledger only grows: it extends every checkpoint that anybody kept"
HOLDS: Final = "a proof holds for the act it was made for, and for no other"


def _with_sql(statement: str, *values: object) -> Callable[[Scratch], Victim]:
    """Return an attack that runs one statement with the triggers away, and puts them back."""

    def act(scratch: Scratch) -> Victim:
        sql(scratch.workspace, statement, *values)
        return scratch.train

    return act


def _politely(statement: str) -> Callable[[Scratch], Victim]:
    """Return an attack that leaves the triggers where they are."""

    def act(scratch: Scratch) -> Victim:
        def victim() -> object:
            try:
                raw_sql(scratch.workspace, statement)
            except sqlite3.DatabaseError as fault:
                return Unharmed(f"the database refused: {fault}")
            return None

        return victim

    return act


def _no_trigger(scratch: Scratch) -> Victim:
    raw_sql(scratch.workspace, "DROP TRIGGER entries_no_update")
    return scratch.train


def _headless(scratch: Scratch) -> Victim:
    sql(scratch.workspace, "DELETE FROM heads WHERE size = ?", scratch.workspace.ledger.size())
    return scratch.workspace.ledger.verify


def _cut_off(scratch: Scratch) -> Victim:
    """Cut the act off that revoked a clearance, with its checkpoint: the rest is of one piece."""
    workspace, envelope = scratch.workspace, scratch.ask()
    ledger, size = workspace.ledger, workspace.ledger.size()
    revoke(ledger, sha256(payload_of(envelope)))
    workspace.memory.remember(ledger, scratch.trust)
    sql(workspace, "DELETE FROM heads WHERE size > ?", size)
    sql(workspace, "DELETE FROM entries WHERE number >= ?", size)
    ledger.verify()
    return partial(scratch.train, envelope)


def _older_copy(scratch: Scratch) -> Victim:
    """Put yesterday's database back, after the owner saw today's."""
    workspace, kept = scratch.workspace, scratch.folder / "yesterday"
    kept.mkdir()
    for path in _database(scratch):
        shutil.copyfile(path, kept / path.name)
    workspace.ledger.append("sealed", {"snapshot": "0" * 64})
    workspace.memory.remember(workspace.ledger, scratch.trust)
    for path in _database(scratch):
        path.unlink()
    for path in kept.iterdir():
        shutil.copyfile(path, workspace.state / path.name)
    return scratch.train


def _written_anew(scratch: Scratch) -> Victim:
    """Write the whole log anew with the stolen log key, as long as it was."""
    rewritten(scratch.workspace, lambda entry: entry)
    scratch.workspace.ledger.verify()
    return scratch.train


def _witness_sees(scratch: Scratch, attack: Callable[[Scratch], object]) -> Victim:
    """Have a witness look before and after an attack."""
    from app.cosigning import cosigned  # noqa: PLC0415  heavy

    workspace = scratch.workspace
    _, key = scratch.keyring.enrol("witness", "wanda")
    look = partial(cosigned, workspace, key, scratch.folder / "witness", ())
    look()
    attack(scratch)
    return look


def _written_anew_for_a_witness(scratch: Scratch) -> Victim:
    return _witness_sees(scratch, lambda s: rewritten(s.workspace, lambda entry: entry))


def _cut_off_for_a_witness(scratch: Scratch) -> Victim:
    return _witness_sees(scratch, lambda s: rewritten(s.workspace, _but_the_last(s)))


def _written_anew_for_an_auditor(scratch: Scratch) -> Victim:
    """Write the log anew although an auditor kept a checkpoint of it."""
    ledger = scratch.workspace.ledger
    kept = check_checkpoint(ledger.note(), scratch.trust)
    rewritten(scratch.workspace, lambda entry: entry)
    ledger.append("sealed", {"snapshot": "0" * 64})

    def victim() -> None:
        head = check_checkpoint(ledger.note(), scratch.trust)
        check_grown(kept, head, ledger.consistency(kept.size, head.size))

    return victim


def _written_anew_meanwhile(scratch: Scratch) -> Victim:
    """Write the log anew while a run is under way, to lose the act that revoked its clearance."""
    from app import workflow  # noqa: PLC0415  heavy

    envelope, workspace = scratch.ask(), scratch.workspace

    def anew(step: int) -> None:
        if step == 1:
            revoke(workspace.ledger, sha256(payload_of(envelope)))
            rewritten(workspace, lambda e: None if e.kind == REVOKED else e)

    def victim() -> None:
        run = scratch.train(envelope, at_step=anew).run
        workflow.export_card(workspace, run, scratch.folder / "rewritten")

    return victim


def _two_views(scratch: Scratch) -> Victim:
    """Have a witness cosign a second ledger of the same name, and bring that to the first."""
    ledger, trust = scratch.workspace.ledger, scratch.trust
    log = scratch.keyring.signer("log")
    other = forged_note(trust.origin, [b"other"] * ledger.size(), log)
    return lambda: accept(ledger, trust, other)


def _stray_cosignature(scratch: Scratch) -> Victim:
    sql(scratch.workspace, "INSERT INTO cosignatures VALUES (9999, 'nobody', '\u2014 x y')")
    return scratch.train


def _forged_cosignature(scratch: Scratch) -> Victim:
    """Alter a cosignature of a witness that is trusted."""
    from app.cosigning import cosigned  # noqa: PLC0415  heavy

    workspace = scratch.workspace
    _, key = scratch.keyring.enrol("witness", "wanda")
    cosigned(workspace, key, scratch.folder / "witness", ())
    *lines, last = SignedNote.parse(workspace.ledger.note()).lines
    forged = replace(last, signature=last.signature[:-1] + bytes([last.signature[-1] ^ 1]))
    body = SignedNote.parse(workspace.ledger.note()).body
    note = SignedNote(body=body, lines=(*lines, forged)).text()
    return lambda: check_cosigned(note, scratch.trust, at_least=1)


def _strangers_head(scratch: Scratch) -> Victim:
    """Put a checkpoint of the same entries in place that another log key signed."""
    ledger = scratch.workspace.ledger
    note = forged_note(scratch.trust.origin, ledger.leaves(), CryptoSigner.generate_ed25519())
    sql(scratch.workspace, "UPDATE heads SET note = ? WHERE size = ?", note, ledger.size())
    return ledger.verify


def _other_head(scratch: Scratch) -> Victim:
    """Put a checkpoint of other entries in place that the log's stolen key signed."""
    ledger, log = scratch.workspace.ledger, scratch.keyring.signer("log")
    note = forged_note(scratch.trust.origin, [*ledger.leaves()[:-1], b"{}"], log)
    sql(scratch.workspace, "UPDATE heads SET note = ? WHERE size = ?", note, ledger.size())
    return ledger.verify


def _other_leaf(scratch: Scratch) -> Victim:
    """Show a proof with an act that says something else."""
    ledger, trust = scratch.workspace.ledger, scratch.trust
    number = ledger.size() - 1
    proof, leaf = write_proof(ledger, number), ledger.leaf(number)
    return lambda: check_proof(proof, leaf.replace(b"pass", b"PASS"), trust)


def _other_place(scratch: Scratch) -> Victim:
    """Show a proof under the number of an earlier act."""
    ledger, trust = scratch.workspace.ledger, scratch.trust
    number = ledger.size() - 1
    proof = write_proof(ledger, number).replace(f"index {number}\n", "index 0\n")
    return lambda: check_proof(proof, ledger.leaf(number), trust)


def _strangers_proof(scratch: Scratch) -> Victim:
    """Show a proof to a checkpoint of one's own."""
    trust, leaf = scratch.trust, scratch.workspace.ledger.leaf(0)
    note = forged_note(trust.origin, [leaf], CryptoSigner.generate_ed25519())
    return lambda: check_proof(f"c2sp.org/tlog-proof@v1\nindex 0\n\n{note}", leaf, trust)


def _database(scratch: Scratch) -> list[Path]:
    return sorted(scratch.workspace.state.glob("ledger.db*"))


def _but_the_last(scratch: Scratch) -> Callable[[Entry], Entry | None]:
    last = scratch.workspace.ledger.size() - 1
    return lambda entry: None if entry.number == last else entry


_row = partial(Attack, threat="log row edited", holds=SIGNED, error=Tampered)
_polite = partial(Attack, threat="log row edited", holds=SIGNED)
_rewrite = partial(Attack, threat="log cut off or rewritten", holds=GROWS, error=Tampered)
_proof = partial(Attack, threat="proof of another act", holds=HOLDS, error=Tampered)

ATTACKS: Final = (
    _polite(name="an act is updated", act=_politely("UPDATE entries SET kind = 'x'")),
    _polite(name="an act is deleted", act=_politely("DELETE FROM entries WHERE number = 0")),
    _polite(
        name="an act is replaced",
        act=_politely("INSERT OR REPLACE INTO entries VALUES (0, 'x', x'00', x'00')"),
    ),
    _row(name="a trigger is dropped", act=_no_trigger, check="The trigger entries_no_update"),
    _row(
        name="an act is edited, and the triggers put back",
        act=_with_sql(
            "UPDATE entries SET leaf = CAST(replace(CAST(leaf AS TEXT), 'pass', 'Pass') AS BLOB) "
            "WHERE kind = 'decided'"
        ),
        check="is not the one that was signed",
    ),
    _row(
        name="the kind of an act is edited",
        act=_with_sql("UPDATE entries SET kind = 'x' WHERE number = 1"),
        check="Ledger entry 1 is not the one that was signed",
    ),
    _row(
        name="an act is taken out of the middle",
        act=_with_sql("DELETE FROM entries WHERE number = 1"),
        check="Ledger entry 1 is not the one that was signed",
    ),
    _row(
        name="the hashes beside an act are edited",
        act=_with_sql("UPDATE entries SET nodes = zeroblob(length(nodes)) WHERE number = 1"),
        check="Ledger entry 1 is not the one that was signed",
    ),
    _row(
        name="a checkpoint is taken away",
        act=_headless,
        check="do not match",
    ),
    _row(
        name="a checkpoint of a stranger's key is put in place", act=_strangers_head,
        check="no signature of a log key",
    ),
    _row(
        name="a checkpoint of other acts is put in place", act=_other_head,
        check="is not of these entries",
    ),
    _row(
        name="a cosignature of nothing is added", act=_stray_cosignature,
        check="A cosignature speaks of a checkpoint that is not there",
    ),
    _rewrite(name="a revocation is cut off", act=_cut_off, check="memory (2)"),
    _rewrite(name="an older copy is put back", act=_older_copy, check="memory (2)"),
    _rewrite(
        name="the whole log is written anew with its own key", act=_written_anew,
        check="memory (3)",
    ),
    _rewrite(
        name="it is written anew while a run is under way", act=_written_anew_meanwhile,
        check="memory (3)",
    ),
    _rewrite(
        name="it is written anew, and a witness is asked", act=_written_anew_for_a_witness,
        check="witness (3)",
    ),
    _rewrite(
        name="it is cut off, and a witness is asked", act=_cut_off_for_a_witness,
        check="witness (2)",
    ),
    _rewrite(
        name="it is written anew, and an auditor kept a checkpoint",
        act=_written_anew_for_an_auditor, check="witness (3)",
    ),
    _rewrite(
        name="two people are shown two ledgers", act=_two_views,
        check="is not this ledger's",
    ),
    _rewrite(
        name="a cosignature is forged", act=_forged_cosignature,
        check="is not a signature of this checkpoint",
    ),
    _proof(name="a proof is shown with another act", act=_other_leaf, check="is not in the tree"),
    _proof(name="a proof is shown for another place", act=_other_place, check="Leaf 0 is not in"),
    _proof(
        name="a proof is shown to a checkpoint of one's own", act=_strangers_proof,
        check="no signature of a log key",
    ),
)  # fmt: skip
