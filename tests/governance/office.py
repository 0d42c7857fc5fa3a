"""An office for tests of waivers: a ledger, six people's keys, and what they sign."""

import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from securesystemslib.signer import Signer

from governance.canon import Json, sha256
from governance.records import Decision, PolicyUsed, RuleResult
from governance.signers.keys import Keyring, signer_at
from governance.signers.salts import tag
from governance.signers.trust import Trust
from governance.snapshot import MANIFEST
from governance.statements import sign
from governance.trail.database import file_url
from governance.trail.ledger import Ledger
from governance.waiving.approvals import Waiver, check_waivers, earlier_trees
from governance.waiving.filing import Desk
from governance.waiving.papers import (
    APPROVED,
    REJECTED,
    REQUESTED,
    REVOKED,
    Papers,
    act_body,
    earlier_acts,
    entries_on_waivers,
    gather,
    granted,
    requested_body,
)
from governance.waiving.waivers import (
    Act,
    Request,
    clause_of,
    sample_list,
    sample_root,
    shown,
)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PEOPLE = {  # person: role
    "asha": "ml", "devi": "dpo", "lila": "legal", "omar": "owner", "noor": "legal", "dina": "dpo",
}  # fmt: skip
POLICY = b"""\
schema: pramana.policy/v1
id: commercial
version: '1'
regime: {name: Ours, jurisdiction: IN}
rules:
  - id: COM-NSFW
    cite: {instrument: Operator's policy, section: threshold}
    status: voluntary
    severity: high
    on: sample
    evidence: {columns: [nsfw_score]}
    require: nsfw_score < 0.45
    remedy: quarantine
    waive: {roles: [dpo, legal], quorum: 2, including: [dpo], max_days: 90}
    why: the detector sees exposed parts
  - id: COM-SHARE
    cite: {instrument: Operator's policy}
    status: voluntary
    severity: medium
    on: snapshot
    evidence: {columns: [excluded_share]}
    require: excluded_share <= 0.6
    remedy: block
    waive: {roles: [legal], max_days: 400}
    why: most of it had to go
  - id: COM-DECODED
    cite: {instrument: Operator's policy}
    status: voluntary
    severity: medium
    on: sample
    evidence: {columns: [decoded]}
    require: decoded
    remedy: exclude
    waive: never
    why: it cannot be read
"""
MANY = pa.Table.from_pylist(
    [
        {"id": f"s{i}", "shard": 0, "row": i, "sha256": sha256(b"%d" % i), "size_bytes": 1}
        for i in range(6)
    ],
    MANIFEST,
).sort_by("sha256")
NAMED = ("s1", "s4")
SNAPSHOT = "a" * 64


@dataclass
class Office:
    """A ledger, the keys of six people, and what they sign. `clock` moves when a test moves it."""

    folder: Path
    url: str = ""
    clock: datetime = NOW
    objects: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keep(POLICY)
        self.ledger.append("decided", {"decision": "d" * 64})

    @property
    def keyring(self) -> Keyring:
        return Keyring(self.folder / "keys")

    @property
    def trust(self) -> Trust:
        return self.keyring.trust()

    @property
    def ledger(self) -> Ledger:
        trust = self.trust
        return Ledger(
            self.url or file_url(self.folder / "ledger.db"), trust.origin, tuple(trust.of("log")),
            lambda: self.keyring.signer("log"), lambda: self.clock,
        )  # fmt: skip

    @property
    def desk(self) -> Desk:
        return Desk(self.ledger, self.trust, lambda name: tag(self.folder / "salts", name))

    def key(self, person: str, role: str = "") -> Signer:
        return signer_at(self.keyring.folder / "people" / f"{person}-{role or PEOPLE[person]}.pem")

    def keep(self, data: bytes) -> str:
        self.objects[sha256(data)] = data
        return sha256(data)

    def load(self, name: str, what: str) -> bytes:
        return self.objects.get(name, b"")

    def asked(self, **changed: object) -> Request:
        """A request that every check lets through, and what a test changes in it."""
        clause = clause_of(POLICY, str(changed.get("rule", "COM-NSFW")))
        listed, size = sample_list(MANY, NAMED), self.ledger.size()
        earlier = earlier_acts(
            entries_on_waivers(self.ledger), ("commercial", clause.rule), below=size
        )
        made = Request(
            about="samples", subject=sample_root(listed), policy="commercial",
            policy_sha256=sha256(POLICY), rule=clause.rule, decision="d" * 64, snapshot=SNAPSHOT,
            count=2, samples=self.keep(listed), reason="statues in a museum",
            measure="a person looked at each",
            ends_at=(self.clock + timedelta(days=30)).isoformat(timespec="milliseconds"),
            owner="omar", requester="asha", roles=clause.roles, including=clause.including,
            quorum=clause.quorum, max_days=clause.max_days, renewals=granted(earlier),
            size=size, root=self.ledger.root(size).hex(), nonce="0" * 32,
        )  # fmt: skip
        return replace(made, **changed)

    def said(self, request: Request, by: str, **changed: object) -> Act:
        """An approval that every check lets through, and what a test changes in it."""
        size, text = self.ledger.size(), shown(request, clause_of(POLICY, request.rule))
        made = Act(
            waiver=request.id, verb="approve", person=by, role=PEOPLE[by],
            shown=sha256(text.encode()), reason="", size=size, root=self.ledger.root(size).hex(),
            nonce=by,
        )  # fmt: skip
        return replace(made, **changed)

    def told(self, kind: str, said: Request | Act, key: Signer, **body: Json) -> None:
        """What an insider does: sign with a key, and write to the ledger past the desk."""
        envelope, keyid = sign(said.payload(), key), str(key.public_key.keyid)
        self.keep(envelope)
        if isinstance(said, Request):
            owner_key = str(self.key("omar").public_key.keyid)
            made = requested_body(said, envelope, key=keyid, owner_key=owner_key)
        else:
            made = act_body(said, envelope, key=keyid)
        self.ledger.append(kind, {**made, "person": "t" * 64, "owner": "o" * 64, **body})

    def ask(self, signer: str = "asha", **changed: object) -> Request:
        request = self.asked(**changed)
        self.told(REQUESTED, request, self.key(signer))
        return request

    def approve(self, request: Request, *people: str, **changed: object) -> None:
        for person in people:
            self.told(APPROVED, self.said(request, person, **changed), self.key(person))

    def stop(self, request: Request, verb: str, by: str = "devi", **changed: object) -> None:
        """Reject or revoke."""
        act = self.said(request, by, verb=verb, reason="a complaint", **changed)
        self.told({"reject": REJECTED, "revoke": REVOKED}[verb], act, self.key(by))

    def end(self, person: str, until: int) -> None:
        """Revoke a person's key (0), or let it count for acts before a number."""
        keyid = str(self.key(person).public_key.keyid)
        self.keyring.write(self.trust.ended(keyid, until))

    def papers(self, request: Request) -> Papers:
        return gather(entries_on_waivers(self.ledger), request.id, self.load)

    def check(self, *requests: Request, **changed: object) -> tuple[Waiver, ...]:
        """What the gate asks of a decision that stands on waivers."""
        decision = replace(decided(*requests), **changed)
        return check_waivers(
            decision, [self.papers(request) for request in requests], trust=self.trust,
            extends=earlier_trees(self.ledger), now=self.clock,
        )  # fmt: skip


def decided(*requests: Request) -> Decision:
    results = tuple(
        RuleResult(
            id=r.rule, policy=r.policy, on="sample" if r.about == "samples" else "snapshot",
            status="waived", violations=0, waived=max(r.count, 1), remedy="exclude",
            severity="high", require="", cite="", why="",
        )
        for r in requests
    )  # fmt: skip
    return Decision(
        snapshot=SNAPSHOT, samples=6, measures="b" * 64, audits="d" * 64, audit_code="e" * 64,
        findings="f" * 64, as_of="2026-11-23", verdict="pass-with-waivers" if requests else "pass",
        cleared_root="1" * 64, cleared=6, excluded=0, rules=results,
        waivers=tuple(r.id for r in requests),
        policies=(PolicyUsed(id="commercial", version="1", source="x", sha256=sha256(POLICY)),),
    )  # fmt: skip


@pytest.fixture(scope="session")
def peoples_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of keys: those of the house, and those of the six people of an office."""
    keyring = Keyring(tmp_path_factory.mktemp("office") / "keys")
    for person, role in PEOPLE.items():
        keyring.enrol(role, person)
    return keyring.folder


@pytest.fixture
def office(peoples_keys: Path, tmp_path: Path) -> Office:
    """A ledger and the keys of six people, for tests of waivers."""
    shutil.copytree(peoples_keys, tmp_path / "keys")
    return Office(tmp_path)


@pytest.fixture
def granted_one(office: Office) -> Request:
    """A request that its quorum approved."""
    request = office.ask()
    office.approve(request, "devi", "lila")
    return request
