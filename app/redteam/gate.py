"""Attacks on the gate: clearances that nobody gave, or gave for something else, or gave once.

Does not see: a thief who holds the keys of gate and log, and the victim's memory; `limits` says so.
"""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from securesystemslib.signer import CryptoSigner

from app.redteam.attack import Attack, Unharmed, Victim
from app.redteam.forged import said_otherwise, signed_anew, sql
from app.redteam.scratch import BUDGET_S, RUN, Scratch, Ticking, terms, tiny
from governance.canon import sha256
from governance.cases import open_cases
from governance.clearance import GRACE_S, ISSUED, Terms, issue, revoke
from governance.errors import Refused, Tampered
from governance.statements import payload_of, signed_by

FORGED: Final = "only the gate's key says what may be trained on, byte for byte as it was signed"
BOUND: Final = "a clearance allows these samples, this run config, this budget and host, no other"
ONCE: Final = "one clearance makes one run"
OPEN: Final = "nothing is cleared while a rule blocks"
LOGGED: Final = "a clearance counts only once the signed ledger holds it"
REVOKED: Final = "what was revoked stops, at the door and at the next checkpoint"
BLOCKING: Final = """\
schema: pramana.policy/v1
id: strict
version: 1.0.0
regime: {name: A scratch policy, jurisdiction: any}
rules:
  - id: SCRATCH-LONG
    cite: {instrument: Operator's policy}
    status: voluntary
    severity: high
    on: sample
    evidence: {columns: [caption]}
    require: length(caption) > 1000
    remedy: block
    waive: never
    why: no caption of a scratch workspace is so long
"""
THREADS = 8


def _by_trainer(scratch: Scratch) -> Victim:
    return partial(scratch.train, signed_anew(scratch.ask(), scratch.keyring.signer("trainer")))


def _by_stranger(scratch: Scratch) -> Victim:
    envelope = scratch.ask()
    forged = signed_anew(envelope, CryptoSigner.generate_ecdsa(), keyid=signed_by(envelope))
    return partial(scratch.train, forged)


def _said_otherwise(change: Mapping[str, float | str]) -> Callable[[Scratch], Victim]:
    return lambda scratch: partial(scratch.train, said_otherwise(scratch.ask(), change))


def _more_samples(scratch: Scratch) -> Victim:
    """Put the samples that were set aside into the list that is read, after the gate signed."""
    envelope, other = scratch.ask(), scratch.folder / "all.parquet"
    shutil.copyfile(scratch.snapshot.folder / "manifest.parquet", other)
    return partial(scratch.train, envelope, cleared=other)


def _other_config(scratch: Scratch) -> Victim:
    return partial(scratch.train, scratch.ask(), config=replace(tiny(), seed=1))


def _longer_budget(scratch: Scratch) -> Victim:
    return partial(scratch.train, scratch.ask(), budget_s=BUDGET_S + 1)


def _other_host(scratch: Scratch) -> Victim:
    """Carry a clearance to another kind of machine."""
    elsewhere = replace(terms(), host="cuda h200")
    return partial(scratch.train, issued(scratch, elsewhere, told=True))


def _expired(scratch: Scratch) -> Victim:
    late = Ticking()
    late.now += BUDGET_S + GRACE_S
    return partial(scratch.train, scratch.ask(), clock=late)


def _set_back(scratch: Scratch) -> Victim:
    early = Ticking()
    early.now -= 3600
    return partial(scratch.train, scratch.ask(), clock=early)


def _replayed(scratch: Scratch) -> Victim:
    return partial(scratch.train, (scratch.run / "clearance.json").read_bytes())


def _replayed_in_place(scratch: Scratch) -> Victim:
    """Delete the run, and begin it again under its own name."""
    envelope = (scratch.run / "clearance.json").read_bytes()
    shutil.rmtree(scratch.run)
    return partial(scratch.train, envelope, run=RUN)


def _replayed_unspent(scratch: Scratch) -> Victim:
    """Take the used clearance out of the table of those that were used."""
    envelope = (scratch.run / "clearance.json").read_bytes()
    sql(scratch.workspace, "DELETE FROM spent")
    return partial(scratch.train, envelope)


def _at_once(scratch: Scratch) -> Victim:
    """Use one clearance from many threads at once."""
    clearance = sha256(payload_of(scratch.ask()))

    def spend(number: int) -> bool:
        try:
            scratch.workspace.ledger.spend(clearance, f"run-{number}")
        except Refused:
            return False
        return True

    def victim() -> object:
        with ThreadPoolExecutor(THREADS) as pool:
            won = sum(pool.map(spend, range(THREADS)))
        return (
            Unharmed(f"1 of {THREADS} threads got it, the rest were refused") if won == 1 else won
        )

    return victim


def _unlogged(scratch: Scratch) -> Victim:
    """Sign with the stolen gate key, and tell the ledger nothing."""
    return partial(scratch.train, issued(scratch, terms(), told=False))


def _slipped_in(scratch: Scratch) -> Victim:
    """Sign with the stolen gate key, and write the entry without the log's key."""
    envelope = issued(scratch, terms(), told=False)
    ledger = scratch.workspace.ledger
    leaf = ledger.leaf(0).replace(b'"kind":"sealed"', b'"kind":"cleared"')
    size = ledger.size()
    sql(
        scratch.workspace,
        "INSERT INTO entries (number, kind, leaf, nodes) VALUES (?, 'cleared', ?, ?)",
        size,
        leaf.replace(b'"number":0', f'"number":{size}'.encode()),
        b"\0" * 32,
    )
    return partial(scratch.train, envelope)


def _revoked(scratch: Scratch) -> Victim:
    envelope = scratch.ask()
    revoke(scratch.workspace.ledger, sha256(payload_of(envelope)))
    return partial(scratch.train, envelope)


def _unrevoked(scratch: Scratch) -> Victim:
    """Hide the act that revoked a clearance from whoever looks for acts of that kind."""
    envelope = scratch.ask()
    revoke(scratch.workspace.ledger, sha256(payload_of(envelope)))
    sql(scratch.workspace, "UPDATE entries SET kind = 'x' WHERE kind = 'clearance.revoked'")
    return partial(scratch.train, envelope)


def _revoked_meanwhile(scratch: Scratch) -> Victim:
    """Train on after the clearance was revoked: the revocation comes when the run is under way."""
    envelope = scratch.ask()
    clearance, ledger = sha256(payload_of(envelope)), scratch.workspace.ledger
    return partial(scratch.train, envelope, at_step=lambda _: revoke(ledger, clearance))


def _hidden_meanwhile(scratch: Scratch) -> Victim:
    """Hide the revocation from a run that is under way."""
    envelope, workspace = scratch.ask(), scratch.workspace

    def hidden(step: int) -> None:
        if step == 1:
            revoke(workspace.ledger, sha256(payload_of(envelope)))
            sql(workspace, "UPDATE entries SET kind = 'x' WHERE kind = 'clearance.revoked'")

    return partial(scratch.train, envelope, at_step=hidden)


def _blocked(scratch: Scratch) -> Victim:
    """Ask for a clearance although a rule blocks."""
    pack = scratch.folder / "strict.yaml"
    pack.write_text(BLOCKING)
    scratch.audit(packs=(str(pack),))
    return scratch.train


def _suspected(scratch: Scratch) -> Victim:
    """Train on what was cleared before a detector suspected one of its samples: a planted score."""
    rows = pq.read_table(scratch.cleared).slice(0, 1)
    told = {"suspected": pa.array([True]), "suspected_by": pa.array(["CS-01 a planted score"])}
    for name, column in told.items():
        rows = rows.append_column(name, column)
    open_cases(scratch.workspace.ledger, rows, snapshot=scratch.decision.snapshot)
    return scratch.train


def issued(scratch: Scratch, allowed: Terms, *, told: bool) -> bytes:
    """Return a clearance that the gate's stolen key signed."""
    gate, now = scratch.keyring.signer("gate"), datetime.now(UTC)
    envelope = issue(scratch.decision, terms=allowed, signer=gate, now=now)
    if told:
        scratch.workspace.ledger.append(ISSUED, {"clearance": sha256(payload_of(envelope))})
    return envelope


_clearance = partial(Attack, threat="findings, policy or clearance edited", error=Refused)
_replay = partial(Attack, threat="clearance replayed", holds=ONCE, error=Refused)

ATTACKS: Final = (
    Attack(
        name="an engineer signs a clearance with the trainer's key",
        threat="clearance signed by another role", holds=FORGED, act=_by_trainer,
        error=Refused, check="clearance (1)",
    ),
    Attack(
        name="a stranger signs it, under the name of the gate's key",
        threat="clearance signed by another role", holds=FORGED, act=_by_stranger,
        error=Refused, check="clearance (1)",
    ),
    _clearance(
        name="a longer budget is written into a signed clearance", holds=FORGED,
        act=_said_otherwise({"budget_s": 86400.0}), check="clearance (1)",
    ),
    _clearance(
        name="a later end is written into a signed clearance", holds=FORGED,
        act=_said_otherwise({"expires_at": "2099-01-01T00:00:00.000+00:00"}),
        check="clearance (1)",
    ),
    _clearance(
        name="excluded samples are put back into the list that is read", holds=BOUND,
        act=_more_samples, check="clearance (2)",
    ),
    _clearance(
        name="another run config is trained", holds=BOUND, act=_other_config,
        check="clearance (3)",
    ),
    _clearance(
        name="a longer budget is taken", holds=BOUND, act=_longer_budget, check="clearance (4)"
    ),
    _clearance(
        name="a clearance is carried to another kind of machine", holds=BOUND, act=_other_host,
        check="clearance (4)",
    ),
    _replay(
        name="a second run uses it", act=_replayed, ground="finished", check="clearance (5)"
    ),
    _replay(
        name="its run is deleted and begun again", act=_replayed_in_place, ground="finished",
        check="clearance (5)",
    ),
    Attack(
        name="it is taken out of the table of used ones", threat="clearance replayed", holds=ONCE,
        act=_replayed_unspent, ground="finished", error=Tampered,
        check="table of used clearances",
    ),
    Attack(
        name="many threads use it at once", threat="clearance replayed", holds=ONCE, act=_at_once
    ),
    _replay(name="it is used after its end", act=_expired, check="clearance (6)"),
    _replay(name="the clock is set back", act=_set_back, check="clearance (6)"),
    Attack(
        name="a stolen gate key signs, and the ledger is not told", threat="stolen gate key",
        holds=LOGGED, act=_unlogged, error=Refused, check="clearance (8)",
    ),
    Attack(
        name="a stolen gate key signs, and an entry is slipped into the database",
        threat="stolen gate key", holds=LOGGED, act=_slipped_in, error=Tampered,
        check="is not the one that was signed",
    ),
    Attack(
        name="a revoked clearance is used", threat="revoked clearance or key", holds=REVOKED,
        act=_revoked, error=Refused, check="clearance (7)",
    ),
    Attack(
        name="the act that revoked it is hidden in the database",
        threat="revoked clearance or key", holds=REVOKED, act=_unrevoked, error=Tampered,
        check="is not the one that was signed",
    ),
    Attack(
        name="a run goes on after its clearance was revoked", threat="revoked clearance or key",
        holds=REVOKED, act=_revoked_meanwhile, error=Refused, check="clearance (7)",
    ),
    Attack(
        name="its revocation is hidden from a run that is under way",
        threat="revoked clearance or key", holds=REVOKED, act=_hidden_meanwhile, error=Tampered,
        check="is not the one that was signed",
    ),
    Attack(
        name="a clearance is asked for although a rule blocks",
        threat="findings, policy or clearance edited", holds=OPEN,
        act=_blocked, error=Refused, check="is block",
    ),
    Attack(
        name="a sample is trained on that was suspected after it was cleared",
        threat="suspected sample", holds="nothing that was ever suspected is trained on",
        act=_suspected, error=Refused, check="CS-03",
    ),
)  # fmt: skip
